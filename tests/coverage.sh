#!/bin/sh
# Which lines of the library the suites run; the report is build/coverage.txt (docs/testing.md lists what is not run, and why).
set -eu
cd "$(dirname "$0")/.."
work=build/coverage
[ -f $work/build.ninja ] || meson setup $work --buildtype=debugoptimized -Db_coverage=true -Dbench=false -Dc_args=-fprofile-update=atomic
meson compile -C $work
find $work -name '*.gcda' -delete
meson test -C $work --num-processes 2 --no-suite style --no-suite headers --no-suite abi --no-suite golden
status=0
python3 tests/coverage.py $work >build/coverage.txt || status=1
sed '/^$/q' build/coverage.txt
exit $status
