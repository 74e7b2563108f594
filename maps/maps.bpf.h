/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHEATH_MAPS_MAPS_BPF_H
#define SHEATH_MAPS_MAPS_BPF_H

/* Every map, once. Each program object defines them all; the loader makes them one by their pins. */

#include "types.h"

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SHEATH_MAX_CIDRS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sheath_addr);
	__type(value, struct sheath_owner);
} node_ips SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SHEATH_MAX_CIDRS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sheath_prefix4);
	__type(value, struct sheath_owner);
} pod_cidrs4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SHEATH_MAX_CIDRS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sheath_prefix6);
	__type(value, struct sheath_owner);
} pod_cidrs6 SEC(".maps");

/* An array: one load for each packet. The loader maps it to read it as a whole. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHEATH_NODE_ID_MAX + 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct sheath_peer);
} peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SHEATH_NODE_ID_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct sheath_heard);
} heard SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SHEATH_MAX_ENDPOINTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sheath_addr);
	__type(value, struct sheath_endpoint);
} endpoints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SHEATH_DIRECTION_COUNT);
	__type(key, __u32);
	__type(value, struct sheath_counters);
} metrics SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SHEATH_MAX_WITHHELD);
	__type(key, struct sheath_withheld_key);
	__type(value, struct sheath_withheld);
} withheld SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SHEATH_EVENTS_BYTES);
} events SEC(".maps");

#endif
