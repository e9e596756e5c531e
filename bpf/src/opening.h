/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The beginning of connections to servers whose dialogues are followed from their greeting on.
 */
#ifndef KEEPWORD_OPENING_H
#define KEEPWORD_OPENING_H

#include "dialogue.h"
#include "log.h"

/* granted says that the server's replies to EHLO may go by themselves. */
static __always_inline bool granted(const struct settings *set, const struct conn *c)
{
	struct server s = { .port = c->server_port };
	__u32 *epoch;

	__builtin_memcpy(s.addr, c->server, sizeof s.addr);
	epoch = bpf_map_lookup_elem(&servers, &s);
	return epoch && *epoch == set->epoch;
}

/* UNSCALED is the scale of a SYN that has none. */
#define UNSCALED 0xff

/* options reads the options of a SYN (RFC 9293 section 3.2, RFC 7323 section 2.2). It returns
 * false where one of them needs a look, or a change. */
__noinline bool options(struct scratch *c, struct segment *g, __u8 *scale)
{
	__u32 at;

	if (!c || !g || !scale)
		return false;
	at = g->tcp - ETH_HLEN + sizeof(struct tcphdr);
	*scale = UNSCALED;
	for (int i = 0; i < 12; i++) {
		__u8 kind, length;

		if (at >= g->headers)
			return true;
		kind = OCTET(c, at);
		if (kind == 0)
			return true;
		if (kind == 1) {
			at++;
			continue;
		}
		length = OCTET(c, at + 1);
		if (length < 2 || at + length > g->headers)
			return false;
		switch (kind) {
		case 2: { /* maximum segment size: what a queue can hand over, twice */
			__u16 mss = OCTET(c, at + 2) << 8 | OCTET(c, at + 3);

			if (length != 4 || mss > (65535 - 4 - 120) / 2)
				return false;
			break;
		}
		case 3:
			if (length != 3)
				return false;
			*scale = OCTET(c, at + 2) > 14 ? 14 : OCTET(c, at + 2);
			break;
		case 4: /* selective acknowledgement permitted */
		case 8: /* timestamps */
			break;
		default:
			return false;
		}
		at += length;
	}
	return false;
}

/* keep_headers copies a SYN for the time when its connection is established. */
static __always_inline bool keep_headers(struct opening *o, __u8 d, struct scratch *c, struct segment *g)
{
	if (g->size > HEADERS)
		return false;
	__builtin_memcpy(o->syn[d & 1], c->packet, HEADERS);
	o->size[d & 1] = g->size;
	return true;
}

/* recall logs a SYN that was kept. */
static __always_inline bool recall(const struct settings *set, struct flow *f, struct __sk_buff *skb, struct segment *g,
				   struct scratch *c, struct opening *o, __u8 d)
{
	__u32 i = worker(set, &g->conn);
	void *log = bpf_map_lookup_elem(&logs, &i);

	if (!log)
		return false;
	__builtin_memcpy(c->packet, o->syn[d], HEADERS);
	head(&c->record, f, skb, g);
	c->record.size = o->size[d];
	return !bpf_ringbuf_output(log, c, sizeof c->record + HEADERS, wake(c, log));
}

/* fresh makes a connection that is inspection's. */
static __always_inline struct flow *fresh(struct scratch *c)
{
	__builtin_memset(&c->flow, 0, sizeof c->flow);
	return &c->flow;
}

/* open decides a SYN of a connection that is not known. That to a server whose dialogues are
 * followed from their greeting on is kept here until the connection is established, so that one
 * that never is costs nothing up there. */
static __always_inline decision open(const struct settings *set, struct __sk_buff *skb, struct segment *g)
{
	__u32 zero = 0;
	struct scratch *c = bpf_map_lookup_elem(&scratches, &zero);
	struct opening *o;
	struct flow *f;
	__u8 scale;

	if (!c || g->dir != TO_SERVER || g->flags & ACK)
		return COUNT_UNKNOWN;
	o = &c->opening;
	__builtin_memset(o, 0, sizeof *o);
	if (granted(set, &g->conn) && alive(set, &g->conn) && g->headers == g->size && g->flags == SYN && ready(skb, g) &&
	    options(c, g, &scale) && keep_headers(o, TO_SERVER, c, g)) {
		o->seq[TO_SERVER] = g->seq;
		o->scale[TO_SERVER] = scale;
		if (!bpf_map_update_elem(&openings, &g->conn, o, BPF_ANY)) {
			count(COUNT_SILENT, 1);
			return PASS;
		}
	}
	f = fresh(c);
	f->diverted = 1;
	bpf_map_update_elem(&flows, &g->conn, f, BPF_NOEXIST);
	return COUNT_OWNED;
}

/* establish decides a packet of a connection that has begun unseen by inspection, or, with
 * COUNT_OWNED, makes the connection known. */
static __always_inline decision establish(const struct settings *set, struct __sk_buff *skb, struct segment *g,
					       struct opening *o)
{
	__u32 zero = 0;
	struct scratch *c = bpf_map_lookup_elem(&scratches, &zero);
	struct flow *f;
	bool told;
	__u8 scale = 0;

	if (!c)
		return COUNT_UNKNOWN;
	f = fresh(c);
	if (g->dir == TO_CLIENT && (g->flags & (SYN | ACK | RST | FIN)) == (SYN | ACK) && g->ack == o->seq[TO_SERVER] + 1 &&
	    g->headers == g->size && ready(skb, g) && options(c, g, &scale) &&
	    (!o->answered || o->seq[TO_CLIENT] == g->seq) && keep_headers(o, TO_CLIENT, c, g)) {
		o->seq[TO_CLIENT] = g->seq;
		o->scale[TO_CLIENT] = scale;
		o->answered = 1;
		count(COUNT_SILENT, 1);
		return PASS;
	}
	if (g->dir == TO_SERVER && g->flags == SYN && g->seq == o->seq[TO_SERVER] && g->headers == g->size && ready(skb, g) &&
	    options(c, g, &scale) && scale == o->scale[TO_SERVER]) {
		count(COUNT_SILENT, 1);
		return PASS; /* it is repeated */
	}
	/* Whatever else it is, inspection learns what was. */
	told = recall(set, f, skb, g, c, o, TO_SERVER) && (!o->answered || recall(set, f, skb, g, c, o, TO_CLIENT));
	if (!told && alive(set, &g->conn))
		return COUNT_BUSY; /* it comes again; unread it would begin in its middle */
	if (told && o->answered && !g->partial && granted(set, &g->conn) && g->dir == TO_SERVER && !(g->flags & SYN) && g->seq == o->seq[TO_SERVER] + 1 &&
	    g->ack == o->seq[TO_CLIENT] + 1) {
		f->owner = OWNER_FOLLOW;
		f->epoch = set->epoch;
		f->await = AWAIT_GREETING;
		f->next[0] = f->acked[0] = o->seq[TO_SERVER] + 1;
		f->next[1] = o->seq[TO_CLIENT] + 1;
		f->acked[1] = o->seq[TO_CLIENT];
		if (o->scale[0] != UNSCALED && o->scale[1] != UNSCALED) { /* RFC 7323 section 2.2: both, or none */
			f->scale[0] = o->scale[TO_SERVER];
			f->scale[1] = o->scale[TO_CLIENT];
		}
		f->scaled = true;
	}
	bpf_map_delete_elem(&openings, &g->conn);
	return bpf_map_update_elem(&flows, &g->conn, f, BPF_NOEXIST) ? COUNT_UNKNOWN : COUNT_OWNED;
}

#endif
