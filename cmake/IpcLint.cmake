# The lint preset.  A C source of ours is compiled only after clang-tidy has
# nothing to say, and with gcc's analyzer; the target lint, part of all, adds
# clang-format and cppcheck.  `format` formats the tree.  Nothing is linked, and
# programs of which only clang-tidy's view is wanted are not compiled either.
#
# The tools are those of Debian 12: other versions find other things.

find_program(CLANG_FORMAT NAMES clang-format-14 clang-format REQUIRED)
find_program(CLANG_TIDY NAMES clang-tidy-14 clang-tidy REQUIRED)
find_program(CPPCHECK NAMES cppcheck REQUIRED)

# The hash has everything looked at again when the rules change.
set(rules "${PROJECT_SOURCE_DIR}/.clang-tidy")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${rules}")
file(MD5 "${rules}" rules_hash)
set(CMAKE_C_CLANG_TIDY "${CLANG_TIDY}" --quiet --warnings-as-errors=*
    --extra-arg=-DIPC_LINT_RULES=0x${rules_hash})
# Most time goes into paths through a few long functions.  With a tenth of those
# that clang would follow nearly all code is still seen; all but for the long
# variant.
if(NOT "$ENV{IPC_TEST_SCALE}" GREATER 1)
    foreach(word -Xclang -analyzer-config -Xclang max-nodes=20000)
        list(APPEND CMAKE_C_CLANG_TIDY --extra-arg=${word})
    endforeach()
endif()
# Not a compile option, which clang-tidy would be given too.
set(CMAKE_C_COMPILER_LAUNCHER
    sh "${CMAKE_CURRENT_LIST_DIR}/compile-and-analyze.sh")
# C++, peers in the benchmarks, is compiled with warnings only.
set(CMAKE_CXX_COMPILER_LAUNCHER
    sh "${CMAKE_CURRENT_LIST_DIR}/check-syntax.sh")
foreach(language C CXX)
    set(CMAKE_${language}_LINKER_LAUNCHER
        sh "${CMAKE_CURRENT_LIST_DIR}/pretend-to-link.sh")
endforeach()

# ipc_lint_tidy_only(): of the targets that follow in this folder.
macro(ipc_lint_tidy_only)
    set(CMAKE_C_COMPILER_LAUNCHER
        sh "${PROJECT_SOURCE_DIR}/cmake/check-syntax.sh")
endmacro()

# cppcheck is told that err() does not return, and a machine to look at.
set(format sh "${CMAKE_CURRENT_LIST_DIR}/format.sh" "${CLANG_FORMAT}")
add_custom_target(format
    COMMAND ${format} -i
    COMMENT "Formatting the sources"
    VERBATIM)
add_custom_target(lint ALL
    COMMAND ${format} --dry-run -Werror
    COMMAND "${CMAKE_COMMAND}" -E make_directory cppcheck
    COMMAND "${CPPCHECK}"
        --project=compile_commands.json
        --cppcheck-build-dir=cppcheck
        --enable=warning,performance,portability
        --inline-suppr
        --library=gnu,bsd
        -D__x86_64__
        --error-exitcode=1
        --quiet
        -j2
    WORKING_DIRECTORY "${PROJECT_BINARY_DIR}"
    COMMENT "Checking the format and running cppcheck"
    VERBATIM)
