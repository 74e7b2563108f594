/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHEATH_BPF_LOOKUP_CLASSIFY_H
#define SHEATH_BPF_LOOKUP_CLASSIFY_H

/* Whose an address is, and which packets are never ours to encrypt. */

#include "config.h"
#include "maps.bpf.h"
#include "marks.h"
#include "packet.h"

#define ND_FIRST     133 /* router solicitation (RFC 4861) */
#define ND_LAST      137 /* redirect */
#define ND_HOP_LIMIT 255

/*
 * Who has the pod address, as kind << 16 | node ID: the owner of the longest prefix that it lies in. A global function,
 * as its look-ups are long to verify and its callers many.
 */
__noinline __u32 pod_owner4(__be32 address)
{
	for (__u32 i = 0; i < SHEATH_MAX_LENGTHS && i < config.lengths4_count; i++) {
		const volatile struct sheath_length4 *used = &config.lengths4[i];
		struct sheath_prefix4 key = {.prefix_len = used->length};
		struct sheath_owner *owner;
		__be32 network;

		if ((address & used->cover_mask_be) != used->cover_be)
			continue;
		network = address & used->mask_be;
		__builtin_memcpy(key.addr, &network, sizeof(key.addr));
		owner = bpf_map_lookup_elem(&pod_cidrs4, &key);
		if (owner)
			return owner->kind << 16 | owner->node_id;
	}
	return 0;
}

__noinline __u32 pod_owner6(__be64 high, __be64 low)
{
	for (__u32 i = 0; i < SHEATH_MAX_LENGTHS && i < config.lengths6_count; i++) {
		const volatile struct sheath_length6 *used = &config.lengths6[i];
		struct sheath_prefix6 key = {.prefix_len = used->length};
		struct sheath_owner *owner;
		__be64 network[2];

		if ((high & used->cover_mask_be) != used->cover_be)
			continue;
		network[0] = high & used->mask_be[0];
		network[1] = low & used->mask_be[1];
		__builtin_memcpy(key.addr, network, sizeof(key.addr));
		owner = bpf_map_lookup_elem(&pod_cidrs6, &key);
		if (owner)
			return owner->kind << 16 | owner->node_id;
	}
	return 0;
}

/* Kind none: it is no pod's. */
static __always_inline struct sheath_owner pod_owner(const struct packet *packet, const struct sheath_addr *address)
{
	const __be64 *halves = (const __be64 *)address->addr;
	__u32 owner = packet->family == 4 ? pod_owner4(address4(address)) : pod_owner6(halves[0], halves[1]);

	return (struct sheath_owner){.kind = owner >> 16, .node_id = owner};
}

/* Whether it is one of those that the constants have: of this node's pods, or of the pod behind the device. */
static __always_inline int is_own_pod_address(const struct packet *packet, const struct sheath_addr *address)
{
	const __be64 *halves = (const __be64 *)address->addr;

	if (packet->family == 4) {
		for (__u32 i = 0; i < SHEATH_MAX_OWN && i < config.own4_count; i++)
			if ((address4(address) & config.own4[i].mask_be) == config.own4[i].network_be)
				return 1;
		return 0;
	}
	for (__u32 i = 0; i < SHEATH_MAX_OWN && i < config.own6_count; i++)
		if ((halves[0] & config.own6[i].mask_be[0]) == config.own6[i].network_be[0] &&
		    (halves[1] & config.own6[i].mask_be[1]) == config.own6[i].network_be[1])
			return 1;
	return 0;
}

/*
 * pod_owner() of who sends. The constants may be a step behind the maps, or ahead: a packet that so counts as our pod's
 * is encrypted all the same, and it is the peer that refuses it. Of a destination that could not be said.
 */
static __always_inline struct sheath_owner sender_owner(const struct packet *packet)
{
	if (is_own_pod_address(packet, &packet->source))
		return (struct sheath_owner){.kind = SHEATH_KIND_local};
	return pod_owner(packet, &packet->source);
}

/* Which node has the address; kind none: it is no node's. */
static __always_inline struct sheath_owner node_owner(const struct sheath_addr *address)
{
	struct sheath_owner none = {};
	struct sheath_owner *owner = bpf_map_lookup_elem(&node_ips, address);

	return owner ? *owner : none;
}

static __always_inline int is_node(const struct sheath_addr *address, enum sheath_kind kind)
{
	return node_owner(address).kind == kind;
}

/* Of a remote pod, or of a pod that ought to be there: such a source or destination belongs inside the tunnel. */
static __always_inline int is_elsewhere(enum sheath_kind kind)
{
	return kind == SHEATH_KIND_remote || kind == SHEATH_KIND_cluster;
}

static __always_inline int is_link_scope4(__be32 address)
{
	__u32 dest = bpf_ntohl(address);

	return dest >> 28 == 0xe ||    /* multicast, RFC 5771 */
	       dest >> 16 == 0xa9fe || /* link-local, RFC 3927 */
	       dest == 0xffffffff;     /* broadcast */
}

static __always_inline int is_link_scope6(const struct sheath_addr *dest)
{
	return dest->addr[0] == 0xff || /* multicast, RFC 4291 */
	       (dest->addr[0] == 0xfe && (dest->addr[1] & 0xc0) == 0x80);
}

/* Neighbour discovery between nodes and routers. From a pod's address it is a pod's packet like any other. */
static __always_inline int is_discovery(struct __sk_buff *skb, const struct packet *packet)
{
	__u8 type;

	if (packet->protocol != IPPROTO_ICMPV6 || packet->hop_limit != ND_HOP_LIMIT ||
	    packet->fragment == FRAGMENT_later)
		return 0;
	type = upper_type(skb, packet);
	return type >= ND_FIRST && type <= ND_LAST && pod_owner(packet, &packet->source).kind == SHEATH_KIND_none;
}

/* What stays on its link, where there is no peer to encrypt for. */
static __always_inline int is_link_scope(struct __sk_buff *skb, const struct packet *packet)
{
	if (packet->family == 4)
		return is_link_scope4(address4(&packet->dest));
	return is_link_scope6(&packet->dest) || is_discovery(skb, packet);
}

#endif
