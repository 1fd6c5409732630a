# Usage: run.sh BUILD_FOLDER WORK_FOLDER CMAKE C_COMPILER CONFIG MANAGER
#
# Install the build under a folder with a blank in its name, then move it: an
# installed tree works wherever it is.  Build and run the programs of this
# folder against it with CMake and with pkg-config, shared and static; that of
# the manager if it was built (MANAGER is ON).
set -eu

build=$1
work=$2/consumer
cmake=$3
cc=$4
config=$5
manager=$6
here=$(cd "$(dirname "$0")" && pwd)

prefix="$work/the prefix"

say()
{
    echo "-- $*"
}

# configure FOLDER OPTION...: find the installed package, and no other.
configure()
{
    folder=$work/$1
    shift
    "$cmake" -S "$here" -B "$folder" -G Ninja \
        -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" "$@" \
        > "$folder.log" 2>&1
}

# program SOURCE NAME WHAT [OPTION]: build it with the flags that pkg-config
# prints for WHAT, which are quoted for a shell: hence eval.  Run it.
program()
{
    out=$work/$2
    # WHAT is words.
    # shellcheck disable=SC2086
    flags=$(pkg-config --cflags --libs $3)
    eval "\"\$cc\" ${4-} \"\$here/$1\" -o \"\$out\" $flags"
    LD_LIBRARY_PATH=$libdir "$out"
}

rm -rf "$work"
mkdir -p "$work"
# A package manager's staging folder of the user is not for us.
unset DESTDIR
"$cmake" --install "$build" --config "$config" --prefix "$work/elsewhere" \
    > "$work/install.log"
mv "$work/elsewhere" "$prefix"

components=
if [ "$manager" = ON ]; then
    components=manager
fi

say "CMake package"
configure cmake -DCOMPONENTS="$components" ||
    { cat "$work/cmake.log"; exit 1; }
case $(sed -n 's/^libipc_DIR:PATH=//p' "$work/cmake/CMakeCache.txt") in
"$prefix"/*) ;;
*) echo "found another libipc than the one that was installed"; exit 1 ;;
esac
"$cmake" --build "$work/cmake" > "$work/build.log" ||
    { cat "$work/build.log"; exit 1; }
"$work/cmake/consumer-shared"
"$work/cmake/consumer-static"
if [ "$manager" = ON ]; then
    "$work/cmake/consumer-manager"
fi

say "CMake package without the manager"
find "$prefix" -name 'libipc-manager-targets*.cmake' -exec rm {} +
configure none -DCOMPONENTS=
if configure refused -DCOMPONENTS=manager; then
    echo "it found a manager where there is none"
    exit 1
fi
if ! tr -s ' \n' ' ' < "$work/refused.log" |
    grep -q "this libipc was built without its manager"; then
    cat "$work/refused.log"
    exit 1
fi

pc=$(find "$prefix" -name libipc.pc)
libdir=$(dirname "$(dirname "$pc")")
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH

say "pkg-config"
shared=
if [ -e "$libdir/libipc.so" ]; then
    shared=yes
    program main.c pc-shared libipc
fi
program main.c pc-static "--static libipc" -static

if [ "$manager" != ON ]; then
    exit 0
fi
if [ -n "$shared" ]; then
    program manager.c pc-manager libipc-manager
else
    program manager.c pc-manager "--static libipc-manager"
fi

say "ipc-managerd"
# It finds its libraries where it lies.
"$(find "$prefix" -type f -name ipc-managerd)" --version
for file in ipc-managerd.1 ipc-managerd.service PROTOCOL.md; do
    find "$prefix" -name "$file" | grep -q . ||
        { echo "$file is not installed"; exit 1; }
done
