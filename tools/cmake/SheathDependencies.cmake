# SPDX-License-Identifier: Apache-2.0
# Libraries, all from the distribution. Their headers are system headers: our warnings are for our code.
option(SHEATH_STATIC "Link sheath statically: one file that runs on any node, and starts in a fraction of the time" OFF)
if(SHEATH_STATIC)
  if(pkgcfg_lib_LIBBPF_bpf MATCHES "[.]so")
    message(FATAL_ERROR "This build folder has found the shared libraries before: configure it again with --fresh")
  endif()
  set(CMAKE_FIND_LIBRARY_SUFFIXES ".a")
  set(OPENSSL_USE_STATIC_LIBS ON)
endif()

find_package(PkgConfig REQUIRED)
pkg_check_modules(LIBBPF REQUIRED IMPORTED_TARGET libbpf>=1.1)
pkg_check_modules(LIBNL REQUIRED IMPORTED_TARGET libnl-3.0 libnl-genl-3.0 libnl-route-3.0)
if(SHEATH_STATIC)
  pkg_check_modules(LIBUV REQUIRED IMPORTED_TARGET libuv-static)
else()
  pkg_check_modules(LIBUV REQUIRED IMPORTED_TARGET libuv)
endif()
pkg_check_modules(LIBSECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(LIBCAPNG REQUIRED IMPORTED_TARGET libcap-ng)
find_package(OpenSSL 3 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)

# It has no package file.
find_library(HTTP_PARSER_LIBRARY http_parser REQUIRED)
find_path(HTTP_PARSER_INCLUDE_DIR http_parser.h REQUIRED)
add_library(sheath_http_parser INTERFACE)
add_library(sheath::http_parser ALIAS sheath_http_parser)
target_include_directories(sheath_http_parser SYSTEM INTERFACE "${HTTP_PARSER_INCLUDE_DIR}")
target_link_libraries(sheath_http_parser INTERFACE "${HTTP_PARSER_LIBRARY}")

find_path(CXXOPTS_INCLUDE_DIR cxxopts.hpp REQUIRED)
find_path(DOCTEST_INCLUDE_DIR doctest/doctest.h REQUIRED)

# yaml-cpp 0.7 exports a bare library name; wrap it so that its headers count as system headers.
add_library(sheath_yaml INTERFACE)
add_library(sheath::yaml ALIAS sheath_yaml)
if(SHEATH_STATIC)
  # Its package knows the shared library only, and libbpf's leaves out what that would bring along.
  find_library(YAML_CPP_ARCHIVE yaml-cpp REQUIRED)
  find_library(ELF_ARCHIVE elf REQUIRED)
  find_library(Z_ARCHIVE z REQUIRED)
  target_link_libraries(sheath_yaml INTERFACE "${YAML_CPP_ARCHIVE}")
  target_link_libraries(PkgConfig::LIBBPF INTERFACE "${ELF_ARCHIVE}" "${Z_ARCHIVE}")
else()
  target_link_libraries(sheath_yaml INTERFACE yaml-cpp)
endif()

add_library(sheath_cxxopts INTERFACE)
add_library(sheath::cxxopts ALIAS sheath_cxxopts)
target_include_directories(sheath_cxxopts SYSTEM INTERFACE "${CXXOPTS_INCLUDE_DIR}")

add_library(sheath_doctest INTERFACE)
add_library(sheath::doctest ALIAS sheath_doctest)
target_include_directories(sheath_doctest SYSTEM INTERFACE "${DOCTEST_INCLUDE_DIR}")
