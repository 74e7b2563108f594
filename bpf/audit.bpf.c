/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Filter of a packet socket at an uplink, there below every program on the way out and above them on the way in: counts
 * and reports what belongs to the cluster and can be read, in whatever encapsulation. Lets nothing into the socket. It
 * sees packets from their network header on. `node_traffic` of its peers says what ought to be, not what is; whether
 * they are ready does not matter.
 */
#include "event.h"
#include "lookup/classify.h"
#include "lookup/outer.h"
#include "marks.h"
#include "packet.h"
#include "reasons.h"

#define MAX_LAYERS      3 /* an encapsulation in another one, and what that carries */
#define MAX_HEADERS     6 /* IPv6 extension headers */
#define PACKET_OUTGOING 4

#define VXLAN_PORT     4789 /* RFC 7348; the older port is Linux' own, and the configuration's */
#define VXLAN_OLD_PORT 8472
#define GENEVE_PORT    6081 /* RFC 8926 */
#define ETH_P_TEB      0x6558

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sheath_audit);
} audited SEC(".maps");

/* One IP header. 0: it is none, or cut short. */
static __always_inline int read_ipv4(struct __sk_buff *skb, __u32 offset, struct packet *packet)
{
	struct iphdr ip;
	__u32 flags;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return 0;
	flags = bpf_ntohs(ip.frag_off);
	if (flags & IPV4_FRAGMENT_OFFSET)
		packet->fragment = FRAGMENT_later;
	packet->family = 4;
	packet->protocol = ip.protocol;
	packet->hop_limit = ip.ttl;
	packet->l4_offset = offset + ip.ihl * 4;
	copy_address4(&packet->source, ip.saddr);
	copy_address4(&packet->dest, ip.daddr);
	return 1;
}

/* Of the extension headers those that have a length of their own, and fragments. */
static __always_inline int is_skipped(__u8 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_FRAGMENT ||
	       protocol == IPPROTO_DSTOPTS;
}

static __always_inline int read_ipv6(struct __sk_buff *skb, __u32 offset, struct packet *packet)
{
	struct ipv6hdr ip;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 6)
		return 0;
	packet->family = 6;
	packet->protocol = ip.nexthdr;
	packet->hop_limit = ip.hop_limit;
	packet->l4_offset = offset + sizeof(ip);
	__builtin_memcpy(&packet->source, ip.saddr, sizeof(packet->source));
	__builtin_memcpy(&packet->dest, ip.daddr, sizeof(packet->dest));
	for (int i = 0; i < MAX_HEADERS && is_skipped(packet->protocol); i++) {
		__u8 head[4];

		if (bpf_skb_load_bytes(skb, packet->l4_offset, head, sizeof(head)))
			break;
		if (packet->protocol == IPPROTO_FRAGMENT && ((head[2] << 8 | head[3]) & IPV6_FRAGMENT_OFFSET))
			packet->fragment = FRAGMENT_later;
		packet->l4_offset += packet->protocol == IPPROTO_FRAGMENT ? 8 : (head[1] + 1) * 8;
		packet->protocol = head[0];
		if (packet->fragment == FRAGMENT_later)
			break;
	}
	return 1;
}

static __noinline int read_layer(struct __sk_buff *skb, __u32 offset, struct packet *packet)
{
	__u8 first;

	if (!packet || bpf_skb_load_bytes(skb, offset, &first, sizeof(first)))
		return 0;
	__builtin_memset(packet, 0, sizeof(*packet));
	return first >> 4 == 4 ? read_ipv4(skb, offset, packet) : read_ipv6(skb, offset, packet);
}

/* Where the IP header is behind an Ethernet header, its tags left aside. 0: nowhere. */
static __always_inline __u32 behind_ethernet(struct __sk_buff *skb, __u32 offset)
{
	__be16 proto;

	if (bpf_skb_load_bytes(skb, offset + __builtin_offsetof(struct ethhdr, h_proto), &proto, sizeof(proto)))
		return 0;
	offset += sizeof(struct ethhdr);
	if (proto == bpf_htons(ETH_P_8021Q))
		offset += sizeof(struct vlan_hdr);
	return offset;
}

/* RFC 2784 and 2890: checksum, key and sequence number are there or not. */
static __always_inline __u32 behind_gre(struct __sk_buff *skb, __u32 offset)
{
	__be16 head[2];
	__u32 flags;

	if (bpf_skb_load_bytes(skb, offset, head, sizeof(head)))
		return 0;
	flags = bpf_ntohs(head[0]);
	offset += 4 + (flags & 0x8000 ? 4 : 0) + (flags & 0x2000 ? 4 : 0) + (flags & 0x1000 ? 4 : 0);
	return head[1] == bpf_htons(ETH_P_TEB) ? behind_ethernet(skb, offset) : offset;
}

static __always_inline __u32 behind_geneve(struct __sk_buff *skb, __u32 offset)
{
	__u8 head[4];

	if (bpf_skb_load_bytes(skb, offset, head, sizeof(head)))
		return 0;
	offset += 8 + (head[0] & 0x3f) * 4;
	return (head[2] << 8 | head[3]) == ETH_P_TEB ? behind_ethernet(skb, offset) : offset;
}

/* The next IP header inside an encapsulation; 0: it is none. */
static __always_inline __u32 inner_offset(struct __sk_buff *skb, struct packet *packet)
{
	if (packet->fragment == FRAGMENT_later)
		return 0;
	switch (packet->protocol) {
	case IPPROTO_IPIP:
	case IPPROTO_IPV6:
		return packet->l4_offset;
	case IPPROTO_GRE:
		return behind_gre(skb, packet->l4_offset);
	case IPPROTO_UDP:
		break;
	default:
		return 0;
	}
	read_ports(skb, packet);
	if (packet->dest_port == GENEVE_PORT)
		return behind_geneve(skb, packet->l4_offset + 8);
	if (packet->dest_port == VXLAN_PORT || packet->dest_port == VXLAN_OLD_PORT)
		return behind_ethernet(skb, packet->l4_offset + 16);
	return 0;
}

/*
 * From a pod to a pod of another node, and no ESP, which runs between pods' addresses inside an overlay. Whatever it
 * carries: a pod can write an outer header, too.
 */
static __always_inline int is_between_pods(const struct packet *packet)
{
	struct sheath_owner source = pod_owner(packet, &packet->source);
	struct sheath_owner dest = pod_owner(packet, &packet->dest);

	return packet->protocol != IPPROTO_ESP && source.kind != SHEATH_KIND_none && dest.kind != SHEATH_KIND_none &&
	       (is_elsewhere(source.kind) || is_elsewhere(dest.kind));
}

/* Of a node, or of a pod of its. */
static __always_inline struct sheath_owner owner_of(const struct packet *packet, const struct sheath_addr *address)
{
	struct sheath_owner owner = pod_owner(packet, address);

	return owner.kind == SHEATH_KIND_none ? node_owner(address) : owner;
}

static __always_inline int is_required(struct sheath_owner owner)
{
	__u32 node_id = owner.node_id;
	struct sheath_peer *peer = bpf_map_lookup_elem(&peers, &node_id);

	return owner.kind == SHEATH_KIND_remote && peer && peer->node_traffic == SHEATH_NODE_TRAFFIC_required;
}

/* With a node at one end, and to be encrypted. */
static __always_inline int is_node_plaintext(struct __sk_buff *skb, struct packet *packet)
{
	struct sheath_owner source, dest;

	if (packet->protocol == IPPROTO_ESP || is_wireguard(skb, packet) || is_link_scope(skb, packet))
		return 0;
	source = owner_of(packet, &packet->source);
	dest = owner_of(packet, &packet->dest);
	return source.kind != SHEATH_KIND_none && dest.kind != SHEATH_KIND_none &&
	       (is_required(source) || is_required(dest));
}

/* Under this node's address, to another node or a pod there, and it came in by a device: for a pod, as a rule. */
static __always_inline int is_masqueraded(struct __sk_buff *skb, struct packet *packet)
{
	if (skb->pkt_type != PACKET_OUTGOING || !skb->ingress_ifindex || !is_node(&packet->source, SHEATH_KIND_local))
		return 0;
	if (packet->protocol == IPPROTO_ESP || is_wireguard(skb, packet))
		return 0;
	return owner_of(packet, &packet->dest).kind == SHEATH_KIND_remote;
}

static __noinline int report(struct __sk_buff *skb, struct packet *packet, enum sheath_reason what)
{
	struct sheath_event *event;

	if (!packet)
		return 0;
	event = new_event(skb, packet);
	if (!event)
		return 0;
	event->direction =
		skb->pkt_type == PACKET_OUTGOING ? SHEATH_DIRECTION_uplink_egress : SHEATH_DIRECTION_uplink_ingress;
	event->reason = what;
	event->strict_reason = what;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* Off a wire nothing has a mark: this came out of the tunnel, or is an answer of ours, and was put in here. */
static __always_inline int was_put_in(struct __sk_buff *skb)
{
	__u32 magic = skb->mark & SHEATH_MARK_WHOLE_MAGIC_MASK;

	return skb->pkt_type != PACKET_OUTGOING && (magic == SHEATH_MARK_DECRYPT || magic == SHEATH_MARK_ANSWER);
}

SEC("socket")
int audit(struct __sk_buff *skb)
{
	struct packet packet, inner;
	struct sheath_audit *counters;
	__u32 key = 0, offset;
	int plaintext = 0, masqueraded;

	counters = bpf_map_lookup_elem(&audited, &key);
	if (!counters)
		return 0;
	counters->packets++;
	if (was_put_in(skb) || !read_layer(skb, 0, &packet))
		return 0;
	masqueraded = is_masqueraded(skb, &packet);
	for (int i = 0; i < MAX_LAYERS && !plaintext; i++) {
		plaintext = is_between_pods(&packet);
		offset = inner_offset(skb, &packet);
		if (plaintext || !offset || !read_layer(skb, offset, &inner))
			break;
		packet = inner;
	}
	if (plaintext || is_node_plaintext(skb, &packet)) {
		counters->plaintext++;
		report(skb, &packet, SHEATH_REASON_plaintext_passed);
	} else if (masqueraded) {
		counters->masqueraded++;
		report(skb, &packet, SHEATH_REASON_masqueraded);
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
