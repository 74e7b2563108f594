/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
#ifndef SHEATH_BENCH_SPREAD_H
#define SHEATH_BENCH_SPREAD_H

#ifdef __bpf__
#include "vmlinux.h"
#else
#include <linux/types.h>
#endif

/* What the program `spread` does to a packet before each run of the program that is measured. */
struct spread_plan {
  __u32 mark;   /* skb->mark, which the run before may have changed */
  __u32 offset; /* of the two bytes, in network order, that tell one destination from the next */
  __u32 first;  /* their least value */
  __u32 count;  /* how many values they take, in an order that no prefetcher follows */
  __u32 turn;   /* how often it has run */
};

#endif
