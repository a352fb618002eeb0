#!/bin/sh
# Every command of `sparse24 --help` and every option of `sparse24 COMMAND --help` stands in the manual page, in the synopsis or as a heading.
# Usage: test_man.sh PROGRAM sparse24.1
set -u
cli=$1 page=$2
failed=0
# Without fonts and escapes: what a reader sees.
plain=$(sed 's/\\f[BIRP]//g; s/\\-/-/g; s/\\&//g; s/^\.\(B\|I\|BR\|BI\|RB\|RI\|IR\|IB\) //; s/"//g' "$page")

has() # what, pattern
{
    if printf '%s\n' "$plain" | grep -q -e "$2"; then
        echo "ok - $1"
    else
        echo "not ok - $1 is not in $page"
        failed=1
    fi
}

commands=$("$cli" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\)  *.*/\1/p')
[ "$(echo "$commands" | wc -l)" -ge 6 ] || { echo "not ok - no commands in --help"; exit 1; }
for command in $commands; do
    has "$command: synopsis" "^sparse24 $command\$\|^sparse24 $command "
    has "$command: what it does" "^$command\$"
    for option in $("$cli" "$command" --help | sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p'); do
        has "$command: $option" "\(^\| \)${option}\([ ,]\|\$\)"
    done
done
for layout in $("$cli" info | sed -n 's/^layouts  *//p' | tr ',' ' '); do
    has "layout $layout" "^$layout\( \|,\|\$\)"
done
for term in 2:4 70% 'row 70%' int4 'int4 g128' 'int4 sym' 'int4 real' 'rank 64'; do
    has "constraints: $term" "^$term\$"
done
if command -v man >/dev/null 2>&1; then
    warnings=$(LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)
    if [ -z "$warnings" ]; then
        echo "ok - it renders without a warning"
    else
        echo "not ok - $warnings"
        failed=1
    fi
fi
exit $failed
