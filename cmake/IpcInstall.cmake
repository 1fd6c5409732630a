# What `cmake --install` puts where: libraries, headers, the CMake package and
# libipc.pc.  The installed tree may be moved.
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

file(RELATIVE_PATH pc_to_prefix
    "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" pc_to_prefix "${pc_to_prefix}")
file(RELATIVE_PATH pc_includedir
    "${CMAKE_INSTALL_PREFIX}" "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
file(RELATIVE_PATH pc_libdir
    "${CMAKE_INSTALL_PREFIX}" "${CMAKE_INSTALL_FULL_LIBDIR}")
configure_file(cmake/libipc.pc.in libipc.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/libipc.pc"
    DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

install(FILES README.md CHANGELOG.md LICENSE
    DESTINATION "${CMAKE_INSTALL_DOCDIR}")
