/* SPDX-License-Identifier: GPL-2.0-only */
/* The maps and nothing else: the loader creates and pins them from this object before any program is there. */
#include "maps.bpf.h"

char LICENSE[] SEC("license") = "GPL";
