#!/bin/sh
# What takes too long for tests/run.sh: ThreadSanitizer, memcheck, the analyser, coverage, both compilers, programs of the last release,
# each core of OpenBLAS, and SECONDS (default 600) of fuzzing for each target. nightly.sh [SECONDS]
set -u
cd "$(dirname "$0")/.."
failed=0
part() { # name, command...
    name=$1
    shift
    if "$@"; then echo "ok - $name"; else echo "not ok - $name"; failed=1; fi
}

with_clang() {
    [ -f build/clang/build.ninja ] || CC=clang CXX=clang++ meson setup build/clang --buildtype=release -Dbench=false || return 1
    meson test -C build/clang --num-processes 2 --suite headers --suite base --suite io --suite api --suite abi --suite kernels
}
ordinary() { # build
    [ -f build/tests/build.ninja ] || meson setup build/tests --buildtype=release -Ddebug=true || return 1
    meson compile -C build/tests
}
check_loaders() {
    ordinary || return 1
    python3 tests/pack/loaders.py build/tests/examples/cli/sparse24 build/tests/lib/libsparse24.so
}
check_outputs() {
    ordinary || return 1
    python3 tests/model/loaders.py build/tests/examples/cli/sparse24
}
check_decoders() {
    ordinary || return 1
    python3 tests/io/reference.py build/tests/lib/libsparse24.so
}
same_ids() { # skipped where the package tokenizers is not installed
    ordinary || return 1
    SPARSE24_LIBRARY=build/tests/lib/libsparse24.so SPARSE24_MODEL_LIBRARY=build/tests/lib/model/libsparse24-model.so \
        python3 tests/model/tokenizer/compare.py || [ $? = 77 ]
}
architectures() { # the table of docs/families.md, where transformers is
    python3 -c 'import torch, transformers' 2>/dev/null || return 0
    ordinary || return 1
    zoo=$(mktemp -d)
    python3 tests/model/make_families.py "$zoo/families.safetensors" "$zoo/models" &&
        python3 tests/model/survey_families.py build/tests/examples/cli/sparse24 "$zoo/models"
    done=$?
    rm -rf "$zoo"
    return $done
}
old_client() {
    ordinary || return 1
    sh tests/abi/old_client.sh build/tests/lib/libsparse24.so || [ $? = 77 ]
}

every_core() {
    ordinary || return 1
    sh tests/cores.sh build/tests 'Prescott Core2 Nehalem Sandybridge Haswell Zen SkylakeX Cooperlake SapphireRapids' \
        'golden k' 'golden v o down' 'solvers properties' 'solvers inputs' 'solvers options' 'solvers hassle'
}

# Set GGML to the folder ggml of llama.cpp (the source package of llama-cpp-python has it as vendor/llama.cpp/ggml).
back_end() {
    [ -n "${GGML:-}" ] || return 0
    ordinary || return 1
    meson setup --reconfigure build/tests -Dggml="$GGML" >/dev/null && ninja -C build/tests examples/ggml/libggml-sparse24.so
}

part 'sanitizers and analyser' sh tests/sanitize.sh
part coverage sh tests/coverage.sh
part 'clang' with_clang
part 'programs of the last release' old_client
part loaders check_loaders
part outputs check_outputs
part decoders check_decoders
part 'ids of the package tokenizers' same_ids
part 'architectures against transformers' architectures
part 'kernels of other processors' every_core
part 'back end of ggml' back_end
part fuzzing sh tests/fuzz/run.sh "${1:-600}"
exit $failed
