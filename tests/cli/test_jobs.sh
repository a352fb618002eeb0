#!/bin/sh
# Tests of what a run of sparse24 compress is answerable for: which job it is, what it may overwrite, what it leaves behind, what it
# tells. Usage test_jobs.sh PROGRAM MAKE_TINY. One line a check, "ok" or "not ok"; the exit status is 1 if any failed.
set -u

cli=$1
make_tiny=$2
. "$(dirname "$0")/harness.sh"
. "$(dirname "$0")/models.sh"

# A run that finished all blocks, but not the model: the disk was full.
stopped() # MODEL OUT OPTIONS...
{
    stopped_model=$1 stopped_out=$2
    shift 2
    (
        trap '' XFSZ
        ulimit -f 300
        "$cli" compress "$tmp/$stopped_model" --calib "$rows" --constraints 2:4 --out "$tmp/$stopped_out" "$@" \
            >/dev/null 2>&1
    )
}

fails() # NAME PATTERN: the last run failed for this reason
{
    check "$1" failed_with "$2"
}

failed_with()
{
    [ "$status" -eq 1 ] && grep -q -e "$1" "$tmp/err"
}

types() # MODEL TENSOR: how it is stored
{
    "$cli" info "$1" | awk -v name="$2" '$1 == name { print $2 }'
}

perplexity_after()
{
    sed -n 's/^perplexity .* before, \([0-9.]*\) after.*/\1/p' "$tmp/out"
}

# ---- Which job it is ----

test_source_changed()
{
    cp -r "$tmp/tiny" "$tmp/source"
    stopped source changed
    change_byte "$tmp/source/model.safetensors" 10
    compress source changed --constraints 2:4 --resume
    fails 'other weights' 'begun with "file model.safetensors, .*, now it is "file model.safetensors'
    cp "$tmp/tiny/model.safetensors" "$tmp/source"
    sed 's/\("rope_theta": *\)[0-9.e+]*/\1777/' "$tmp/tiny/config.json" >"$tmp/source/config.json"
    compress source changed --constraints 2:4 --resume
    fails 'another configuration' 'begun with "file config.json'
    cp "$tmp/tiny/config.json" "$tmp/source"
    compress source changed --constraints 2:4 --eval "$rows" --resume
    fails 'other rows held out: the option is named' 'begun with "--eval, held out 0 .*now it is "--eval, held out 4'
    compress source changed --constraints 2:4 --resume
    check 'the same again: goes on' succeeded
    check 'the same again: same bytes' same_model reference changed
    [ "$(OPENBLAS_CORETYPE=Prescott "$cli" info | grep OpenBLAS)" = "$("$cli" info | grep OpenBLAS)" ] && return
    (
        OPENBLAS_CORETYPE=Prescott
        export OPENBLAS_CORETYPE
        stopped tiny core
    )
    compress tiny core --constraints 2:4 --resume
    fails 'another core of BLAS' 'begun with "blas OpenBLAS .* Prescott"'
}

test_changed_meanwhile()
{
    cp -r "$tmp/tiny" "$tmp/meanwhile"
    "$cli" compress "$tmp/meanwhile" --calib "$rows" --constraints 2:4 --out "$tmp/late" >"$tmp/out" 2>"$tmp/err" &
    pid=$!
    while [ ! -e "$tmp/late.part" ] && kill -0 $pid 2>/dev/null; do
        :
    done
    touch "$tmp/meanwhile/config.json"
    status=0
    wait $pid || status=$?
    fails 'source changed during the run' 'config.json: was changed since the run began'
    check 'source changed during the run: no output' [ ! -e "$tmp/late" ]
}

test_blocks()
{
    stopped tiny blocks
    rm "$tmp/blocks.part/block-00000.safetensors"
    compress tiny blocks --constraints 2:4
    fails 'any block of an earlier run needs --resume' 'holds an unfinished run'
    compress tiny blocks --constraints 2:4 --resume
    check 'a lost block is solved again' same_model reference blocks
    stopped tiny damaged
    change_byte "$tmp/damaged.part/block-00001.safetensors" 100
    compress tiny damaged --constraints 2:4 --resume
    fails 'a damaged block: its file' 'block-00001.safetensors is damaged'
    rm "$tmp/damaged.part/block-00001.safetensors"
    mkdir "$tmp/damaged.part/.sparse24-1-0.tmp"
    echo left >"$tmp/damaged.part/.activations-abc"
    compress tiny damaged --constraints 2:4 --resume
    check 'a damaged block: without it' same_model reference damaged
    check 'a damaged block: nothing of killed writers is left' [ ! -e "$tmp/damaged.part" ]
    run compress "$tmp/tiny" --calib "$rows" --constraints 2:4 --out "$tmp/fresh" --resume
    check 'nothing to go on with: says so' grep -q 'fresh.part holds no finished block' "$tmp/err"
    check 'a line a block' [ "$(grep -c '^sparse24: block [12] of 2: done' "$tmp/err")" -eq 2 ]
}

# A second run in the same place is refused and does the first no harm.
test_second()
{
    "$cli" compress "$tmp/tiny" --calib "$rows" --constraints 2:4 --out "$tmp/twice" >/dev/null 2>&1 &
    pid=$!
    while [ "$(find "$tmp/twice.part" -type f 2>/dev/null | wc -l)" -lt 2 ] && kill -0 $pid 2>/dev/null; do
        : # the lock is taken before anything else is written, and not yet when its file appears
    done
    kill -STOP $pid
    compress tiny twice --constraints 2:4 --resume
    fails 'a second run in the same place' 'twice.part: another process is working there'
    kill -CONT $pid
    wait $pid
    check 'the first run goes on' same_model reference twice
}

# An output that is there answers for what it was made with, and for nothing else.
test_finished()
{
    compress tiny reference --constraints 'row 90%' --solver wanda --resume --json
    fails 'finished: other settings' 'reference was begun with "constraints 2:4", now it is "constraints row 90%"'
    check 'finished: nothing is told of them' [ ! -s "$tmp/out" ]
    compress tiny reference --constraints 2:4 --resume --json --eval "$rows" --report "$tmp/owed.html"
    check 'finished: what was owed' succeeded
    check 'finished: records' lines out 15
    check 'finished: perplexity' grep -q '"perplexity_before":[0-9].*"perplexity_after":[0-9]' "$tmp/out"
    check 'finished: report' grep -q 'Perplexity' "$tmp/owed.html"
    change_byte "$tmp/tiny/model.safetensors" 10
    compress tiny reference --constraints 2:4 --resume
    fails 'finished: of another source' 'begun with "file model.safetensors'
    make_models
}

# Ended at any moment, asked again: the same model, and all that was asked for.
test_term()
{
    set -- --constraints 2:4 --heldout 0 --eval "$rows" --json --report "$tmp/term.html"
    for delay in 0.02 0.05 0.08 0.11 0.14 0.17 0.2 0.24 0.28 0.33 0.4 0.5; do
        timeout "$delay" "$cli" compress "$tmp/tiny" --calib "$rows" --out "$tmp/term" --resume "$@" >/dev/null 2>&1
    done
    rm -f "$tmp/term.html"
    compress tiny term --resume "$@"
    check 'SIGTERM: same bytes' same_model reference term
    check 'SIGTERM: JSON' lines out 15
    check 'SIGTERM: evaluation' grep -q '"perplexity_after":[0-9]' "$tmp/out"
    check 'SIGTERM: report' [ -s "$tmp/term.html" ]
    check 'SIGTERM: nothing is left' [ -z "$(find "$tmp" -name 'term*.part')" ]
}

# ---- What it may overwrite ----

test_report_place()
{
    echo mine >"$tmp/notes.txt"
    ln "$tmp/tokens.safetensors" "$tmp/hard"
    ln -s tiny/config.json "$tmp/symbolic"
    for file in tokens.safetensors tiny/model.safetensors tiny/tokenizer.json hard symbolic notes.txt placed; do
        compress tiny placed --constraints 2:4 --report "$tmp/$file"
        fails "--report $file" '--report .*\(is an input\|not a report of sparse24\|is what --out names\)'
    done
    check '--report: nothing was written' grep -q mine "$tmp/notes.txt"
    echo mine >"$tmp/page.html.part"
    compress tiny placed --constraints 2:4 --report "$tmp/page.html"
    fails '--report: what is beside it' 'page.html.part: is there and not a report'
    rm "$tmp/page.html.part"
    for time in first again; do
        compress tiny placed --constraints 2:4 --heldout 0 --report "$tmp/page.html"
        check "--report: $time" succeeded
        rm -r "$tmp/placed"
    done
}

test_out()
{
    ln -s nowhere "$tmp/dangling"
    compress tiny dangling --constraints 2:4
    fails '--out: a dangling link' 'is a symbolic link'
    run compress "$tmp/tiny" --calib "$rows" --constraints 2:4 --out ''
    fails '--out: no name' 'the name is empty'
    mkdir -m 700 "$tmp/private"
    compress tiny private --constraints 2:4 --solver alpz
    check '--out: a run that fails leaves an empty folder' [ -d "$tmp/private" ]
    compress tiny private --constraints 2:4
    check '--out: an empty folder' succeeded
    # shellcheck disable=SC2012
    check '--out: its mode' [ "$(ls -ld "$tmp/private" | cut -c 1-10)" = drwx------ ]
    compress tiny some/deep/folder --constraints 2:4
    check '--out: folders on the way' succeeded
    latin=$(printf 'caf\351')
    compress tiny "$latin" --constraints 2:4 --json
    check '--json: a path that is not UTF-8' is_json "$tmp/out"
    check '--json: its byte' grep -q 'caf\\udce9' "$tmp/out"
    cp -r "$tmp/tiny" "$tmp/piped"
    rm "$tmp/piped/tokenizer.json"
    mkfifo "$tmp/piped/tokenizer.json"
    compress piped unmade --constraints 2:4
    fails 'a file that cannot be carried over' 'tokenizer.json'
    check 'a file that cannot be carried over: before the work' [ ! -e "$tmp/unmade.part" ]
    "$cli" compress "$tmp/tiny" --calib "$rows" --constraints 2:4 --out "$tmp/closed" --activations disk --progress \
        <&- >/dev/null 2>&-
    check 'closed streams: nothing is printed into data' same_model reference closed
}

test_memory()
{
    for threads in 1 2 16 64; do
        compress tiny limited --constraints 2:4 --threads $threads --memory-limit 100K --eval "$rows"
        fails "memory, $threads threads: what would do" 'MiB are needed'
        enough=$(sed -n 's/.*limit: \([0-9]*\) MiB are needed.*/\1/p' "$tmp/err")
        compress tiny limited --constraints 2:4 --threads $threads --memory-limit "${enough}Mi" --eval "$rows" --json
        check "memory, $threads threads: it does" succeeded
        grep -q __asan_init "$cli" || # which holds much memory of its own
            check "memory, $threads threads: resident" is "$(number peak_bytes | tail -n 1)" "<= $enough * 1048576 + 300000"
        check "memory, $threads threads: same bytes" [ "$(number perplexity_after)" = "$after" ]
        rm -rf "$tmp/limited"
    done
}

# ---- What is written ----

hex()
{
    od -An -v -tx1 | tr -d ' \n'
}

# The key, its type (u32) and its value as they lie in the file.
has_file_type() # FILE BYTE
{
    hex <"$1" | grep -q "$(printf general.file_type | hex)04000000${2}000000"
}

test_types()
{
    "$make_tiny" llama-gguf "$tmp/model-q8_0.gguf" "$tmp/tokens.safetensors" Q8_0
    compress model-q8_0.gguf blocks8 --constraints 2:4
    check 'GGUF: the name tells the type' [ -e "$tmp/blocks8/model-f16.gguf" ]
    check 'GGUF: the file tells the type, mostly F16' has_file_type "$tmp/blocks8/model-f16.gguf" 01
    check 'GGUF: blocks become F16' [ "$(types "$tmp/blocks8/model-f16.gguf" blk.1.ffn_up.weight)" = F16 ]
    compress blocks8 again --constraints 2:4 --store bf16
    check 'GGUF: the folder is taken again' succeeded
    check 'GGUF: and named anew' has_file_type "$tmp/again/model-bf16.gguf" 20
    compress tiny mixed --constraints 2:4 --store bf16 --skip 'model.layers.1.*'
    check '--store: config.json' grep -q '"torch_dtype": *"bfloat16"' "$tmp/mixed/config.json"
    compress mixed kept --constraints 2:4
    check 'types: of each matrix' [ "$(types "$tmp/kept" model.layers.0.mlp.up_proj.weight)" = BF16 ]
    check 'types: of another' [ "$(types "$tmp/kept" model.layers.1.mlp.up_proj.weight)" = F32 ]
    mkdir "$tmp/wide"
    "$make_tiny" llama "$tmp/wide" "$tmp/tokens.safetensors" F64
    compress wide double --constraints 2:4
    check 'types: double' [ "$(types "$tmp/double" model.layers.1.mlp.up_proj.weight)" = F64 ]
    sed 's/}$/, "dtype": "float32"\n}/' "$tmp/tiny/config.json" >"$tmp/wide/config.json"
    compress wide half --constraints 2:4 --store f16
    check '--store: a dtype that is there' grep -q '"dtype": "float16"$' "$tmp/half/config.json"
}

# What is said of a grid is what a loader of its codes computes: floats that hold the codes' values exactly give the same.
test_grids()
{
    for constraints in 'int4' 'int3 g16' 'int4 real g32' '2:4+int4' 'rank 4+int4'; do
        compress tiny wide_grid --constraints "$constraints" --store f32 --eval "$rows"
        check "$constraints: a solver is found" [ "$status" -eq 0 ]
        exact=$(perplexity_after)
        compress tiny narrow_grid --constraints "$constraints" --store bf16 --eval "$rows"
        check "$constraints: perplexity of the codes" [ "$(perplexity_after)" = "$exact" ]
        rm -rf "$tmp/wide_grid" "$tmp/narrow_grid"
    done
    stopped tiny grid --rule '*=int4 g16' --store bf16
    compress tiny grid --constraints 2:4 --rule '*=int4 g16' --store bf16 --resume
    compress tiny grid_once --constraints 2:4 --rule '*=int4 g16' --store bf16
    check 'a grid: resumed, same bytes' same_model grid grid_once
    compress tiny solvers --constraints 2:4 --rule '*.down_proj=int4' --rule '*.up_proj=rank 8' --json
    for solver in alps:10 quantease:2 hassle:2; do
        check "solver by constraints: ${solver%:*}" [ "$(grep -c "\"solver\":\"${solver%:*}\"" "$tmp/out")" -eq "${solver#*:}" ]
    done
}

test_warnings()
{
    "$cli" compress "$tmp/tiny" --calib "$rows" --rows 1 --no-self --constraints 2:4 --out "$tmp/thin" --json \
        --report "$tmp/thin.html" >"$tmp/out" 2>"$tmp/err"
    check 'few rows: a warning a matrix' [ "$(grep -c 'warning: .*24 different rows for \(64\|96\) inputs' "$tmp/err")" -eq 14 ]
    check 'few rows: in the records' [ "$(grep -c '"warning":"calibrated with 24' "$tmp/out")" -eq 14 ]
    check 'few rows: in the report' grep -q 'down_proj.weight: calibrated with 24' "$tmp/thin.html"
    rows=$tmp/tokens.safetensors:same
    run compress "$tmp/tiny" --calib "$rows" --no-self --constraints 2:4 --out "$tmp/same"
    check 'one token: a warning a matrix' [ "$(grep -c 'warning: .*one token only' "$tmp/err")" -eq 14 ]
    rows=$tmp/tokens.safetensors:rows
}

compress tiny reference --constraints 2:4 --eval "$rows" --heldout 0 --json
check 'reference' succeeded
after=$(number perplexity_after)
test_source_changed
test_changed_meanwhile
test_blocks
test_second
test_term
test_report_place
test_out
test_memory
test_types
test_grids
test_warnings
test_finished
finish
