#!/bin/sh
# What needs a GPU, and so is no part of tests/run.sh: run.sh [CUTLASS_FOLDER]
# Builds the library and its back end, then runs the differential test of all operations, the sums, both under
# compute-sanitizer where that is found, seconds of solvers, and prune_torch.py. With CUTLASS's include/ in
# CUTLASS_FOLDER also the layout cutlass-sm80 (capability 8.0 or above). Needs nvcc; the Python parts need torch and
# transformers.
set -u
cd "$(dirname "$0")/../.." || exit 1
[ -f build/gpu/build.ninja ] ||
    meson setup build/gpu --buildtype=release -Dtests=false -Dbench=false -Dcli=false -Dcuda=enabled -Dgpu_tests=true || exit 1
meson compile -C build/gpu || exit 1
library=$PWD/build/gpu/lib/libsparse24.so
device=$PWD/build/gpu/lib/cuda/libsparse24-cuda.so:0
programs=build/gpu/tests/gpu
status=0
$programs/differential "$device" short || status=1
$programs/differential "$device" | grep -v "^#" || status=1
$programs/sums "$device" || status=1
if command -v compute-sanitizer > /dev/null; then
    compute-sanitizer --tool memcheck --error-exitcode 1 $programs/speed "$device" 40 264 500 || status=1
    compute-sanitizer --tool racecheck --error-exitcode 1 $programs/speed "$device" 8 64 300 || status=1
fi
$programs/speed "$device" 4096 4096 || status=1
if python3 -c "import torch, transformers; assert torch.cuda.is_available()" 2> /dev/null; then
    SPARSE24_LIBRARY=$library python3 tests/gpu/prune.py "$device" || status=1
fi
if [ $# -gt 0 ]; then
    program=$(mktemp)
    trap 'rm -f "$program"' EXIT
    nvcc -std=c++17 --expt-relaxed-constexpr -O2 -arch=native -Iinclude -I"$1/include" -o "$program" \
        tests/gpu/packed.cu "$library" -Xlinker -rpath="$(dirname "$library")"
    "$program" || status=1
fi
exit $status
