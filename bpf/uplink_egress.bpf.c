/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tc egress of an uplink: the last look at a packet, after all NAT. What belongs to the cluster goes into the tunnel or
 * nowhere; our own outer packets, the link's own and the world pass.
 */
#include "egress/act.h"
#include "egress/decide.h"
#include "parse.h"
#include "verdict.h"

SEC("tc")
int uplink_egress(struct __sk_buff *skb)
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
	return finish(skb, &packet, &verdict, SHEATH_DIRECTION_uplink_egress);
}

char LICENSE[] SEC("license") = "GPL";
