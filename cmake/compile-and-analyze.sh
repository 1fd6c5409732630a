# Usage: compile-and-analyze.sh COMPILER [ARGUMENT...]
#
# Compile with gcc's static analyzer.
exec "$@" -fanalyzer
