#!/bin/sh
# Usage: refused.sh PROGRAM ARGUMENT...
#
# Pass when the program refuses its arguments: exit code 2, one line on standard
# error, nothing on standard output.
out=$(mktemp) || exit 1
said=$("$@" 2>&1 > "$out")
status=$?
printed=$(cat "$out")
rm -f "$out"
printf '%s\n' "$said"

[ $status -eq 2 ] && [ -z "$printed" ] && [ -n "$said" ] &&
    [ "$(printf '%s\n' "$said" | wc -l)" -eq 1 ] && exit 0
echo "exit code $status, on standard output: '$printed'"
exit 1
