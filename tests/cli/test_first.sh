#!/bin/sh
# What a newcomer meets: help, completion, a plan, recipes, the card. Usage: test_first.sh PROGRAM MAKE_TINY
set -u

cli=$1
make_tiny=$2
. "$(dirname "$0")/harness.sh"

. "$(dirname "$0")/models.sh"

test_help()
{
    commands=$("$cli" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\)  *.*/\1/p')
    for command in $commands; do
        run "$command" --help
        cp "$tmp/out" "$tmp/help"
        check "$command: help has an example" says "^  sparse24 $command"
        run help "$command"
        check "help $command: the same" cmp "$tmp/help" "$tmp/out"
    done
    refused 'the word of other programs' 2 'did you mean compress$' quantize
    refused 'an option of other programs' 2 'unknown option --dry-run, did you mean --plan$' compress --dry-run
    refused 'a short option of other programs' 2 'unknown option -o, did you mean --out$' compress -o x
}

# complete WORD...: what bash would offer for the last one.
complete()
{
    bash -c 'eval "$("$0" completion bash)"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sparse24; printf "%s\n" "${COMPREPLY[@]}"' \
        "$cli" "$@" >"$tmp/out" 2>"$tmp/err"
}

offers() # all words, one a line
{
    [ ! -s "$tmp/err" ] && [ "$(sort "$tmp/out" | tr '\n' ' ')" = "$1 " ]
}

test_completion()
{
    refused 'completion for an unknown shell' 2 'expected bash or zsh' completion fish
    run completion zsh
    check 'completion: zsh' says '^#compdef sparse24'
    if command -v zsh >/dev/null 2>&1; then
        check 'completion: zsh reads it' zsh -n "$tmp/out"
    fi
    command -v bash >/dev/null 2>&1 || return 0
    complete sparse24 com
    check 'completion: commands' offers 'compare completion compress'
    complete sparse24 compress --store ''
    check 'completion: words of a value' offers "$("$cli" compress --help | sed -n 's/^  --store \([a-z0-9_|]*\) .*/\1/p' | tr '|' '\n' | sort | tr '\n' ' ' | sed 's/ $//')"
    complete sparse24 options quant
    check 'completion: solvers' offers quantease
    complete sparse24 help unp
    check 'completion: help' offers unpack
    mkdir -p "$tmp/files" && : >"$tmp/files/a model.gguf"
    complete sparse24 eval "$tmp/files/a"
    check 'completion: files' offers "$tmp/files/a model.gguf"
    for command in $("$cli" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\)  *.*/\1/p'); do
        complete sparse24 "$command" --
        check "completion: all options of $command" offers "$("$cli" "$command" --help | sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p' | sort -u | tr '\n' ' ' | sed 's/ $//')"
    done
}

test_plan()
{
    run compress "$tmp/tiny" --calib "$rows" --constraints 2:4 --rule '*.down_proj=int4 g32' --skip '*.k_proj' --eval "$rows" \
        --out "$tmp/planned" --plan
    check 'plan' succeeded
    check 'plan: matrices' says '^matrices  *12 of 14 in its blocks$'
    check 'plan: constraints and their solvers' says '^ *2: int4 g32 by quantease$'
    check 'plan: time' says '^time  *about .* on this machine: solving .*, passing the rows through .*, perplexities '
    check 'plan: memory' says '^memory  *[0-9.]* MiB at most$'
    check 'plan: disk' says '^disk  *[0-9.]* MiB while it works, [0-9.]* .iB are free$'
    check 'plan: nothing is written' sh -c '! ls "$1" | grep -q planned' sh "$tmp"
    run compress "$tmp/tiny" --calib "$rows" --constraints 2:4 --out "$tmp/planned" --plan --json
    check 'plan: a line a matrix and one for all' lines out 15
    check 'plan: JSON' is_json "$tmp/out"
    for key in expected_seconds expected_solve_seconds memory disk disk_free written; do
        check "plan: $key" is "$(number $key)" '> 0'
    done
    written=$(number written)
    run compress "$tmp/tiny" --calib "$rows" --constraints 2:4 --out "$tmp/planned"
    made=$(wc -c <"$tmp/planned/model.safetensors")
    check 'plan: as much is written as was said' is "$written / $made - 1" '< .1'
    refused 'plan: the output is there' 1 'exists already' compress "$tmp/tiny" --calib "$rows" --constraints 2:4 --out "$tmp/planned" --plan
    refused 'plan: too little memory' 1 'memory-limit: [0-9]* MiB are needed' compress "$tmp/tiny" --calib "$rows" --constraints 2:4 \
        --out "$tmp/none" --plan --memory-limit 1Mi
    refused 'plan: a shape that does not fit' 1 'multiple of 5' compress "$tmp/tiny" --calib "$rows" --constraints 3:5 --out "$tmp/none" --plan
    refused 'plan: a rule that matches nothing' 1 'matches no matrix' compress "$tmp/tiny" --calib "$rows" --constraints 2:4 \
        --rule '*.x=1:4' --out "$tmp/none" --plan
    run compress "$tmp/tiny" --calib self:8 --context 24 --open-start 3 --constraints 2:4 --refine block --out "$tmp/none" --plan --json
    check 'plan: own rows and refinement' [ "$(grep -c '"expected_refine_seconds":[0-9.e-]*[1-9].*"expected_own_seconds":[0-9.e-]*[1-9]' "$tmp/out")" -eq 1 ]
    run compress "$tmp/tiny" --calib "$rows" --rows 1 --no-self --constraints 2:4 --out "$tmp/none" --plan
    check 'plan: too few rows are no error' [ "$status" -eq 0 ]
    check 'plan: too few rows: a warning for each matrix' [ "$(grep -c 'warning: .*different rows for [0-9]* inputs: take more text' "$tmp/err")" -eq 14 ]
}

same_but_times() # OUT OUT
{
    diff -r -x records.jsonl "$tmp/$1" "$tmp/$2" >"$tmp/out" 2>&1
}

recipe() # TEXT OPTIONS...
{
    printf "$1" >"$tmp/r.txt"
    shift
    run compress --recipe "$tmp/r.txt" "$@"
    drop_lines
}

test_recipe()
{
    run compress "$tmp/tiny" --calib "$rows" --constraints 2:4 --rule '*.down_proj=int4' --skip '*.k_proj' --eval "$rows" --correct 0.25 \
        --out "$tmp/asked"
    check 'recipe: is written' grep -q '^constraints 2:4$' "$tmp/asked/recipe.txt"
    check 'recipe: with what is in force' grep -q '^heldout 4$' "$tmp/asked/recipe.txt"
    check 'recipe: without what decides nothing' sh -c '! grep -q "^out\|^threads\|^progress" "$1"' sh "$tmp/asked/recipe.txt"
    run compress --recipe "$tmp/asked/recipe.txt" --out "$tmp/again" --threads 2
    check 'recipe: the same bytes again' same_but_times asked again
    common="# a comment\n\nmodel $tmp/tiny\r\n  --calib = $rows\n"
    recipe "${common}constraints=2:4\nsolver magnitude\nrule *.down_proj=1:4\nout $tmp/r1\n"
    check 'recipe: by hand' succeeded
    check 'recipe: its rule' [ "$(grep -c '"constraints":"1:4"' "$tmp/r1/records.jsonl")" -eq 2 ]
    recipe "${common}constraints 2:4\nsolver magnitude\nrule *.down_proj=1:4\n" --constraints 1:4 --rule '*.down_proj=2:4' --out "$tmp/r2"
    check 'recipe: the command line wins' [ "$(grep -c '"constraints":"1:4"' "$tmp/r2/records.jsonl")" -eq 12 ]
    check 'recipe: its rules come after' [ "$(grep -c '"constraints":"2:4"' "$tmp/r2/records.jsonl")" -eq 2 ]
    recipe "model nowhere\ncalib $rows\nconstraints 2:4\nsolver magnitude\n" "$tmp/tiny" --out "$tmp/r3"
    check 'recipe: another model' succeeded
    for wrong in 'colour 3:line 3: unknown option --colour' 'constraint 2:4:line 3: unknown option --constraint, did you mean --constraints' \
        'correct:line 3: --correct needs a value' 'resume now:line 3: .*unexpected argument now' 'recipe r.txt:line 3: --recipe has no place' \
        'solver alps\nsolver alps:line 4: --solver is given twice' 'threads many:line 3: --threads many: expected a whole number'; do
        recipe "model $tmp/tiny\ncalib $rows\n${wrong%%:line*}\n" --out "$tmp/none"
        check "recipe: ${wrong%%:line*}" was_refused 2 "r.txt, line${wrong#*:line}"
    done
    recipe "model $tmp/tiny\n" --out "$tmp/none"
    check 'recipe: what lacks is told' was_refused 2 '--calib FILE\[:TENSOR\]|self:ROWS, --constraints TEXT are required'
    refused 'recipe: none' 1 'recipe .*nothing.txt: No such file' compress --recipe "$tmp/nothing.txt"
    head -c 100000 /dev/zero >"$tmp/zero"
    refused 'recipe: no text' 1 'line 1 is no line of a text' compress --recipe "$tmp/zero"
}

test_card()
{
    rm -rf "$tmp/carded" && cp -r "$tmp/tiny" "$tmp/carded"
    printf -- '---\nlicense: apache-2.0\nlanguage:\n- en\nlibrary_name: x\n---\n# Theirs\n' >"$tmp/carded/README.md"
    run compress "$tmp/carded" --calib "$rows" --constraints 2:4 --solver magnitude --eval "$rows" --out "$tmp/card"
    check 'card: front matter' [ "$(sed -n '2,4p' "$tmp/card/README.md" | tr '\n' ' ')" = 'license: apache-2.0 language: - en ' ]
    check 'card: nothing else of it' sh -c '! grep -q library_name "$1"' sh "$tmp/card/README.md"
    check 'card: what was done' grep -q '^| 2:4 | magnitude | 14 | 50.00 % |$' "$tmp/card/README.md"
    check 'card: perplexities' grep -q '^| perplexity on `tokens.safetensors:rows` | [0-9.]* | [0-9.]* |$' "$tmp/card/README.md"
    check 'card: the licence' grep -q 'which names `apache-2.0`' "$tmp/card/README.md"
    check 'card: the recipe' grep -q '^    constraints 2:4$' "$tmp/card/README.md"
    check 'card: theirs is kept' cmp "$tmp/carded/README.md" "$tmp/card/README.source.md"
    check 'card: the source is as it was' grep -q '^# Theirs$' "$tmp/carded/README.md"
    run compress "$tmp/card" --calib "$rows" --constraints 1:4 --solver magnitude --out "$tmp/card2"
    check 'card: of a model with a card of ours' cmp "$tmp/card/README.md" "$tmp/card2/README.source.source.md"
    check 'card: and its recipe' cmp "$tmp/card/recipe.txt" "$tmp/card2/recipe.source.txt"
    run compress "$tmp/tiny.gguf" --calib "$rows" --constraints 2:4 --solver magnitude --out "$tmp/card3"
    check 'card: of a file' grep -q '^# `tiny.gguf`, compressed$' "$tmp/card3/README.md"
    check 'card: no licence' grep -q 'do not name one' "$tmp/card3/README.md"
    echo 'my own words' >"$tmp/card3/README.md"
    run compress "$tmp/tiny.gguf" --calib "$rows" --constraints 2:4 --solver magnitude --eval "$rows" --out "$tmp/card3" --resume --heldout 0
    check 'card: of the user stays' grep -q '^my own words$' "$tmp/card3/README.md"
}

test_help
test_completion
test_plan
test_recipe
test_card
finish
