# The only ways to add a test, an example or a benchmark.

# Long variants, IPC_TEST_SCALE=10 tools/test, may take longer.
set(ipc_test_scale 1)
if("$ENV{IPC_TEST_SCALE}" MATCHES "^[1-9][0-9]*$")
    set(ipc_test_scale $ENV{IPC_TEST_SCALE})
endif()

# What all tests have in common, however they are made.
function(ipc_test_properties test labels seconds)
    set(environment)
    if(IPC_SANITIZE MATCHES "address")
        set(environment "UBSAN_OPTIONS=print_stacktrace=1")
    elseif(IPC_SANITIZE MATCHES "thread")
        # Children of programs with threads are what we test.
        set(environment "TSAN_OPTIONS=halt_on_error=1:die_after_fork=0")
    endif()
    math(EXPR limit "${seconds} * ${ipc_test_scale}")
    set_tests_properties(${test} PROPERTIES
        LABELS "${labels}"
        TIMEOUT ${limit}
        ENVIRONMENT "${environment}"
        SKIP_RETURN_CODE 77)
endfunction()

# ipc_test(NAME lock SOURCES unit/lock_test.c LABELS unit TIMEOUT 60
#     [LIBS target...] [ARGS argument...] [RUN_SERIAL])
#
# A cmocka program that sees the internals of the library: it is linked with
# ipc_testing and includes "core/guard.h" and the like.  Those in the list
# ipc_tests_alone start no thread, and are not for ThreadSanitizer.
function(ipc_test)
    cmake_parse_arguments(PARSE_ARGV 0 arg
        "RUN_SERIAL" "NAME;TIMEOUT" "SOURCES;LABELS;LIBS;ARGS")
    if(NOT arg_NAME OR NOT arg_SOURCES OR NOT arg_LABELS OR NOT arg_TIMEOUT
        OR arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "ipc_test(${ARGV}): NAME, SOURCES, LABELS and "
            "TIMEOUT are needed; LIBS, ARGS and RUN_SERIAL may be given")
    endif()
    set(target test-${arg_NAME})
    if(arg_NAME IN_LIST ipc_tests_alone)
        list(APPEND arg_LABELS alone)
        list(APPEND arg_LIBS ipc_alone)
    endif()
    # What the presets of the sanitizers do not run they need not build.
    set(optional)
    if((IPC_SANITIZE AND NOT arg_LABELS MATCHES "unit|stress") OR
        (IPC_SANITIZE MATCHES "thread" AND arg_LABELS MATCHES "alone"))
        set(optional EXCLUDE_FROM_ALL)
    endif()
    add_executable(${target} ${optional} ${arg_SOURCES})
    target_link_libraries(${target} PRIVATE
        ipc_harness ipc_testing ipc_settings PkgConfig::cmocka ${arg_LIBS})
    add_test(NAME ${arg_NAME} COMMAND ${target} ${arg_ARGS})
    set_tests_properties(${arg_NAME} PROPERTIES RUN_SERIAL ${arg_RUN_SERIAL})
    ipc_test_properties(${arg_NAME} "${arg_LABELS}" ${arg_TIMEOUT})
endfunction()

# ipc_example(NAME hello_process SOURCES hello_process.c
#     [LIBS target...] [ARGS argument...] [PASS regex] [TIMEOUT seconds])
#
# A program as a user would write it: linked with ipc::ipc alone.  It is run
# as the test example.<NAME>, and must exit with 0 and print what PASS asks.
function(ipc_example)
    cmake_parse_arguments(PARSE_ARGV 0 arg
        "" "NAME;PASS;TIMEOUT" "SOURCES;LIBS;ARGS")
    if(NOT arg_NAME OR NOT arg_SOURCES OR arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "ipc_example(${ARGV}): NAME and SOURCES are "
            "needed; LIBS, ARGS, PASS and TIMEOUT may be given")
    endif()
    add_executable(${arg_NAME} ${arg_SOURCES})
    target_link_libraries(${arg_NAME} PRIVATE
        ipc::ipc ipc_warnings ipc_sanitizers ${arg_LIBS})
    ipc_example_test(NAME ${arg_NAME} EXAMPLE ${arg_NAME} ARGS ${arg_ARGS}
        PASS "${arg_PASS}" TIMEOUT "${arg_TIMEOUT}")
endfunction()

# ipc_example_test(NAME ticket-race-file EXAMPLE ticket-race ARGS --lock file
#     [PASS regex] [TIMEOUT seconds])
#
# Run an example once more, with other arguments.
function(ipc_example_test)
    cmake_parse_arguments(PARSE_ARGV 0 arg
        "" "NAME;EXAMPLE;PASS;TIMEOUT" "ARGS")
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 60)
    endif()
    set(test example.${arg_NAME})
    if(NOT arg_PASS)
        add_test(NAME ${test} COMMAND ${arg_EXAMPLE} ${arg_ARGS})
    else()
        # ctest's own PASS_REGULAR_EXPRESSION would ignore the exit code.
        add_test(NAME ${test}
            COMMAND sh "${PROJECT_SOURCE_DIR}/cmake/run-and-match.sh"
                "${arg_PASS}" $<TARGET_FILE:${arg_EXAMPLE}> ${arg_ARGS})
    endif()
    ipc_test_properties(${test} example ${arg_TIMEOUT})
endfunction()

# ipc_bench(NAME lock SOURCES lock.c [LIBS target...])
#
# The program ipc-bench-<NAME> for `tools/bench NAME`: measures libipc as users
# get it, and its peers.
function(ipc_bench)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME" "SOURCES;LIBS")
    if(NOT arg_NAME OR NOT arg_SOURCES OR arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "ipc_bench(${ARGV}): NAME and SOURCES are needed; "
            "LIBS may be given")
    endif()
    set(target ipc-bench-${arg_NAME})
    add_executable(${target} ${arg_SOURCES})
    target_link_libraries(${target} PRIVATE ipc::ipc ipc_settings ${arg_LIBS})
endfunction()

if(IPC_BUILD_TESTS)
    find_package(PkgConfig REQUIRED)
    pkg_check_modules(cmocka REQUIRED IMPORTED_TARGET GLOBAL cmocka)
endif()
