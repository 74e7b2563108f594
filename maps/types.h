/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
#ifndef SHEATH_MAPS_TYPES_H
#define SHEATH_MAPS_TYPES_H

/*
 * Keys and values of the pinned maps, for both sides. Addresses are byte arrays in network order, so that
 * `bpftool map dump` shows 10.244.1.0 as 10,244,1,0; everything else is in host order. Padding is explicit and zero.
 */

#ifdef __bpf__
#include "vmlinux.h"
#else
#include <linux/types.h>
#endif

#include "reasons.h"

#ifdef __cplusplus
#define SHEATH_ASSERT(what) static_assert(what, #what)
#else
#define SHEATH_ASSERT(what) _Static_assert(what, #what)
#endif

/* A node ID is local to the node that gave it: 1..65535; 0 is "no node" and this node itself. */

/* Key of `node_ips` and `endpoints`. IPv4 is held as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). */
struct sheath_addr {
	__u8 addr[16];
};
SHEATH_ASSERT(sizeof(struct sheath_addr) == 16);

/* Keys of `pod_cidrs4` and `pod_cidrs6`. Bits behind the prefix are zero. */
struct sheath_prefix4 {
	__u32 prefix_len;
	__u8 addr[4];
};
SHEATH_ASSERT(sizeof(struct sheath_prefix4) == 8);

struct sheath_prefix6 {
	__u32 prefix_len;
	__u8 addr[16];
};
SHEATH_ASSERT(sizeof(struct sheath_prefix6) == 20);

/* Whose an address is. `cluster`: inside the cluster's pod range, but of no node that we know. */
enum sheath_kind {
	SHEATH_KIND_none,
	SHEATH_KIND_local,
	SHEATH_KIND_remote,
	SHEATH_KIND_cluster,
};

/* Value of `node_ips`, `pod_cidrs4`, `pod_cidrs6`. */
struct sheath_owner {
	enum sheath_kind kind;
	__u16 node_id; /* 0 unless kind is remote */
	__u16 pad;
};
SHEATH_ASSERT(sizeof(struct sheath_owner) == 8);

enum sheath_peer_state {
	SHEATH_PEER_not_ready, /* no key, or its crypto is not set up: nothing may be sent */
	SHEATH_PEER_ready,
};

/*
 * What becomes of node traffic: what this node sends to and gets from a peer's node addresses, and its own to the peer's
 * pods. Each level does what those before it do; only `required` refuses anything.
 */
enum sheath_node_traffic {
	SHEATH_NODE_TRAFFIC_plain,     /* sent in plaintext; taken either way */
	SHEATH_NODE_TRAFFIC_encrypted, /* sent encrypted; taken either way */
	SHEATH_NODE_TRAFFIC_required,  /* sent encrypted; plaintext from the peer is refused (strict) */
};

/* Value of `peers`; the index is the node ID. All zero: no such peer, which is one that is not ready. */
struct sheath_peer {
	__u32 tx_mark; /* complete mark for transmit, see marks.h */
	enum sheath_peer_state state;
	struct sheath_addr underlay; /* node address where an overlay finds the peer; all zero: none */
	enum sheath_node_traffic node_traffic;
};
SHEATH_ASSERT(sizeof(struct sheath_peer) == 28);

/*
 * Value of `heard`; the key is the node ID as a __u32. Bit g stands for generation g, which is key ID g of the marks.
 * Both sets are one 32-bit word for whoever adds to them.
 */
struct sheath_heard {
	__u16 keys; /* something that the peer encrypted under it came in */
	__u16 uses; /* the peer's data does */
	__u32 pad;
};
SHEATH_ASSERT(sizeof(struct sheath_heard) == 8);
SHEATH_ASSERT(__builtin_offsetof(struct sheath_heard, uses) == 2);

/* Payload of a probe, whole: what goes through a new key before data does. RFC 3692 keeps the protocol for trials. */
#define SHEATH_PROBE_PROTOCOL 253
#define SHEATH_PROBE_MAGIC "sheath-probe"
struct sheath_probe {
	__u8 magic[13]; /* SHEATH_PROBE_MAGIC, with its NUL */
	__u8 uses;      /* generation that the sender's data uses now; 0: none */
	__u8 pad[2];
};
SHEATH_ASSERT(sizeof(struct sheath_probe) == 16);
SHEATH_ASSERT(sizeof(SHEATH_PROBE_MAGIC) == sizeof(((struct sheath_probe *)0)->magic));

/*
 * Payload of a question, whole, of the probe's protocol: does what is sent to you come out of your tunnel? Out of the
 * tunnel, and only there, it is turned round and goes back through it as an answer, which ends at the asker's tunnel
 * device.
 */
#define SHEATH_VERIFY_MAGIC "sheath-verify"
enum sheath_verify_kind {
	SHEATH_VERIFY_none,
	SHEATH_VERIFY_question,
	SHEATH_VERIFY_answer,
};
struct sheath_verify {
	__u8 magic[14];  /* SHEATH_VERIFY_MAGIC, with its NUL */
	__u8 kind;       /* enum sheath_verify_kind */
	__u8 pad;
	__u8 marker[16]; /* the asker's, to know it again */
};
SHEATH_ASSERT(sizeof(struct sheath_verify) == 32);
SHEATH_ASSERT(sizeof(SHEATH_VERIFY_MAGIC) == sizeof(((struct sheath_verify *)0)->magic));

/* Value of `endpoints`: a pod of this node, for direct delivery (fast path). */
struct sheath_endpoint {
	__u32 ifindex;     /* host-side device */
	__u8 pod_mac[6];   /* destination of frames to the pod */
	__u8 host_mac[6];  /* their source: the host side of the veth */
};
SHEATH_ASSERT(sizeof(struct sheath_endpoint) == 16);

struct sheath_counter {
	__u64 packets;
	__u64 bytes; /* as the program saw the packet, link-layer header included where there is one */
};

/* Value of `metrics`; the key is the direction. One member per reason, so that a dump reads by name. */
struct sheath_counters {
#define SHEATH_COUNTER_MEMBER(name, verdict, doc) struct sheath_counter name;
	SHEATH_REASONS(SHEATH_COUNTER_MEMBER)
#undef SHEATH_COUNTER_MEMBER
};
SHEATH_ASSERT(sizeof(struct sheath_counters) == SHEATH_REASON_COUNT * sizeof(struct sheath_counter));

/*
 * Key of `withheld`: what may not go in plaintext, by who it concerns. Where it has `dropped` 0 it went all the same,
 * since the mode was permissive.
 */
struct sheath_withheld_key {
	__u16 node_id;  /* the peer; 0: none that we know */
	__u8 direction; /* enum sheath_direction */
	__u8 reason;    /* enum sheath_reason: strict mode's */
	__u8 dropped;
	__u8 pad[3];
};
SHEATH_ASSERT(sizeof(struct sheath_withheld_key) == 8);

/* Value of `withheld`. */
struct sheath_withheld {
	__u64 packets;
	__u64 bytes;   /* as in sheath_counter */
	__u64 last_ns; /* CLOCK_MONOTONIC, of the last one */
};
SHEATH_ASSERT(sizeof(struct sheath_withheld) == 24);

/* What the audit of `sheath verify --watch` has seen, on all uplinks. */
struct sheath_audit {
	__u64 packets;
	__u64 plaintext;   /* of them */
	__u64 masqueraded; /* left in plaintext under this node's address, as configured, and was not the node's own */
};
SHEATH_ASSERT(sizeof(struct sheath_audit) == 24);

/* Record of the ring buffer `events`: one per drop, with `trace` one per packet that belongs to the cluster. */
struct sheath_event {
	__u64 time_ns;      /* CLOCK_MONOTONIC */
	__u32 ifindex;      /* where the packet was seen */
	__u32 out_ifindex;  /* where it was redirected to, or 0 */
	__u32 mark;         /* the mark it left with */
	__u32 length;       /* bytes, as in sheath_counter */
	__u16 node_id;      /* the peer, or 0 */
	__u16 mtu;          /* for too_big: what the answer says; else 0 */
	__u16 source_port;  /* 0 where the protocol has none, or in a later fragment */
	__u16 dest_port;
	__u8 direction;     /* enum sheath_direction */
	__u8 reason;        /* enum sheath_reason */
	__u8 strict_reason; /* for plaintext_passed: what strict mode would have said; else equal to reason */
	__u8 family;        /* 4, 6, or 0 when it could not be parsed */
	__u8 protocol;      /* IP protocol number of the upper layer */
	__u8 pad[7];
	struct sheath_addr source; /* IPv4 as ::ffff:a.b.c.d */
	struct sheath_addr dest;
};
SHEATH_ASSERT(sizeof(struct sheath_event) == 80);

/*
 * A length that prefixes of `pod_cidrs4` or `pod_cidrs6` have, and one prefix that covers all of that length: what lies
 * outside it needs no look-up. Numbers are addresses as they are loaded from a packet.
 */
struct sheath_length4 {
	__be32 cover_be;
	__be32 cover_mask_be;
	__be32 mask_be; /* of the length */
	__u32 length;
};
SHEATH_ASSERT(sizeof(struct sheath_length4) == 16);

struct sheath_length6 {
	__be64 cover_be; /* of the first half of the address: no cover is longer */
	__be64 cover_mask_be;
	__be64 mask_be[2];
	__u32 length;
	__u32 pad;
};
SHEATH_ASSERT(sizeof(struct sheath_length6) == 40);

/* A pod CIDR of this node, or the address of the pod that a device leads to. Numbers as above. */
struct sheath_own4 {
	__be32 network_be;
	__be32 mask_be;
};
SHEATH_ASSERT(sizeof(struct sheath_own4) == 8);

struct sheath_own6 {
	__be64 network_be[2];
	__be64 mask_be[2];
};
SHEATH_ASSERT(sizeof(struct sheath_own6) == 32);

#define SHEATH_MAX_OWN 2 /* of a family; what a node has beyond that is looked up */

#define SHEATH_MAX_LENGTHS 32 /* of a family: half of them for what is to be, half for what was and still is */

enum sheath_node_encryption {
	SHEATH_NODE_ENCRYPTION_disabled,
	SHEATH_NODE_ENCRYPTION_enabled,
	SHEATH_NODE_ENCRYPTION_opted_out, /* enabled, and this node has one of the labels that opt out */
};

/*
 * Load-time constants of every program (its .rodata), so that the JIT drops what is off. The loader compares this
 * struct with the one that a pinned program carries to see whether the program has to be replaced.
 */
struct sheath_config {
	__u64 build;           /* identifies the object file the program came from */
	__u32 tunnel_ifindex;  /* 0: fenced, no tunnel yet, so every peer counts as not ready */
	__u32 uplink_ifindex;  /* tunnel_ingress with via_uplink: where packets of nodes go in */
	__u16 wireguard_port;  /* both ends of our outer packets */
	__u8 l2_len;           /* bytes before the IP header on this device: 14 or 0 */
	__u8 strict;           /* 1: drop what should be encrypted and cannot be; 0: pass and count it */
	__u8 node_encryption;  /* enum sheath_node_encryption: for who looks; the programs go by each peer's node_traffic */
	__u8 fast_path;        /* tunnel_ingress hands packets straight to pods in `endpoints` */
	__u8 via_uplink;       /* tunnel_ingress re-injects at the uplink: rp_filter would drop them otherwise */
	__u8 trace;            /* also report what was not dropped */
	__u16 vxlan_port;      /* the overlay's, where our outer packets go through one; 0: they do not */
	__u8 marked;           /* the engine marks what it made and what it opened (IPsec): without a mark it is not ours */
	__u8 overlay;          /* this device is an overlay: without ARP, so what it brings is addressed to nobody */
	__u32 pod_uplink_ifindex; /* and those of pods: another where an overlay's routes lead to them */
	__u16 ipv4_mtu;        /* largest IPv4 packet, where IPv6 needs a larger tunnel; 0: the tunnel's MTU is that of both */
	__u8 lengths4_count;
	__u8 lengths6_count;
	__u16 tunnel_mtu; /* what is no larger fits into the tunnel; 0: the kernel is asked about each packet */
	__u8 own4_count;
	__u8 own6_count;
	struct sheath_own4 own4[SHEATH_MAX_OWN]; /* senders only: may be what was, or is to be. pod_egress: its pod's */
	struct sheath_own6 own6[SHEATH_MAX_OWN];
	struct sheath_length4 lengths4[SHEATH_MAX_LENGTHS]; /* in use, the longest first */
	struct sheath_length6 lengths6[SHEATH_MAX_LENGTHS];
};
SHEATH_ASSERT(sizeof(struct sheath_config) == 40 + SHEATH_MAX_OWN * 40 + SHEATH_MAX_LENGTHS * 56);

#define SHEATH_VNI 2 /* of all that we put into an overlay; receivers take any */

#define SHEATH_NODE_ID_MAX 65535
#define SHEATH_MAX_CIDRS 65536
#define SHEATH_MAX_ENDPOINTS 4096
#define SHEATH_MAX_WITHHELD 4096 /* the least recently used go first */
#define SHEATH_EVENTS_BYTES (256 * 1024)

#endif
