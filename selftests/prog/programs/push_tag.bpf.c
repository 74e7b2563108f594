/* SPDX-License-Identifier: GPL-2.0-only */
/* Gives a packet an accelerated VLAN tag, as a VLAN device does, and hands it to the program under test. */
#include "vmlinux.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define TAG 100

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next SEC(".maps");

SEC("tc")
int push_tag(struct __sk_buff *skb)
{
	if (bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), TAG))
		return TC_ACT_SHOT;
	bpf_tail_call(skb, &next, 0);
	return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "GPL";
