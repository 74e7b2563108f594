/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHEATH_BPF_HEARD_H
#define SHEATH_BPF_HEARD_H

/* Which generations of keys a peer was heard under: what the loader goes by when it rotates them. */

#include "config.h"
#include "maps.bpf.h"
#include "packet.h"

/* The entry of a peer, made if there is none; NULL when the map is full. */
static __always_inline struct sheath_heard *heard_from(__u32 node_id)
{
	struct sheath_heard *entry = bpf_map_lookup_elem(&heard, &node_id);
	struct sheath_heard nothing = {};

	if (entry)
		return entry;
	bpf_map_update_elem(&heard, &node_id, &nothing, BPF_NOEXIST); /* or another CPU was faster: as good */
	return bpf_map_lookup_elem(&heard, &node_id);
}

/*
 * Notes that the peer's packet came under this generation, and whether its data does. Both sets are one word, so that
 * CPUs that find different bits missing do not lose each other's; after the first packet it is a load.
 */
static __always_inline void note(__u32 node_id, __u8 generation, int uses)
{
	struct sheath_heard *entry = heard_from(node_id);
	__u32 bits = 1U << generation;
	__u32 *word = (__u32 *)entry;

	if (uses)
		bits |= bits << 16;
	if (!entry || (*word & bits) == bits)
		return;
	__sync_fetch_and_or(word, bits);
}

static __always_inline int is_magic(const struct sheath_probe *probe)
{
	int same = 1;

#pragma unroll
	for (__u32 i = 0; i < sizeof(probe->magic); i++)
		same &= probe->magic[i] == SHEATH_PROBE_MAGIC[i];
	return same;
}

/* A probe, whole and well-formed; what only shares its protocol is data. */
static __always_inline int is_probe(struct __sk_buff *skb, const struct packet *packet, struct sheath_probe *probe)
{
	if (packet->protocol != SHEATH_PROBE_PROTOCOL || packet->fragment != FRAGMENT_none ||
	    packet->l4_offset + sizeof(*probe) != packet->l3_offset + packet->l3_length ||
	    bpf_skb_load_bytes(skb, packet->l4_offset, probe, sizeof(*probe)))
		return 0;
	return is_magic(probe) && probe->uses < 16 && !probe->pad[0] && !probe->pad[1];
}

#endif
