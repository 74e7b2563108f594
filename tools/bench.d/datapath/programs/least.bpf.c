/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The least that programs could do which send some packets through a tunnel, and bring what comes out of it to its pod.
 * They count nothing, check nothing, and are not safe to use.
 *   least:   reads the Ethernet and the IP header, looks the destination's /24 or /64 up in one hash table, sets the
 *            mark found there, redirects
 *   deliver: looks the destination up in one hash table, puts an Ethernet header before the packet, redirects; after
 *            WireGuard there is none, after xfrm there is the outer packet's
 */
#include "vmlinux.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ENTRIES 65536

struct way {
	__u32 mark;
	__u32 ifindex; /* of the tunnel */
};

struct pod {
	__u32 ifindex; /* the host's side of it */
	__u8 mac[6];   /* of the pod's side */
	__u8 unused[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENTRIES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct way);
} floor_ways4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENTRIES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct way);
} floor_ways6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENTRIES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u8[16]); /* IPv4: in the first four bytes */
	__type(value, struct pod);
} floor_pods SEC(".maps");

static __always_inline int send(struct __sk_buff *skb, const struct way *way)
{
	if (!way)
		return TC_ACT_UNSPEC;
	skb->mark = way->mark;
	return bpf_redirect(way->ifindex, 0);
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
		return send(skb, bpf_map_lookup_elem(&floor_ways4, &network4));
	}
	if (eth->h_proto != bpf_htons(ETH_P_IPV6) || (void *)(ip6 + 1) > end)
		return TC_ACT_UNSPEC;
	__builtin_memcpy(&network6, ip6->daddr, sizeof(network6));
	return send(skb, bpf_map_lookup_elem(&floor_ways6, &network6));
}

/* `l2`: bytes before the IP header. */
static __always_inline int deliver(struct __sk_buff *skb, __u32 l2)
{
	__u8 address[16] = {};
	struct ipv6hdr *ip6;
	struct ethhdr *eth;
	struct iphdr *ip4;
	struct pod *pod;
	__be16 protocol;
	void *end;

	/* What was decrypted may lie in pages. */
	bpf_skb_pull_data(skb, skb->len < l2 + sizeof(*ip6) ? skb->len : l2 + sizeof(*ip6));
	end = (void *)(long)skb->data_end;
	ip6 = (void *)(long)skb->data + l2;
	ip4 = (void *)(long)skb->data + l2;
	if ((void *)(ip4 + 1) > end)
		return TC_ACT_UNSPEC;
	if (ip4->version == 4) {
		__builtin_memcpy(address, &ip4->daddr, sizeof(ip4->daddr));
		protocol = bpf_htons(ETH_P_IP);
	} else {
		if ((void *)(ip6 + 1) > end)
			return TC_ACT_UNSPEC;
		__builtin_memcpy(address, ip6->daddr, sizeof(address));
		protocol = bpf_htons(ETH_P_IPV6);
	}
	pod = bpf_map_lookup_elem(&floor_pods, address);
	if (!pod || (!l2 && bpf_skb_change_head(skb, sizeof(*eth), 0)))
		return TC_ACT_UNSPEC;
	eth = (void *)(long)skb->data;
	if ((void *)(eth + 1) > (void *)(long)skb->data_end)
		return TC_ACT_SHOT;
	__builtin_memcpy(eth->h_dest, pod->mac, sizeof(pod->mac));
	eth->h_proto = protocol;
	return bpf_redirect_peer(pod->ifindex, 0);
}

SEC("tc")
int deliver_ip(struct __sk_buff *skb)
{
	return deliver(skb, 0);
}

SEC("tc")
int deliver_ethernet(struct __sk_buff *skb)
{
	return deliver(skb, sizeof(struct ethhdr));
}

char LICENSE[] SEC("license") = "GPL";
