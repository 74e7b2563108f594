/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHEATH_BPF_EGRESS_ACT_H
#define SHEATH_BPF_EGRESS_ACT_H

/* Makes a packet that is to be encrypted fit for the tunnel device, or answers it. */

#include "config.h"
#include "mtu/check.h"
#include "mtu/too_big.h"
#include "packet.h"
#include "parse.h"
#include "verdict.h"

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

/*
 * Leaves alone what is not `encrypted`. Without DF an IPv4 packet goes as it is: its sender counts on fragments, and
 * the outer packets have them.
 */
static __always_inline void ready_for_tunnel(struct __sk_buff *skb, struct packet *packet, struct verdict *verdict)
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

#endif
