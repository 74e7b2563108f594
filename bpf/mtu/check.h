/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHEATH_BPF_MTU_CHECK_H
#define SHEATH_BPF_MTU_CHECK_H

#include "config.h"
#include "packet.h"

#define TCP_OFFSET_BYTE 12 /* its upper four bits: the header's length in words (RFC 9293, 3.1) */

/* Of the largest segment, with its headers; what is no TCP (UDP_L4) has 8 bytes more. */
static __always_inline __u32 segment_length(struct __sk_buff *skb, const struct packet *packet)
{
	__u32 upper = 8;
	__u8 offset = 0;

	if (packet->protocol == IPPROTO_TCP) {
		bpf_skb_load_bytes(skb, packet->l4_offset + TCP_OFFSET_BYTE, &offset, sizeof(offset));
		upper = (offset >> 4) * 4;
	}
	return packet->l4_offset - packet->l3_offset + upper + skb->gso_size;
}

/*
 * A redirect skips the kernel's MTU check, so this is ours. The tunnel's MTU where the packet is larger, else 0. What
 * the constants say fits is not asked about: if somebody made the tunnel smaller since, its packets have fragments.
 * With GSO the kernel looks at the segments, and wants no length. It cannot tell when the tunnel is gone: then the
 * redirect drops the packet, which is closed enough.
 */
static __always_inline __u32 exceeded_mtu(struct __sk_buff *skb, const struct packet *packet)
{
	__u32 gso = skb->gso_size;
	__u32 mtu = gso ? 0 : packet->l3_length;

	if (config.ipv4_mtu && packet->family == 4)
		return (gso ? segment_length(skb, packet) : mtu) > config.ipv4_mtu ? config.ipv4_mtu : 0;
	if (!gso && mtu <= config.tunnel_mtu)
		return 0;
	if (bpf_check_mtu(skb, config.tunnel_ifindex, &mtu, 0, gso ? BPF_MTU_CHK_SEGS : 0) <= 0)
		return 0;
	return mtu;
}

#endif
