#!/bin/sh
# Nothing that programs compiled against baseline.abi rely on has changed; additions are free. check_abi.sh LIBRARY.so INCLUDE baseline.abi
# With --update at the end the baseline is written anew: for a release, or for a break that is meant (then
# S24_API_BREAK grows too). Without libabigail, or without debug information in the library, there is nothing to compare: exit 77, skipped.
set -eu
library=$1 headers=$2 baseline=$3

command -v abidiff >/dev/null || { echo "abidiff is not installed (abigail-tools)"; exit 77; }
readelf -SW "$library" | grep -q '\.debug_info' || { echo "$library has no debug information (-Ddebug=true)"; exit 77; }
if [ "${4:-}" = --update ]; then
    abidw --exported-interfaces-only --headers-dir "$headers" --drop-private-types --no-corpus-path --no-comp-dir-path --no-show-locs \
        --no-elf-needed --type-id-style hash --out-file "$baseline" "$library"
    exit
fi
if abidiff --headers-dir2 "$headers" --drop-private-types --no-added-syms "$baseline" "$library"; then
    echo "ok - the interface holds what baseline.abi promises"
else
    echo "not ok - the interface has changed"
    exit 1
fi
