# What `cmake --install` puts where: libraries, headers, programs with their
# pages, the CMake package, and the .pc files.  The installed tree may be moved.
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/libipc")

set(installed ipc)
if(BUILD_SHARED_LIBS)
    list(APPEND installed ipc_static)
endif()
install(TARGETS ${installed} EXPORT libipc-targets FILE_SET HEADERS)
install(EXPORT libipc-targets
    NAMESPACE ipc::
    DESTINATION "${package_dir}")

# Targets of its own: who does not ask for the manager need not have what a
# static one is linked with.
if(IPC_BUILD_MANAGER)
    file(RELATIVE_PATH bin_to_lib
        "${CMAKE_INSTALL_FULL_BINDIR}" "${CMAKE_INSTALL_FULL_LIBDIR}")
    set_target_properties(ipc-managerd PROPERTIES
        INSTALL_RPATH "$ORIGIN/${bin_to_lib}")
    install(TARGETS ipc_manager EXPORT libipc-manager-targets
        FILE_SET HEADERS)
    install(TARGETS ipc-managerd)
    install(EXPORT libipc-manager-targets
        NAMESPACE ipc::
        DESTINATION "${package_dir}")
    install(FILES docs/ipc-managerd.1
        DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
    install(FILES manager/PROTOCOL.md
        DESTINATION "${CMAKE_INSTALL_DOCDIR}")
    # Not where systemd looks: it names a user who is to be chosen.
    install(FILES docs/ipc-managerd.service
        DESTINATION "${CMAKE_INSTALL_DOCDIR}/examples")
    if(NOT BUILD_SHARED_LIBS)
        install(FILES cmake/libipc-manager-needs.cmake
            DESTINATION "${package_dir}")
    endif()
endif()

configure_package_config_file(
    cmake/libipc-config.cmake.in
    "${CMAKE_CURRENT_BINARY_DIR}/libipc-config.cmake"
    INSTALL_DESTINATION "${package_dir}"
    NO_SET_AND_CHECK_MACRO)
# While the major version is 0, 0.2 may break what was written for 0.1.
write_basic_package_version_file(
    "${CMAKE_CURRENT_BINARY_DIR}/libipc-config-version.cmake"
    COMPATIBILITY SameMinorVersion)
install(FILES
    "${CMAKE_CURRENT_BINARY_DIR}/libipc-config.cmake"
    "${CMAKE_CURRENT_BINARY_DIR}/libipc-config-version.cmake"
    DESTINATION "${package_dir}")

# install_pc(NAME): the .pc file of that name, from cmake/NAME.pc.in.
file(RELATIVE_PATH pc_to_prefix
    "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" pc_to_prefix "${pc_to_prefix}")
file(RELATIVE_PATH pc_includedir
    "${CMAKE_INSTALL_PREFIX}" "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
file(RELATIVE_PATH pc_libdir
    "${CMAKE_INSTALL_PREFIX}" "${CMAKE_INSTALL_FULL_LIBDIR}")
function(install_pc name)
    configure_file(cmake/${name}.pc.in ${name}.pc @ONLY)
    install(FILES "${CMAKE_CURRENT_BINARY_DIR}/${name}.pc"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endfunction()
install_pc(libipc)
if(IPC_BUILD_MANAGER)
    # A shared one brings what it is linked with.
    set(pc_manager_needs "Requires.private: libsodium sqlite3 msgpack
Libs.private: -lmbedtls -lmbedx509 -lmbedcrypto")
    if(BUILD_SHARED_LIBS)
        set(pc_manager_needs)
    endif()
    install_pc(libipc-manager)
endif()

install(FILES README.md CHANGELOG.md LICENSE
    DESTINATION "${CMAKE_INSTALL_DOCDIR}")
