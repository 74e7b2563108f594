/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHEATH_BPF_EGRESS_DECIDE_H
#define SHEATH_BPF_EGRESS_DECIDE_H

/* The verdict on what leaves this node, by an uplink or by an overlay: from whom, to whom, and is that peer ready. */

#include "config.h"
#include "lookup/classify.h"
#include "lookup/outer.h"
#include "maps.bpf.h"
#include "packet.h"
#include "verdict.h"

/* Into the tunnel, if the peer's crypto is ready. */
static __always_inline void to_peer(const struct sheath_peer *peer, struct verdict *verdict)
{
	if (!peer || peer->state != SHEATH_PEER_ready || !config.tunnel_ifindex)
		return withhold(verdict, SHEATH_REASON_no_key);
	decide(verdict, SHEATH_REASON_encrypted);
	verdict->mark = peer->tx_mark;
	verdict->out_ifindex = config.tunnel_ifindex;
}

/*
 * One end is a node, the other a peer or one of its pods. What came in by a device and has this node's address was
 * translated: it is somebody else's, a pod's as a rule.
 */
static __always_inline void decide_node_traffic(const struct __sk_buff *skb, const struct packet *packet, __u32 node_id,
						struct verdict *verdict)
{
	struct sheath_peer *peer = bpf_map_lookup_elem(&peers, &node_id);

	verdict->node_id = node_id;
	if (peer && peer->node_traffic != SHEATH_NODE_TRAFFIC_plain)
		return to_peer(peer, verdict);
	if (skb->ingress_ifindex && is_node(&packet->source, SHEATH_KIND_local))
		return decide(verdict, SHEATH_REASON_masqueraded);
	decide(verdict, SHEATH_REASON_node_plain);
}

static __always_inline void decide_for_pod(const struct __sk_buff *skb, const struct packet *packet,
					   struct sheath_owner dest, struct verdict *verdict)
{
	struct sheath_owner source = sender_owner(packet);
	__u32 node_id = dest.node_id;

	verdict->node_id = node_id;
	if (is_elsewhere(source.kind))
		return withhold(verdict, SHEATH_REASON_bad_source);
	if (source.kind == SHEATH_KIND_none) {
		if (is_node(&packet->source, SHEATH_KIND_local))
			return decide_node_traffic(skb, packet, node_id, verdict);
		return decide(verdict, SHEATH_REASON_foreign);
	}
	if (dest.kind == SHEATH_KIND_cluster)
		return withhold(verdict, SHEATH_REASON_unknown_node);
	to_peer(bpf_map_lookup_elem(&peers, &node_id), verdict);
}

static __always_inline void decide_for_others(const struct __sk_buff *skb, const struct packet *packet,
					      struct verdict *verdict)
{
	struct sheath_owner dest = node_owner(&packet->dest);

	if (dest.kind == SHEATH_KIND_local)
		return decide(verdict, SHEATH_REASON_local);
	if (dest.kind == SHEATH_KIND_none)
		return decide(verdict, SHEATH_REASON_world);
	verdict->node_id = dest.node_id;
	if (is_node(&packet->source, SHEATH_KIND_local) || sender_owner(packet).kind == SHEATH_KIND_local)
		return decide_node_traffic(skb, packet, dest.node_id, verdict);
	decide(verdict, SHEATH_REASON_world);
}

static __always_inline void decide_leaving(struct __sk_buff *skb, struct packet *packet, struct verdict *verdict)
{
	struct sheath_owner dest;

	if (is_own_outer(skb, packet))
		return decide(verdict, SHEATH_REASON_own_outer);
	if (is_link_scope(skb, packet))
		return decide(verdict, SHEATH_REASON_link_scope);
	dest = pod_owner(packet, &packet->dest);
	if (is_elsewhere(dest.kind))
		return decide_for_pod(skb, packet, dest, verdict);
	if (dest.kind == SHEATH_KIND_local)
		return decide(verdict, SHEATH_REASON_local);
	decide_for_others(skb, packet, verdict);
}

#endif
