#!/bin/sh
# Tests of sparse24 compress on tiny models: usage test_compress.sh PROGRAM MAKE_TINY
# One line a check, "ok" or "not ok"; the exit status is 1 if any failed.
set -u

cli=$1
make_tiny=$2
. "$(dirname "$0")/harness.sh"

. "$(dirname "$0")/models.sh"

# A run that was refused has said why in one line and left no output; what it finished may stay.
refused_compress() # NAME PATTERN MODEL OPTIONS...
{
    refused_name=$1 pattern=$2 model=$3
    shift 3
    compress "$model" none --constraints 2:4 "$@"
    check "$refused_name" was_refused_compress "$pattern"
    rm -rf "$tmp/none.part"
}

was_refused_compress()
{
    [ "$status" -eq 1 ] && [ ! -s "$tmp/out" ] && [ ! -e "$tmp/none" ] && lines err 1 &&
        grep -q -e "$1" "$tmp/err"
}

test_containers()
{
    compress tiny folder --constraints 2:4 --eval "$rows" --report "$tmp/report.html"
    check 'folder' succeeded
    check 'folder: matrices' says '^matrices  *14, 50.00 % of their weights zero$'
    check 'folder: perplexity' says '^perplexity  *[0-9.]* before, [0-9.]* after'
    check 'folder: efficiency' says '^seconds .* % of the rate of a large product$'
    check 'folder: nothing unfinished is left' [ ! -e "$tmp/folder.part" ]
    check 'folder: a record a matrix' lines folder/records.jsonl 14
    check 'folder: records are JSON' is_json "$tmp/folder/records.jsonl"
    check 'folder: configuration is carried over' cmp "$tmp/tiny/config.json" "$tmp/folder/config.json"
    check 'folder: tokenizer is carried over' cmp "$tmp/tiny/tokenizer.json" "$tmp/folder/tokenizer.json"
    after=$(sed -n 's/^perplexity .* before, \([0-9.]*\) after.*/\1/p' "$tmp/out")
    run eval "$tmp/folder" --tokens "$rows" --json
    check 'folder: evaluates to what was said' is "$(number perplexity) / $after - 1" '< 1e-5'
    run check "$tmp/folder" --constraints 2:4
    check 'folder: the pattern holds' succeeded
    compress tiny.gguf gguf --constraints 2:4
    check 'gguf' succeeded
    run check "$tmp/gguf/tiny.gguf" --constraints 2:4
    check 'gguf: the pattern holds' succeeded
    run eval "$tmp/gguf/tiny.gguf" --tokens "$rows"
    check 'gguf: can be evaluated' succeeded
}

test_report()
{
    check 'report: charts' [ "$(grep -c '<svg' "$tmp/report.html")" -ge 5 ]
    check 'report: nothing from elsewhere' sh -c '! grep -q "http\|<script\|<link\|<img" "$1"' sh "$tmp/report.html"
    check 'report: no number is missing' sh -c '! grep -q -i "[^a-z]nan[^a-z]\|[^a-z]inf[^a-z]" "$1"' sh "$tmp/report.html"
}

test_json()
{
    compress tiny json --constraints 2:4 --json --eval "$rows" --heldout 2
    check '--json: records and one line about all' lines out 15
    check '--json: JSON' is_json "$tmp/out"
    tail -n 1 "$tmp/out" >"$tmp/last"
    check '--json: perplexity' grep -q '"perplexity_after":[0-9]' "$tmp/last"
    check '--json: held-out errors' [ "$(grep -c '"test_dense_relative_loss":[0-9]' "$tmp/out")" -eq 14 ]
}

# Everything that must not change the result does not.
test_same_bytes()
{
    compress tiny one --constraints 2:4 --heldout 0 --threads 1
    for other in '--threads 2' '--threads 3' '--activations disk'; do
        # shellcheck disable=SC2086
        compress tiny other --constraints 2:4 --heldout 0 $other
        check "same bytes with $other" same_model one other
        rm -rf "$tmp/other"
    done
    compress tiny half --constraints 2:4 --activations half
    check '--activations half' succeeded
}

test_correction()
{
    compress tiny plain --constraints 2:4 --correct 0 --json
    check '--correct 0' [ "$status" -eq 0 ]
    check '--correct 0: no target' [ "$(grep -c dense_relative_loss "$tmp/out")" -eq 0 ]
    plain=$(number relative_loss | head -n 1)
    compress tiny aimed --constraints 2:4 --correct 1 --json
    check '--correct 1: aims elsewhere' [ "$(grep -c '"dense_relative_loss":[0-9]' "$tmp/out")" -eq 14 ]
    check 'the first matrix sees no error yet' is "$(number relative_loss | head -n 1) / $plain" '< 1.02'
}

test_rules()
{
    compress tiny rules --constraints 2:4 --solver magnitude --rule '*.down_proj=1:4' \
        --rule 'model.layers.1.mlp.down_proj.weight=25%' --skip '*.k_proj'
    check 'rules' succeeded
    check 'rules: matrices' says '^matrices  *12, '
    check 'rules: the last one counts' [ "$(grep -c '"constraints":"25%"' "$tmp/rules/records.jsonl")" -eq 1 ]
    run check "$tmp/rules/model.safetensors:model.layers.0.mlp.down_proj.weight" --constraints 1:4
    check 'rules: obeyed' succeeded
    run check "$tmp/rules/model.safetensors:model.layers.0.self_attn.k_proj.weight" --constraints 2:4
    check 'skip: left alone' [ "$status" -eq 1 ]
    refused_compress 'a rule that matches nothing' 'matches no matrix' tiny --rule '*.down_prj=1:4'
    refused_compress 'a rule without constraints' 'expected PATTERN=CONSTRAINTS' tiny --rule down_proj
    refused_compress 'a rule that does not fit' 'q_proj.*multiple of 5' tiny --rule '*.q_proj=3:5'
}

# Killed at any moment, the run goes on and ends with the same file.
# Other outputs, and the same ones made later.
test_outputs()
{
    compress tiny.gguf q4 --constraints '2:4+int4 sym g32' --store q4_0 --eval "$rows" --heldout 0
    check 'q4_0' succeeded
    after=$(sed -n 's/^perplexity .* before, \([0-9.]*\) after.*/\1/p' "$tmp/out")
    run eval "$tmp/q4/tiny.gguf" --tokens "$rows" --json
    check 'q4_0: eval gives what was printed' is "$(number perplexity)" "- $after < 1e-3"
    check 'q4_0: eval gives what was printed, from above' is "$(number perplexity)" "- $after > -1e-3"
    compress tiny.gguf coded --constraints '2:4+int4 sym g32' --options scales=f16
    check 'codes lie below' [ -e "$tmp/coded/sparse24/parts.safetensors" ]
    run export "$tmp/coded" --store q4_0 --out "$tmp/later"
    check 'export' succeeded
    "$cli" info "$tmp/later/tiny.gguf" | grep ' Q4_0 ' >"$tmp/a"
    "$cli" info "$tmp/q4/tiny.gguf" | grep ' Q4_0 ' >"$tmp/b"
    check 'export: 14 matrices of that type' lines a 14
    check 'export: as compress writes them' cmp "$tmp/a" "$tmp/b"
    run check "$tmp/later/tiny.gguf" --constraints 2:4
    check 'export: they obey' succeeded
    run export "$tmp/coded" --store q8_0 --out "$tmp/later"
    check 'export: OUT is there' grep -q 'exists already' "$tmp/err"
    run export "$tmp/coded" --format zip --out "$tmp/zip"
    check 'export: an unknown format' grep -q 'expected one of pack-quantized, ' "$tmp/err"
    run export "$tmp/coded" --out "$tmp/zip"
    check 'export: no format' grep -q 'expected --format FORMAT' "$tmp/err"
    refused_compress 'a grid that q4_0 cannot hold' 'ask for "2:4+int4 sym g32"' tiny.gguf --store q4_0
    refused_compress 'q4_0 of a folder' 'convert_hf_to_gguf.py' tiny --store q4_0
}

test_kill()
{
    for delay in 0.01 0.03 0.05 0.07 0.09 0.12 0.15 0.18 0.22 0.27 0.33 0.4; do
        timeout -s KILL $delay "$cli" compress "$tmp/tiny" --calib "$rows" --constraints 2:4 \
            --heldout 0 --out "$tmp/killed" --resume >/dev/null 2>&1
    done
    for block in 0 1; do # and surely once in each block
        "$cli" compress "$tmp/tiny" --calib "$rows" --constraints 2:4 --heldout 0 \
            --out "$tmp/killed$block" >/dev/null 2>&1 &
        pid=$!
        while [ ! -e "$tmp/killed$block.part/block-0000$block.safetensors" ] && kill -0 $pid 2>/dev/null; do
            :
        done
        kill -KILL $pid 2>/dev/null
        wait $pid 2>/dev/null
    done
    for killed in killed killed0 killed1; do
        compress tiny $killed --constraints 2:4 --heldout 0 --resume # also when all was done
        check "$killed: same bytes as without" same_model one $killed
        check "$killed: nothing unfinished is left" [ ! -e "$tmp/$killed.part" ]
    done
}

test_resume()
{
    (
        trap '' XFSZ # writing beyond the limit fails as on a full disk
        ulimit -f 300 # enough for a block, not for the model
        "$cli" compress "$tmp/tiny" --calib "$rows" --constraints 2:4 --heldout 0 --out "$tmp/full" \
            >"$tmp/out" 2>"$tmp/err"
    )
    check 'full disk: fails' [ $? -eq 1 ]
    check 'full disk: says so' grep -q -e '^sparse24: .*File too large' "$tmp/err"
    check 'full disk: no output' [ ! -e "$tmp/full" ]
    compress tiny full --constraints 2:4 --heldout 0
    check 'unfinished run: --resume is needed' grep -q -e '--resume' "$tmp/err"
    compress tiny full --constraints 1:4 --heldout 0 --resume
    check 'resume: other settings are refused' grep -q 'begun with "constraints 2:4".*"constraints 1:4"' "$tmp/err"
    compress tiny full --constraints 2:4 --heldout 0 --resume
    check 'resume' succeeded
    check 'resume: same bytes' same_model one full
    compress tiny full --constraints 2:4 --heldout 0 --resume
    check 'resume: nothing is left to do' says 'is complete already'
    compress tiny full --constraints 2:4
    check 'an output is never written over' grep -q 'exists already' "$tmp/err"
}

# A run that has ended before the signal came, because this script had to wait, is none: once more.
test_interrupt()
{
    status=0
    while [ "$status" -eq 0 ]; do
        rm -rf "$tmp/stopped"
        "$cli" compress "$tmp/tiny" --calib "$rows" --constraints 2:4 --heldout 0 --out "$tmp/stopped" \
            --options swaps=0 --progress >"$tmp/out" 2>"$tmp/err" &
        pid=$!
        while [ ! -e "$tmp/stopped.part" ] && kill -0 $pid 2>/dev/null; do
            :
        done
        kill -INT $pid 2>/dev/null
        wait $pid || status=$?
    done
    check 'interrupt: exit status' [ "$status" -eq 1 ]
    check 'interrupt: text' grep -q '^sparse24: interrupted: go on with --resume$' "$tmp/err"
    compress tiny stopped --constraints 2:4 --heldout 0 --options swaps=0 --resume
    check 'interrupt: goes on' succeeded
    check 'interrupt: same weights' [ "$(wc -c <"$tmp/stopped/records.jsonl")" -gt 1000 ]
}

test_bad_input()
{
    mkdir "$tmp/short" "$tmp/bad"
    cp "$tmp/tiny/config.json" "$tmp/short"
    head -c 60000 "$tmp/tiny/model.safetensors" >"$tmp/short/model.safetensors"
    refused_compress 'truncated model' 'short' short
    head -c 60000 "$tmp/tiny.gguf" >"$tmp/short.gguf"
    refused_compress 'truncated GGUF' 'short.gguf' short.gguf
    cp "$tmp/tiny/model.safetensors" "$tmp/bad"
    sed 's/\("num_attention_heads": *\)4/\15/' "$tmp/tiny/config.json" >"$tmp/bad/config.json"
    refused_compress 'wrong configuration' '5 heads' bad
    refused_compress 'no model' 'nowhere' nowhere
    refused_compress 'unknown solver' 'alpz' tiny --solver alpz
    refused_compress 'unknown option' 'swops' tiny --options swops=1
    refused_compress 'a dense rule' '--skip "\*.q_proj"' tiny --rule '*.q_proj=dense'
    refused_compress 'share above 1' 'from 0 to 1' tiny --correct 2
    refused_compress 'share that is no number' 'from 0 to 1' tiny --correct half
    refused_compress 'unknown place for activations' 'ram, half or disk' tiny --activations tape
    refused_compress 'no folder for the report' 'nowhere/r.html: No such' tiny --report "$tmp/nowhere/r.html"
    mkfifo "$tmp/pipe"
    refused_compress 'a report over a pipe' 'not a regular file' tiny --report "$tmp/pipe"
    refused_compress 'too little memory for activations' 'MiB are needed: .*activations' tiny --memory-limit 100K
    refused_compress 'too little memory to solve' 'limit' tiny --memory-limit 1500K
    refused_compress 'more rows than there are' '--rows 7' tiny --rows 7
    rows=$tmp/tokens.safetensors:large
    refused_compress 'id outside the vocabulary: its place' 'row 1, column 3 is 96' tiny
    rows=$tmp/tokens.safetensors:rows
    mkdir "$tmp/mine.part"
    run compress "$tmp/tiny" --calib "$rows" --constraints 2:4 --out "$tmp/mine"
    check 'a folder of others is left alone' grep -q 'mine.part: File exists' "$tmp/err"
    run compress "$tmp/tiny" --calib "$rows" --constraints 2:4
    check 'no --out' grep -q -e '--out .* is required' "$tmp/err"
}

test_containers
test_report
test_json
test_same_bytes
test_correction
test_rules
test_outputs
test_kill
test_resume
test_interrupt
test_bad_input
finish
