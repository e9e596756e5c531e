/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Mail data in packets that are too long, or too many, to be logged whole. They are read here
 * alone, to a stricter standard than inspection's: lines of at most TEXT_LINE octets that end with
 * CRLF, no other CR or LF, no NUL, and no line that begins with a dot, unless with two (RFC 5321
 * section 4.5.2), but the last. What is kept of them for retransmissions lies in a ring that is
 * mapped into the process. The log has the headers, and how far the lines have come.
 *
 * A ring is taken when nothing is in flight, or granted together with the connection. The process
 * gives it back when the connection has ended its mail data, or come up, for nothing is written
 * then any more.
 */
#ifndef KEEPWORD_TEXT_H
#define KEEPWORD_TEXT_H

#include "dialogue.h"
#include "log.h"

/* RFC 5321 section 4.5.3.1.6, without CRLF. */
#define TEXT_LINE 998

/* CR is the last control octet that matters. */
#define BELOW ('\r' + 1)

/* memory_of returns the ring with a number from struct flow. */
static __always_inline struct memory *memory_of(__u32 ring)
{
	__u32 i = ring - 1;

	return bpf_map_lookup_elem(&rings, &i);
}

/* lowest returns which octet of a word is the first with its highest bit set, where no other
 * bit is. */
static __always_inline __u32 lowest(__u64 high)
{
	high &= -high;
	return (high >> 7) * 0x0001020304050607ULL >> 56;
}

/* under has the highest bit of each octet set that is less than BELOW, and perhaps of others
 * behind the first. */
static __always_inline __u64 under(__u64 w)
{
	return (w - EACH * BELOW) & ~w & HIGH;
}

struct text {
	__u32 ring, at, end;
	__u32 start; /* of the line at hand, modulo 2^32; a dot put before it is none of it */
	__u32 place;
	__u32 span; /* octets of the line before without CRLF: the next is often as long */
};

static __always_inline __u8 text_octet(const struct memory *m, __u32 at)
{
	barrier_var(at);
	return at < RING + LARGE ? m->octets[at] : 0;
}

#define STEPS 16
#define CRLF ('\r' | '\n' << 8)

/* clear says that none of the 32 octets from w on is less than BELOW. In ASCII the highest bit is set
 * by nothing else; else it may say no in vain. */
static __always_inline bool clear(const __u64 *w)
{
	return !(((w[0] - EACH * BELOW) | (w[1] - EACH * BELOW) | (w[2] - EACH * BELOW) | (w[3] - EACH * BELOW)) & HIGH);
}

/* ends_line says that a line ends at o, and the next does not begin with a dot. */
static __always_inline bool ends_line(const void *o)
{
	__u32 w = *(const __u32 *)o;

	return (w & 0xffff) == CRLF && (w >> 16 & 0xff) != '.';
}

/* lines_run reads on in a line, and over the ends of lines of which the next begins with no dot,
 * for so many steps, or up to an octet that needs a look. */
__noinline bool lines_run(struct memory *m, struct text *t)
{
	/* volatile: what was read from memory is anything, so that all steps are one to the verifier */
	volatile struct text *v = t;
	__u32 at, end;

	if (!m || !t)
		return false;
	end = t->end;
	for (int i = 0; i < STEPS; i++) {
		const __u8 *o;
		const __u64 *w;
		__u64 some;
		__u32 left;

		at = v->at;
		if (at >= end)
			break;
		left = v->start + v->span - at;
		barrier_var(at); /* what is checked is what is used */
		if (at > RING + LARGE)
			return false;
		o = &m->octets[at];
		if (left < 32 && v->span >= 32 && at + left + 2 < end && ends_line(o + left) && clear((const __u64 *)(o + left - 32))) {
			v->at = v->start = at + left + 2;
			continue;
		}
		w = (const __u64 *)o;
		if (clear(w)) {
			v->at = at + 32;
			continue;
		}
		if ((some = under(w[0])))
			at += lowest(some);
		else if ((some = under(w[1])))
			at += 8 + lowest(some);
		else if ((some = under(w[2])))
			at += 16 + lowest(some);
		else if ((some = under(w[3])))
			at += 24 + lowest(some);
		else {
			v->at = at + 32;
			continue;
		}
		v->at = at;
		if (at + 2 >= end)
			break;
		barrier_var(at);
		if (at > RING + LARGE)
			return false;
		if (!ends_line(&m->octets[at]))
			break;
		v->span = at - v->start;
		if (v->span > TEXT_LINE)
			return false;
		v->at = v->start = at + 2;
	}
	if (v->at > end)
		v->at = end;
	return v->at - v->start <= TEXT_LINE;
}

/* next_text reads on as far as lines_run does, and the octet there. It returns 1 where there is
 * nothing left, or what is not text. */
static long next_text(__u32 i, struct text *t)
{
	struct memory *m = memory_of(t->ring);
	__u8 o;

	if (!m)
		return 1;
	if (t->place == BEHIND_CR)
		goto behind_cr;
	if (t->place == LINE_START && text_octet(m, t->at) == '.') {
		t->start = ++t->at; /* which the receiver takes away */
		if (t->at >= t->end || text_octet(m, t->at) != '.')
			goto unfit;
	}
	t->place = IN_LINE;
	if (!lines_run(m, t))
		goto unfit;
	if (t->at == t->end)
		return 1;
	o = text_octet(m, t->at);
	if (o >= BELOW)
		return 0; /* there is more to run */
	t->at++;
	if (o != '\r') {
		if (o == '\n' || !o || t->at - t->start > TEXT_LINE)
			goto unfit;
		return t->at == t->end;
	}
	t->place = BEHIND_CR;
	if (t->at == t->end)
		return 1;
behind_cr:
	if (text_octet(m, t->at) != '\n')
		goto unfit;
	t->start = ++t->at;
	t->place = LINE_START;
	return t->at == t->end;
unfit:
	t->place = UNFIT;
	return 1;
}

struct search {
	__u32 ring;
};

/* try_ring takes a ring that nobody has. */
static long try_ring(__u32 i, struct search *s)
{
	struct memory *m = bpf_map_lookup_elem(&rings, &i);

	if (!m || m->taken || __sync_val_compare_and_swap(&m->taken, 0, 1))
		return 0;
	s->ring = i + 1;
	return 1;
}

static __always_inline __u32 take_ring(void)
{
	struct search s = {};

	bpf_loop(RINGS, try_ring, &s, 0);
	return s.ring;
}

/* read_text reads the n octets of mail data of the packet, which lie in the ring from at on. It
 * returns what stands behind the text. */
static __always_inline bool read_text(struct flow *f, struct memory *m, __u32 ring, __u32 at, __u32 n, enum tail *tail)
{
	struct text t = { .ring = ring, .at = at, .end = at + n, .start = at - f->line, .place = f->place };
	bool ends = n >= 3 && text_octet(m, at + n - 3) == '.' && text_octet(m, at + n - 2) == '\r' && text_octet(m, at + n - 1) == '\n';

	if (ends) /* perhaps: the dot may stand in a line */
		t.end -= 3;
	if (t.at < t.end)
		bpf_loop(LARGE / 2, next_text, &t, 0);
	if (t.at != t.end || t.place == UNFIT || (ends && t.place == BEHIND_CR))
		return false;
	*tail = TAIL_NONE;
	if (t.place == BEHIND_CR)
		*tail = TAIL_CR;
	if (ends && t.place == LINE_START) {
		*tail = TAIL_END;
	} else if (ends) {
		if (t.at - t.start >= TEXT_LINE)
			return false;
		t.start = t.at;
		t.place = LINE_START;
	}
	f->line = t.at - t.start;
	f->place = t.place;
	return true;
}

/* The headers that are logged: IPv6's, and TCP's with all options. */
#define MOST_HEADERS 100

/* tell_text logs the headers of a packet, and what its text was. */
static __always_inline bool tell_text(struct __sk_buff *skb, struct flow *f, struct segment *g, __u32 ring, __u32 n, enum tail tail)
{
	__u32 zero = 0, i, length = g->headers;
	struct scratch *c = bpf_map_lookup_elem(&scratches, &zero);
	struct settings *set = bpf_map_lookup_elem(&control, &zero);
	void *log;

	barrier_var(length);
	if (!c || !set || length < 40 || length > MOST_HEADERS)
		return false;
	i = worker(set, &g->conn);
	log = bpf_map_lookup_elem(&logs, &i);
	if (!log || bpf_skb_load_bytes(skb, ETH_HLEN, c->packet, length))
		return false;
	head(&c->record, f, skb, g);
	c->record.size = length;
	c->record.ring = ring;
	c->record.tail = tail;
	c->record.text = n - (tail == TAIL_END ? 3 : tail == TAIL_CR ? 1 : 0);
	c->record.line = f->line - (tail == TAIL_CR);
	if (bpf_ringbuf_output(log, c, sizeof c->record + length, wake(c, log)))
		return false;
	written(f);
	return true;
}

/* follow_text decides a packet of mail data that is not logged. */
__noinline int follow_text(struct __sk_buff *skb, struct flow *f, struct segment *g)
{
	__u32 n, at, ring;
	enum tail tail = TAIL_NONE;
	struct memory *m;
	int why = COUNT_WORDS;

	if (!f || !g)
		return COUNT_LARGE;
	n = g->size - g->headers;
	ring = f->ring;
	if (g->dir != TO_SERVER || f->await != AWAIT_MAIL_DATA || g->flags & FIN || f->line == UNTOLD || g->headers > MOST_HEADERS)
		return COUNT_LARGE;
	if (!vouched(skb) && (g->size > SMALL - 4 || !ready(skb, g)))
		return COUNT_CHECKSUM;
	if (g->seq + n - f->acked[0] > RING)
		return COUNT_ORDER;
	if (!ring && f->acked[0] == f->next[0])
		ring = take_ring();
	if (!ring)
		return COUNT_LARGE;
	m = memory_of(ring);
	if (!m)
		return COUNT_LARGE;
	at = g->seq & (RING - 1);
	barrier_var(n); /* what is checked is what is used */
	if (!n || n > LARGE || bpf_skb_load_bytes(skb, ETH_HLEN + g->headers, &m->octets[at], n))
		goto come_up;
	if (at + n > RING) {
		__u32 over = at + n - RING;

		barrier_var(over);
		if (!over || over > LARGE || bpf_skb_load_bytes(skb, ETH_HLEN + g->headers + n - over, m->octets, over))
			goto come_up;
	}
	if (!read_text(f, m, ring, at, n, &tail))
		goto come_up;
	why = COUNT_LOG_FULL;
	if (!tell_text(skb, f, g, ring, n, tail))
		goto come_up;
	f->ring = ring;
	if (tail == TAIL_END) {
		f->await = AWAIT_END_REPLY;
		f->ring = 0;
	}
	count(COUNT_FOLLOWED, 1);
	return PASS;
come_up:
	if (!f->ring) /* it was taken for this one */
		m->taken = 0;
	return why;
}

#endif
