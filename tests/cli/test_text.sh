#!/bin/sh
# Texts on the command line of eval, compress and tokenize: usage test_text.sh PROGRAM MAKE_TINY
# One line a check, "ok" or "not ok"; the exit status is 1 if any failed.
set -u
cli=$1
make_tiny=$2
. "$(dirname "$0")/harness.sh"

model=$tmp/tiny
mkdir "$model"
"$make_tiny" llama "$model" "$tmp/ids.safetensors" || exit 1
# As many pieces as the tiny model has rows: each printable letter, and the line end as the begin of a text.
awk 'BEGIN {
    printf "{\"model\":{\"type\":\"BPE\",\"vocab\":{"
    for (i = 32; i < 127; i++) {
        c = sprintf("%c", i)
        printf "\"%s%s\":%d,", c == "\"" || c == "\\" ? "\\" : "", c, i - 32
    }
    printf "\"\\n\":95},\"merges\":[]},\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":"
    printf "[{\"SpecialToken\":{\"id\":\"\\n\"}},{\"Sequence\":{\"id\":\"A\"}}]}}\n"
}' >"$model/tokenizer.json"
i=0
while [ $i -lt 30 ]; do
    printf 'Row %d of a text, which has letters only. ' $i
    i=$((i + 1))
done >"$tmp/a.txt"
printf '{"text": "%s"}\n' "$(cat "$tmp/a.txt")" >"$tmp/a.jsonl"

perplexity() # OPTIONS of eval
{
    run eval "$model" --json "$@"
    sed -n 's/.*"nll":\([^,]*\),.*/\1/p' "$tmp/out"
}

same() # NAME, OPTIONS | OPTIONS: the log-likelihoods have equal digits
{
    check "$1" [ "$2" = "$3" ]
}

text=$(perplexity --tokens "$tmp/a.txt" --context 24)
check 'eval of a text' [ -n "$text" ]
check 'eval of a text: rows' says '"context":24,'
run tokenize "$model" --text "$tmp/a.txt" --context 24 --out "$tmp/made.safetensors"
check 'tokenize' succeeded
check 'tokenize: rows' says '^tokens  *[0-9]* rows of 24$'
same 'a token file gives the perplexity of its text, to the last digit' "$text" "$(perplexity --tokens "$tmp/made.safetensors")"
same 'so does .jsonl' "$text" "$(perplexity --tokens "$tmp/a.jsonl" --context 24)"
sed 's/"text"/"body"/' "$tmp/a.jsonl" >"$tmp/b.jsonl"
same 'so does another field' "$text" "$(perplexity --tokens "$tmp/b.jsonl" --context 24 --field body)"
same 'so does another tokenizer that is equal' "$text" "$(perplexity --tokens "$tmp/a.txt" --context 24 --tokenizer "$model/tokenizer.json")"
plain=$(perplexity --tokens "$tmp/a.txt" --context 24 --bos no)
check '--bos no changes rows' [ "$plain" != "$text" ]
same '--bos yes is what this model wants' "$text" "$(perplexity --tokens "$tmp/a.txt" --context 24 --bos yes)"
run compress "$model" --calib "$tmp/a.txt" --context 24 --rows 8 --eval "$tmp/a.jsonl" --eval-rows 4 --constraints 2:4 --solver wanda --out "$tmp/out2"
check 'compress with a text' [ "$status" -eq 0 ]
check 'compress with a text: perplexity' grep -q 'perplexity' "$tmp/out"
run check "$tmp/out2" --constraints 2:4
check 'compress with a text: it obeys' succeeded

refused 'no row' 1 'a.txt: holds [0-9]* ids, no row of 4096: take more text' eval "$model" --tokens "$tmp/a.txt" --context 4096
refused 'no field' 1 'line 1: has no "text": .* --field: body$' eval "$model" --tokens "$tmp/b.jsonl"
refused 'a word for --bos' 1 'bos=maybe: expected auto, yes or no' eval "$model" --tokens "$tmp/a.txt" --bos maybe
: >"$tmp/empty.txt"
refused 'empty text' 1 'empty.txt: is empty' eval "$model" --tokens "$tmp/empty.txt"
gzip -c "$tmp/a.txt" >"$tmp/a.txt.gz"
refused 'compressed text' 1 'is compressed (gzip)' compress "$model" --calib "$tmp/a.txt.gz" --constraints 2:4 --out "$tmp/out3"
sed 's/"~":94,//; s/"b":66,//; s/"c":67,//; s/"d":68,//; s/"e":69,//; s/"f":70,//; s/"g":71,//; s/"h":72,//; s/"i":73,//; s/"j":74,//' \
    "$model/tokenizer.json" >"$tmp/other.json"
refused 'the tokenizer of another model' 1 'has 86 pieces, but the model.s vocabulary 96: they do not belong together' \
    eval "$model" --tokens "$tmp/a.txt" --tokenizer "$tmp/other.json"
mv "$model/tokenizer.json" "$tmp/kept.json"
refused 'no tokenizer' 1 'holds no tokenizer\|is no\|holds no model' eval "$model" --tokens "$tmp/a.txt"
refused 'an output that is the text' 1 'is an input file' tokenize "$model" --tokenizer "$tmp/kept.json" --text "$tmp/a.txt" --context 24 --out "$tmp/a.txt"
finish
