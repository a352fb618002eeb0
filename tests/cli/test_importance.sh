#!/bin/sh
# Tests of sparse24 importance and compress --importance on a tiny model: usage test_importance.sh PROGRAM MAKE_TINY
# One line a check, "ok" or "not ok"; the exit status is 1 if any failed.
set -u

cli=$1
make_tiny=$2
. "$(dirname "$0")/harness.sh"

. "$(dirname "$0")/models.sh"

test_scores()
{
    run eval "$tmp/tiny" --tokens "$rows" --json
    perplexity=$(number perplexity)
    run importance "$tmp/tiny" --calib "$rows" --out "$tmp/scores"
    check 'importance: runs' succeeded
    check 'importance: perplexity' is "$(sed -n 's/^perplexity  *//p' "$tmp/out") / $perplexity - 1" '< 1e-5'
    run info "$tmp/scores"
    check 'importance: tensors' [ "$(grep -c 'proj.weight.fisher  *F32' "$tmp/out")" -eq 14 ]
    run importance "$tmp/tiny" --calib "$rows" --out "$tmp/few" --norms l2 --rows 2 --activations disk --threads 1
    check 'importance: with options' says 'rows  *2 of 24 tokens'
    compress tiny ranked --constraints 2:4 --no-self --solver wanda --options score=gblm --importance "$tmp/scores"
    check 'compress --importance: runs' [ -s "$tmp/ranked/model.safetensors" ]
    run check "$tmp/ranked" --constraints 2:4
    check 'compress --importance: obeys' succeeded
    check 'compress --importance: recipe' grep -q "^importance .*/scores" "$tmp/ranked/recipe.txt"
}

refused() # NAME PATTERN COMMAND OPTIONS...
{
    name=$1 pattern=$2
    shift 2
    run "$@"
    check "$name" was_refused "$pattern"
}

was_refused()
{
    [ "$status" -ne 0 ] && [ ! -e "$tmp/none" ] && grep -q -e "$1" "$tmp/err"
}

test_bad_input()
{
    refused 'importance: no such norm' 'l1, l2, fisher' importance "$tmp/tiny" --calib "$rows" --norms l3 --out "$tmp/none"
    refused 'importance: no text' 'calib .*required' importance "$tmp/tiny" --out "$tmp/none"
    refused 'importance: no place' 'nowhere' importance "$tmp/tiny" --calib "$rows" --out "$tmp/nowhere/none"
    refused 'importance: too little memory' 'are needed' importance "$tmp/tiny" --calib "$rows" --out "$tmp/none" --memory-limit 1M
    refused 'compress: score=gblm needs scores' 'give --importance FILE' compress "$tmp/tiny" --calib "$rows" --no-self \
        --constraints 2:4 --solver wanda --options score=gblm --out "$tmp/none"
    refused 'compress: no score of alps' 'ranks by no scores' compress "$tmp/tiny" --calib "$rows" --no-self \
        --constraints 2:4 --importance "$tmp/scores" --out "$tmp/none"
}

test_scores
test_bad_input
finish
