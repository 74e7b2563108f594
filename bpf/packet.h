/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHEATH_BPF_PACKET_H
#define SHEATH_BPF_PACKET_H

/* What is known of a packet, and the way to its bytes. */

#include "types.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum fragment {
	FRAGMENT_none,
	FRAGMENT_first,
	FRAGMENT_later, /* has no upper-layer header */
};

struct packet {
	struct sheath_addr source; /* IPv4 as ::ffff:a.b.c.d */
	struct sheath_addr dest;
	__u32 l3_offset; /* of the IP header, from skb->data */
	__u32 l3_length; /* of the IP packet, as its header says; of the whole train with GSO */
	__u32 l4_offset; /* of the upper-layer header; of the data in a later fragment */
	__u8 family;     /* 4, 6, or 0 before it is known */
	__u8 protocol;   /* of the upper layer, behind all IPv6 extension headers */
	__u8 fragment;   /* enum fragment */
	__u8 tags;       /* VLAN tags inside the frame; the accelerated one is not counted */
	__u8 hop_limit;
	__u8 dont_fragment; /* IPv4 with DF, or IPv6 */
	__u16 source_port;  /* host order; read_ports() fills both */
	__u16 dest_port;
};

/*
 * skb->data and skb->data_end as pointers. In C they are 32-bit fields, and clang is free to carry such a value through
 * 32-bit registers, where the verifier loses sight of the packet; a load written out by hand it leaves alone.
 */
#define PACKET_POINTER(skb, field)                                                                                     \
	({                                                                                                             \
		void *pointer;                                                                                         \
		asm volatile("%0 = *(u32 *)(%1 + %2)"                                                                  \
			     : "=r"(pointer)                                                                           \
			     : "r"(skb), "i"(__builtin_offsetof(struct __sk_buff, field)));                            \
		pointer;                                                                                               \
	})

static __always_inline void *packet_start(struct __sk_buff *skb)
{
	return PACKET_POINTER(skb, data);
}

static __always_inline void *packet_end(struct __sk_buff *skb)
{
	return PACKET_POINTER(skb, data_end);
}

/*
 * The `size` bytes at `offset`, or NULL where the packet ends before. Pulls them into the linear part if they are not
 * there yet: pointers taken earlier are dead after a call.
 */
static __always_inline void *header_at(struct __sk_buff *skb, __u32 offset, __u32 size)
{
	void *start = packet_start(skb) + offset;

	if (start + size <= packet_end(skb))
		return start;
	if (bpf_skb_pull_data(skb, offset + size))
		return NULL;
	start = packet_start(skb) + offset;
	return start + size <= packet_end(skb) ? start : NULL;
}

static __always_inline void copy_address4(struct sheath_addr *to, __be32 from)
{
	__u32 *words = (__u32 *)to->addr;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0x0000ffff);
	words[3] = from;
}

static __always_inline __be32 address4(const struct sheath_addr *from)
{
	return ((const __u32 *)from->addr)[3];
}

static __always_inline int is_unset(const struct sheath_addr *address)
{
	const __u64 *halves = (const __u64 *)address->addr;

	return !halves[0] && !halves[1];
}

static __always_inline int is_ipv4(const struct sheath_addr *address)
{
	const __u32 *words = (const __u32 *)address->addr;

	return !words[0] && !words[1] && words[2] == bpf_htonl(0x0000ffff);
}

/* Ports, or an ICMP type, have to be there: without them nobody can tell what a packet is. */
static __always_inline int needs_upper(const struct packet *packet)
{
	if (packet->fragment == FRAGMENT_later)
		return 0;
	switch (packet->protocol) {
	case IPPROTO_ICMP:
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_ICMPV6:
	case IPPROTO_SCTP:
	case IPPROTO_UDPLITE:
		return 1;
	default:
		return 0;
	}
}

static __always_inline int has_ports(const struct packet *packet)
{
	return needs_upper(packet) && packet->protocol != IPPROTO_ICMP && packet->protocol != IPPROTO_ICMPV6;
}

/* Fills both ports; leaves them 0 where there are none. */
static __always_inline void read_ports(struct __sk_buff *skb, struct packet *packet)
{
	__be16 ports[2];

	if (!packet->l4_offset || !has_ports(packet))
		return;
	if (bpf_skb_load_bytes(skb, packet->l4_offset, ports, sizeof(ports)))
		return;
	packet->source_port = bpf_ntohs(ports[0]);
	packet->dest_port = bpf_ntohs(ports[1]);
}

/* The first byte of the upper layer: an ICMP type. */
static __always_inline __u8 upper_type(struct __sk_buff *skb, const struct packet *packet)
{
	__u8 type = 0;

	bpf_skb_load_bytes(skb, packet->l4_offset, &type, sizeof(type));
	return type;
}

#endif
