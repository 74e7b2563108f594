/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
#ifndef SHEATH_MAPS_REASONS_H
#define SHEATH_MAPS_REASONS_H

/*
 * The one list of reasons. Everything that names a reason is made from it: the enum, the counters in the map
 * `metrics`, the names in JSON, and the table in maps/README.md (a test compares them).
 *
 *   X(name, verdict, what it means)
 *
 * The position is the ABI of pinned maps: add at the end, never reorder.
 */
#define SHEATH_REASONS(X) \
	X(encrypted, encrypt, "handed to the tunnel device") \
	X(decrypted, pass, "came out of the tunnel, from a source its peer may use") \
	X(delivered, deliver, "came out of the tunnel and went straight into the pod") \
	X(own_outer, pass, "our own WireGuard or ESP on its way to a peer") \
	X(local, pass, "for an address of this node") \
	X(world, pass, "one end is outside the cluster") \
	X(foreign, pass, "for the cluster range, from a source outside it") \
	X(node_plain, pass, "node traffic, and node encryption is off") \
	X(not_ip, pass, "neither IPv4 nor IPv6: ARP, LLDP, 802.1X") \
	X(link_scope, pass, "multicast, broadcast, link-local or neighbour discovery") \
	X(plaintext_passed, pass, "permissive: strict mode would have dropped it") \
	X(too_big, answer, "larger than the tunnel MTU: answered with ICMP") \
	X(own_answer, pass, "that ICMP answer on its way to the sender") \
	X(no_key, drop, "the peer has no key yet") \
	X(unknown_node, drop, "in the cluster range, but of no known node") \
	X(plaintext_ingress, drop, "a pod's packet came in unencrypted") \
	X(bad_source, drop, "the source may not send this here") \
	X(unparsable, drop, "IP, but truncated or malformed") \
	X(no_answer, drop, "larger than the tunnel MTU, and ICMP may not answer it") \
	X(to_stack, pass, "not for the fast path: the host stack and uplink_egress decide") \
	X(probe, consume, "a peer tried a key, or asked or answered a question: not passed on") \
	X(no_underlay, drop, "for the overlay, and no node is known to carry it to") \
	X(masqueraded, pass, "forwarded under this node's address, for a pod as a rule, and node encryption is off")

/* What a program does with a packet. */
enum sheath_verdict {
	SHEATH_VERDICT_pass,
	SHEATH_VERDICT_encrypt,
	SHEATH_VERDICT_deliver,
	SHEATH_VERDICT_answer,
	SHEATH_VERDICT_drop,
	SHEATH_VERDICT_consume, /* it was for us: no loss */
};

enum sheath_reason {
#define SHEATH_REASON_ENUM(name, verdict, doc) SHEATH_REASON_##name,
	SHEATH_REASONS(SHEATH_REASON_ENUM)
#undef SHEATH_REASON_ENUM
	SHEATH_REASON_COUNT,
};

/* Where the verdict was made: one per attachment point. The position is the key of the map `metrics`. */
#define SHEATH_DIRECTIONS(X) \
	X(uplink_egress, "leaving by an uplink") \
	X(uplink_ingress, "arriving at an uplink") \
	X(tunnel_ingress, "coming out of the tunnel device") \
	X(pod_egress, "leaving a pod (fast path)") \
	X(overlay_egress, "leaving by an overlay device")

enum sheath_direction {
#define SHEATH_DIRECTION_ENUM(name, doc) SHEATH_DIRECTION_##name,
	SHEATH_DIRECTIONS(SHEATH_DIRECTION_ENUM)
#undef SHEATH_DIRECTION_ENUM
	SHEATH_DIRECTION_COUNT,
};

#endif
