# Usage: headers.sh INCLUDE_FOLDER C_COMPILER CXX_COMPILER [INCLUDE_FOLDER]
#
# Every header of the first folder, which may include those of the second,
# compiles alone and twice, and beside the system headers
# that own the short IPC_... names, before and after it; as strict C11 and as
# strict C++17, without a warning.
include=$1
cc=$2
cxx=$3
more=${4:-$1}

warnings='-Wall -Wextra -Wshadow -Wconversion -Wundef -Wcast-align
    -Wpointer-arith -Wwrite-strings -pedantic-errors -Werror'
# <sys/ipc.h> asks for more than strict C.
c11="-std=c11 -D_DEFAULT_SOURCE -Wstrict-prototypes -Wmissing-prototypes"
cxx17="-std=c++17 -Wold-style-cast"

failed=0
checked=0

# check LANGUAGE SOURCE: compile these lines in that language.
check()
{
    case $1 in
    c)   compiler=$cc flags=$c11 ;;
    c++) compiler=$cxx flags=$cxx17 ;;
    esac
    checked=$((checked + 1))
    # $flags and $warnings are lists of words.
    # shellcheck disable=SC2086
    if ! printf '%b' "$2" | "$compiler" -x "$1" $flags $warnings \
        -I "$include" -I "$more" -fsyntax-only -; then
        printf 'as %s:\n%b' "$1" "$2"
        failed=$((failed + 1))
    fi
}

for path in "$include"/ipc/*.h; do
    ours="#include <ipc/${path##*/}>\n"
    for language in c c++; do
        check $language "$ours$ours"
        # These two exclude each other.
        for theirs in '#include <sys/ipc.h>\n' '#include <linux/ipc.h>\n'; do
            check $language "$theirs$ours"
            check $language "$ours$theirs"
        done
    done
done

echo "$checked compiled, $failed of them failed"
[ $checked -gt 0 ] && [ $failed -eq 0 ]
