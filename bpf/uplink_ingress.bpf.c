/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tc ingress of an uplink: keeps out what should have come through the tunnel. ESP and WireGuard go on to the kernel,
 * which decrypts them.
 */
#include "lookup/classify.h"
#include "lookup/outer.h"
#include "parse.h"
#include "verdict.h"

/*
 * What our own programs put into this device's ingress: nothing that came off a wire has a mark. Where the engine marks
 * what it opened, that mark is for tunnel_ingress: out here it would mean that nobody has looked at the source.
 */
static __always_inline int from_sheath(struct __sk_buff *skb, struct verdict *verdict)
{
	if (skb->mark == SHEATH_MARK_ANSWER)
		decide(verdict, SHEATH_REASON_own_answer);
	else if (!config.marked && (skb->mark & SHEATH_MARK_WHOLE_MAGIC_MASK) == SHEATH_MARK_DECRYPT)
		decide(verdict, SHEATH_REASON_decrypted);
	else
		return 0;
	verdict->node_id = skb->mark >> SHEATH_MARK_NODE_SHIFT;
	skb->mark = 0;
	verdict->mark = 0;
	bpf_skb_change_type(skb, PACKET_HOST); /* its MAC addresses are nobody's */
	return 1;
}

/* From a peer or one of its pods, in plaintext, and one end is a node. What VXLAN brings is judged at the overlay. */
static __always_inline void decide_node_traffic(struct __sk_buff *skb, struct packet *packet, __u32 node_id,
						struct verdict *verdict)
{
	struct sheath_peer *peer = bpf_map_lookup_elem(&peers, &node_id);

	verdict->node_id = node_id;
	if (peer && peer->node_traffic == SHEATH_NODE_TRAFFIC_required && !is_overlay_for_us(skb, packet))
		return withhold(verdict, SHEATH_REASON_plaintext_ingress);
	decide(verdict, SHEATH_REASON_node_plain);
}

/* The destination is in the pods' range: so is no source that may be seen out here. */
static __always_inline void decide_for_pod(struct __sk_buff *skb, struct packet *packet, struct verdict *verdict)
{
	struct sheath_owner source = pod_owner(packet, &packet->source);
	struct sheath_owner node;

	verdict->node_id = source.node_id;
	if (is_elsewhere(source.kind))
		return withhold(verdict, SHEATH_REASON_plaintext_ingress);
	if (source.kind == SHEATH_KIND_local)
		return withhold(verdict, SHEATH_REASON_bad_source);
	node = node_owner(&packet->source);
	if (node.kind == SHEATH_KIND_remote)
		return decide_node_traffic(skb, packet, node.node_id, verdict);
	verdict->node_id = 0;
	decide(verdict, SHEATH_REASON_foreign);
}

static __always_inline void decide_for_others(struct __sk_buff *skb, struct packet *packet, struct verdict *verdict)
{
	struct sheath_owner source;

	if (!is_node(&packet->dest, SHEATH_KIND_local))
		return decide(verdict, SHEATH_REASON_world);
	source = node_owner(&packet->source);
	if (source.kind == SHEATH_KIND_none)
		source = pod_owner(packet, &packet->source);
	if (source.kind == SHEATH_KIND_remote)
		return decide_node_traffic(skb, packet, source.node_id, verdict);
	decide(verdict, SHEATH_REASON_local);
}

static __always_inline void decide_packet(struct __sk_buff *skb, struct packet *packet, struct verdict *verdict)
{
	if (is_outer_for_us(skb, packet))
		return decide(verdict, SHEATH_REASON_own_outer);
	if (is_link_scope(skb, packet))
		return decide(verdict, SHEATH_REASON_link_scope);
	if (pod_owner(packet, &packet->dest).kind != SHEATH_KIND_none)
		return decide_for_pod(skb, packet, verdict);
	decide_for_others(skb, packet, verdict);
}

/* An overlay has no ARP: a packet for this node carries a MAC address that is nobody's, and the stack would drop it. */
static __always_inline void take_in(struct __sk_buff *skb, const struct verdict *verdict)
{
	if (config.overlay && passes_beyond_link(verdict))
		bpf_skb_change_type(skb, PACKET_HOST);
}

SEC("tc")
int uplink_ingress(struct __sk_buff *skb)
{
	struct verdict verdict = undecided(skb);
	struct packet packet = {};
	enum parse_status status = parse(skb, &packet);

	if (from_sheath(skb, &verdict))
		return finish(skb, &packet, &verdict, SHEATH_DIRECTION_uplink_ingress);
	if (status == PARSE_ok)
		decide_packet(skb, &packet, &verdict);
	else
		decide_unparsed(&verdict, status);
	take_in(skb, &verdict);
	return finish(skb, &packet, &verdict, SHEATH_DIRECTION_uplink_ingress);
}

char LICENSE[] SEC("license") = "GPL";
