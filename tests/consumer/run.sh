# Usage: run.sh BUILD_FOLDER WORK_FOLDER CMAKE C_COMPILER CONFIG
#
# Install the build under a folder with a blank in its name, then move it: an
# installed tree works wherever it is.  Build and run the program of this
# folder against it with CMake and with pkg-config, shared and static.
set -eu

build=$1
work=$2/consumer
cmake=$3
cc=$4
config=$5
here=$(cd "$(dirname "$0")" && pwd)

prefix="$work/the prefix"

say()
{
    echo "-- $*"
}

rm -rf "$work"
mkdir -p "$work"
# A package manager's staging folder of the user is not for us.
unset DESTDIR
"$cmake" --install "$build" --config "$config" --prefix "$work/elsewhere" \
    > "$work/install.log"
mv "$work/elsewhere" "$prefix"

say "CMake package"
"$cmake" -S "$here" -B "$work/cmake" -G Ninja \
    -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" \
    > "$work/configure.log" || { cat "$work/configure.log"; exit 1; }
case $(sed -n 's/^libipc_DIR:PATH=//p' "$work/cmake/CMakeCache.txt") in
"$prefix"/*) ;;
*) echo "found another libipc than the one that was installed"; exit 1 ;;
esac
"$cmake" --build "$work/cmake" > "$work/build.log" ||
    { cat "$work/build.log"; exit 1; }
"$work/cmake/consumer-shared"
"$work/cmake/consumer-static"

pc=$(find "$prefix" -name libipc.pc)
libdir=$(dirname "$(dirname "$pc")")
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH

# pkg-config quotes what it prints for a shell: hence eval.
say "pkg-config"
if [ -e "$libdir/libipc.so" ]; then
    flags=$(pkg-config --cflags --libs libipc)
    eval "\"\$cc\" \"\$here/main.c\" -o \"\$work/pc-shared\" $flags"
    LD_LIBRARY_PATH=$libdir "$work/pc-shared"
fi

say "pkg-config --static"
flags=$(pkg-config --static --cflags --libs libipc)
eval "\"\$cc\" -static \"\$here/main.c\" -o \"\$work/pc-static\" $flags"
"$work/pc-static"
