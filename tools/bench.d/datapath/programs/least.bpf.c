/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The least that a program could do which sends some packets through a tunnel: reads the Ethernet and the IP header,
 * looks the destination's /24 or /64 up in one hash table, sets the mark found there, redirects. It counts nothing,
 * checks nothing, and is not safe to use.
 */
#include "vmlinux.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ENTRIES 65536

const volatile __u32 tunnel_ifindex = 1;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENTRIES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} floor_marks4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENTRIES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
} floor_marks6 SEC(".maps");

static __always_inline int send(struct __sk_buff *skb, const __u32 *mark)
{
	if (!mark)
		return TC_ACT_UNSPEC;
	skb->mark = *mark;
	return bpf_redirect(tunnel_ifindex, 0);
}

SEC("tc")
int least(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct ipv6hdr *ip6 = data + sizeof(*eth);
	struct iphdr *ip4 = data + sizeof(*eth);
	__u64 network6;
	__u32 network4;

	if ((void *)(ip4 + 1) > end)
		return TC_ACT_UNSPEC;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		network4 = ip4->daddr & bpf_htonl(0xffffff00);
		return send(skb, bpf_map_lookup_elem(&floor_marks4, &network4));
	}
	if (eth->h_proto != bpf_htons(ETH_P_IPV6) || (void *)(ip6 + 1) > end)
		return TC_ACT_UNSPEC;
	__builtin_memcpy(&network6, ip6->daddr, sizeof(network6));
	return send(skb, bpf_map_lookup_elem(&floor_marks6, &network6));
}

char LICENSE[] SEC("license") = "GPL";
