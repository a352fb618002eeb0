#!/bin/sh
# From a fresh checkout to a compressed layer: installs what is missing (Debian, Ubuntu), builds in
# build/quickstart, compares the solvers on the real layers in examples/data, writes and checks one.
# May be run from any folder and again and again.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=$root/build/quickstart
layers=$root/examples/data/smollm2-block10-small.safetensors
sparse24=$build/examples/cli/sparse24

missing_packages()
{
    # command:package
    for pair in gcc:gcc g++:g++ meson:meson ninja:ninja-build pkg-config:pkg-config; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || printf '%s ' "${pair#*:}"
    done
    # pkg-config name:package; without pkg-config all count as missing, and apt-get knows better
    for pair in openblas:libopenblas-dev lapacke:liblapacke-dev check:check; do
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
        quietly meson setup "$build" "$root" -Dtests=false -Dbench=false
    quietly ninja -C "$build"
}

# One row a solver: layer, method, calibration error, held-out error, seconds.
compare_layer()
{
    layer=$1 inputs=$2
    "$sparse24" compare --weights "$layers:w.$layer" --calib "$layers:x.$inputs" \
        --test "$layers:x_test.$inputs" --constraints 2:4 \
        --solvers 'magnitude,wanda,sparsegpt[preset=paper],sparsegpt,alps[preset=paper],alps,prox24' >"$build/compare.txt"
    awk -v layer="$layer" 'NR > 1 { printf row, layer, $1, $2, $3, $NF }' \
        row='%-6s  %-23s  %11s  %9s  %7s\n' "$build/compare.txt"
}

compare_all()
{
    echo
    echo "Relative error of the outputs, ||X (V - W)'||^2 / ||X W'||^2, at 2:4"
    echo "(block 10 of SmolLM2-135M; 2048 rows for calibration, 512 held out)"
    echo
    printf '%-6s  %-23s  %11s  %9s  %7s\n' layer method calibration held-out seconds
    compare_layer k attn
    compare_layer v attn
    compare_layer o o
    compare_layer down down
}

write_and_check()
{
    echo
    echo "Writing w.o at 2:4 in f16, and checking the file:"
    echo
    "$sparse24" solve --weights "$layers:w.o" --calib "$layers:x.o" --test "$layers:x_test.o" \
        --constraints 2:4 --solver sparsegpt --store f16 --out "$build/o-2of4.safetensors"
    "$sparse24" check "$build/o-2of4.safetensors" --constraints 2:4
}

missing=$(missing_packages)
# shellcheck disable=SC2086 # one word a package
[ -z "$missing" ] || install_packages $missing
build_library
compare_all
write_and_check
cat <<END

Where to go next:
  $sparse24 --help
  $sparse24 options sparsegpt
  README.md                what this is, how to install it
  docs/                    the interface, the solvers, how to add one
  examples/0*.c            programs of one page on the C interface; built in $build/examples
END
