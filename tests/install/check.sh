#!/bin/sh
# An installed prefix as a stranger finds it: C and C++ programs built through pkg-config, shared and static, and run; the program and
# its manual page. Usage: check.sh PREFIX SCRATCH-DIR LAYERS.safetensors
set -u
prefix=$1 scratch=$2 layers=$3
examples=$(CDPATH='' cd -- "$(dirname -- "$0")/../../examples" && pwd)
libdir=$(dirname "$(find "$prefix" -name sparse24.pc | head -n 1)")
PKG_CONFIG_PATH=$libdir
LD_LIBRARY_PATH=$(dirname "$libdir")
export PKG_CONFIG_PATH LD_LIBRARY_PATH
mkdir -p "$scratch"
failed=0

check() # name, command...
{
    name=$1
    shift
    if "$@" >"$scratch/log" 2>&1; then
        echo "ok $name"
    else
        echo "not ok $name"
        sed 's/^/    /' "$scratch/log"
        failed=1
    fi
}

flags=$(pkg-config --cflags --libs sparse24)
static=$(pkg-config --static --libs sparse24 | sed "s|-lsparse24|$LD_LIBRARY_PATH/libsparse24.a|")
# shellcheck disable=SC2086,SC2046,SC2016 # words, and $1 of the inner shell
{
    check 'C program builds' cc "$examples/01_compress_layer.c" -o "$scratch/c" $flags
    check 'C program runs' "$scratch/c" "$layers"
    check 'C++ program builds' c++ -std=c++11 "$examples/05_cplusplus.cpp" -o "$scratch/cpp" $flags
    check 'C++ program runs' "$scratch/cpp" "$layers"
    check 'static program builds' cc "$examples/01_compress_layer.c" -o "$scratch/static" \
        $(pkg-config --cflags sparse24) $static
    check 'static program does without the shared library' sh -c '! ldd "$1" | grep sparse24' sh "$scratch/static"
    check 'static program runs' "$scratch/static" "$layers"
}
check 'the program is installed' "$prefix/bin/sparse24" version
check 'its manual page is installed' test -f "$prefix/share/man/man1/sparse24.1"
check 'only the interface version names the shared library' test -e "$LD_LIBRARY_PATH/libsparse24.so.0.0"
exit $failed
