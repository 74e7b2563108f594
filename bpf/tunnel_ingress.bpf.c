/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tc ingress of the tunnel device: what comes out was authenticated as a peer's; here its source is held against what
 * a peer may send from. Then it goes to the stack, or straight into the pod. There is no permissive mode here.
 */
#include "deliver.h"
#include "heard.h"
#include "lookup/classify.h"
#include "parse.h"
#include "verdict.h"
#include "verify.h"

/* A node's own address is taken whether or not this node encrypts node traffic itself: a peer may be ahead of it. */
static __always_inline struct sheath_owner sender_of(const struct packet *packet)
{
	struct sheath_owner owner = pod_owner(packet, &packet->source);

	if (owner.kind == SHEATH_KIND_none)
		owner = node_owner(&packet->source);
	return owner;
}

/* What the engine says of the key that opened the packet. */
struct opener {
	__u16 node_id;   /* 0: it says nothing, and vouches for the source itself (WireGuard) */
	__u8 generation; /* of IPsec's keys, 1..15 */
};

static __always_inline struct opener opener_of(struct __sk_buff *skb)
{
	struct opener nobody = {};

	if ((skb->mark & SHEATH_MARK_MAGIC_MASK) != SHEATH_MARK_DECRYPT)
		return nobody;
	return (struct opener){
		.node_id = skb->mark >> SHEATH_MARK_NODE_SHIFT,
		.generation = (skb->mark & SHEATH_MARK_KEY_MASK) >> SHEATH_MARK_KEY_SHIFT,
	};
}

/* Where the engine marks, a packet without a whole mark was opened by no key of ours. */
static __always_inline int may_send(const struct opener *opener, struct sheath_owner sender)
{
	if (sender.kind != SHEATH_KIND_remote)
		return 0;
	if (config.marked && (!opener->node_id || !opener->generation))
		return 0;
	return !opener->node_id || opener->node_id == sender.node_id;
}

/*
 * A probe's claim counts for its own generation only: a pod can make up a probe, but not under which key it travels.
 * Where the engine does not mark there is nothing to note: WireGuard's probes only make it shake hands.
 */
static __always_inline enum sheath_reason take_note(struct __sk_buff *skb, const struct packet *packet,
						    const struct opener *opener)
{
	struct sheath_probe probe;

	int probing = is_probe(skb, packet, &probe);

	if (config.marked)
		note(opener->node_id, opener->generation, !probing || probe.uses == opener->generation);
	return probing ? SHEATH_REASON_probe : SHEATH_REASON_decrypted;
}

static __always_inline void decide_packet(struct __sk_buff *skb, const struct packet *packet, struct verdict *verdict)
{
	struct sheath_owner sender = sender_of(packet);
	struct opener opener = opener_of(skb);

	verdict->node_id = opener.node_id ? opener.node_id : sender.node_id;
	if (!may_send(&opener, sender))
		return decide(verdict, SHEATH_REASON_bad_source);
	decide(verdict, take_note(skb, packet, &opener));
	if (verdict->reason == SHEATH_REASON_decrypted)
		answer_if_asked(skb, packet, verdict);
}

static __always_inline void act(struct __sk_buff *skb, struct packet *packet, struct verdict *verdict)
{
	if (verdict->reason != SHEATH_REASON_decrypted)
		return;
	skb->mark = 0;
	verdict->mark = 0;
	if (config.fast_path)
		to_pod(skb, packet, verdict);
	if (config.via_uplink && verdict->reason == SHEATH_REASON_decrypted)
		to_uplink(skb, packet, verdict);
}

SEC("tc")
int tunnel_ingress(struct __sk_buff *skb)
{
	struct verdict verdict = undecided(skb);
	struct packet packet = {};

	if (parse(skb, &packet) == PARSE_ok) {
		decide_packet(skb, &packet, &verdict);
		act(skb, &packet, &verdict);
	} else {
		decide(&verdict, SHEATH_REASON_unparsable);
	}
	return finish(skb, &packet, &verdict, SHEATH_DIRECTION_tunnel_ingress);
}

char LICENSE[] SEC("license") = "GPL";
