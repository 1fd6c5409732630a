# Usage: compile-and-analyze.sh COMPILER [ARGUMENT...]
#
# Compile with gcc's static analyzer, and its options in ANALYZER_OPTIONS.
# shellcheck disable=SC2086
exec "$@" -fanalyzer ${ANALYZER_OPTIONS-}
