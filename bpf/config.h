/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHEATH_BPF_CONFIG_H
#define SHEATH_BPF_CONFIG_H

#include "types.h"

/*
 * Set before loading and constant from then on: the verifier knows the values and drops the branches that are off.
 * The values here are those of a program that nobody configured: Ethernet, strict, no tunnel.
 */
const volatile struct sheath_config config = {
	.l2_len = 14,
	.strict = 1,
};

#endif
