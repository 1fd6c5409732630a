# Usage: check-syntax.sh COMPILER [ARGUMENT...] -o FILE [ARGUMENT...]
#
# Have the compiler read a source and find out what it depends on, and make an
# empty file of what it would have compiled.
"$@" -fsyntax-only || exit

while [ $# -gt 1 ] && [ "$1" != -o ]; do
    shift
done
: > "$2"
