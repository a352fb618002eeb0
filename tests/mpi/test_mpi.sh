#!/bin/sh
# Tests of sparse24-mpi on tiny models: usage test_mpi.sh SPARSE24_MPI SPARSE24 MAKE_TINY KILL_AT.so
# One line a check, "ok" or "not ok"; the exit status is 1 if any failed.
set -u

mpi=$1 cli=$2 make_tiny=$3 kill_at=$4
. "$(dirname "$0")/../cli/harness.sh"
. "$(dirname "$0")/../cli/models.sh"

# More processes than cores, and perhaps root: Open MPI wants to be told. Its ranks share no memory by system calls that containers forbid.
flags= pass=
if mpirun --version 2>/dev/null | grep -q 'Open MPI'; then
    flags='--allow-run-as-root --oversubscribe' pass='-x LD_PRELOAD -x KILL_AT -x COUNT_CALLS'
    export OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_rmaps_base_oversubscribe=1
fi
export OPENBLAS_NUM_THREADS=1

# ranks N MODEL OUT OPTIONS..., each of $threads threads
threads=1
ranks()
{
    n=$1 model=$2 out=$3 status=0
    shift 3
    # shellcheck disable=SC2086
    mpirun $flags -n "$n" "$mpi" compress "$tmp/$model" --calib "$rows" --constraints 2:4 --threads $threads --out "$tmp/$out" "$@" \
        >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
}

# Two ranks that were asked for different things: the first's options, the other's behind "--".
two_ranks()
{
    first=
    while [ "$1" != -- ]; do
        first="$first $1"
        shift
    done
    shift
    status=0
    # shellcheck disable=SC2086
    mpirun $flags -n 1 "$mpi" compress $first --threads 1 : -n 1 "$mpi" compress "$@" --threads 1 \
        >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
}

# Ours is one line, and where the others were stopped; what mpirun adds is its own.
failed_with() # PATTERN
{
    [ "$status" -ne 0 ] && [ "$(grep '^sparse24: ' "$tmp/err" | grep -c -v ': stopped at ')" -eq 1 ] && grep -q -e "^sparse24: $1" "$tmp/err"
}

perplexity()
{
    sed -n 's/^perplexity .* before, \([0-9.]*\) after.*/\1/p' "$tmp/out"
}

near() # A B SHARE
{
    awk -v a="$1" -v b="$2" -v share="$3" 'BEGIN { d = a / b - 1; exit !(d < share && -d < share) }'
}

test_results()
{
    "$cli" compress "$tmp/tiny" --calib "$rows" --constraints 2:4 --threads 1 --eval "$rows" --out "$tmp/alone" >"$tmp/out" 2>"$tmp/err"
    expected=$(perplexity)
    for n in 1 2 3 4; do
        ranks $n tiny "of$n" --eval "$rows"
        check "$n ranks" [ "$status" -eq 0 ]
        check "$n ranks: said once" [ "$(grep -c '^matrices  *14, 50.00 %' "$tmp/out")" -eq 1 ]
        check "$n ranks: perplexity" near "$(perplexity)" "$expected" 0.03 # a tie of so small a model
        check "$n ranks: nothing unfinished is left" [ ! -e "$tmp/of$n.part" ]
    done
    check 'one rank has the bytes of sparse24' same_model alone of1
    threads=2
    ranks 2 tiny threads --eval "$rows"
    threads=1
    check 'two ranks of two threads have the bytes of one' same_model of2 threads
    run eval "$tmp/of2" --tokens "$rows" --json
    one=$(sed 's/.*"perplexity":\([0-9.]*\).*/\1/' "$tmp/out")
    # shellcheck disable=SC2086
    mpirun $flags -n 3 "$mpi" eval "$tmp/of2" --tokens "$rows" --json >"$tmp/out" 2>"$tmp/err"
    check 'eval: the same perplexity, said once' near "$one" "$(sed 's/.*"perplexity":\([0-9.]*\).*/\1/' "$tmp/out")" 1e-6
}

test_refusals()
{
    common="$tmp/tiny --calib $rows --out $tmp/none"
    two_ranks $common --constraints 2:4 -- $common --constraints 1:4
    check 'other constraints' failed_with 'rank 1 of 2: the ranks do not do the same: "constraints 1:4" here, "constraints 2:4" on rank 0$'
    two_ranks $common --constraints 2:4 -- "$tmp/tiny" --calib "$tmp/tokens.safetensors:same" --constraints 2:4 --out "$tmp/none"
    check 'other tokens' failed_with 'rank 1 of 2: the ranks do not do the same: "--calib'
    two_ranks $common --constraints 2:4 -- "$tmp/tiny.gguf" --calib "$rows" --constraints 2:4 --out "$tmp/none"
    check 'another model' failed_with 'rank 1 of 2: the ranks do not do the same: "file '
    two_ranks $common --constraints 2:4 -- "$tmp/nothing" --calib "$rows" --constraints 2:4 --out "$tmp/none"
    check 'a model that one rank lacks' failed_with 'rank 1 of 2: .*nothing'
    check 'nothing was made before that' [ ! -e "$tmp/none.part" ]
    two_ranks $common --constraints 2:4 -- "$tmp/tiny" --calib "$rows" --constraints 2:4 --out "$tmp/elsewhere"
    check 'a folder that is not shared' failed_with 'rank 1 of 2: --out .*elsewhere: this rank does not see the folder'
    ranks 3 tiny none --rows 2 --no-self
    check 'more ranks than rows' failed_with '.*3 ranks, but 2 calibration rows: start at most 2 ranks'
    ranks 2 tiny none --refine block
    check 'refinement' failed_with '.*--refine: 2 ranks cannot share this'
    ranks 2 tiny none --nonsense
    check 'usage' failed_with '.*nonsense'
    check 'nothing is left' [ ! -e "$tmp/none" ]
}

# Killed with signal 9 at the calls that stand at these shares of a run, one of each phase: all ranks end soon, and the same command with
# --resume ends in the bytes of a run that nobody disturbed.
test_kills()
{
    export LD_PRELOAD="$kill_at"
    flags="$flags $pass"
    COUNT_CALLS=$tmp/calls ranks 2 tiny counted
    calls=$(cat "$tmp/calls")
    check 'calls are counted' [ "$calls" -gt 50 ]
    i=0
    for share in 12 70; do
        i=$((i + 1))
        KILL_AT=$((i % 2)):$((1 + (calls - 1) * share / 100)) ranks 2 tiny "killed$i"
        check "killed at $share %: all end" [ "$status" -ne 0 ]
        check "killed at $share %: the rank is named" grep -q "rank $((i % 2))" "$tmp/err"
        [ $((i % 2)) -eq 0 ] || check "killed at $share %: the place is named" grep -q '^sparse24: stopped at "..*"; --resume goes on$' "$tmp/err"
        ranks 2 tiny "killed$i" --resume
        check "killed at $share %: resumed" same_model counted "killed$i"
    done
    KILL_AT=1:$((calls * 6 / 10)) ranks 2 tiny other
    ranks 3 tiny other --resume
    check 'resumed with more ranks' [ "$status" -eq 0 ]
}

test_results
test_refusals
test_kills
exit $failed
