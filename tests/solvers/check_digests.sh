#!/bin/sh
# The same bits whatever the number of BLAS threads, in every run. check_digests.sh DIGESTS-PROGRAM
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for threads in 1 2; do
    { OPENBLAS_NUM_THREADS=$threads "$1" && OPENBLAS_NUM_THREADS=$threads "$1" wide; } >"$work/$threads" || { cat "$work/$threads"; echo "not ok - bits depend on the way to run"; exit 1; }
done
[ -s "$work/1" ]
if diff "$work/1" "$work/2"; then
    echo "ok - $(wc -l <"$work/1") solves have equal bits on any threads, instruction set and BLAS threads"
else
    echo "not ok - bits depend on OPENBLAS_NUM_THREADS"
    exit 1
fi
