/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHEATH_BPF_VERDICT_H
#define SHEATH_BPF_VERDICT_H

/*
 * What was decided, and the one place that carries it out: counts it, reports it, and turns it into a TC_ACT_*.
 */

#include "config.h"
#include "event.h"
#include "maps.bpf.h"
#include "marks.h"
#include "parse.h"

struct verdict {
	__u8 reason;        /* enum sheath_reason; what is done follows from it */
	__u8 strict_reason; /* what strict mode says; equal to reason unless that is plaintext_passed */
	__u16 node_id;      /* the peer, or 0 */
	__u16 mtu;          /* for too_big: of the tunnel */
	__u32 mark;         /* the mark it leaves with */
	__u32 out_ifindex;  /* where it is redirected to, or 0 */
	__u32 length;       /* of the packet as it came in, for the counters */
};

static __always_inline struct verdict undecided(struct __sk_buff *skb)
{
	return (struct verdict){.length = skb->len, .mark = skb->mark};
}

/* Takes back what was decided before. Callers that redirect set mark and out_ifindex afterwards. */
static __always_inline void decide(struct verdict *verdict, enum sheath_reason reason)
{
	verdict->reason = reason;
	verdict->strict_reason = reason;
	verdict->out_ifindex = 0;
}

/* For what may not leave or enter in plaintext: strict mode drops it for `reason`, permissive mode lets it pass. */
static __always_inline void withhold(struct verdict *verdict, enum sheath_reason reason)
{
	verdict->strict_reason = reason;
	verdict->reason = config.strict ? reason : SHEATH_REASON_plaintext_passed;
}

/* For what the uplinks could not parse: other protocols pass, broken IP does not. */
static __always_inline void decide_unparsed(struct verdict *verdict, enum parse_status status)
{
	if (status == PARSE_not_ip)
		return decide(verdict, SHEATH_REASON_not_ip);
	withhold(verdict, SHEATH_REASON_unparsable);
}

static __always_inline enum sheath_verdict verdict_of(__u8 reason)
{
	switch (reason) {
#define VERDICT_CASE(name, verdict, doc)                                                                               \
	case SHEATH_REASON_##name:                                                                                     \
		return SHEATH_VERDICT_##verdict;
		SHEATH_REASONS(VERDICT_CASE)
#undef VERDICT_CASE
	default:
		return SHEATH_VERDICT_drop;
	}
}

/* Whether it passes and is IP beyond its link: neither another protocol nor multicast nor neighbour discovery. */
static __always_inline int passes_beyond_link(const struct verdict *verdict)
{
	return verdict_of(verdict->reason) == SHEATH_VERDICT_pass && verdict->reason != SHEATH_REASON_not_ip &&
	       verdict->reason != SHEATH_REASON_link_scope;
}

static __always_inline void count(enum sheath_direction direction, const struct verdict *verdict)
{
	__u32 key = direction;
	__u32 reason = verdict->reason;
	struct sheath_counter *counter = bpf_map_lookup_elem(&metrics, &key);

	barrier_var(reason); /* else clang may compare one copy of it, and index with another that the verifier did not
				see */
	if (!counter || reason >= SHEATH_REASON_COUNT)
		return;
	counter[reason].packets++;
	counter[reason].bytes += verdict->length;
}

/* Dropped, or what strict mode would have dropped. */
static __always_inline int is_withheld(const struct verdict *verdict)
{
	return verdict->reason == SHEATH_REASON_plaintext_passed || verdict_of(verdict->reason) == SHEATH_VERDICT_drop;
}

/* By peer and strict reason. Two CPUs that both make the entry lose one packet of the count. */
static __always_inline void count_withheld(enum sheath_direction direction, const struct verdict *verdict)
{
	struct sheath_withheld_key key = {
		.node_id = verdict->node_id,
		.direction = direction,
		.reason = verdict->strict_reason,
		.dropped = verdict->reason != SHEATH_REASON_plaintext_passed,
	};
	struct sheath_withheld first = {.packets = 1, .bytes = verdict->length, .last_ns = bpf_ktime_get_ns()};
	struct sheath_withheld *known = bpf_map_lookup_elem(&withheld, &key);

	if (!known) {
		bpf_map_update_elem(&withheld, &key, &first, BPF_NOEXIST);
		return;
	}
	__sync_fetch_and_add(&known->packets, 1);
	__sync_fetch_and_add(&known->bytes, first.bytes);
	known->last_ns = first.last_ns;
}

/* What is withheld always; the rest with `trace`, if it has to do with the cluster. */
static __always_inline int is_reported(const struct verdict *verdict)
{
	if (is_withheld(verdict))
		return 1;
	if (!config.trace)
		return 0;
	switch (verdict->reason) {
	case SHEATH_REASON_not_ip:
	case SHEATH_REASON_link_scope:
	case SHEATH_REASON_world:
	case SHEATH_REASON_to_stack:
		return 0;
	default:
		return 1;
	}
}

/* Its own function, and all its work with it: reports are the exception. A full ring loses reports, never counts. */
static __noinline int report(struct __sk_buff *skb, struct packet *packet, const struct verdict *verdict,
			     __u32 direction)
{
	struct sheath_event *event;

	if (is_withheld(verdict))
		count_withheld(direction, verdict);
	event = new_event(skb, packet);
	if (!event)
		return 0;
	event->out_ifindex = verdict->out_ifindex;
	event->mark = verdict->mark;
	event->length = verdict->length;
	event->node_id = verdict->node_id;
	event->mtu = verdict->mtu;
	event->direction = direction;
	event->reason = verdict->reason;
	event->strict_reason = verdict->strict_reason;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* Ends every program. Whoever moved the packet's bytes has read its ports and set l4_offset to 0 or to its new place.
 */
static __always_inline int finish(struct __sk_buff *skb, struct packet *packet, const struct verdict *verdict,
				  enum sheath_direction direction)
{
	count(direction, verdict);
	if (is_reported(verdict))
		report(skb, packet, verdict, direction);

	switch (verdict_of(verdict->reason)) {
	case SHEATH_VERDICT_encrypt:
		skb->mark = verdict->mark;
		return bpf_redirect(verdict->out_ifindex, 0);
	case SHEATH_VERDICT_answer:
		skb->mark = verdict->mark;
		return bpf_redirect(verdict->out_ifindex, BPF_F_INGRESS);
	case SHEATH_VERDICT_deliver:
		skb->mark = 0;
		return bpf_redirect_peer(verdict->out_ifindex, 0);
	case SHEATH_VERDICT_pass:
		if (!verdict->out_ifindex)
			return TC_ACT_UNSPEC;
		skb->mark = verdict->mark;
		return bpf_redirect(verdict->out_ifindex, BPF_F_INGRESS);
	default: /* drop, consume */
		return TC_ACT_SHOT;
	}
}

#endif
