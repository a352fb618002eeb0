#!/bin/sh
# The exported names of the library = the map = what the headers declare S24_API; in the static library every global name has our prefix.
# check_symbols.sh LIBRARY.so LIBRARY.a MAP HEADERS...
set -eu
library=$1 archive=$2 map=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
LC_ALL=C
export LC_ALL

nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$work/library"
sed -n 's/^ *\([A-Za-z_][A-Za-z0-9_]*\);.*/\1/p' "$map" | sort >"$work/map"
# A declaration may take several lines; the name is the word before the first bracket.
cat "$@" | grep -v '^#' | tr '\n' ' ' | grep -o 'S24_API [^;(]*(' | sed 's/($//; s/.*[ *]//' | sort >"$work/headers"
nm -g --defined-only "$archive" | awk 'NF == 3 && $3 !~ /^s24[im]?_/ { print $3 }' | sort -u >"$work/stray"

failed=0
check() { # description, two files
    if diff "$2" "$3" >"$work/diff"; then
        echo "ok - $1"
    else
        echo "not ok - $1 (< the first, > the second)"
        cat "$work/diff"
        failed=1
    fi
}
[ -s "$work/headers" ] || { echo "not ok - no declaration found in the headers"; exit 1; }
check "the library exports what the map lists" "$work/library" "$work/map"
check "the map lists what the headers declare" "$work/map" "$work/headers"
check "the static library has no name without our prefix" "$work/stray" /dev/null
exit $failed
