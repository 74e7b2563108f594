/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHEATH_BPF_MTU_CHECK_H
#define SHEATH_BPF_MTU_CHECK_H

#include "config.h"
#include "packet.h"

/*
 * A redirect skips the kernel's MTU check, so this is ours. The tunnel's MTU where the packet is larger, else 0. With
 * GSO the kernel looks at the segments, and wants no length. It cannot tell when the tunnel is gone: then the redirect
 * drops the packet, which is closed enough.
 */
static __always_inline __u32 exceeded_mtu(struct __sk_buff *skb, const struct packet *packet)
{
	__u32 gso = skb->gso_size;
	__u32 mtu = gso ? 0 : packet->l3_length;

	if (bpf_check_mtu(skb, config.tunnel_ifindex, &mtu, 0, gso ? BPF_MTU_CHK_SEGS : 0) <= 0)
		return 0;
	return mtu;
}

#endif
