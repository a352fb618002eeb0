#!/bin/sh
# Everything that has to pass, from a bare Debian 12 machine: packages, build, all suites, the same under ASan + UBSan, an installed
# prefix used by C and C++ programs through pkg-config, make and CMake, the core without its clients, and the wheel. Ends with "N passed, N failed". Safe to run twice.
set -eu
cd "$(dirname "$0")/.."

packages="gcc g++ clang-format meson ninja-build pkg-config libopenblas-dev liblapacke-dev libpcre2-dev check binutils abigail-tools git cmake make python3-numpy libopenmpi-dev openmpi-bin python3-mesonpy python3-pip python3-venv patchelf"
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

. tests/common.sh

# Debug information is for abidiff.
build build/tests --buildtype=release -Ddebug=true --prefix="$PWD/build/prefix"
run tests build/tests
meson install -C build/tests --no-rebuild >/dev/null
sh tests/install/check.sh "$PWD/build/prefix" build/consumer examples/data/smollm2-block10-small.safetensors >build/install.log || status=1
sh tests/install/bare.sh build/tests build/bare >>build/install.log || status=1
sh tests/install/wheel.sh build/tests/meson-dist/*.tar.gz build/wheel-test examples/data/smollm2-block10-small.safetensors >>build/install.log || status=1
cat build/install.log

rm -f build/cores-*.json
sh tests/cores.sh build/tests 'Haswell Prescott' 'golden k' 'solvers properties' || status=1
sh tests/sanitize.sh brief || status=1

# shellcheck disable=SC2046
python3 tests/count.py build/tests.json build/install.log $(find build -maxdepth 1 -name 'cores-*.json') build/sanitize.json || status=1
exit $status
