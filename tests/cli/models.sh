# What the tests of sparse24 compress share: tiny models, running it. After harness.sh; $make_tiny is the program.

# The same model twice: a folder and a GGUF file.
make_models()
{
    mkdir -p "$tmp/tiny"
    "$make_tiny" llama "$tmp/tiny" "$tmp/tokens.safetensors" && "$make_tiny" llama-gguf "$tmp/tiny.gguf" "$tmp/tokens.safetensors" || exit 1
    echo '{"vocab": {}}' >"$tmp/tiny/tokenizer.json"
}
make_models
rows=$tmp/tokens.safetensors:rows

# compress MODEL OUT OPTIONS...
compress()
{
    model=$1 out=$2
    shift 2
    run compress "$tmp/$model" --calib "$rows" --out "$tmp/$out" "$@"
    drop_lines
}

# What may be said of any run is looked at by itself: a line a block and of the model's own rows, and that there was nothing to go on with.
drop_lines()
{
    grep -v -e '^sparse24: block [0-9]* of ' -e "^sparse24: [0-9]* rows of the model's own text, " -e '^sparse24: all [0-9]* blocks: read$' -e 'no finished block: starting from the beginning$' "$tmp/err" >"$tmp/rest"
    mv "$tmp/rest" "$tmp/err"
}

same_model() # OUT OUT
{
    cmp "$tmp/$1/model.safetensors" "$tmp/$2/model.safetensors"
}

# Change one byte of a file: its last but COUNT.
change_byte() # FILE COUNT
{
    size=$(wc -c <"$1")
    old=$(tail -c "$2" "$1" | head -c 1 | od -An -tu1)
    # shellcheck disable=SC2059
    printf "\\$(printf %03o $(((old + 64) % 256)))" | dd of="$1" bs=1 seek=$((size - $2)) conv=notrunc 2>/dev/null
}
