/* SPDX-License-Identifier: GPL-2.0-only */
/* What a test run costs by itself. */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

SEC("tc")
int nothing(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
