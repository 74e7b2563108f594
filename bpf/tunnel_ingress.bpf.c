/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tc ingress of the tunnel device: what comes out was authenticated as a peer's; here its source is held against what
 * a peer may send from. Then it goes to the stack, or straight into the pod. There is no permissive mode here.
 */
#include "deliver.h"
#include "lookup/classify.h"
#include "parse.h"
#include "verdict.h"

static __always_inline struct sheath_owner sender_of(const struct packet *packet)
{
	struct sheath_owner owner = pod_owner(packet, &packet->source);

	if (config.node_encryption && owner.kind == SHEATH_KIND_none)
		owner = node_owner(&packet->source);
	return owner;
}

/* Which peer's key opened the packet, where the engine says so by a mark; 0: it vouches for the source itself. */
static __always_inline __u16 opened_by(struct __sk_buff *skb)
{
	if ((skb->mark & SHEATH_MARK_MAGIC_MASK) != SHEATH_MARK_DECRYPT)
		return 0;
	return skb->mark >> SHEATH_MARK_NODE_SHIFT;
}

static __always_inline void decide_packet(struct __sk_buff *skb, const struct packet *packet, struct verdict *verdict)
{
	struct sheath_owner sender = sender_of(packet);
	__u16 peer = opened_by(skb);

	verdict->node_id = peer ? peer : sender.node_id;
	if (sender.kind != SHEATH_KIND_remote || (peer && peer != sender.node_id))
		return decide(verdict, SHEATH_REASON_bad_source);
	decide(verdict, SHEATH_REASON_decrypted);
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
