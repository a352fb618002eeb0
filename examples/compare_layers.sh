#!/bin/sh
# The solvers beside each other on the real layers in examples/data; then one layer is written and checked.
# Usage: compare_layers.sh PROGRAM [FOLDER for its files]. quickstart.sh builds the program.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
layers=$root/examples/data/smollm2-block10-small.safetensors
sparse24=${1:-$root/build/quickstart/examples/cli/sparse24}
out=${2:-$root/build}

# One row a solver: layer, method, calibration error, held-out error, seconds.
compare_layer()
{
    layer=$1 inputs=$2
    "$sparse24" compare --weights "$layers:w.$layer" --calib "$layers:x.$inputs" \
        --test "$layers:x_test.$inputs" --constraints 2:4 \
        --solvers 'magnitude,wanda,sparsegpt[preset=paper],sparsegpt,alps[preset=paper],alps,prox24' >"$out/compare.txt"
    awk -v layer="$layer" 'NR > 1 { printf row, layer, $1, $2, $3, $NF }' \
        row='%-6s  %-23s  %11s  %9s  %7s\n' "$out/compare.txt"
}

compare_all()
{
    echo
    echo "Relative error of the outputs, ||X (V - W)'||^2 / ||X W'||^2, at 2:4"
    echo "(block 10 of SmolLM2-135M; 2048 rows for calibration, 512 held out)"
    echo
    printf '%-6s  %-23s  %11s  %9s  %7s\n' layer method calibration held-out seconds
    compare_layer k attn
    compare_layer v attn
    compare_layer o o
    compare_layer down down
}

write_and_check()
{
    echo
    echo "Writing w.o at 2:4 in f16, and checking the file:"
    echo
    "$sparse24" solve --weights "$layers:w.o" --calib "$layers:x.o" --test "$layers:x_test.o" \
        --constraints 2:4 --solver sparsegpt --store f16 --out "$out/o-2of4.safetensors"
    "$sparse24" check "$out/o-2of4.safetensors" --constraints 2:4
}

compare_all
write_and_check
