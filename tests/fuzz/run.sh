#!/bin/sh
# Look for new findings: each target (or those named) for SECONDS, one after the other, starting from the kept inputs. Needs clang.
#   run.sh [SECONDS] [TARGET...]     results under build/fuzz: corpus/TARGET, findings/TARGET, TARGET.log
#   run.sh keep [TARGET...]          bring the smallest inputs that reach something new into tests/fuzz/corpus
# A finding becomes a kept input (corpus/TARGET/finding-...) and a test beside the function that was wrong.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-600}
[ $# = 0 ] || shift

work=build/fuzz
[ -f $work/build.ninja ] || CC=clang CXX=clang++ meson setup $work --buildtype=debugoptimized -Dfuzz=true -Dbench=false \
    -Db_sanitize=address,undefined -Db_lundef=false -Dc_args=-fsanitize=fuzzer-no-link
targets=${*:-$(ninja -C $work -t targets all | sed -n 's,^tests/fuzz/fuzz_\([a-z]*\): .*,\1,p')}

# shellcheck disable=SC2086
ninja -C $work $(printf 'tests/fuzz/fuzz_%s ' $targets) >$work/build.log || { cat $work/build.log; exit 1; }
status=0
for target in $targets; do
    program=$work/tests/fuzz/fuzz_$target kept=tests/fuzz/corpus/$target
    mkdir -p "$work/corpus/$target" "$work/findings/$target" "$kept"
    if [ "$seconds" = keep ]; then
        mkdir -p "$work/small"
        "$program" -merge=1 -max_len=512 "$work/small" "$kept" "$work/corpus/$target" 2>/dev/null
        # The smallest fifty: the ordinary run stays short.
        ls -Sr "$work/small" | head -50 | while read -r name; do cp "$work/small/$name" "$kept/$(printf %.12s "$name")"; done
        rm -r "$work/small"
        continue
    fi
    UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 nice "$program" -max_total_time="$seconds" -print_final_stats=1 \
        -max_len=4096 -artifact_prefix="$work/findings/$target/" -close_fd_mask=1 \
        "$work/corpus/$target" "$kept" >"$work/$target.log" 2>&1 || status=1
    printf '%-12s %10s executions, %6s inputs, %s findings\n' "$target" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$target.log")" \
        "$(find "$work/corpus/$target" -type f | wc -l)" "$(find "$work/findings/$target" -type f | wc -l)"
done
exit $status
