/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHEATH_BPF_EVENT_H
#define SHEATH_BPF_EVENT_H

/* A report for the ring buffer, with what the packet itself says. */

#include "maps.bpf.h"
#include "packet.h"

/* To be submitted by the caller, who fills in the rest; NULL when the ring is full. */
static __always_inline struct sheath_event *new_event(struct __sk_buff *skb, struct packet *packet)
{
	struct sheath_event *event;

	read_ports(skb, packet);
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return NULL;
	__builtin_memset(event, 0, sizeof(*event));
	event->time_ns = bpf_ktime_get_ns();
	event->ifindex = skb->ifindex;
	event->length = skb->len;
	event->source_port = packet->source_port;
	event->dest_port = packet->dest_port;
	event->family = packet->family;
	event->protocol = packet->protocol;
	event->source = packet->source;
	event->dest = packet->dest;
	return event;
}

#endif
