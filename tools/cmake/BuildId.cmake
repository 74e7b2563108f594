# SPDX-License-Identifier: Apache-2.0
# cmake -DOBJECT=… -DNAME=… -DHEADER=… -P BuildId.cmake: what tells this object file from others, as a constant: the first
# 8 bytes of its SHA-256.
file(SHA256 "${OBJECT}" hash)
string(SUBSTRING "${hash}" 0 16 id)
file(WRITE "${HEADER}" "#define SHEATH_BUILD_${NAME} 0x${id}ull\n")
