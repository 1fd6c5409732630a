# Interface targets that say how our own code is compiled.  They are linked
# privately and never leave the build tree.

add_library(ipc_warnings INTERFACE)
target_compile_options(ipc_warnings INTERFACE
    -Wall
    -Wextra
    -Wshadow
    -Wconversion
    -Wundef
    -Wvla
    -Wcast-align
    -Wformat=2
    -Wwrite-strings
    -Wpointer-arith
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>
    $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>
    $<$<BOOL:${IPC_WERROR}>:-Werror>)

add_library(ipc_sanitizers INTERFACE)
if(IPC_SANITIZE)
    target_compile_options(ipc_sanitizers INTERFACE
        -fsanitize=${IPC_SANITIZE}
        -fno-sanitize-recover=all
        -fno-omit-frame-pointer)
    target_link_options(ipc_sanitizers INTERFACE
        -fsanitize=${IPC_SANITIZE})
endif()

# What the library, the tests and the benchmarks are compiled with.  Examples do
# without _GNU_SOURCE: they are compiled as a user would do it.
add_library(ipc_settings INTERFACE)
target_compile_definitions(ipc_settings INTERFACE
    $<$<COMPILE_LANGUAGE:C>:_GNU_SOURCE>)
target_link_libraries(ipc_settings INTERFACE ipc_warnings ipc_sanitizers)
