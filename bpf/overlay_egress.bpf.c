/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tc egress of an overlay device: judges what enters the overlay as uplink_egress judges what enters the wire, and
 * tells the device which node is to get what passes. Our ESP between router addresses comes by here on its way out.
 */
#include "egress/act.h"
#include "egress/decide.h"
#include "egress/tunnel_key.h"
#include "parse.h"
#include "verdict.h"

/*
 * What stays on its link is for no node: the device has no keys of its own, and drops it. Our mark stays on what it was
 * made for, and uplink_egress knows the VXLAN around it by that; on all else it would be a lie.
 */
static __always_inline void pass_on(struct __sk_buff *skb, const struct packet *packet, struct verdict *verdict)
{
	if (!passes_beyond_link(verdict))
		return;
	if (verdict->reason == SHEATH_REASON_own_outer)
		verdict->node_id = node_owner(&packet->dest).node_id;
	else if (skb->mark == SHEATH_MARK_ENCRYPT)
		verdict->mark = skb->mark = 0;
	to_underlay(skb, verdict);
}

SEC("tc")
int overlay_egress(struct __sk_buff *skb)
{
	struct verdict verdict = undecided(skb);
	struct packet packet = {};
	enum parse_status status = parse(skb, &packet);

	if (status == PARSE_ok) {
		decide_leaving(skb, &packet, &verdict);
		ready_for_tunnel(skb, &packet, &verdict);
	} else {
		decide_unparsed(&verdict, status);
	}
	pass_on(skb, &packet, &verdict);
	return finish(skb, &packet, &verdict, SHEATH_DIRECTION_overlay_egress);
}

char LICENSE[] SEC("license") = "GPL";
