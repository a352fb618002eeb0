#!/bin/sh
# Everything that has to pass, from a bare Debian 12 machine: packages, build, all suites, the same under ASan + UBSan, an installed
# prefix used by C and C++ programs through pkg-config. Ends with "N passed, N failed". Safe to run twice.
set -eu
cd "$(dirname "$0")/.."

packages="gcc g++ clang-format meson ninja-build pkg-config libopenblas-dev liblapacke-dev check binutils git python3-numpy"
missing=
for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y --no-install-recommends $missing
fi

status=0
build() { # folder, meson options
    folder=$1
    shift
    [ -f "$folder/build.ninja" ] || meson setup "$folder" "$@"
    meson compile -C "$folder"
}

run() { # folder, meson test options
    folder=$1
    shift
    meson test -C "$folder" --print-errorlogs --num-processes 2 "$@" || status=1
    cp "$folder/meson-logs/testlog.json" "$folder.json"
}

build build/tests --buildtype=release --prefix="$PWD/build/prefix"
run build/tests
meson install -C build/tests --no-rebuild >/dev/null
sh tests/install/check.sh "$PWD/build/prefix" build/consumer examples/data/smollm2-block10-small.safetensors >build/install.log || status=1
cat build/install.log

build build/sanitize --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false -Dbench=false
# The sanitizer run repeats what executes library code (golden's figures are the same code again, and slow); CK_FORK=no so that reports name the test's own process.
ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 CK_FORK=no CK_DEFAULT_TIMEOUT=0 \
    run build/sanitize --no-suite style --no-suite headers --no-suite abi --no-suite golden --timeout-multiplier 10

python3 tests/count.py build/tests.json build/install.log build/sanitize.json || status=1
exit $status
