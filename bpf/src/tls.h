/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The first records of TLS, until both ends have sent protected data.
 */
#ifndef KEEPWORD_TLS_H
#define KEEPWORD_TLS_H

#include "dialogue.h"

/* Records of TLS (RFC 8446 section 5.1, RFC 5246 section 6.2). */
enum { CHANGE_CIPHER_SPEC = 20, HANDSHAKE = 22, APPLICATION_DATA = 23 };
enum { CLIENT_HELLO = 1, SERVER_HELLO = 2 };
#define RECORD_HEADER 5
#define RECORD_MOST ((1 << 14) + 2048)
#define RECORDS 64

struct records {
	__u32 at, end;
	__u32 left;
	__u8 met, others; /* SAID_HELLO, SAID_DATA: of who sends, and of the other end */
	__u8 hello;       /* what a hello of who sends is */
};

/* next_record reads a record's header. It returns 1 where there is none, or one that needs a
 * look. */
static long next_record(__u32 i, struct records *r)
{
	__u32 zero = 0, length, at = r->at;
	struct scratch *c = bpf_map_lookup_elem(&scratches, &zero);
	__u8 kind;

	if (!c || r->end - at < RECORD_HEADER)
		return 1;
	kind = OCTET(c, at);
	length = OCTET(c, at + 3) << 8 | OCTET(c, at + 4);
	if (OCTET(c, at + 1) != 3 || OCTET(c, at + 2) > 4 || !length || length > RECORD_MOST)
		return 1;
	if (!(r->met & SAID_HELLO)) { /* a hello, whole, and alone in its record */
		if (kind != HANDSHAKE || r->end - at < RECORD_HEADER + 4 || OCTET(c, at + 5) != r->hello ||
		    (__u32)OCTET(c, at + 6) << 16 != 0 || ((__u32)OCTET(c, at + 7) << 8 | OCTET(c, at + 8)) + 4 != length ||
		    length > 1 << 14 || r->end - at < RECORD_HEADER + length)
			return 1;
		r->met |= SAID_HELLO;
	} else if (!(r->others & SAID_HELLO)) {
		return 1; /* nothing else before the other's */
	} else if (kind == APPLICATION_DATA) {
		r->met |= SAID_DATA;
	} else if (kind != HANDSHAKE && kind != CHANGE_CIPHER_SPEC) {
		return 1;
	}
	at += RECORD_HEADER;
	if (length >= r->end - at) {
		r->left = length - (r->end - at);
		r->at = r->end;
		return 1;
	}
	r->at = at + length;
	return 0;
}

/* records follows the octets of a handshake: the hello of the client, that of the server, and
 * records until both have sent protected data. */
static __always_inline bool records(struct flow *f, __u8 d, __u32 at, __u32 end)
{
	struct records r = {
		.at = at, .end = end, .met = f->met[d], .others = f->met[!d], .hello = d == TO_SERVER ? CLIENT_HELLO : SERVER_HELLO,
	};

	if (d == TO_CLIENT && !(r.others & SAID_HELLO))
		return false;
	r.left = f->left[d];
	if (r.left >= end - at) {
		f->left[d] -= end - at;
		return true;
	}
	r.at += r.left;
	r.left = 0;
	bpf_loop(RECORDS, next_record, &r, 0);
	if (r.at != end)
		return false;
	f->left[d] = r.left;
	f->met[d] = r.met;
	return true;
}

/* prove notes where both ends have sent protected data, and once both have acknowledged what
 * proves it, the connection is nobody's: until then it may come again in another form. */
static __always_inline void prove(struct flow *f)
{
	if (f->await != AWAIT_TLS || !(f->met[0] & f->met[1] & SAID_DATA))
		return;
	if (!f->proven) {
		f->proven = true;
		f->proof[0] = f->next[0];
		f->proof[1] = f->next[1];
	}
	if ((__s32)(f->acked[0] - f->proof[0]) >= 0 && (__s32)(f->acked[1] - f->proof[1]) >= 0)
		f->owner = OWNER_PASS;
}

#endif
