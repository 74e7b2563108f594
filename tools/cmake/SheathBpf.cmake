# SPDX-License-Identifier: Apache-2.0
# bpf_object(NAME): compiles NAME.bpf.c of the current folder with clang, with the compiler's own dependency file, so
# that a changed header rebuilds what includes it, and makes NAME.skel.h from the object, and NAME.build.h with
# SHEATH_BUILD_NAME. Target: sheath::bpf_NAME.
find_program(CLANG NAMES clang clang-14 clang-19 REQUIRED)
find_program(BPFTOOL NAMES bpftool PATHS /usr/sbin REQUIRED)
set(SHEATH_BPF_DIR "${CMAKE_BINARY_DIR}/bpf")
set(SHEATH_BUILD_ID_SCRIPT "${CMAKE_CURRENT_LIST_DIR}/BuildId.cmake")
set(SHEATH_BPF_FLAGS -target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter
    -isystem /usr/include/${CMAKE_LIBRARY_ARCHITECTURE})

function(bpf_object name)
  set(source "${CMAKE_CURRENT_SOURCE_DIR}/${name}.bpf.c")
  set(object "${SHEATH_BPF_DIR}/${name}.bpf.o")
  set(skeleton "${SHEATH_BPF_DIR}/${name}.skel.h")
  set(build_id "${SHEATH_BPF_DIR}/${name}.build.h")
  file(MAKE_DIRECTORY "${SHEATH_BPF_DIR}")

  add_custom_command(OUTPUT "${object}"
    COMMAND "${CLANG}" ${SHEATH_BPF_FLAGS}
            -I "${PROJECT_SOURCE_DIR}/bpf" -I "${PROJECT_SOURCE_DIR}/maps" -I "${PROJECT_SOURCE_DIR}"
            -MD -MF "${object}.d" -MT "${object}" -c "${source}" -o "${object}"
    DEPENDS "${source}" DEPFILE "${object}.d" COMMENT "BPF ${name}" VERBATIM)
  add_custom_command(OUTPUT "${skeleton}"
    COMMAND "${BPFTOOL}" gen skeleton "${object}" name ${name} > "${skeleton}.tmp"
    COMMAND "${CMAKE_COMMAND}" -E rename "${skeleton}.tmp" "${skeleton}"
    DEPENDS "${object}" COMMENT "skeleton ${name}" VERBATIM)

  add_custom_command(OUTPUT "${build_id}"
    COMMAND "${CMAKE_COMMAND}" "-DOBJECT=${object}" "-DNAME=${name}" "-DHEADER=${build_id}" -P "${SHEATH_BUILD_ID_SCRIPT}"
    DEPENDS "${object}" "${SHEATH_BUILD_ID_SCRIPT}" COMMENT "build ID ${name}" VERBATIM)

  add_custom_target(bpf_skel_${name} DEPENDS "${skeleton}" "${build_id}")
  add_library(sheath_bpf_${name} INTERFACE)
  add_library(sheath::bpf_${name} ALIAS sheath_bpf_${name})
  add_dependencies(sheath_bpf_${name} bpf_skel_${name})
  target_include_directories(sheath_bpf_${name} SYSTEM INTERFACE "${SHEATH_BPF_DIR}")
endfunction()
