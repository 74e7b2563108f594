/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHEATH_BPF_MTU_TOO_BIG_H
#define SHEATH_BPF_MTU_TOO_BIG_H

/* The ICMP answer to a packet that does not fit into the tunnel (RFC 792 and 1191, RFC 4443). */

#include "config.h"
#include "marks.h"
#include "packet.h"
#include "verdict.h"

/*
 * How much of the packet the answer quotes. An answer of 576 bytes (1280 with IPv6) passes everywhere, and a multiple
 * of 4 up to 512 is what one bpf_csum_diff() takes. IPv4 packets below 512 bytes are too big only for a tiny tunnel;
 * 68 bytes, the smallest IPv4 MTU, hold every IPv4 header and eight bytes more.
 */
#define QUOTE       512
#define QUOTE_SMALL 68

#define ICMP_DEST_UNREACH      3
#define ICMP_FRAG_NEEDED       4
#define ICMP_SOURCE_QUENCH     4
#define ICMP_REDIRECT          5
#define ICMP_TIME_EXCEEDED     11
#define ICMP_PARAMETER_PROBLEM 12
#define ICMPV6_PACKET_TOO_BIG  2
#define ICMPV6_INFORMATIONAL   128

#define ANSWER_TTL 64
#define ANSWER_TOS 0xc0 /* internetwork control, as the kernel's own ICMP errors */

struct answer4 {
	struct iphdr ip;
	struct icmp_error icmp;
} __attribute__((packed));

struct answer6 {
	struct ipv6hdr ip;
	struct icmp_error icmp;
} __attribute__((packed));

/* ICMP does not answer ICMP errors, nor fragments that do not show what they are a part of. */
static __always_inline int may_answer(struct __sk_buff *skb, const struct packet *packet)
{
	__u8 type;

	if (packet->fragment == FRAGMENT_later)
		return packet->family == 6 && packet->protocol != IPPROTO_ICMPV6;
	if (packet->family == 6)
		return packet->protocol != IPPROTO_ICMPV6 || upper_type(skb, packet) >= ICMPV6_INFORMATIONAL;
	if (packet->protocol != IPPROTO_ICMP)
		return 1;
	type = upper_type(skb, packet);
	return type != ICMP_DEST_UNREACH && type != ICMP_SOURCE_QUENCH && type != ICMP_REDIRECT &&
	       type != ICMP_TIME_EXCEEDED && type != ICMP_PARAMETER_PROBLEM;
}

/* One's complement arithmetic (RFC 1071) on sums that were folded to 16 bits. */
static __always_inline __u32 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static __always_inline __u32 sum_of(void *bytes, __u32 size, __u32 seed)
{
	return fold(bpf_csum_diff(NULL, 0, bytes, size, seed));
}

/* Where the upper layer keeps its checksum, from l4_offset; 0: not one that a device may still have to fill in. */
static __always_inline __u32 checksum_offset(const struct packet *packet)
{
	if (packet->fragment != FRAGMENT_none)
		return 0;
	if (packet->protocol == IPPROTO_TCP)
		return 16;
	return packet->protocol == IPPROTO_UDP ? 6 : 0;
}

/*
 * A packet from a socket mostly carries no finished checksum: skb->ip_summed is CHECKSUM_PARTIAL, and a device without
 * checksum offload will put ~sum(upper layer up to the end of the packet) into its checksum field, on the way to the
 * sender, when that field is long part of our quote, and our ICMP checksum is made. No helper takes this order
 * back. So the field gets the one value that filling in does not change: with S the sum of the rest, F = ~(S + F),
 * that is F = -S / 2, and as 65535 is odd, every S has such an F. Nobody reads a quoted checksum.
 *
 * `sum` is the quote's; `rest` that of the upper layer in it. Returns the quote's new sum.
 */
static __always_inline __u32 settle_checksum(__u16 *field, __u32 sum, __u32 rest)
{
	__u32 old = *field;
	__u32 settled;

	rest = fold(rest + (~old & 0xffff));
	settled = 0xffff - rest;
	if (settled & 1)
		settled += 0xffff;
	settled >>= 1;
	if (!settled) /* what the kernel writes for zero */
		settled = 0xffff;
	*field = settled;
	return fold(sum + (~old & 0xffff) + settled);
}

/*
 * The quote at `offset`: settles its checksum and returns its sum, or a negative number when it is cut short. IPv6
 * extension headers are summed by nobody here: with them the checksum stays as it is.
 */
static __always_inline __s64 sum_quote(struct __sk_buff *skb, const struct packet *packet, __u32 offset, __u32 size)
{
	__u32 header = packet->l4_offset - packet->l3_offset;
	__u32 field_offset = checksum_offset(packet);
	void *quote = header_at(skb, offset, size);
	__u32 sum, rest;

	if (!quote)
		return -1;
	sum = sum_of(quote, size, 0);
	rest = sum; /* an IPv4 header sums up to nothing, thanks to its own checksum */
	if (packet->family == 6)
		rest = fold(sum + (~sum_of(quote, sizeof(struct ipv6hdr), 0) & 0xffff));
	if (packet->family == 6 && header != sizeof(struct ipv6hdr))
		return sum;
	field_offset += header;
	if (field_offset == header || field_offset > size - sizeof(__u16))
		return sum;
	quote += field_offset & (QUOTE - 1);
	if (quote + sizeof(__u16) > packet_end(skb))
		return -1;
	return settle_checksum(quote, sum, rest);
}

/* Cuts the packet to its quote and makes room in front of it for `header` bytes, behind the Ethernet header. */
static __always_inline int make_room(struct __sk_buff *skb, __u32 header, __u32 quote)
{
	/* Resets GSO, makes the packet linear and its bytes our own. */
	if (bpf_skb_change_tail(skb, config.l2_len + quote, 0))
		return -1;
	return bpf_skb_adjust_room(skb, header, BPF_ADJ_ROOM_MAC, 0);
}

static __always_inline int swap_macs(struct __sk_buff *skb)
{
	struct ethhdr *eth;
	__u8 source[6];

	if (!config.l2_len)
		return 0;
	eth = header_at(skb, 0, sizeof(*eth));
	if (!eth)
		return -1;
	__builtin_memcpy(source, eth->h_source, sizeof(source));
	__builtin_memcpy(eth->h_source, eth->h_dest, sizeof(source));
	__builtin_memcpy(eth->h_dest, source, sizeof(source));
	return 0;
}

static __always_inline int answer_ipv4(struct __sk_buff *skb, const struct packet *packet, __u16 mtu)
{
	__u32 quote = packet->l3_length < QUOTE ? QUOTE_SMALL : QUOTE;
	struct answer4 *answer;
	__s64 sum;

	if (packet->l3_length < QUOTE_SMALL || make_room(skb, sizeof(*answer), quote))
		return -1;
	if (quote == QUOTE)
		sum = sum_quote(skb, packet, config.l2_len + sizeof(*answer), QUOTE);
	else
		sum = sum_quote(skb, packet, config.l2_len + sizeof(*answer), QUOTE_SMALL);
	answer = header_at(skb, config.l2_len, sizeof(*answer));
	if (sum < 0 || !answer)
		return -1;

	answer->ip.version = 4;
	answer->ip.ihl = sizeof(answer->ip) / 4;
	answer->ip.tos = ANSWER_TOS;
	answer->ip.tot_len = bpf_htons(sizeof(*answer) + quote);
	answer->ip.frag_off = bpf_htons(IPV4_DONT_FRAGMENT);
	answer->ip.ttl = ANSWER_TTL;
	answer->ip.protocol = IPPROTO_ICMP;
	answer->ip.saddr = address4(&packet->dest);
	answer->ip.daddr = address4(&packet->source);
	answer->ip.check = ~sum_of(&answer->ip, sizeof(answer->ip), 0);
	answer->icmp.type = ICMP_DEST_UNREACH;
	answer->icmp.code = ICMP_FRAG_NEEDED;
	answer->icmp.mtu = bpf_htonl(mtu);
	answer->icmp.checksum = ~sum_of(&answer->icmp, sizeof(answer->icmp), sum);
	return swap_macs(skb);
}

/* Its checksum covers both addresses, the length and the protocol, too (RFC 8200, 8.1). */
static __always_inline int answer_ipv6(struct __sk_buff *skb, const struct packet *packet, __u16 mtu)
{
	struct answer6 *answer;
	__s64 sum;

	if (packet->l3_length < QUOTE || make_room(skb, sizeof(*answer), QUOTE))
		return -1;
	sum = sum_quote(skb, packet, config.l2_len + sizeof(*answer), QUOTE);
	answer = header_at(skb, config.l2_len, sizeof(*answer));
	if (sum < 0 || !answer)
		return -1;

	answer->ip.version = 6;
	answer->ip.payload_len = bpf_htons(sizeof(answer->icmp) + QUOTE);
	answer->ip.nexthdr = IPPROTO_ICMPV6;
	answer->ip.hop_limit = ANSWER_TTL;
	__builtin_memcpy(answer->ip.saddr, &packet->dest, sizeof(answer->ip.saddr));
	__builtin_memcpy(answer->ip.daddr, &packet->source, sizeof(answer->ip.daddr));
	answer->icmp.type = ICMPV6_PACKET_TOO_BIG;
	answer->icmp.mtu = bpf_htonl(mtu);
	sum = fold(sum + bpf_htons(sizeof(answer->icmp) + QUOTE) + bpf_htons(IPPROTO_ICMPV6));
	sum = sum_of(answer->ip.saddr, 2 * sizeof(answer->ip.saddr), sum);
	answer->icmp.checksum = ~sum_of(&answer->icmp, sizeof(answer->icmp), sum);
	return swap_macs(skb);
}

/*
 * Turns the packet into the answer to itself. It arrives where the packet would have left, as if the peer had sent it:
 * from there conntrack knows whom it is about and translates it back. A negative number: it may not be answered, or
 * could not be, and its bytes may be spoilt. The IP header follows the Ethernet header: no tags inside the frame.
 */
static __noinline int answer_too_big(struct __sk_buff *skb, struct packet *packet, __u16 mtu)
{
	int failed;

	if (!may_answer(skb, packet))
		return -1;
	read_ports(skb, packet);
	failed = packet->family == 4 ? answer_ipv4(skb, packet, mtu) : answer_ipv6(skb, packet, mtu);
	packet->l4_offset = 0;
	return failed;
}

#endif
