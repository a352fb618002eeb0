#!/bin/sh
# An installed prefix as a stranger finds it: C and C++ programs built through pkg-config, make and CMake, shared and static, and run, also
# after the prefix was moved; the program and its manual page. Usage: check.sh PREFIX SCRATCH-DIR LAYERS.safetensors
# shellcheck disable=SC2317 # functions are called by check
set -u
prefix=$(CDPATH='' cd -- "$1" && pwd) scratch=$2
layers=$(CDPATH='' cd -- "$(dirname -- "$3")" && pwd)/$(basename -- "$3")
examples=$(CDPATH='' cd -- "$(dirname -- "$0")/../../examples" && pwd)
libdir=$(dirname "$(find "$prefix" -name sparse24.pc | head -n 1)")
PKG_CONFIG_PATH=$libdir
LD_LIBRARY_PATH=$(dirname "$libdir")
export PKG_CONFIG_PATH LD_LIBRARY_PATH
rm -rf "$scratch"
mkdir -p "$scratch"
scratch=$(CDPATH='' cd -- "$scratch" && pwd)
. "$(dirname "$0")/harness.sh"

without_shared()
{
    ! ldd "$1" | grep sparse24
}

needs_nothing()
{
    ! ldd "$1"
}

has_wrapper()
{
    printf '#include <sparse24/sparse24.hpp>\nint main() { sparse24::Context context; }\n' >"$scratch/wrapper.cpp"
    # shellcheck disable=SC2086 # words
    c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror "$scratch/wrapper.cpp" -o "$scratch/wrapper" $flags && "$scratch/wrapper"
}

flags=$(pkg-config --cflags --libs sparse24)
# shellcheck disable=SC2086,SC2046 # words
{
    check 'C program builds' cc "$examples/01_compress_layer.c" -o "$scratch/c" $flags
    check 'C program runs' "$scratch/c" "$layers"
    check 'C++ program builds' c++ -std=c++11 "$examples/05_cplusplus.cpp" -o "$scratch/cpp" $flags
    check 'C++ program runs' "$scratch/cpp" "$layers"
    check 'the C++ wrapper is installed' has_wrapper
    check 'program of whole models builds' cc "$examples/10_compress_model.c" -o "$scratch/model" \
        $(pkg-config --cflags --libs sparse24-model) -lm
    check 'static program of whole models builds' cc "$examples/10_compress_model.c" -o "$scratch/model" \
        $(pkg-config --cflags --libs sparse24-model-static) -lm
    check 'static program of whole models does without shared libraries' without_shared "$scratch/model"
    check 'static program builds' cc "$examples/01_compress_layer.c" -o "$scratch/static" \
        $(pkg-config --cflags --libs sparse24-static)
    check 'static program does without the shared library' without_shared "$scratch/static"
    check 'static program runs' "$scratch/static" "$layers"
    check 'pkg-config --static: builds' cc "$examples/01_compress_layer.c" -o "$scratch/more" \
        $(pkg-config --static --cflags --libs sparse24)
    check 'pkg-config --static: runs' "$scratch/more" "$layers"
    check 'wholly static program builds' cc -static "$examples/01_compress_layer.c" -o "$scratch/whole" \
        $(pkg-config --static --cflags --libs sparse24)
    check 'wholly static program needs no library' needs_nothing "$scratch/whole"
    check 'wholly static program runs' env -u LD_LIBRARY_PATH "$scratch/whole" "$layers"
    check 'clients see the headers of this library alone' test "$(pkg-config --cflags sparse24 | wc -w)" -eq 1
}
model_program() # the whole-model library by its own pkg-config name; without arguments the program only says 2
{
    # shellcheck disable=SC2046 # words
    cc "$examples/10_compress_model.c" -o "$scratch/model" $(pkg-config --cflags --libs sparse24-model) || return 1
    status=0
    "$scratch/model" || status=$?
    [ "$status" -eq 2 ]
}
[ ! -e "$libdir/sparse24-model.pc" ] || check 'whole models: a C program builds and starts' model_program
mkdir -p "$scratch/user/consumer"
cp "$examples/01_compress_layer.c" "$examples/05_cplusplus.cpp" "$scratch/user"
cp "$examples/consumer/"* "$scratch/user/consumer"
check 'make project builds' make -C "$scratch/user/consumer" compress
check 'make project runs' "$scratch/user/consumer/compress" "$layers"

# CMake, from a prefix that was moved since.
cp -R "$prefix" "$scratch/moved"
cmake_builds() # folder, options
{
    folder=$1
    shift
    cmake -S "$scratch/user/consumer" -B "$folder" -DCMAKE_PREFIX_PATH="$scratch/moved" "$@" &&
        cmake --build "$folder"
}
check 'CMake project builds' cmake_builds "$scratch/cmake"
for program in compress compress_cpp compress_static; do
    check "CMake project: $program runs" env -u LD_LIBRARY_PATH "$scratch/cmake/$program" "$layers"
done
check 'CMake project: the static one does without the shared library' without_shared "$scratch/cmake/compress_static"
finds() # what find_package() wants
{
    mkdir -p "$scratch/find"
    printf 'cmake_minimum_required(VERSION 3.16)\nproject(find C)\nfind_package(sparse24 %s)\n' "$1" >"$scratch/find/CMakeLists.txt"
    cmake -S "$scratch/find" -B "$scratch/find/build" --fresh -DCMAKE_PREFIX_PATH="$scratch/moved"
}
refuses()
{
    ! finds "$@"
}
check 'CMake: the shared library alone is found' finds '0.1.0 REQUIRED'
check 'CMake: a newer version is not' refuses '99.0 REQUIRED'
check 'CMake: an older minor version is not' refuses '0.0 REQUIRED'
check 'CMake: the library of whole models is found' finds 'REQUIRED COMPONENTS model'
check 'CMake: an unknown component is not' refuses 'REQUIRED COMPONENTS cuda'

check 'the program is installed' env -u LD_LIBRARY_PATH "$prefix/bin/sparse24" version
check 'the program starts where the prefix was moved' env -u LD_LIBRARY_PATH "$scratch/moved/bin/sparse24" version
python() # folder with sparse24.py
{
    (cd / && env -u LD_LIBRARY_PATH -u SPARSE24_LIBRARY PYTHONPATH="$1" python3 -c \
        'import os, sys, sparse24; sparse24.load(); sys.exit(not os.path.realpath(sparse24._path).startswith(os.path.realpath(sys.argv[1])))' "$2")
}
module=$(pkg-config --variable=pythondir sparse24)
check 'the Python module finds its library' python "$module" "$prefix"
check 'the Python module finds its library where the prefix was moved' python "$scratch/moved/${module#"$prefix"}" "$scratch/moved"
python3 "$(dirname -- "$0")/check_readme.py" "$prefix" "$scratch/readme" || failed=1
check 'its manual page is installed' test -f "$prefix/share/man/man1/sparse24.1"
check 'only the interface version names the shared library' test -e "$LD_LIBRARY_PATH/libsparse24.so.0.1"
exit $failed
