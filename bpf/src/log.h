/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What inspection reads in arrears: each packet that was let through, before it goes on.
 */
#ifndef KEEPWORD_LOG_H
#define KEEPWORD_LOG_H

#include "segment.h"

/* worker returns who inspects a connection: the rules of nftables that divert to the queues
 * spread them in the same way, by the client's port. Linux's clients prefer ports of one
 * parity, so the last bit says little. */
static __always_inline __u32 worker(const struct settings *set, const struct conn *c)
{
	return set->worker[bpf_ntohs(c->client_port) >> 1 & (SLOTS - 1)] & (WORKERS - 1);
}

/* alive says that somebody reads the log of a connection. */
static __always_inline bool alive(const struct settings *set, const struct conn *c)
{
	return bpf_ktime_get_coarse_ns() < set->alive_until[worker(set, c)];
}

/* wake tells the worker of a log that is filling that it should not wait for its tick. To ask how
 * far costs as much as half a record, so it is done for some. */
static __always_inline __u64 wake(struct scratch *c, void *log)
{
	if (c->told++ & 15)
		return BPF_RB_NO_WAKEUP;
	return bpf_ringbuf_query(log, BPF_RB_AVAIL_DATA) > (1 << 21) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* head fills in what a record says of its packet. */
static __always_inline void head(struct record *r, struct flow *f, struct __sk_buff *skb, struct segment *g)
{
	r->time = f->logged = bpf_ktime_get_ns();
	r->size = g->size;
	r->ifindex = skb->ifindex;
	r->packets[0] = f->packets[0];
	r->packets[1] = f->packets[1];
	r->octets[0] = f->octets[0];
	r->octets[1] = f->octets[1];
	r->next = f->next[g->dir & 1];
	r->acked = f->acked[g->dir & 1];
	r->owner = f->owner;
	r->text = r->zero = 0;
	r->ring = r->tail = r->line = 0;
}

/* written notes that a record was made. */
static __always_inline void written(struct flow *f)
{
	f->packets[0] = f->packets[1] = 0;
	f->octets[0] = f->octets[1] = 0;
}

static __always_inline void note(struct flow *f, struct segment *g)
{
	__u8 d = g->dir & 1;

	f->packets[d]++;
	f->octets[d] += g->size;
}

/* load copies a small packet to where it can be read. */
static __always_inline bool load(struct __sk_buff *skb, struct segment *g, struct scratch *c)
{
	__u32 n = g->size;

	if (n < 40 || n > SMALL - 4)
		return false;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, c->packet, n))
		return false;
	*(__u32 *)&c->packet[n] = 0; /* what the checksum is rounded up to */
	return true;
}

/* ready copies a small packet to struct scratch, and says that its checksum is right. */
__noinline bool ready(struct __sk_buff *skb, struct segment *g)
{
	__u32 zero = 0;
	struct scratch *c = bpf_map_lookup_elem(&scratches, &zero);

	return c && g && load(skb, g, c) && (vouched(skb) || sound(c, g));
}

/* tell logs the small packet in struct scratch. */
__noinline bool tell(struct __sk_buff *skb, struct flow *f, struct segment *g)
{
	__u32 zero = 0, i, n;
	struct scratch *c = bpf_map_lookup_elem(&scratches, &zero);
	struct settings *set = bpf_map_lookup_elem(&control, &zero);
	void *log;

	if (!set || !c || !f || !g)
		return false;
	i = worker(set, &g->conn);
	n = g->size;
	log = bpf_map_lookup_elem(&logs, &i);
	if (!log || n > SMALL)
		return false;
	head(&c->record, f, skb, g);
	if (bpf_ringbuf_output(log, c, sizeof c->record + n, wake(c, log)))
		return false;
	written(f);
	return true;
}

/* hand_back has inspection know what was acknowledged, before what comes up. */
static __always_inline bool hand_back(const struct settings *set, struct flow *f, struct __sk_buff *skb, struct segment *g)
{
	__u32 zero = 0, i = worker(set, &g->conn);
	struct scratch *c = bpf_map_lookup_elem(&scratches, &zero);
	void *log = bpf_map_lookup_elem(&logs, &i);
	struct handback *h;

	if (!f->packets[0] && !f->packets[1])
		return true;
	if (!c || !log)
		return false;
	head(&c->record, f, skb, g);
	c->record.size = 0;
	h = (struct handback *)c->packet;
	h->conn = g->conn;
	h->next[0] = f->next[0];
	h->next[1] = f->next[1];
	h->acked[0] = f->acked[0];
	h->acked[1] = f->acked[1];
	if (bpf_ringbuf_output(log, c, sizeof c->record + sizeof *h, wake(c, log)))
		return false;
	written(f);
	return true;
}

#endif
