#!/bin/sh
# The core alone: a build without program, examples, tests and benchmarks needs no Check and exports the same names as the full one.
# Usage: bare.sh FULL-BUILD-DIR SCRATCH-DIR
set -u
full=$1 bare=$2
source=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
log=$bare.log
failed=0

says() # name, status
{
    if [ "$2" -eq 0 ]; then
        echo "ok $1"
    else
        echo "not ok $1"
        sed 's/^/    /' "$log"
        failed=1
    fi
}

names()
{
    LC_ALL=C nm -D --defined-only "$(find "$1/lib" -maxdepth 1 -name 'libsparse24.so.*.*' -type f | head -n 1)" | sed 's/^[0-9a-f]* //' | LC_ALL=C sort
}

[ -f "$bare/build.ninja" ] ||
    meson setup "$bare" "$source" --buildtype=debug -Dtests=disabled -Dbench=false -Dcli=false -Dexamples=false -Dpython=false >"$log" 2>&1
ninja -C "$bare" >"$log" 2>&1
says 'the core builds alone' $?
find "$bare" -type f -perm -u+x -not -name 'libsparse24*.so.*' -not -path '*/meson-*' >"$log"
[ ! -s "$log" ]
says 'no program is built' $?
names "$full" >"$bare.full"
names "$bare" >"$bare.names"
[ -s "$bare.names" ] && diff "$bare.full" "$bare.names" >"$log"
says 'it exports the same names' $?

# A machine without Check: no switch is needed.
mkdir -p "$bare.pc"
pc=$(CDPATH='' cd -- "$bare.pc" && pwd)
for folder in $(pkg-config --variable=pc_path pkg-config | tr : ' '); do
    ln -sf "$folder"/*.pc "$bare.pc" 2>/dev/null
done
rm -f "$bare.pc/check.pc" "$bare.pc/*.pc"
rm -rf "$bare.auto"
env -u PKG_CONFIG_PATH PKG_CONFIG_LIBDIR="$pc" meson setup "$bare.auto" "$source" >"$log" 2>&1 &&
    grep -q 'Message: no tests: they need Check' "$log"
says 'without Check there are no tests' $?
exit $failed
