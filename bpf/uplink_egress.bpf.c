/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tc egress of an uplink: the last look at a packet, after all NAT. What belongs to the cluster goes into the tunnel or
 * nowhere; our own outer packets, the link's own and the world pass.
 */
#include "lookup/classify.h"
#include "mtu/check.h"
#include "mtu/too_big.h"
#include "parse.h"
#include "verdict.h"

/*
 * WireGuard's outer packets carry its fwmark, which no other sender in a pod can set: crossing the veth clears marks.
 * Both kinds go from this node to a peer node: from any other address they are traffic like any other.
 */
static __always_inline int is_own_outer(struct __sk_buff *skb, struct packet *packet)
{
	if (packet->protocol != IPPROTO_ESP && (skb->mark != SHEATH_MARK_ENCRYPT || !is_wireguard(skb, packet)))
		return 0;
	return is_node(&packet->source, SHEATH_KIND_local) && is_node(&packet->dest, SHEATH_KIND_remote);
}

static __always_inline void decide_for_pod(const struct packet *packet, struct sheath_owner dest,
					   struct verdict *verdict)
{
	struct sheath_owner source = pod_owner(packet, &packet->source);
	__u32 node_id = dest.node_id;
	struct sheath_peer *peer;

	verdict->node_id = node_id;
	if (is_elsewhere(source.kind))
		return withhold(verdict, SHEATH_REASON_bad_source);
	if (source.kind == SHEATH_KIND_none) {
		int ours = is_node(&packet->source, SHEATH_KIND_local);

		return decide(verdict, ours ? SHEATH_REASON_node_plain : SHEATH_REASON_foreign);
	}
	if (dest.kind == SHEATH_KIND_cluster)
		return withhold(verdict, SHEATH_REASON_unknown_node);
	peer = bpf_map_lookup_elem(&peers, &node_id);
	if (!peer || peer->state != SHEATH_PEER_ready || !config.tunnel_ifindex)
		return withhold(verdict, SHEATH_REASON_no_key);
	decide(verdict, SHEATH_REASON_encrypted);
	verdict->mark = peer->tx_mark;
	verdict->out_ifindex = config.tunnel_ifindex;
}

static __always_inline void decide_for_others(const struct packet *packet, struct verdict *verdict)
{
	struct sheath_owner dest = node_owner(&packet->dest);

	if (dest.kind == SHEATH_KIND_local)
		return decide(verdict, SHEATH_REASON_local);
	if (dest.kind == SHEATH_KIND_none)
		return decide(verdict, SHEATH_REASON_world);
	verdict->node_id = dest.node_id;
	if (is_node(&packet->source, SHEATH_KIND_local) || pod_owner(packet, &packet->source).kind == SHEATH_KIND_local)
		return decide(verdict, SHEATH_REASON_node_plain);
	decide(verdict, SHEATH_REASON_world);
}

static __always_inline void decide_packet(struct __sk_buff *skb, struct packet *packet, struct verdict *verdict)
{
	struct sheath_owner dest;

	if (is_own_outer(skb, packet))
		return decide(verdict, SHEATH_REASON_own_outer);
	if (is_link_scope(skb, packet))
		return decide(verdict, SHEATH_REASON_link_scope);
	dest = pod_owner(packet, &packet->dest);
	if (is_elsewhere(dest.kind))
		return decide_for_pod(packet, dest, verdict);
	if (dest.kind == SHEATH_KIND_local)
		return decide(verdict, SHEATH_REASON_local);
	decide_for_others(packet, verdict);
}

/* The tunnel carries IP: tags inside the frame and the accelerated one go. A negative number: the frame is odd. */
static __noinline int pop_tags(struct __sk_buff *skb, struct packet *packet)
{
	int tags = packet->tags + !!skb->vlan_present;
	struct ethhdr *eth;

	for (int i = 0; i <= MAX_VLAN_TAGS; i++)
		if (i < tags && bpf_skb_vlan_pop(skb))
			return -1;
	eth = header_at(skb, 0, sizeof(*eth));
	if (!eth || is_vlan(eth->h_proto))
		return -1;
	packet->l4_offset -= packet->l3_offset - sizeof(*eth);
	packet->l3_offset = sizeof(*eth);
	packet->tags = 0;
	return 0;
}

/* An accelerated tag stays on the answer, which so arrives at the VLAN device that the packet left by. */
static __always_inline void answer(struct __sk_buff *skb, struct packet *packet, struct verdict *verdict)
{
	decide(verdict, SHEATH_REASON_no_answer);
	verdict->mark = skb->mark;
	if ((packet->tags && pop_tags(skb, packet)) || answer_too_big(skb, packet, verdict->mtu))
		return;
	decide(verdict, SHEATH_REASON_too_big);
	verdict->mark = SHEATH_MARK_ANSWER;
	verdict->out_ifindex = skb->ifindex;
}

/* Without DF an IPv4 packet goes as it is: its sender counts on fragments, and WireGuard's outer packets have them. */
static __always_inline void act(struct __sk_buff *skb, struct packet *packet, struct verdict *verdict)
{
	__u32 mtu;

	if (verdict->reason != SHEATH_REASON_encrypted)
		return;
	mtu = exceeded_mtu(skb, packet);
	if (mtu && packet->dont_fragment) {
		verdict->mtu = mtu;
		answer(skb, packet, verdict);
	} else if ((packet->tags || skb->vlan_present) && pop_tags(skb, packet)) {
		decide(verdict, SHEATH_REASON_unparsable);
		verdict->mark = skb->mark;
	}
}

SEC("tc")
int uplink_egress(struct __sk_buff *skb)
{
	struct verdict verdict = undecided(skb);
	struct packet packet = {};
	enum parse_status status = parse(skb, &packet);

	if (status == PARSE_ok) {
		decide_packet(skb, &packet, &verdict);
		act(skb, &packet, &verdict);
	} else {
		decide_unparsed(&verdict, status);
	}
	return finish(skb, &packet, &verdict, SHEATH_DIRECTION_uplink_egress);
}

char LICENSE[] SEC("license") = "GPL";
