# What the scripts beside this share; they source it in the root folder.
status=0

build() { # folder, meson options
    folder=$1
    shift
    [ -f "$folder/build.ninja" ] || meson setup "$folder" -Dcuda=disabled "$@" # tests/gpu/run.sh builds that
    meson compile -C "$folder"
}

# The log becomes build/NAME.json. Tests have no time-out; a deadlock ends after more hours than the slowest machine needs.
run() { # name, folder, meson test options
    name=$1 folder=$2 code=0
    shift 2
    rm -f "$folder/meson-logs/$name"*.json
    timeout --foreground 12h meson test -C "$folder" --print-errorlogs --num-processes 2 --logbase "$name" "$@" || code=$?
    [ "$code" -ne 124 ] || echo "$name: did not end in 12 hours"
    [ "$code" -eq 0 ] || status=1
    cp "$folder/meson-logs/$name"*.json "build/$name.json" || status=1
}
