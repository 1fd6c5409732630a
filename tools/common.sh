# What the scripts of this folder share; read by them, not run.  They run at
# the root of the tree, wherever they were called from.
cd "$(dirname "$0")/.." || exit 1
root=$(pwd -P)
me=tools/${0##*/}

say()
{
    printf '\n%s: %s\n' "$me" "$*"
}

die()
{
    printf '%s: %s\n' "$me" "$*" >&2
    exit 1
}

# Forget a build folder that came here with a copy of another tree.
forget_foreign_build()
{
    cache=build/$1/CMakeCache.txt
    if [ -f "$cache" ] &&
        ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$cache"; then
        echo "build/$1 belongs to another tree: building it anew"
        rm -rf "build/$1"
    fi
}
