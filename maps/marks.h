/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
#ifndef SHEATH_MAPS_MARKS_H
#define SHEATH_MAPS_MARKS_H

#include "types.h"

/*
 * skb->mark, in Cilium's layout, so that `ip xfrm policy` and captures read the same:
 *
 *    31            16 15    12 11     8 7      0
 *   +----------------+--------+--------+--------+
 *   |    node ID     | key ID | magic  |   0    |
 *   +----------------+--------+--------+--------+
 *
 * The marks are ours alone: they live between one of our programs and the next, and are cleared before a packet
 * meets the host stack.
 */
#define SHEATH_MARK_MAGIC_MASK 0x00000f00u
#define SHEATH_MARK_WHOLE_MAGIC_MASK 0x00000fffu /* the magic, and the zero below it, which others' marks mostly lack */
#define SHEATH_MARK_ENCRYPT 0x00000e00u /* on transmit; also WireGuard's fwmark, with no node and no key */
#define SHEATH_MARK_DECRYPT 0x00000d00u /* tunnel_ingress to uplink_ingress: this was decrypted */
#define SHEATH_MARK_ANSWER 0x00000c00u  /* uplink_egress to uplink_ingress: this ICMP message is ours */

#define SHEATH_MARK_NODE_SHIFT 16
#define SHEATH_MARK_KEY_SHIFT 12
#define SHEATH_MARK_KEY_MASK 0x0000f000u

/* WireGuard has no key IDs: its peers carry key ID 0. */
static inline __u32 sheath_tx_mark(__u16 node_id, __u8 key_id)
{
	return ((__u32)node_id << SHEATH_MARK_NODE_SHIFT) | ((__u32)(key_id & 0xf) << SHEATH_MARK_KEY_SHIFT) |
	       SHEATH_MARK_ENCRYPT;
}

/* What a receive state sets on a packet that it decrypted. */
static inline __u32 sheath_rx_mark(__u16 node_id, __u8 key_id)
{
	return ((__u32)node_id << SHEATH_MARK_NODE_SHIFT) | ((__u32)(key_id & 0xf) << SHEATH_MARK_KEY_SHIFT) |
	       SHEATH_MARK_DECRYPT;
}

#endif
