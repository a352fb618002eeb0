#!/bin/sh
# Tests of sparse24 tune on tiny models: usage test_tune.sh PROGRAM MAKE_TINY
# One line a check, "ok" or "not ok"; the exit status is 1 if any failed.
set -u

cli=$1
make_tiny=$2
. "$(dirname "$0")/harness.sh"

. "$(dirname "$0")/models.sh"

text=self:48 # that trains
tune() # COMPRESSED OUT OPTIONS...
{
    from=$1 to=$2
    shift 2
    run tune "$tmp/$from" --dense "$tmp/tiny" --open-start 1 --calib "$text" --out "$tmp/$to" "$@"
}

test_training()
{
    training="--context 16 --tune-epochs 4"
    compress tiny pruned --constraints 2:4 --no-self
    tune pruned tuned $training --eval "$rows"
    check 'tune: runs' [ "$status" -eq 0 ]
    before=$(sed -n 's/^divergence  *\([0-9.]*\) before, .*/\1/p' "$tmp/out")
    check 'tune: divergence falls' is "$(sed -n 's/^divergence .* before, \([0-9.]*\) after.*/\1/p' "$tmp/out") / $before" '< 0.999'
    check 'tune: perplexity' says '^perplexity  *[0-9.]* before, [0-9.]* after'
    after=$(sed -n 's/^perplexity .* before, \([0-9.]*\) after.*/\1/p' "$tmp/out")
    run eval "$tmp/tuned" --tokens "$rows" --json
    check 'tune: evaluates to what was said' is "$(number perplexity) / $after - 1" '< 1e-5'
    run check "$tmp/tuned" --constraints 2:4
    check 'tune: zeros stay' succeeded
    tune pruned again $training --threads 1
    check 'tune: the same bytes on one thread' cmp "$tmp/tuned/model.safetensors" "$tmp/again/model.safetensors"
}

# NAME PATTERN COMPRESSED OPTIONS...
refused_tune()
{
    name=$1 pattern=$2 from=$3
    shift 3
    tune "$from" none "$@"
    check "$name" was_refused_tune
}

was_refused_tune()
{
    [ "$status" -ne 0 ] && [ ! -s "$tmp/out" ] && [ ! -e "$tmp/none" ] && grep -q -e "$pattern" "$tmp/err"
}

test_bad_input()
{
    refused_tune 'tune: no such model' 'nothing-here' nothing-here
    refused_tune 'tune: too little memory' 'MiB\|limit' pruned --memory-limit 1M
    text=$rows
    refused_tune 'tune: too many rows' '--rows 7' pruned --rows 7
    run tune "$tmp/pruned" --calib "$rows" --out "$tmp/none"
    check 'tune: --dense is needed' grep -q -e '--dense MODEL.* required' "$tmp/err"
}

test_training
test_bad_input
finish
