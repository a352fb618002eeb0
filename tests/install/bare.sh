#!/bin/sh
# The core alone, from the release's tarball and as a Meson subproject of another program: it exports the same names as the full build.
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
    LC_ALL=C nm -D --defined-only "$(find "$1" -path '*/lib/libsparse24.so.*' -name 'libsparse24.so.*.*' -not -name '*.symbols' -type f | head -n 1)" | sed 's/^[0-9a-f]* //' | LC_ALL=C sort
}

# The tarball of what is committed, or of this folder where it is one itself.
rm -rf "$bare" "$bare.source"
mkdir -p "$bare.source/subprojects/sparse24"
cp "$source/tests/install/subproject/meson.build" "$source/examples/01_compress_layer.c" "$bare.source/"
if [ -e "$source/.git" ]; then
    rm -rf "$full/meson-dist"
    meson dist -C "$full" --no-tests --allow-dirty --formats gztar >"$log" 2>&1
    says 'meson makes a tarball' $?
    tar -x -z -f "$full"/meson-dist/*.tar.gz --strip-components=1 -C "$bare.source/subprojects/sparse24"
else
    cp -R "$source/." "$bare.source/subprojects/sparse24"
fi
{ meson setup "$bare" "$bare.source" && ninja -C "$bare"; } >"$log" 2>&1
says 'the core builds alone, as a part of another project' $?
"$bare/embedder" "$source/examples/data/smollm2-block10-small.safetensors" >"$log" 2>&1
says 'whose program runs' $?
find "$bare" -type f -perm -u+x -not -name 'libsparse24*.so.*' -not -name embedder -not -path '*/meson-*' >"$log"
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
