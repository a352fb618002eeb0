#!/bin/sh
# Tests of the program sparse24 as a user meets it: usage test_cli.sh PROGRAM DATA_DIR MAKE_TINY
# One line a check, "ok" or "not ok"; the exit status is 1 if any failed.
set -u

cli=$1
make_tiny=$3
layers=$2/smollm2-block10-small.safetensors
[ -r "$layers" ] || {
    echo "$0: cannot read $layers" >&2
    exit 1
}
. "$(dirname "$0")/harness.sh"

# Little-endian f32 for a few words.
floats()
{
    for word; do
        case $word in
        0) printf '\000\000\000\000' ;;
        1) printf '\000\000\200\077' ;;
        2) printf '\000\000\000\100' ;;
        3) printf '\000\000\100\100' ;;
        -1) printf '\000\000\200\277' ;;
        nan) printf '\000\000\300\177' ;;
        inf) printf '\000\000\200\177' ;;
        esac
    done
}

# matrix FILE NAME ROWS COLS VALUES...: a safetensors file with one F32 matrix (header under 256 bytes).
matrix()
{
    file=$1
    header="{\"$2\":{\"dtype\":\"F32\",\"shape\":[$3,$4],\"data_offsets\":[0,$(($3 * $4 * 4))]}}"
    shift 4
    while [ $((${#header} % 8)) -ne 0 ]; do
        header="$header "
    done
    {
        # shellcheck disable=SC2059 # the format is the byte
        printf "\\$(printf '%03o' "${#header}")\\000\\000\\000\\000\\000\\000\\000"
        printf '%s' "$header"
        floats "$@"
    } >"$file"
}

# A number below 65536 as 4 little-endian bytes.
word()
{
    # shellcheck disable=SC2059 # the format is the bytes
    printf "\\$(printf '%03o' $(($1 % 256)))\\$(printf '%03o' $(($1 / 256)))\\000\\000"
}

# gguf FILE NAME ROWS COLS VALUES...: a GGUF file with one F32 matrix.
gguf()
{
    file=$1 name=$2 rows=$3 cols=$4
    shift 4
    {
        printf GGUF
        word 3
        for number in 1 1; do # tensors, metadata items
            word $number
            word 0
        done
        word 20
        word 0
        printf general.architecture
        word 8 # a string
        word 5
        word 0
        printf llama
        word ${#name}
        word 0
        printf '%s' "$name"
        word 2 # dimensions, the contiguous one first
        word "$cols"
        word 0
        word "$rows"
        word 0
        for number in 0 0 0; do # F32, offset 0
            word $number
        done
        padding=$(((32 - (24 + 20 + 8 + 4 + 8 + 5 + 8 + ${#name} + 4 + 16 + 12) % 32) % 32))
        while [ $padding -gt 0 ]; do
            printf '\000'
            padding=$((padding - 1))
        done
        floats "$@"
    } >"$file"
}

# --- happy paths -----------------------------------------------------------------------------------

test_version()
{
    run version
    check 'version' succeeded
    check 'version: text' says '^sparse24 [0-9.]* (interface [0-9]*\.[0-9]*)$'
    run version --verbose
    check 'version --verbose names the BLAS' says '^blas  *OpenBLAS'
    run --version
    check '--version' says '^sparse24 '
}

test_help()
{
    run --help
    check '--help' succeeded
    check '--help lists the commands' says '^  compare '
    for command in solve compare eval check pack unpack info options version; do
        run "$command" --help
        check "$command --help" succeeded
        check "$command --help: text" says "^Usage: sparse24 $command"
    done
    run solve --weights x --help
    check 'help beats missing options' succeeded
    run compress --help
    cp "$tmp/out" "$tmp/help"
    for words in 'help compress' 'compress -h'; do
        # shellcheck disable=SC2086 # two words
        run $words
        check "$words" succeeded
        check "$words: as compress --help" cmp "$tmp/out" "$tmp/help"
    done
    for command in solve compare compress check; do
        run "$command" --help
        for term in '2:4' 'row 70%' 'int4' 'g128' 'sym' 'real' 'rank 64'; do
            check "$command --help: term $term" grep -q "^  .*$term" "$tmp/out"
        done
    done
    run --help
    for command in $(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\)  *.*/\1/p' "$tmp/out"); do
        run "$command" --help
        check "$command --help: an example" says "^  sparse24 $command "
    done
    run eval --help
    check 'eval --help: rows of its own option' says 'rows of --tokens'
    run -h
    check '-h' succeeded
    run -V
    check '-V' says '^sparse24 [0-9.]* (interface'
}

test_info()
{
    run info
    check 'info' succeeded
    check 'info: cores' says '^cores  *[1-9]'
    run info "$layers"
    check 'info FILE' succeeded
    check 'info FILE: tensor' says '^w\.down  *F16  *576 x 1536  *1\.69 MiB$'
    check 'info FILE: metadata' says '^input_of\.down: down$'
    check 'info FILE: sum' says '^[0-9]* tensors: [0-9]* F16; [0-9.]* million elements, [0-9.]* MiB$'
}

test_options()
{
    run options
    check 'options' succeeded
    check 'options: all solvers' says '^sparsegpt: '
    run options sparsegpt
    check 'options SOLVER' succeeded
    check 'options SOLVER: damp_rule' says '^  damp_rule '
    run options --markdown
    check 'options --markdown' succeeded
    check 'options --markdown: heading' says '^## sparsegpt$'
    check 'options --markdown: row' says '^| .damp_rule. | text |'
}

# The options that most runs below share.
solve_k()
{
    run solve --weights "$layers:w.k" --calib "$layers:x.attn" --constraints 2:4 "$@"
}

test_solve()
{
    out=$tmp/o.safetensors
    solve_k --solver sparsegpt --test "$layers:x_test.attn" --out "$out"
    check 'solve' succeeded
    check 'solve: calibration error' says '^calibration  *0\.[0-9]* relative error on 2048 rows$'
    check 'solve: held-out error' says '^held out  *0\.[0-9]* relative error on 512 rows$'
    check 'solve: zeros' says '192 x 576, 55296 zeros (50.00 %)'
    check 'solve: where' says "^written  *$out\$"
    run info --speed "$layers"
    check 'info --speed' succeeded
    check 'info --speed: layouts' says '^2:4 int4 g64  *ri16x32-int4  *[0-9.]* '
    run info --all "$out"
    check 'solve --out: weights' says '^weights  *F32  *192 x 576 '
    check 'solve --out: mask' says '^mask  *U8  *192 x 576 '
    check 'solve --out: record' says '^sparse24\.record: {.*"solver": *"sparsegpt"'
    count_volatile=$(grep -c -e '"seconds"' -e '"peak_bytes"' -e '"threads"' -e '"isa"' "$tmp/out")
    check 'solve --out: nothing volatile' [ "$count_volatile" -eq 0 ]
    sed -n 's/^sparse24\.record: //p' "$tmp/out" >"$tmp/record"
    check 'solve --out: the record is JSON' is_json "$tmp/record"
    run solve --weights="$out:weights" --calib="$layers:x.attn" --constraints=2:4 --solver=magnitude --json
    check 'weights that obey already keep loss 0' is "$(number relative_loss)" '== 0'
}

# Without --solver the constraints choose.
test_default_solver()
{
    for case in '2:4|alps' 'row 60%|alps' 'int4|quantease' '2:4+int4 g64|quantease' '2:4+rank 2|hassle'; do
        run solve --weights "$layers:w.k" --calib "$layers:x.attn" --constraints "${case%|*}" \
            --options preset=fast
        check "solve ${case%|*}: the default solver" succeeded
        check "solve ${case%|*}: the default solver is ${case#*|}" says "^solver  *${case#*|}\$"
    done
}

test_solve_json()
{
    solve_k --solver wanda --test "$layers:x_test.attn" --out "$tmp/quo\"te.safetensors" --json
    check 'solve --json' succeeded
    check 'solve --json: one line' lines out 1
    check 'solve --json: JSON' is_json "$tmp/out"
    check 'solve --json: error' is "$(number relative_loss)" '> 0'
    check 'solve --json: held-out error' is "$(number test_relative_loss)" '> 0'
    check 'solve --json: volatile numbers' says '"seconds"'
    check 'solve --json: out, quoted' says '"out": *".*quo\\"te\.safetensors"'
    check 'solve --json: file' [ -s "$tmp/quo\"te.safetensors" ]
}

test_store()
{
    solve_k --solver wanda --json
    exact=$(number relative_loss)
    for type in f16 bf16; do
        solve_k --solver wanda --store $type --out "$tmp/$type.safetensors" --json
        check "--store $type" succeeded
        check "--store $type: JSON" is_json "$tmp/out"
        check "--store $type: says so" says '"stored": *"B*F16"'
        check "--store $type: error near f32's" is "$(number relative_loss)" "< 1.01 * $exact"
    done
    run info "$tmp/bf16.safetensors"
    check '--store bf16: type' says '^weights  *BF16 '
    run check "$tmp/f16.safetensors" --constraints 2:4
    check '--store f16: still 2:4' succeeded
}

test_constraints()
{
    solve_k --solver magnitude --out "$tmp/mask.safetensors"
    run solve --weights "$layers:w.k" --calib "$layers:x.attn" --mask "$tmp/mask.safetensors:mask" \
        --solver refit --json
    check 'a mask alone is a constraint' succeeded
    run solve --weights "$layers:w.k" --calib "$layers:x.attn" --mask "$tmp/mask.safetensors" --solver refit --json
    check '--mask FILE: the mask that solve has written' succeeded
    check 'refit on it: JSON' is_json "$tmp/out"
    run solve --weights "$layers:w.k" --calib "$layers:x.attn" --constraints 'row 70%' --solver wanda
    check 'row 70%' succeeded
    matrix "$tmp/w.safetensors" w 2 4 1 2 3 -1 2 1 1 2
    matrix "$tmp/x.safetensors" x 5 4 1 2 1 -1 2 1 1 2 1 -1 2 1 0 1 0 2 3 1 2 0
    matrix "$tmp/scores.safetensors" s 2 4 3 2 1 0 1 2 1 2
    run solve --weights "$tmp/w.safetensors" --calib "$tmp/x.safetensors" --constraints 2:4 \
        --solver wanda --options score=importance --importance "$tmp/scores.safetensors" --json
    check '--importance' succeeded
    check '--importance: zeros' is "$(number zeros)" '== 4'
}

test_threads()
{
    for threads in 1 2 3; do
        solve_k --solver sparsegpt --threads $threads --out "$tmp/t$threads.safetensors"
        check "--threads $threads" succeeded
    done
    check 'equal bytes for 1 and 2 threads' cmp "$tmp/t1.safetensors" "$tmp/t2.safetensors"
    check 'equal bytes for 1 and 3 threads' cmp "$tmp/t1.safetensors" "$tmp/t3.safetensors"
}

compare_k()
{
    run compare --weights "$layers:w.k" --calib "$layers:x.attn" --constraints 2:4 "$@"
}

test_compare()
{
    compare_k --test "$layers:x_test.attn"
    check 'compare' succeeded
    check 'compare: header' says '^solver  *calibration  *held-out  *zeros %  *damping  *seconds$'
    for solver in magnitude wanda sparsegpt; do
        check "compare: $solver" says "^$solver  *0\\.[0-9]*  *0\\.[0-9]*  *50\\.00 "
    done
    compare_k --solvers 'sparsegpt[preset=paper,damp=0.02],wanda'
    check 'compare --solvers' succeeded
    check 'compare --solvers: one row each' lines out 3
    check 'compare --solvers: options in brackets' says '^sparsegpt\[preset=paper,damp=0\.02\] '
    check 'compare without --test' says '^wanda .*  -  .*50\.00'
}

test_compare_out()
{
    best=$tmp/best.safetensors
    compare_k --solvers magnitude,sparsegpt,wanda --json --out "$best"
    check 'compare --json' succeeded
    check 'compare --json: one line each' lines out 3
    check 'compare --json: JSON' is_json "$tmp/out"
    run info --all "$best"
    check 'compare --out: the best' says '^sparse24\.record: .*"solver": *"sparsegpt"'
    run check "$best" --constraints 2:4
    check 'compare --out: obeys' succeeded
}

test_check()
{
    matrix "$tmp/good.safetensors" a 2 8 1 0 2 0 0 0 1 1 0 1 0 1 2 2 0 0
    matrix "$tmp/bad.safetensors" a 2 8 1 0 2 0 0 0 1 1 0 1 0 1 2 2 0 1
    run check "$tmp/good.safetensors" --constraints 2:4
    check 'check: every matrix of a file' succeeded
    run check "$tmp/good.safetensors:a" --constraints 2:4
    check 'check FILE:TENSOR' succeeded
    check 'check: text' says '^a: obeys 2:4$'
    refused 'check: weights that do not obey' 1 ' a: ' check "$tmp/bad.safetensors" --constraints 2:4
    run check "$tmp/bad.safetensors" --constraints 3:4
    check 'check: another pattern' succeeded
    refused 'check: dense layers' 1 'w\.' check "$layers" --constraints 2:4
}

test_models()
{
    gguf "$tmp/good.gguf" blk.0.attn_q.weight 2 4 1 0 2 0 0 1 1 0
    run info "$tmp/good.gguf"
    check 'info of GGUF' succeeded
    check 'info of GGUF: tensor' says '^blk\.0\.attn_q\.weight  F32  *2 x 4  '
    check 'info of GGUF: metadata' says '^general\.architecture: llama$'
    run check "$tmp/good.gguf" --constraints 2:4
    check 'check of GGUF' succeeded
    check 'check of GGUF: text' says 'good\.gguf: all 1 matrices of its blocks obey 2:4$'
    gguf "$tmp/bad.gguf" blk.0.attn_q.weight 2 4 1 0 2 0 2 1 1 0
    refused 'check of GGUF that does not obey' 1 'blk\.0\.attn_q\.weight: .*row 1' \
        check "$tmp/bad.gguf" --constraints 2:4
    gguf "$tmp/head.gguf" output.weight 2 4 1 0 2 0 2 1 1 0
    refused 'check of GGUF without blocks' 1 'output\.weight: .*row 1' \
        check "$tmp/head.gguf" --constraints 2:4

    mkdir "$tmp/model"
    name=model.layers.0.mlp.up_proj.weight
    matrix "$tmp/model/model-1.safetensors" $name 2 4 1 0 2 0 0 1 1 0
    matrix "$tmp/model/model-2.safetensors" lm_head.weight 1 4 1 2 1 2
    printf '{"weight_map":{"%s":"model-1.safetensors","lm_head.weight":"model-2.safetensors"}}' \
        $name >"$tmp/model/model.safetensors.index.json"
    printf '{"hidden_size":4,"rope_scaling":{"factor":8.0}}' >"$tmp/model/config.json"
    run info "$tmp/model"
    check 'info of a folder' succeeded
    check 'info of a folder: tensor' says "^lm_head\.weight  *F32  *1 x 4 "
    check 'info of a folder: metadata' says '^config\.rope_scaling\.factor: 8\.0$'
    run check "$tmp/model" --constraints 2:4
    check 'check of a folder: the blocks alone' succeeded
    check 'check of a folder: text' says 'model: all 1 matrices of its blocks obey 2:4$'
    refused 'check of a folder: FOLDER:TENSOR' 1 'lm_head\.weight: .*row 0' \
        check "$tmp/model:lm_head.weight" --constraints 2:4
    refused 'check of a folder: no such tensor' 1 'nearest' check "$tmp/model:x" --constraints 2:4
    mkdir "$tmp/empty"
    refused 'info of a folder without weights' 1 'has neither' info "$tmp/empty"
}

# w.k at 2:4 into every layout and back.
test_pack()
{
    solve_k --solver magnitude --store f16 --out "$tmp/v.safetensors"
    for layout in nibble cutlass-sm80 sparse-24-bitmask ri16x32 ri16x32:bf16 cutlass-sm80:f16; do
        run pack "$tmp/v.safetensors:weights" --layout $layout --out "$tmp/p.safetensors"
        check "pack $layout" succeeded
        check "pack $layout: text" says "p.safetensors: 192 x 576 in [0-9]* bytes of $layout$"
        run unpack "$tmp/p.safetensors" --out "$tmp/u.safetensors"
        check "unpack $layout" succeeded
        run check "$tmp/u.safetensors" --constraints 2:4
        check "unpack $layout: obeys" succeeded
        [ $layout = ri16x32:bf16 ] && continue
        run pack "$tmp/u.safetensors:weights" --layout nibble --out "$tmp/n.safetensors"
        [ $layout = nibble ] && cp "$tmp/n.safetensors" "$tmp/first.safetensors"
        check "unpack $layout: the same matrix" cmp "$tmp/first.safetensors" "$tmp/n.safetensors"
    done
    run info "$tmp/p.safetensors"
    check 'info of a packed file: parts' says '^meta  *I16  *192 x 36 '
    check 'info of a packed file: layout' says '^sparse24\.layout: cutlass-sm80$'
    check 'info of a packed file: shape' says '^sparse24\.cols: 576$'
    check 'info of a packed file: type' says '^sparse24\.dtype: F16$'
}

# Codes go from the solver into the layout and decode to the same weights.
test_pack_codes()
{
    for case in "gptq-v2|int4 g64" "pack-quantized|2:4+int4 sym g64" "q4_0|int4 sym g32" "q4_1|int4 real g32" "q8_0|int8 sym g32"; do
        layout=${case%%|*} grid=${case#*|}
        solver=rtn
        [ "$layout" = pack-quantized ] && solver=quantease
        run solve --weights "$layers:w.k" --calib "$layers:x.attn" --constraints "$grid" --solver $solver --options scales=f16 --out "$tmp/q.safetensors"
        check "pack $layout: solve" succeeded
        run pack "$tmp/q.safetensors" --layout "$layout" --out "$tmp/p.safetensors"
        check "pack $layout" succeeded
        run unpack "$tmp/p.safetensors" --out "$tmp/c.safetensors"
        check "unpack $layout" succeeded
        run check "$tmp/c.safetensors:weights" --constraints "$grid"
        check "unpack $layout: obeys" succeeded
    done
    run solve --weights "$layers:w.k" --calib "$layers:x.attn" --constraints int4 --solver rtn --out "$tmp/f32.safetensors"
    refused 'pack: f32 scales' 1 'solve with scales=f16' pack "$tmp/f32.safetensors:weights" --layout gptq-v2 --out "$tmp/none.safetensors"
}

# The codes of a model lie in sparse24/parts.safetensors beside it; earlier versions put them right there.
test_pack_model()
{
    tiny llama
    run compress "$tmp/llama.model" --calib "$tmp/tokens.safetensors:rows" --constraints 'int4 sym g8' \
        --options scales=f16,preset=fast --out "$tmp/coded"
    check 'compress int4' [ "$status" -eq 0 ]
    tensor=model.layers.1.mlp.up_proj.weight
    for layout in gptq-v2 pack-quantized; do
        run pack "$tmp/coded/llama.model:$tensor" --layout $layout --out "$tmp/pc.safetensors"
        check "pack MODEL:NAME $layout" succeeded
        run unpack "$tmp/pc.safetensors" --out "$tmp/uc.safetensors"
        run check "$tmp/uc.safetensors" --constraints 'int4 sym g8'
        check "pack MODEL:NAME $layout: what comes back obeys" succeeded
    done
    refused 'pack: codes of a model alone' 1 'name the weights that they belong to' \
        pack "$tmp/coded/sparse24/parts.safetensors:$tensor.codes" --layout gptq-v2 --out "$tmp/refused.safetensors"
}

test_pack_refuses()
{
    o="--out $tmp/refused.safetensors"
    # shellcheck disable=SC2086 # two words
    {
        refused 'pack: a dense matrix' 1 'row 0, group 0 .* keeps 4' pack "$layers:w.k" --layout nibble $o
        refused 'pack: unknown layout' 1 'nearest: ri16x32$' pack "$layers:w.k" --layout ri16x23 $o
        refused 'pack: unknown layout, none near' 1 'there are: nibble, .*hybrid24$' pack "$layers:w.k" --layout foo $o
        refused 'pack: a layout of codes without codes' 1 'codes lie beside weights' pack "$layers:w.k" --layout gptq-v2 $o
        refused 'pack: codes alone' 1 'go together' pack "$tmp/q.safetensors:codes" --layout gptq-v2 $o
        refused 'pack: a shape that does not fit' 1 'multiples of 32 x 32' pack "$tmp/bad.safetensors" --layout cutlass-sm80 $o
        refused 'pack: no layout' 2 '--layout .* is required' pack "$layers:w.k" $o
        refused 'pack: no output' 2 '--out .* is required' pack "$layers:w.k" --layout nibble
        refused 'unpack: no packed file' 1 'metadata lacks' unpack "$layers" $o
        refused 'unpack: missing file' 1 'nowhere' unpack "$tmp/nowhere" $o
    }
    refused 'pack: out is the input' 1 'is an input' pack "$tmp/u.safetensors" --layout nibble \
        --out "$tmp/u.safetensors"
    size=$(wc -c <"$tmp/first.safetensors")
    { head -c $((size - 1)) "$tmp/first.safetensors" && printf 'P'; } >"$tmp/spoilt.safetensors"
    # shellcheck disable=SC2086
    refused 'unpack: a spoilt byte' 1 'row 191, group 14[0-9] ' unpack "$tmp/spoilt.safetensors" $o
}

test_names()
{
    cp "$tmp/good.safetensors" "$tmp/with:colon.safetensors"
    run check "$tmp/with:colon.safetensors" --constraints 2:4
    check 'a path with a colon that exists is not split' succeeded
    run check "$tmp/with:colon.safetensors:a" --constraints 2:4
    check 'the last colon splits' succeeded
    run solve --weights "$tmp/good.safetensors" --calib "$tmp/bad.safetensors" --constraints 2:4 \
        --solver magnitude
    check 'the only matrix needs no name' succeeded
}

# tiny NAME: a model of tests/model in $tmp/NAME.model, token ids for it in $tmp/tokens.safetensors.
tiny()
{
    "$make_tiny" "$1" "$tmp/$1.model" "$tmp/tokens.safetensors" || exit 1
}

eval_tiny() # NAME, options
{
    model=$tmp/$1.model
    shift
    run eval "$model" "$@"
}

test_eval()
{
    tiny qwen2
    tiny llama-gguf
    tiny llama
    eval_tiny llama --tokens "$tmp/tokens.safetensors:rows"
    check 'eval' succeeded
    check 'eval: perplexity' says '^perplexity  *[1-9][0-9.]*$'
    check 'eval: tokens' says '^tokens  *138 predicted in 6 rows of 24$'
    check 'eval: efficiency' says '^efficiency  *[0-9.]* of the rate of large products, '
    eval_tiny llama --tokens "$tmp/tokens.safetensors:rows" --json
    check 'eval --json' succeeded
    check 'eval --json: JSON' is_json "$tmp/out"
    check 'eval --json: tokens' says '"tokens":138,'
    ppl=$(number perplexity)
    check 'eval --json: perplexity is e^nll' is "exp($(number nll)) / $ppl" '> 0.999999'
    eval_tiny llama-gguf --tokens "$tmp/tokens.safetensors:rows" --json
    check 'eval: GGUF, same model' is "$(number perplexity) / $ppl" '> 0.99999'
    check 'eval: GGUF, same model' is "$(number perplexity) / $ppl" '< 1.00001'
    eval_tiny llama --tokens "$tmp/tokens.safetensors:flat" --context 24 --json
    check 'eval --context: a flat list is cut into the same rows' is "$(number perplexity)" "== $ppl"
    eval_tiny llama --tokens "$tmp/tokens.safetensors:rows" --context 50 --json
    check 'eval --context: rows are joined' says '"tokens":98,"rows":2,"context":50,'
    eval_tiny llama --tokens "$tmp/tokens.safetensors:rows" --rows 2 --json
    check 'eval --rows' says '"tokens":46,"rows":2,"context":24,'
    for threads in 1 2 3; do
        eval_tiny qwen2 --tokens "$tmp/tokens.safetensors:rows" --threads $threads --json
        sed 's/"seconds".*//' "$tmp/out" >"$tmp/eval$threads"
    done
    check 'eval: equal for 1 and 2 threads' cmp "$tmp/eval1" "$tmp/eval2"
    check 'eval: equal for 1 and 3 threads' cmp "$tmp/eval1" "$tmp/eval3"
    eval_tiny qwen2 --tokens "$tmp/tokens.safetensors:rows" --progress
    check 'eval --progress: on stderr' grep -q '^eval .*\[.*%' "$tmp/err"
}

# refused_eval NAME PATTERN TENSOR [OPTIONS]
refused_eval()
{
    eval_name=$1 eval_pattern=$2 tensor=$3
    shift 3
    refused "eval: $eval_name" 1 "$eval_pattern" eval "$tmp/llama.model" \
        --tokens "$tmp/tokens.safetensors:$tensor" "$@"
}

test_bad_eval()
{
    refused 'eval: no --tokens' 2 '--tokens .* is required' eval "$tmp/llama.model"
    refused 'eval: no model' 2 'MODEL is required' eval --tokens "$tmp/tokens.safetensors"
    refused 'eval: missing model' 1 'nowhere' eval "$tmp/nowhere" --tokens "$tmp/tokens.safetensors:rows"
    refused 'eval: a file that is no model' 1 'no model' eval "$layers" \
        --tokens "$tmp/tokens.safetensors:rows"
    refused_eval 'id outside the vocabulary: its place' 'row 1, column 3 is 96.*0 \.\. 95' large
    refused_eval 'negative id: its place' 'row 1, column 3 is -1' negative
    refused_eval 'ids that are no integers' 'expected integers' floats
    refused_eval 'no rows' 'holds 0 ids' none
    refused_eval 'rows of one token' 'one token' short
    refused_eval 'flat list without --context' '--context' flat
    refused_eval 'context above what there is' 'no row of 145' flat --context 145
    refused_eval 'rows of one token by --context' 'one token' flat --context 1
    refused_eval 'more rows than there are' '--rows 7.* has 6' rows --rows 7
    refused_eval 'missing tensor' 'flat' flatt
}

test_progress()
{
    status=0
    "$cli" solve --weights "$layers:w.k" --calib "$layers:x.attn" --constraints 2:4 --progress \
        --solver sparsegpt --json >"$tmp/out" 2>"$tmp/err" || status=$?
    check '--progress' [ "$status" -eq 0 ]
    check '--progress: on stderr' grep -q '\[.*%' "$tmp/err"
    check '--progress: stdout is JSON alone' is_json "$tmp/out"
}

# --- bad input -------------------------------------------------------------------------------------

test_wrong_usage()
{
    run
    check 'no command' [ "$status" -eq 2 ]
    refused 'unknown command' 2 'unknown command frobnicate, the commands are solve, .*, version$' frobnicate
    refused 'unknown command: the nearest' 2 'unknown command Compres, did you mean compress$' Compres
    refused 'help of an unknown command' 2 'unknown command chek, did you mean check$' help chek
    refused 'unknown option' 2 'unknown option --frobnicate$' solve --frobnicate
    refused 'unknown option: the nearest' 2 'unknown option --constraint, did you mean --constraints$' \
        check x --constraint 2:4
    refused 'unknown option: the nearest, with a value' 2 'did you mean --Threads\|--threads$' solve --thread=3
    refused 'unknown option: of other commands' 2 '--verbose, which other commands have' solve --verbose
    refused 'unknown short option' 2 'unknown option -x' solve -x
    refused 'option of another command' 2 'unknown option --solvers' solve --solvers wanda
    refused 'missing value' 2 '--weights needs a value' solve --weights
    refused 'option instead of a value' 2 '--weights needs a value' solve --weights --json
    refused 'flag with a value' 2 '--json takes no value' solve --json=1
    refused 'option given twice' 2 'given twice' solve --solver wanda --solver wanda
    refused 'missing --weights' 2 '--weights .* is required' solve --calib x --solver wanda
    refused 'all that lacks is told' 2 'compress: MODEL, --calib .*, --constraints TEXT, --out FOLDER are required$' compress
    refused 'missing constraints' 2 '--constraints or --mask' solve --weights x --calib x --solver wanda
    refused 'missing constraints of check' 2 '--constraints .* is required' check x
    refused 'missing file of check' 2 'FILE.* is required' check --constraints 2:4
    refused 'argument too many' 2 'unexpected argument' version now
    refused 'threads: no number' 2 '--threads two: expected a whole number' solve --threads two
    refused 'threads: negative' 2 '--threads -1: expected a whole number, 0 or more' solve --threads -1
    refused 'memory limit: bad suffix' 2 '--memory-limit 5X: expected a number of bytes' solve --memory-limit 5X
    refused 'unknown store' 2 '--store f8' solve --store f8
    refused 'options --markdown NAME' 2 'without a name' options wanda --markdown
    for list in 'wanda[' 'wanda]' ',wanda' 'wanda,' 'a[b]c' 'a[[b]]' ''; do
        refused "--solvers '$list'" 2 '--solvers' compare --weights x --calib x --constraints 2:4 \
            --solvers "$list"
    done
}

# refused_solve NAME PATTERN [OPTION VALUE]...: a solve that is right but for what is given.
refused_solve()
{
    solve_name=$1 solve_pattern=$2
    shift 2
    weights=$layers:w.k calib=$layers:x.attn constraints=2:4 solver=sparsegpt
    out=$tmp/refused.safetensors
    while [ $# -gt 0 ]; do
        case $1 in
        weights) weights=$2 ;;
        calib) calib=$2 ;;
        constraints) constraints=$2 ;;
        solver) solver=$2 ;;
        out) out=$2 ;;
        *) break ;;
        esac
        shift 2
    done
    refused "$solve_name" 1 "$solve_pattern" solve --weights "$weights" --calib "$calib" \
        --constraints "$constraints" --solver "$solver" --out "$out" "$@"
}

test_bad_files()
{
    printf 'not a safetensors file' >"$tmp/noise.safetensors"
    head -c 100000 "$layers" >"$tmp/cut.safetensors"
    : >"$tmp/empty.safetensors"
    refused_solve 'missing file' 'nowhere' weights "$tmp/nowhere.safetensors"
    refused_solve 'missing file with a tensor' 'nowhere' weights "$tmp/nowhere.safetensors:w"
    refused_solve 'a folder' '--weights' weights "$tmp"
    refused_solve 'no safetensors file' '--weights' weights "$tmp/noise.safetensors"
    refused_solve 'empty file' '--weights' weights "$tmp/empty.safetensors"
    refused_solve 'truncated file' '--weights' weights "$tmp/cut.safetensors:w.k"
    refused_solve 'missing tensor: the nearest is named' 'w\.down' weights "$layers:w.downs"
    refused_solve 'no tensor name: they are listed' '10 tensors.* w\.k .*x_test\.o' weights "$layers"
    refused_solve 'missing test tensor' '--test' --test "$layers:x_test.q"
    refused_solve 'missing mask file' '--mask' --mask "$tmp/nowhere.safetensors"
    refused_solve 'mask of a wrong type' '--mask' --mask "$layers:w.k"
    refused_solve 'importance of a wrong shape' '--importance' --importance "$layers:w.o"
    refused 'info: missing file' 1 'nowhere' info "$tmp/nowhere.safetensors"
    refused 'check: missing tensor' 1 'w\.k' check "$layers:w.kk" --constraints 2:4
}

test_bad_values()
{
    matrix "$tmp/w6.safetensors" w 2 6 1 2 1 -1 2 1 1 2 1 -1 2 1
    matrix "$tmp/x6.safetensors" x 2 6 1 2 1 -1 2 1 1 2 1 -1 2 1
    refused_solve 'unknown solver' 'sparsegtp.*nearest: sparsegpt' solver sparsegtp
    refused_solve 'solver in capitals' 'nearest: alps' solver ALPS
    refused_solve 'unknown solver: the list' 'there are: magnitude, .*hassle' solver best
    refused_solve 'unknown solver option: the list' 'there are: preset, ' --options quux=1
    refused_solve 'grid by a solver without: who can' 'these can: rtn, gptq, quantease$' constraints int4 solver alps
    refused_solve 'constraints: a bare number' 'did you mean "50%"' constraints 50
    refused_solve 'constraints: a share' 'did you mean "50%"' constraints 0.5
    refused_solve 'constraints: capitals' 'did you mean "int4"?.*terms are' constraints INT4
    refused_solve 'constraints: of another tool' 'did you mean "int4"?' constraints w4a16
    refused_solve 'constraints: a slash' 'did you mean "2:4"?' constraints 2/4
    refused_solve 'constraints: a hyphen' 'did you mean "int4 g128"?' constraints int4-g128
    refused_solve 'constraints: a comma' 'did you mean "2:4+int4"?' constraints 2:4,int4
    refused_solve 'constraints: a group as a term' 'follows a grid' constraints int4+g128
    refused_solve 'constraints: a group in words' 'did you mean "int4 g128"' constraints 'int4 group=128'
    refused_solve 'unknown solver option' 'dump' --options dump=1
    refused_solve 'solver option out of range' 'damp' --options damp=-1
    refused_solve 'solver option of a wrong type' 'damp' --options damp=much
    refused_solve 'constraints: no text that is known' 'three' constraints three
    refused_solve 'constraints: 5:4' '5:4' constraints 5:4
    refused_solve 'constraints: 120%' '120' constraints 120%
    refused_solve 'columns that are no multiple of m' '6' weights "$tmp/w6.safetensors" \
        calib "$tmp/x6.safetensors"
    refused_solve 'activations of another width' '1536' calib "$layers:x.down"
    refused_solve 'held-out rows of another width' '--test.*1536' --test "$layers:x_test.down"
    refused_solve 'refit without a mask' 'refit' solver refit
    refused_solve 'memory limit too small' 'memory' --memory-limit 100k
    refused_solve 'memory limit too small for the solver: what is enough' 'a limit of [0-9]* is enough' \
        --threads 1 --memory-limit 16500K
    refused 'options: unknown solver' 1 'sparsegtp' options sparsegtp
    refused 'check: unknown constraint' 1 'three' check "$layers:w.k" --constraints three
    refused 'compare: unknown solver' 1 'sparsegtp' compare --weights "$layers:w.k" \
        --calib "$layers:x.attn" --constraints 2:4 --solvers 'wanda,sparsegtp' \
        --out "$tmp/refused.safetensors"
    refused 'compare: unknown option in brackets' 1 'dump' compare --weights "$layers:w.k" \
        --calib "$layers:x.attn" --constraints 2:4 --solvers 'sparsegpt[dump=1]'
}

test_nonfinite()
{
    matrix "$tmp/nan.safetensors" x 3 4 1 2 1 -1 2 1 nan 2 1 -1 2 1
    matrix "$tmp/inf.safetensors" w 2 4 1 2 3 -1 2 inf 1 2
    refused_solve 'NaN in the activations: its place' 'row 1.*2' weights "$tmp/w.safetensors" \
        calib "$tmp/nan.safetensors"
    refused_solve 'negative importance' '-1' weights "$tmp/w.safetensors" calib "$tmp/x.safetensors" \
        solver wanda --options score=importance --importance "$tmp/w.safetensors"
    refused_solve 'infinity in the weights' 'inf' weights "$tmp/inf.safetensors" \
        calib "$tmp/x.safetensors"
}

test_output()
{
    cp "$layers" "$tmp/copy.safetensors"
    ln -s "$tmp/copy.safetensors" "$tmp/link.safetensors"
    : >"$tmp/plain"
    refused_solve 'out is an input' 'is an input' weights "$tmp/copy.safetensors:w.k" \
        out "$tmp/copy.safetensors"
    refused_solve 'out links to an input' 'is an input' weights "$tmp/copy.safetensors:w.k" \
        out "$tmp/link.safetensors"
    check 'the input is as it was' cmp "$layers" "$tmp/copy.safetensors"
    refused_solve 'out in a folder that is none' '--out' out "$tmp/plain/o.safetensors"
    refused_solve 'out in a missing folder' '--out' out "$tmp/missing/o.safetensors"
    refused_solve 'out is a folder' '--out' out "$tmp"
    printf 'old' >"$tmp/old.safetensors"
    run solve --weights "$layers:w.k" --calib "$layers:x.attn" --constraints 2:4 --solver sparsegpt \
        --memory-limit 100K --out "$tmp/old.safetensors"
    check 'failure leaves an old file' [ "$(cat "$tmp/old.safetensors")" = old ]
    mkdir "$tmp/clean"
    solve_k --solver wanda --out "$tmp/clean/o.safetensors"
    check 'success leaves nothing but the file' [ "$(ls -A "$tmp/clean")" = o.safetensors ]
    rm "$tmp/clean/o.safetensors"
    solve_k --solver refit --out "$tmp/clean/o.safetensors"
    check 'failure leaves nothing' [ -z "$(ls -A "$tmp/clean")" ]
}

# A long comparison is told to stop in the middle.
test_interrupt()
{
    many=sparsegpt
    for _ in 1 2 3 4 5; do
        many=$many,$many
    done
    "$cli" compare --weights "$layers:w.down" --calib "$layers:x.down" --constraints 2:4 \
        --solvers "$many" --out "$tmp/clean/o.safetensors" >"$tmp/out" 2>"$tmp/err" &
    pid=$!
    # The first row shows that it is at work; before that a signal might meet the shell's handler.
    while [ ! -s "$tmp/out" ] && kill -0 $pid 2>/dev/null; do
        sleep 1
    done
    kill -INT $pid
    status=0
    wait $pid || status=$?
    check 'interrupt: exit status' [ "$status" -eq 1 ]
    check 'interrupt: text' grep -q '^sparse24: interrupted$' "$tmp/err"
    check 'interrupt: no file' [ -z "$(ls -A "$tmp/clean")" ]
}

test_version
test_help
test_info
test_options
test_solve
test_default_solver
test_solve_json
test_store
test_constraints
test_threads
test_compare
test_compare_out
test_check
test_models
test_pack
test_pack_codes
test_pack_model
test_pack_refuses
test_names
test_eval
test_progress
test_wrong_usage
test_bad_files
test_bad_values
test_nonfinite
test_bad_eval
test_output
test_interrupt
finish
