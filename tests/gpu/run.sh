#!/bin/sh
# What needs a GPU of compute capability 8.0 or above, and so is no part of tests/run.sh: run.sh CUTLASS_FOLDER [LIBRARY]
# CUTLASS_FOLDER holds CUTLASS's include/. LIBRARY is a built libsparse24.so; without one it is built. Needs nvcc, torch and transformers.
set -eu
cd "$(dirname "$0")/../.."
[ -d "${1:?usage: run.sh CUTLASS_FOLDER [LIBRARY]}/include/cutlass" ]
if [ $# -lt 2 ]; then
    [ -f build/gpu/build.ninja ] || meson setup build/gpu --buildtype=release -Dtests=false -Dbench=false
    meson compile -C build/gpu
    set -- "$1" build/gpu/lib/libsparse24.so
fi
library=$(realpath "$2")
program=$(mktemp)
trap 'rm -f "$program"' EXIT
status=0
nvcc -std=c++17 --expt-relaxed-constexpr -O2 -arch=native -Iinclude -I"$1/include" -o "$program" tests/gpu/packed.cu "$library" -Xlinker -rpath="$(dirname "$library")"
"$program" || status=1
SPARSE24_LIBRARY=$library python3 tests/gpu/prune.py || status=1
exit $status
