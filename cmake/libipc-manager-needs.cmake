# What libipc-manager is linked with: the target ipc::manager_needs, and in
# libipc_manager_missing the names of what is not there.  Used by the build, and
# by programs that link with a static libipc-manager.
set(libipc_manager_missing)
set(libipc_manager_libraries)
set(libipc_manager_includes)

find_package(PkgConfig QUIET)
foreach(module libsodium sqlite3 msgpack)
    if(PkgConfig_FOUND)
        pkg_check_modules(libipc_${module} QUIET ${module})
    endif()
    if(libipc_${module}_FOUND)
        list(APPEND libipc_manager_libraries
            ${libipc_${module}_LINK_LIBRARIES})
        list(APPEND libipc_manager_includes ${libipc_${module}_INCLUDE_DIRS})
    else()
        list(APPEND libipc_manager_missing ${module})
    endif()
endforeach()
if(NOT PkgConfig_FOUND)
    set(libipc_manager_missing pkg-config)
endif()

# Mbed TLS 2.28 has no .pc file.
find_path(IPC_MBEDTLS_INCLUDE mbedtls/ssl.h)
find_library(IPC_MBEDTLS_LIBRARY mbedtls)
find_library(IPC_MBEDX509_LIBRARY mbedx509)
find_library(IPC_MBEDCRYPTO_LIBRARY mbedcrypto)
mark_as_advanced(IPC_MBEDTLS_INCLUDE IPC_MBEDTLS_LIBRARY IPC_MBEDX509_LIBRARY
    IPC_MBEDCRYPTO_LIBRARY)
if(IPC_MBEDTLS_INCLUDE AND IPC_MBEDTLS_LIBRARY AND IPC_MBEDX509_LIBRARY
    AND IPC_MBEDCRYPTO_LIBRARY)
    list(APPEND libipc_manager_includes "${IPC_MBEDTLS_INCLUDE}")
    list(APPEND libipc_manager_libraries "${IPC_MBEDTLS_LIBRARY}"
        "${IPC_MBEDX509_LIBRARY}" "${IPC_MBEDCRYPTO_LIBRARY}")
else()
    list(APPEND libipc_manager_missing mbedtls)
endif()

if(NOT TARGET ipc::manager_needs)
    add_library(ipc::manager_needs INTERFACE IMPORTED)
    set_target_properties(ipc::manager_needs PROPERTIES
        INTERFACE_LINK_LIBRARIES "${libipc_manager_libraries}"
        INTERFACE_INCLUDE_DIRECTORIES "${libipc_manager_includes}")
endif()
