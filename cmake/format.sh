# Usage: format.sh CLANG_FORMAT [OPTION...]
#
# Run clang-format with these options on every source of the tree.
cd "$(dirname "$0")/.." || exit 1

find ipc manager tests examples bench tools \
    \( -name '*.c' -o -name '*.h' -o -name '*.cpp' \) -print0 |
    xargs -0 "$@"
