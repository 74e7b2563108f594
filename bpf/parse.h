/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHEATH_BPF_PARSE_H
#define SHEATH_BPF_PARSE_H

/* From bytes to a struct packet. What is read here was checked to lie inside the packet. */

#include "config.h"
#include "packet.h"

enum parse_status {
	PARSE_ok,
	PARSE_not_ip,
	PARSE_malformed, /* IP by its ethertype, but truncated, inconsistent or nested too deep */
};

#define MAX_VLAN_TAGS  2
#define MAX_EXTENSIONS 8
/* Of the upper layer, enough for the ports or for an ICMP type and code. */
#define MIN_UPPER 4

static __always_inline enum parse_status check_upper(const struct packet *packet)
{
	__u32 end = packet->l3_offset + packet->l3_length;

	if (needs_upper(packet) && packet->l4_offset + MIN_UPPER > end)
		return PARSE_malformed;
	return PARSE_ok;
}

static __always_inline enum parse_status parse_ipv4(struct __sk_buff *skb, __u32 offset, struct packet *packet)
{
	struct iphdr *ip = header_at(skb, offset, sizeof(*ip));
	__u32 available, header, flags;

	if (!ip || ip->version != 4)
		return PARSE_malformed;
	packet->l3_offset = offset;
	available = skb->len - offset;
	header = ip->ihl * 4;
	packet->l3_length = bpf_ntohs(ip->tot_len);
	if (!packet->l3_length && skb->gso_size) /* a train of more than 64 KB has no room for its length */
		packet->l3_length = available;
	if (header < sizeof(*ip) || header > packet->l3_length || packet->l3_length > available)
		return PARSE_malformed;

	flags = bpf_ntohs(ip->frag_off);
	if (flags & IPV4_FRAGMENT_OFFSET)
		packet->fragment = FRAGMENT_later;
	else if (flags & IPV4_MORE_FRAGMENTS)
		packet->fragment = FRAGMENT_first;
	packet->dont_fragment = !!(flags & IPV4_DONT_FRAGMENT);
	packet->family = 4;
	packet->protocol = ip->protocol;
	packet->hop_limit = ip->ttl;
	packet->l4_offset = offset + header;
	copy_address4(&packet->source, ip->saddr);
	copy_address4(&packet->dest, ip->daddr);
	return check_upper(packet);
}

static __always_inline int is_extension(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
	case IPPROTO_AH:
	case IPPROTO_DSTOPTS:
	case IPPROTO_MH:
		return 1;
	default:
		return 0;
	}
}

/* In bytes; `units` is the second byte of the header (RFC 8200, 4; RFC 4302, 2.2 for AH). */
static __always_inline __u32 extension_length(__u8 protocol, __u8 units)
{
	if (protocol == IPPROTO_FRAGMENT)
		return 8;
	if (protocol == IPPROTO_AH)
		return (units + 2) * 4;
	return (units + 1) * 8;
}

/* Moves l4_offset and protocol behind the extension headers. Its own function: rare, and long. */
static __noinline int skip_extensions(struct __sk_buff *skb, struct packet *packet)
{
	__u32 end = packet->l3_offset + packet->l3_length;
	__u32 offset = packet->l4_offset;
	__u8 protocol = packet->protocol;

	for (int i = 0; i < MAX_EXTENSIONS && is_extension(protocol); i++) {
		__u8 head[4]; /* next header, length, and for a fragment header its offset and flag */
		__u32 length;

		if (offset + 8 > end || bpf_skb_load_bytes(skb, offset, head, sizeof(head)))
			return PARSE_malformed;
		length = extension_length(protocol, head[1]);
		if (offset + length > end)
			return PARSE_malformed;
		if (protocol == IPPROTO_FRAGMENT)
			packet->fragment =
				((head[2] << 8 | head[3]) & IPV6_FRAGMENT_OFFSET) ? FRAGMENT_later : FRAGMENT_first;
		protocol = head[0];
		offset += length;
		if (packet->fragment == FRAGMENT_later)
			break;
	}
	packet->l4_offset = offset;
	packet->protocol = protocol;
	if (packet->fragment != FRAGMENT_later && is_extension(protocol))
		return PARSE_malformed;
	return PARSE_ok;
}

static __always_inline enum parse_status parse_ipv6(struct __sk_buff *skb, __u32 offset, struct packet *packet)
{
	struct ipv6hdr *ip = header_at(skb, offset, sizeof(*ip));
	__u32 available, payload;

	if (!ip || ip->version != 6)
		return PARSE_malformed;
	packet->l3_offset = offset;
	available = skb->len - offset;
	payload = bpf_ntohs(ip->payload_len);
	/* A payload of 0 is a jumbogram or a train of more than 64 KB: its length is that of the frame. */
	packet->l3_length = payload ? payload + sizeof(*ip) : available;
	if (packet->l3_length > available)
		return PARSE_malformed;

	packet->family = 6;
	packet->dont_fragment = 1;
	packet->protocol = ip->nexthdr;
	packet->hop_limit = ip->hop_limit;
	packet->l4_offset = offset + sizeof(*ip);
	__builtin_memcpy(&packet->source, ip->saddr, sizeof(packet->source));
	__builtin_memcpy(&packet->dest, ip->daddr, sizeof(packet->dest));
	if (is_extension(packet->protocol) && skip_extensions(skb, packet) != PARSE_ok)
		return PARSE_malformed;
	return check_upper(packet);
}

static __always_inline int is_vlan(__be16 proto)
{
	return proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD);
}

/* What precedes the IP header. */
struct link_header {
	__u32 size;
	__be16 proto; /* behind all tags */
	__u8 tags;
};

static __always_inline enum parse_status parse_ethernet(struct __sk_buff *skb, struct link_header *link)
{
	struct ethhdr *eth = header_at(skb, 0, sizeof(*eth));

	if (!eth)
		return PARSE_malformed;
	link->proto = eth->h_proto;
	link->size = sizeof(*eth);
	for (int i = 0; i < MAX_VLAN_TAGS && is_vlan(link->proto); i++) {
		struct vlan_hdr *tag = header_at(skb, link->size, sizeof(*tag));

		if (!tag)
			return PARSE_malformed;
		link->proto = tag->h_vlan_encapsulated_proto;
		link->size += sizeof(*tag);
		link->tags++;
	}
	return is_vlan(link->proto) ? PARSE_malformed : PARSE_ok;
}

/*
 * Without a link-layer header the wire carries no ethertype: what the receiver will take the packet for is its first
 * four bits, so they decide, and skb->protocol only tells a broken IP packet from another protocol.
 */
static __always_inline enum parse_status parse_raw(struct __sk_buff *skb, struct link_header *link)
{
	__u8 *first = header_at(skb, 0, 1);

	link->proto = (__be16)skb->protocol;
	if (!first)
		return PARSE_malformed;
	if (*first >> 4 == 4)
		link->proto = bpf_htons(ETH_P_IP);
	else if (*first >> 4 == 6)
		link->proto = bpf_htons(ETH_P_IPV6);
	return PARSE_ok;
}

static __always_inline enum parse_status parse_frame(struct __sk_buff *skb, struct packet *packet)
{
	struct link_header link = {};
	enum parse_status status = config.l2_len ? parse_ethernet(skb, &link) : parse_raw(skb, &link);

	if (status != PARSE_ok)
		return status;
	packet->tags = link.tags;
	if (link.proto == bpf_htons(ETH_P_IP))
		return parse_ipv4(skb, link.size, packet);
	if (link.proto == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(skb, link.size, packet);
	return PARSE_not_ip;
}

/*
 * Fills *packet, which is all zero before, and after a failure. A global function: the verifier looks at it once, and
 * forgets by which of its many ways it came out, so that programs cost a tenth to verify.
 */
__noinline enum parse_status parse(struct __sk_buff *skb, struct packet *packet)
{
	enum parse_status status;

	if (!packet)
		return PARSE_malformed;
	status = parse_frame(skb, packet);
	if (status != PARSE_ok)
		__builtin_memset(packet, 0, sizeof(*packet));
	return status;
}

#endif
