/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHEATH_BPF_VERIFY_H
#define SHEATH_BPF_VERIFY_H

/* A peer's question whether what it sends here comes out of the tunnel: sent back to it, through the tunnel. */

#include "lookup/classify.h"
#include "maps.bpf.h"
#include "packet.h"
#include "verdict.h"

/* Whole and well-formed; what only shares the protocol is data. */
static __always_inline enum sheath_verify_kind verify_kind(struct __sk_buff *skb, const struct packet *packet)
{
	struct sheath_verify verify;
	int same = 1;

	if (packet->protocol != SHEATH_PROBE_PROTOCOL || packet->fragment != FRAGMENT_none ||
	    packet->l4_offset + sizeof(verify) != packet->l3_offset + packet->l3_length ||
	    bpf_skb_load_bytes(skb, packet->l4_offset, &verify, sizeof(verify)))
		return SHEATH_VERIFY_none;
#pragma unroll
	for (__u32 i = 0; i < sizeof(verify.magic); i++)
		same &= verify.magic[i] == SHEATH_VERIFY_MAGIC[i];
	if (!same || verify.pad || (verify.kind != SHEATH_VERIFY_question && verify.kind != SHEATH_VERIFY_answer))
		return SHEATH_VERIFY_none;
	return verify.kind;
}

/* The addresses change places, which the sum over an IPv4 header does not notice. */
static __always_inline int swap_addresses(struct __sk_buff *skb, const struct packet *packet)
{
	struct sheath_addr pair[2];
	__be32 pair4[2];

	if (packet->family == 4) {
		pair4[0] = address4(&packet->dest);
		pair4[1] = address4(&packet->source);
		return bpf_skb_store_bytes(skb, packet->l3_offset + __builtin_offsetof(struct iphdr, saddr), pair4,
					   sizeof(pair4), 0);
	}
	__builtin_memcpy(&pair[0], &packet->dest, sizeof(pair[0]));
	__builtin_memcpy(&pair[1], &packet->source, sizeof(pair[1]));
	return bpf_skb_store_bytes(skb, packet->l3_offset + __builtin_offsetof(struct ipv6hdr, saddr), pair,
				   sizeof(pair), 0);
}

static __always_inline int is_of_this_node(const struct packet *packet, const struct sheath_addr *address)
{
	return pod_owner(packet, address).kind == SHEATH_KIND_local || is_node(address, SHEATH_KIND_local);
}

static __always_inline void turn_round(struct __sk_buff *skb, const struct packet *packet, struct verdict *verdict)
{
	__u8 kind = SHEATH_VERIFY_answer;
	__u32 node_id = verdict->node_id;
	struct sheath_peer *peer = bpf_map_lookup_elem(&peers, &node_id);

	if (!peer || peer->state != SHEATH_PEER_ready || !is_of_this_node(packet, &packet->dest))
		return;
	if (swap_addresses(skb, packet) ||
	    bpf_skb_store_bytes(skb, packet->l4_offset + __builtin_offsetof(struct sheath_verify, kind), &kind,
				sizeof(kind), 0))
		return;
	decide(verdict, SHEATH_REASON_encrypted);
	verdict->mark = peer->tx_mark;
	verdict->out_ifindex = skb->ifindex;
}

/* Its source has been held against the peer's. An answer was seen at the device, by whoever asked: it ends here. */
static __always_inline void answer_if_asked(struct __sk_buff *skb, const struct packet *packet, struct verdict *verdict)
{
	enum sheath_verify_kind kind = verify_kind(skb, packet);

	if (kind == SHEATH_VERIFY_none)
		return;
	decide(verdict, SHEATH_REASON_probe);
	if (kind == SHEATH_VERIFY_question)
		turn_round(skb, packet, verdict);
}

#endif
