#!/bin/sh
# Names, types, ranges and defaults of options are part of the interface: options.txt changes only on purpose.
# check_options.sh LIST_OPTIONS options.txt
set -eu
work=$(mktemp)
trap 'rm -f "$work"' EXIT
"$1" >"$work"
if diff "$2" "$work"; then
    echo "ok - options are as in options.txt"
else
    echo "not ok - options changed (< options.txt, > the library). If that is meant: $1 >$2"
    exit 1
fi
