# SPDX-License-Identifier: Apache-2.0
# Flags that every C++ target of ours carries: link with sheath::flags.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

option(SHEATH_SANITIZE "Build with the address and undefined-behaviour sanitizers" OFF)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER "${CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE}")
endif()

# g++ is the judge of warnings. clang++ builds the sanitized tests in a fifth of the time.
add_library(sheath_flags INTERFACE)
add_library(sheath::flags ALIAS sheath_flags)
target_compile_options(sheath_flags INTERFACE
  $<$<CXX_COMPILER_ID:GNU>:-Wall;-Wextra;-Wconversion;-Wsign-conversion;-Wshadow;-Werror>
  -fstack-protector-strong)
target_include_directories(sheath_flags INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_definitions(sheath_flags INTERFACE
  SHEATH_VERSION="${PROJECT_VERSION}" $<$<CONFIG:Release,RelWithDebInfo>:_FORTIFY_SOURCE=2>)

if(SHEATH_SANITIZE)
  target_compile_options(sheath_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(sheath_flags INTERFACE -fsanitize=address,undefined)
endif()

# sheath_library(NAME SOURCES... DEPENDS targets...): one static library per folder, as sheath::NAME.
function(sheath_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(sheath_${name} STATIC ${ARG_SOURCES})
  add_library(sheath::${name} ALIAS sheath_${name})
  target_link_libraries(sheath_${name} PUBLIC sheath::flags ${ARG_DEPENDS})
endfunction()
