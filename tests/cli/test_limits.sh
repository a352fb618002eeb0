#!/bin/sh
# The program in a poor environment: closed standard streams, little address space, stack, file size. It ends, with the right file or an error.
# test_limits.sh SPARSE24 LAYERS
cli=$1 layers=$2
tmp=$(mktemp -d) failed=0
trap 'rm -rf "$tmp"' EXIT

expect() { # text command ...
    text=$1
    shift
    if "$@"; then echo "ok - $text"; else
        echo "not ok - $text"
        failed=1
    fi
}
solve() { "$cli" solve --weights "$layers:w.k" --calib "$layers:x.attn" --constraints 2:4 --solver sparsegpt --progress --out "$1" --threads "$2"; }
same() { cmp -s "$tmp/right" "$tmp/out"; }

expect "a solve works" eval 'solve "$tmp/right" 1 >"$tmp/text" 2>&1'
for closed in '0<&-' '2>&-' '0<&- 2>&-' '1>&-' '0<&- 1>&-' '1>&- 2>&-' '0<&- 1>&- 2>&-'; do
    rm -f "$tmp/out"
    eval "solve '$tmp/out' 1 $closed" >"$tmp/text" 2>&1
    expect "$closed: the file is as always" same
done

rm -f "$tmp/out"
(ulimit -f 100 && solve "$tmp/out" 1 >"$tmp/text" 2>&1)
code=$?
expect "ulimit -f 100: said, and no file ($code)" eval '[ $code -eq 1 ] && grep -q "File too large" "$tmp/text" && [ ! -e "$tmp/out" ]'

# Libraries do not even load below 55 MB; sanitizers want terabytes.
if [ "${SANITIZED:-no}" = no ]; then
    for limit in 60000 80000 120000 200000 400000 800000 1600000 3000000; do
        for threads in 1 2 1000; do
            rm -f "$tmp/out"
            (ulimit -v $limit && solve "$tmp/out" $threads >"$tmp/text" 2>&1)
            code=$?
            expect "ulimit -v $limit, $threads threads: error or file ($code)" eval \
                '[ $code -eq 0 ] && same || { [ $code -eq 1 ] && grep -q "^sparse24: " "$tmp/text"; }'
        done
    done
    for limit in 64 100 200; do
        rm -f "$tmp/out"
        (ulimit -s $limit && solve "$tmp/out" 2 >"$tmp/text" 2>&1)
        code=$?
        expect "ulimit -s $limit: said ($code)" eval '[ $code -eq 1 ] && grep -q "ulimit -s" "$tmp/text"'
    done
    rm -f "$tmp/out"
    (ulimit -s 300 && solve "$tmp/out" 4 >"$tmp/text" 2>&1)
    expect "ulimit -s 300: works" same
fi
exit $failed
