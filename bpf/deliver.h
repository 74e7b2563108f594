/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHEATH_BPF_DELIVER_H
#define SHEATH_BPF_DELIVER_H

/* From the tunnel to where the packet belongs: straight into a pod, or into the uplink's ingress. */

#include "config.h"
#include "lookup/classify.h"
#include "marks.h"
#include "packet.h"
#include "verdict.h"

/*
 * Makes room for an Ethernet header where the device has none: redirected without one, a packet is lost silently or
 * reaches the pod cut short. Returns the header, or NULL when there is no memory.
 */
static __always_inline struct ethhdr *with_ethernet(struct __sk_buff *skb, struct packet *packet)
{
	struct ethhdr *eth;

	if (config.trace)
		read_ports(skb, packet);
	packet->l4_offset = 0;
	if (!config.l2_len && bpf_skb_change_head(skb, sizeof(*eth), 0))
		return NULL;
	eth = header_at(skb, 0, sizeof(*eth));
	if (eth)
		eth->h_proto = packet->family == 4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	return eth;
}

/* Leaves `decrypted`, for the stack, where the destination is no pod that we know. */
static __always_inline void to_pod(struct __sk_buff *skb, struct packet *packet, struct verdict *verdict)
{
	struct sheath_endpoint *pod = bpf_map_lookup_elem(&endpoints, &packet->dest);
	struct ethhdr *eth;

	if (!pod)
		return;
	eth = with_ethernet(skb, packet);
	if (!eth) {
		decide(verdict, SHEATH_REASON_unparsable);
		return;
	}
	__builtin_memcpy(eth->h_dest, pod->pod_mac, sizeof(eth->h_dest));
	__builtin_memcpy(eth->h_source, pod->host_mac, sizeof(eth->h_source));
	decide(verdict, SHEATH_REASON_delivered);
	verdict->out_ifindex = pod->ifindex;
}

/*
 * Lets the packet arrive at an uplink, as if it had never been encrypted: the reverse path filter then sees it where
 * the route back points. That of pods may be an overlay's. The mark tells uplink_ingress that it was; the MAC addresses
 * stay zero, and uplink_ingress makes the packet the host's own.
 */
static __always_inline void to_uplink(struct __sk_buff *skb, struct packet *packet, struct verdict *verdict)
{
	int from_pod = pod_owner(packet, &packet->source).kind != SHEATH_KIND_none;

	if (!with_ethernet(skb, packet)) {
		decide(verdict, SHEATH_REASON_unparsable);
		return;
	}
	verdict->mark = ((__u32)verdict->node_id << SHEATH_MARK_NODE_SHIFT) | SHEATH_MARK_DECRYPT;
	verdict->out_ifindex = from_pod ? config.pod_uplink_ifindex : config.uplink_ifindex;
}

#endif
