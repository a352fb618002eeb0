#!/bin/sh
# Tests of sparse24 generate, and of compress on the rows that it writes: usage test_generate.sh PROGRAM MAKE_TINY
# One line a check, "ok" or "not ok"; the exit status is 1 if any failed.
set -u

cli=$1
make_tiny=$2
. "$(dirname "$0")/harness.sh"
. "$(dirname "$0")/models.sh"

generate() # OPTIONS...
{
    run generate "$tmp/tiny.gguf" "$@"
}

generate --start 1,2 --rows 3 --length 12 --seed 5
cp "$tmp/out" "$tmp/first"
check 'rows' succeeded
check 'rows: three' lines out 3
check 'rows: of twelve ids' [ "$(grep -c '^1 2\( [0-9][0-9]*\)\{10\}$' "$tmp/out")" -eq 3 ]
generate --start 1,2 --rows 3 --length 12 --seed 5 --threads 1
check 'rows: the same on one thread' cmp "$tmp/first" "$tmp/out"
generate --start 1,2 --rows 3 --length 12 --seed 6
check 'rows: others of another seed' [ "$(cmp -s "$tmp/first" "$tmp/out"; echo $?)" -eq 1 ]
generate --start 1,2 --length 12 --temperature 0
cp "$tmp/out" "$tmp/likeliest"
generate --start 1,2 --length 12 --top-k 1 --seed 9
check 'the likeliest: top-k 1 is temperature 0' cmp "$tmp/likeliest" "$tmp/out"
generate --start 1,2 --length 12 --top-p 1e-9 --seed 9
check 'the likeliest: so is a small top-p' cmp "$tmp/likeliest" "$tmp/out"
stop=$(cut -d ' ' -f 5 "$tmp/likeliest")
generate --start 1,2 --length 12 --temperature 0 --stop "$stop,95"
check 'stop' succeeded
check 'stop: at its first place' [ "$(wc -w <"$tmp/out")" -le 5 ]
generate --start 1 --rows 1
check 'length: 128 more' [ "$(wc -w <"$tmp/out")" -eq 129 ]

generate --tokens "$tmp/tokens.safetensors:rows" --rows 4 --length 30 --out "$tmp/own.safetensors"
check 'out' succeeded
run info "$tmp/own.safetensors"
check 'out: its tensor' says '^tokens  *I32  *4 x 30'
run eval "$tmp/tiny.gguf" --tokens "$tmp/own.safetensors"
check 'out: eval reads it' succeeded
run compress "$tmp/tiny.gguf" --calib "$tmp/own.safetensors" --no-self --constraints 2:4 --out "$tmp/file"
drop_lines
check 'out: compress reads it' succeeded

run compress "$tmp/tiny.gguf" --calib self:8 --context 24 --open-start 3 --constraints 2:4 --out "$tmp/alone"
check 'self: alone' grep -q "the model's own text repeats itself" "$tmp/err"
run compress "$tmp/tiny.gguf" --calib self:8*0.5 --calib "$rows" --constraints 2:4 --out "$tmp/both"
check 'self: beside a file' grep -q "8 rows of the model's own text" "$tmp/err"
check 'self: its weight is kept' grep -q -a 'self 8 x 24 weight 0.5 seed 0' "$tmp/both/tiny.gguf"
run compress "$tmp/tiny.gguf" --calib "$rows" --constraints 2:4 --out "$tmp/default"
check 'self: by default' grep -q "39 rows of the model's own text" "$tmp/err"

refused 'no beginning' 1 'what do rows begin with' generate "$tmp/tiny.gguf"
refused 'two beginnings' 1 'what do rows begin with' generate "$tmp/tiny.gguf" --start 1 --tokens "$tmp/tokens.safetensors:rows"
refused 'a start without ids' 1 'start x: expected token ids' generate "$tmp/tiny.gguf" --start x
refused 'an id beyond the vocabulary' 1 'row 0, column 1 is 96' generate "$tmp/tiny.gguf" --start 1,96
refused 'a negative temperature' 1 'temperature=-1: expected a number' generate "$tmp/tiny.gguf" --start 1 --temperature -1
refused 'beyond the context' 1 "context is 1024" generate "$tmp/tiny.gguf" --start 1 --length 1025
refused 'shorter than its beginning' 1 'and longer ones' generate "$tmp/tiny.gguf" --start 1,2,3 --length 3
refused 'rows of a file that end' 1 'ends early: rows of a file are whole' generate "$tmp/tiny.gguf" --start 1,2 --length 12 \
    --temperature 0 --stop "$stop" --out "$tmp/refused.safetensors"
refused 'self twice' 1 'there is one already' compress "$tmp/tiny.gguf" --calib self:1 --calib self:2 --constraints 2:4 --out "$tmp/none"
refused 'self and no-self' 1 'contradicts --no-self' compress "$tmp/tiny.gguf" --calib self:1 --no-self --constraints 2:4 --out "$tmp/none"
refused 'self of no number' 1 'expected ROWS or ROWS' compress "$tmp/tiny.gguf" --calib self:many --constraints 2:4 --out "$tmp/none"
refused 'self without a start' 1 'give --open-start ID' compress "$tmp/tiny.gguf" --calib self:4 --constraints 2:4 --out "$tmp/none"

exit $((failed > 0))
