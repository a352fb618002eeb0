#!/bin/sh
# The suites again, watched. sanitize.sh [asan] [tsan] [valgrind] [analyze]; without a word all four. Each has its own build folder.
#   asan      AddressSanitizer and UndefinedBehaviorSanitizer (part of tests/run.sh)
#   tsan      ThreadSanitizer
#   valgrind  memcheck, with the reference kernels: it knows no AVX-512
#   analyze   clang's static analyser on every source of the library
# What OpenBLAS does is suppressed in tests/tsan.supp and tests/valgrind.supp. CK_FORK=no: reports name the test's own process, and Check's
# timeouts, made for unwatched runs, do not apply.
set -eu
cd "$(dirname "$0")/.."
status=0
export CK_FORK=no CK_DEFAULT_TIMEOUT=0

build() { # folder, meson options
    folder=$1
    shift
    [ -f "$folder/build.ninja" ] || meson setup "$folder" -Dbench=false "$@"
    meson compile -C "$folder"
}

run() { # folder, meson test options
    folder=$1
    shift
    meson test -C "$folder" --print-errorlogs --num-processes 2 "$@" || status=1
    cp "$folder/meson-logs/testlog.json" "$folder.json"
}

asan() {
    build build/sanitize --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false
    # What executes library code: golden's and determinism's is the same code again, and slow.
    ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
        run build/sanitize --no-suite style --no-suite headers --no-suite abi --no-suite golden --no-suite determinism
}

tsan() {
    build build/tsan --buildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false
    TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp halt_on_error=1 second_deadlock_stack=1" run build/tsan --suite unit --suite faults --suite solvers
}

valgrind() {
    build build/valgrind --buildtype=debugoptimized
    SPARSE24_ISA=ref OPENBLAS_CORETYPE=Haswell OPENBLAS_NUM_THREADS=1 run build/valgrind --suite unit --suite faults \
        --wrapper "valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite --suppressions=$PWD/tests/valgrind.supp"
}

analyze() {
    build build/analyze --buildtype=debug
    python3 tests/analyze.py build/analyze || status=1
}

[ $# -gt 0 ] || set -- asan tsan valgrind analyze
for word in "$@"; do "$word"; done
exit $status
