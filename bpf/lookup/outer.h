/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHEATH_BPF_LOOKUP_OUTER_H
#define SHEATH_BPF_LOOKUP_OUTER_H

/* Which packets are outer ones: what carries the peers' ciphertext, made by the engine and for it. */

#include "config.h"
#include "lookup/classify.h"
#include "marks.h"
#include "packet.h"

/* Of a fragment that is not the first nobody can tell: the first one showed the ports. */
static __always_inline int is_wireguard(struct __sk_buff *skb, struct packet *packet)
{
	if (packet->protocol != IPPROTO_UDP || !config.wireguard_port)
		return 0;
	if (packet->fragment == FRAGMENT_later)
		return 1;
	read_ports(skb, packet);
	return packet->source_port == config.wireguard_port && packet->dest_port == config.wireguard_port;
}

static __always_inline int is_vxlan(struct __sk_buff *skb, struct packet *packet)
{
	if (packet->protocol != IPPROTO_UDP || !config.vxlan_port)
		return 0;
	if (packet->fragment == FRAGMENT_later)
		return 1;
	read_ports(skb, packet);
	return packet->dest_port == config.vxlan_port;
}

/*
 * Leaving. The mark is WireGuard's fwmark, or what a transmit state leaves on its ESP and the overlay keeps on the
 * VXLAN around it: no pod can set it, since crossing the veth clears marks, and overlay_egress takes it off all else.
 * Where the engine does not mark, ESP needs none. Only from this node to a peer node: from any other address it is
 * traffic like any other.
 */
static __always_inline int is_own_outer(struct __sk_buff *skb, struct packet *packet)
{
	int marked = skb->mark == SHEATH_MARK_ENCRYPT;

	if (packet->protocol == IPPROTO_ESP) {
		if (config.marked && !marked)
			return 0;
	} else if (!marked || (!is_wireguard(skb, packet) && !is_vxlan(skb, packet))) {
		return 0;
	}
	return is_node(&packet->source, SHEATH_KIND_local) && is_node(&packet->dest, SHEATH_KIND_remote);
}

/* Arriving. */
static __always_inline int is_outer_for_us(struct __sk_buff *skb, struct packet *packet)
{
	if (packet->protocol != IPPROTO_ESP && !is_wireguard(skb, packet))
		return 0;
	return is_node(&packet->source, SHEATH_KIND_remote) && is_node(&packet->dest, SHEATH_KIND_local);
}

/* Our overlay's packets, from a peer's: what they brought is judged at the overlay device. */
static __always_inline int is_overlay_for_us(struct __sk_buff *skb, struct packet *packet)
{
	return is_vxlan(skb, packet) && is_node(&packet->source, SHEATH_KIND_remote) &&
	       is_node(&packet->dest, SHEATH_KIND_local);
}

#endif
