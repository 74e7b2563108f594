/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tc ingress of a pod device, fast path only: from our pod to a remote pod, straight into the tunnel. It takes the
 * clear case and nothing else: whatever is missing, odd or too big goes to the stack, and uplink_egress has its say.
 */
#include "lookup/classify.h"
#include "mtu/check.h"
#include "parse.h"
#include "verdict.h"

static __always_inline int is_own_pod(struct __sk_buff *skb, const struct packet *packet)
{
	struct sheath_endpoint *pod;

	if (is_own_pod_address(packet, &packet->source)) /* the constants are of the pod behind this device */
		return 1;
	pod = bpf_map_lookup_elem(&endpoints, &packet->source);
	return pod && pod->ifindex == skb->ifindex;
}

static __always_inline void decide_packet(struct __sk_buff *skb, const struct packet *packet, struct verdict *verdict)
{
	struct sheath_owner dest = pod_owner(packet, &packet->dest);
	__u32 node_id = dest.node_id;
	struct sheath_peer *peer;

	decide(verdict, SHEATH_REASON_to_stack);
	if (dest.kind != SHEATH_KIND_remote || !config.tunnel_ifindex || packet->tags || skb->vlan_present)
		return;
	peer = bpf_map_lookup_elem(&peers, &node_id);
	if (!peer || peer->state != SHEATH_PEER_ready || !is_own_pod(skb, packet) || exceeded_mtu(skb, packet))
		return;
	decide(verdict, SHEATH_REASON_encrypted);
	verdict->node_id = node_id;
	verdict->mark = peer->tx_mark;
	verdict->out_ifindex = config.tunnel_ifindex;
}

SEC("tc")
int pod_egress(struct __sk_buff *skb)
{
	struct verdict verdict = undecided(skb);
	struct packet packet = {};

	if (parse(skb, &packet) == PARSE_ok)
		decide_packet(skb, &packet, &verdict);
	else
		decide(&verdict, SHEATH_REASON_to_stack);
	return finish(skb, &packet, &verdict, SHEATH_DIRECTION_pod_egress);
}

char LICENSE[] SEC("license") = "GPL";
