# Usage: pretend-to-link.sh COMPILER [ARGUMENT...] -o FILE [ARGUMENT...]
#
# Make an empty file of what would have been linked.
while [ $# -gt 1 ] && [ "$1" != -o ]; do
    shift
done
: > "$2"
