/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHEATH_BPF_EGRESS_TUNNEL_KEY_H
#define SHEATH_BPF_EGRESS_TUNNEL_KEY_H

/* Tells an overlay device without a table of its own (external mode) where a packet goes. */

#include "config.h"
#include "lookup/classify.h"
#include "packet.h"
#include "verdict.h"

/*
 * The kernel takes an IPv4 address in host order and an IPv6 address as its bytes. Over IPv6 the checksum stays:
 * without one a receiver drops the packet unless it was told not to (RFC 6935). Where the outer packet comes from is
 * left to the routes.
 */
static __always_inline int set_tunnel_key(struct __sk_buff *skb, const struct sheath_addr *underlay)
{
	struct bpf_tunnel_key key = {}; /* not from a constant: .rodata is the configuration's */

	key.tunnel_id = SHEATH_VNI;
	if (is_ipv4(underlay)) {
		key.remote_ipv4 = bpf_ntohl(address4(underlay));
		return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX);
	}
	__builtin_memcpy(key.remote_ipv6, underlay->addr, sizeof(key.remote_ipv6));
	return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6);
}

/* Without a key the device drops a packet silently; so what is for no node is dropped here, with a reason. */
static __always_inline void to_underlay(struct __sk_buff *skb, struct verdict *verdict)
{
	__u32 node_id = verdict->node_id;
	struct sheath_peer *peer = bpf_map_lookup_elem(&peers, &node_id);

	if (!peer || is_unset(&peer->underlay) || set_tunnel_key(skb, &peer->underlay))
		decide(verdict, SHEATH_REASON_no_underlay);
}

#endif
