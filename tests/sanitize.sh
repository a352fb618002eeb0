#!/bin/sh
# The suites again, watched. sanitize.sh [asan] [tsan] [valgrind] [analyze]; without a word all four. Each has its own build folder.
#   asan      AddressSanitizer and UndefinedBehaviorSanitizer
#   brief     the same without tests that run lines of code which another test runs too (part of tests/run.sh)
#   tsan      ThreadSanitizer
#   valgrind  memcheck, with the reference kernels: it knows no AVX-512
#   analyze   clang's static analyser on every source of the library
# What OpenBLAS does is suppressed in tests/tsan.supp and tests/valgrind.supp. CK_FORK=no: reports name the test's own process.
set -eu
cd "$(dirname "$0")/.."
. tests/common.sh
export CK_FORK=no

asan() { # meson test options
    # Lines in reports need no more debug information. Only what these tests run is built.
    [ -f build/sanitize/build.ninja ] || meson setup build/sanitize -Dbench=false -Dcuda=disabled --buildtype=debugoptimized -Ddebug=false -Dc_args=-g1 \
        -Db_sanitize=address,undefined -Db_lundef=false
    ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
        run sanitize build/sanitize --no-suite style --no-suite headers --no-suite abi "$@"
}

brief() {
    asan --no-suite golden --no-suite determinism --no-suite repeats --no-suite examples --no-suite python
}

tsan() {
    build build/tsan -Dbench=false --buildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false
    TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp halt_on_error=1 second_deadlock_stack=1" run tsan build/tsan --suite base --suite io --suite api --suite faults --suite solvers
}

valgrind() {
    build build/valgrind -Dbench=false --buildtype=debugoptimized
    SPARSE24_ISA=ref OPENBLAS_CORETYPE=Haswell OPENBLAS_NUM_THREADS=1 run valgrind build/valgrind --suite base --suite io --suite api --suite faults \
        --wrapper "valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite --suppressions=$PWD/tests/valgrind.supp"
}

analyze() {
    build build/analyze -Dbench=false --buildtype=debug
    python3 tests/analyze.py build/analyze || status=1
}

[ $# -gt 0 ] || set -- asan tsan valgrind analyze
for word in "$@"; do "$word"; done
exit $status
