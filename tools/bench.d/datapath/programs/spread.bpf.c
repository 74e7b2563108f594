/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stands before the program that is measured: a test run repeats one packet, and this gives it another address each
 * time. Its own cost is in what the empty program takes.
 */
#include "tools/bench.d/datapath/spread.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define GOLDEN  2654435769u /* 2^32 by the golden ratio: steps that visit all of a range evenly */
#define HEADERS 128

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct spread_plan);
} plan SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} measured SEC(".maps");

SEC("tc")
int spread(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct spread_plan *now = bpf_map_lookup_elem(&plan, &zero);
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u32 offset, value;

	if (!now)
		return TC_ACT_SHOT;
	skb->mark = now->mark;
	value = now->first + (__u32)(((__u64)(++now->turn * GOLDEN) * now->count) >> 32);
	offset = now->offset & (HEADERS - 1);
	if (data + offset + 2 > end)
		return TC_ACT_SHOT;
	*(__u8 *)(data + offset) = value >> 8;
	*(__u8 *)(data + offset + 1) = value;
	bpf_tail_call(skb, &measured, 0);
	return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "GPL";
