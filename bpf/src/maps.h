/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the program keeps, and shares with the process.
 */
#ifndef KEEPWORD_MAPS_H
#define KEEPWORD_MAPS_H

#include "types.h"
#include <bpf/bpf_helpers.h>

/* So that the types are told to Go. */
const enum await *await_type __attribute__((unused));
const enum owner *owner_type __attribute__((unused));
const enum counter *counter_type __attribute__((unused));
const struct opening *opening_type __attribute__((unused));
const struct record *record_type __attribute__((unused));
const enum tail *tail_type __attribute__((unused));
const struct handback *handback_type __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct settings);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH); /* who leaves it comes up */
	__uint(max_entries, 1 << 18);
	__type(key, struct conn);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 20);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct conn);
	__type(value, struct grant);
} grants SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 16);
	__type(key, struct conn);
	__type(value, struct opening);
} openings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct server);
	__type(value, __u32); /* the settings' epoch */
} servers SEC(".maps");

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, WORKERS);
	__type(key, __u32);
	__array(values, struct ring);
} logs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* A packet of up to SMALL octets is copied here to be read. */
#define SMALL 4096
struct scratch {
	struct record record;
	__u8 packet[SMALL];
	__u32 told; /* records that were made */
	/* What is being made. */
	struct opening opening;
	struct flow flow;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* Of a longer one only mail data are read, where they are kept. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RINGS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct memory);
} rings SEC(".maps");

static __always_inline void count(__u32 which, __u64 n)
{
	__u64 *c = bpf_map_lookup_elem(&counters, &which);

	if (c)
		*c += n;
}

/* A decision is PASS, BUSY, or why a packet has to come up: a counter. */
#define PASS COUNTERS
typedef enum counter decision;

#endif
