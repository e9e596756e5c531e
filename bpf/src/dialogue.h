/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The words of a dialogue, and mail data in packets that are logged (RFC 5321).
 */
#ifndef KEEPWORD_DIALOGUE_H
#define KEEPWORD_DIALOGUE_H

#include "maps.h"
#include <stdbool.h>

#define OCTET(c, i) ((c)->packet[(i) & (SMALL - 1)])

/* Octets are read by eight. Behind the packet there is room in struct scratch. */
#define EIGHT(c, i) (*(__u64 *)&OCTET(c, i))
#define EACH 0x0101010101010101ULL
#define HIGH (EACH * 0x80)

/* below says that an octet of w is less than n, which is at most 128. */
static __always_inline bool below(__u64 w, __u8 n)
{
	return (w - EACH * n) & ~w & HIGH;
}

/* printable says that all octets of w are printable ASCII. */
static __always_inline bool printable(__u64 w)
{
	return !((w | (w + EACH) | (w - EACH * ' ')) & HIGH);
}

/* Octets are read in runs of so many, each by a function that the verifier looks at once. */
#define RUN 64

/* plain_run says that the next octets up to end, but for RUN of them, are printable ASCII. */
__noinline bool plain_run(struct scratch *c, __u32 at, __u32 end)
{
	if (!c)
		return false;
	for (int i = 0; i < RUN / 8; i++, at += 8) {
		__u64 w = EIGHT(c, at);

		if (at >= end)
			break;
		if (end - at < 8) /* what lies behind the end is no matter */
			w = (w & ((1ULL << (end - at) * 8) - 1)) | (EACH * ' ' << (end - at) * 8);
		if (!printable(w))
			return false;
	}
	return true;
}

/* The place behind an octet, by the place before it. A table has no branches for the verifier
 * to follow. */
#define ALL(places) [0 ... 255] = places
static const __u8 in_text[PLACES][256] = {
	/* Printable ASCII in lines that end with CRLF. */
	[LINE_START] = { ALL(UNFIT), [' ' ... '~'] = IN_LINE, ['\r'] = BEHIND_CR },
	[IN_LINE] = { ALL(UNFIT), [' ' ... '~'] = IN_LINE, ['\r'] = BEHIND_CR },
	[BEHIND_CR] = { ALL(UNFIT), ['\n'] = LINE_START },
	[BEHIND_DOT] = { ALL(UNFIT) },
	[UNFIT] = { ALL(UNFIT) },
};
static const __u8 in_mail[PLACES][256] = {
	/* Lines that end with CRLF, none of which begins with a dot unless with two. NULs, which some
	 * servers drop, come up. */
	[LINE_START] = { ALL(IN_LINE), [0] = UNFIT, ['\r'] = BEHIND_CR, ['\n'] = UNFIT, ['.'] = BEHIND_DOT },
	[IN_LINE] = { ALL(IN_LINE), [0] = UNFIT, ['\r'] = BEHIND_CR, ['\n'] = UNFIT },
	[BEHIND_CR] = { ALL(UNFIT), ['\n'] = LINE_START },
	[BEHIND_DOT] = { ALL(UNFIT), ['.'] = IN_LINE },
	[UNFIT] = { ALL(UNFIT) },
};

static __always_inline __u32 behind(const __u8 table[PLACES][256], __u32 place, __u8 o)
{
	return place < PLACES ? table[place][o] : UNFIT;
}

/* text_run reads a run of a dialogue, and returns the place behind it. */
__noinline __u32 text_run(struct scratch *c, __u32 at, __u32 end, __u32 place)
{
	if (!c)
		return UNFIT;
	for (__u32 i = 0; i < RUN && at + i < end; i++)
		place = behind(in_text, place, OCTET(c, at + i));
	return place;
}

enum form { NOT_TEXT, ONE_LINE, LINES };

/* text says whether the octets from at up to end are whole lines of printable ASCII. */
static __always_inline enum form text(struct scratch *c, __u32 at, __u32 end)
{
	__u32 place = LINE_START, i = at;
	bool plain = true;

	if (end - at < 2 || OCTET(c, end - 2) != '\r' || OCTET(c, end - 1) != '\n')
		return NOT_TEXT;
	for (int n = 0; n < 512 / RUN && i < end - 2 && plain; n++, i += RUN)
		plain = plain_run(c, i, end - 2);
	if (plain && i >= end - 2)
		return ONE_LINE;
	for (int n = 0; n < 2048 / RUN && at < end; n++, at += RUN)
		place = text_run(c, at, end, place);
	return at >= end && place == LINE_START ? LINES : NOT_TEXT;
}

static __always_inline __u32 word(struct scratch *c, __u32 i)
{
	return OCTET(c, i) << 24 | OCTET(c, i + 1) << 16 | OCTET(c, i + 2) << 8 | OCTET(c, i + 3);
}

#define WORD(a, b, c, d) ((__u32)(a) << 24 | (b) << 16 | (c) << 8 | (d))
#define UPPER 0xdfdfdfdf

/* next_line returns where the line that begins at at ends. */
__noinline __u32 next_line(struct scratch *c, __u32 at, __u32 end)
{
	if (!c)
		return 0;
	for (__u32 i = 0; i < 1024; i++) {
		__u32 j = at + i;

		if (j >= end)
			return 0;
		if (OCTET(c, j) == '\n')
			return j + 1;
	}
	return 0;
}

/* The longest line of a dialogue that is let through here (RFC 5321 section 4.5.3.1.4), and
 * the most commands in one group (RFC 2920). */
#define LINE 512
#define GROUP 32

/* command returns what the client waits for behind a command line: AWAIT_REPLY where it changes
 * nothing, AWAIT_NOTHING where the command is not one of these. */
__noinline __u32 command(struct scratch *c, __u32 at, __u32 length)
{
	__u32 verb;
	__u8 behind;

	if (!c || length < 6 || length > LINE)
		return AWAIT_NOTHING;
	verb = word(c, at) & UPPER;
	behind = OCTET(c, at + 4);
	if (length == 6) {
		if (verb == WORD('D', 'A', 'T', 'A'))
			return AWAIT_DATA_REPLY;
		if (verb == WORD('Q', 'U', 'I', 'T'))
			return AWAIT_QUIT_REPLY;
		return verb == WORD('R', 'S', 'E', 'T') || verb == WORD('N', 'O', 'O', 'P') ? AWAIT_REPLY : AWAIT_NOTHING;
	}
	if (verb == WORD('E', 'H', 'L', 'O') && behind == ' ')
		return AWAIT_EHLO_REPLY;
	if (verb == WORD('M', 'A', 'I', 'L') && behind == ' ' && (word(c, at + 5) & UPPER) == WORD('F', 'R', 'O', 'M') &&
	    OCTET(c, at + 9) == ':' && OCTET(c, at + 10) == '<')
		return AWAIT_REPLY;
	if (verb == WORD('R', 'C', 'P', 'T') && (word(c, at + 4) & 0xffdfdfff) == WORD(' ', 'T', 'O', ':') && OCTET(c, at + 8) == '<')
		return AWAIT_REPLY;
	/* RFC 3207 section 4: no parameter. */
	if (length == 10 && verb == WORD('S', 'T', 'A', 'R') && (word(c, at + 4) & UPPER) == WORD('T', 'T', 'L', 'S'))
		return AWAIT_TLS_REPLY;
	return AWAIT_NOTHING;
}

/* talk is what one packet says. */
struct talk {
	__u32 at, end; /* octets that are not read yet */
	enum form form;
	__u32 pending, await, offered;
};

/* next_command reads a command. It returns 1 where there is none, or one after which none may
 * stand. */
static long next_command(__u32 i, struct talk *t)
{
	__u32 zero = 0, next, await;
	struct scratch *c = bpf_map_lookup_elem(&scratches, &zero);

	if (!c || t->at == t->end)
		return 1;
	next = t->form == ONE_LINE ? t->end : next_line(c, t->at, t->end);
	if (!next)
		return 1;
	await = command(c, t->at, next - t->at);
	if (await == AWAIT_REPLY) {
		t->pending++;
		t->at = next;
		return 0;
	}
	if (await == AWAIT_NOTHING || (await == AWAIT_EHLO_REPLY && t->pending) ||
	    (await == AWAIT_TLS_REPLY && (t->pending || !t->offered)))
		return 1;
	t->await = await;
	t->at = next;
	return 1;
}

/* commands follows the client's octets from at up to end: whole lines of commands that change
 * nothing by themselves, the last of which may be one that does. */
static __always_inline bool commands(struct flow *f, __u32 at, __u32 end, enum form form)
{
	struct talk t = { .at = at, .end = end, .form = form, .await = AWAIT_COMMAND, .offered = f->offered };

	f->offered = false;
	bpf_loop(GROUP, next_command, &t, 0);
	if (t.at != end)
		return false;
	f->pending = t.pending;
	f->await = t.await;
	return true;
}

/* next_offer reads a line of a positive reply to EHLO. It returns 1 behind the last, or where
 * there is none. */
static long next_offer(__u32 i, struct talk *t)
{
	__u32 zero = 0, next, code;
	struct scratch *c = bpf_map_lookup_elem(&scratches, &zero);

	if (!c)
		return 1;
	next = next_line(c, t->at, t->end);
	if (!next || next - t->at < 6 || next - t->at > LINE)
		return 1;
	code = word(c, t->at);
	if (code != WORD('2', '5', '0', ' ') && code != WORD('2', '5', '0', '-'))
		return 1;
	if (i && next - t->at == 14 && (word(c, t->at + 4) & UPPER) == WORD('S', 'T', 'A', 'R') &&
	    (word(c, t->at + 8) & UPPER) == WORD('T', 'T', 'L', 'S'))
		t->offered = true;
	t->at = next;
	if (code == WORD('2', '5', '0', '-'))
		return 0;
	t->await = AWAIT_COMMAND;
	return 1;
}

/* The most lines of an EHLO reply. */
#define OFFERS 64

/* ehlo_reply says that the octets are one positive reply to EHLO: each line begins with 250-,
 * the last with 250 and a blank. It notes whether a line offers STARTTLS. */
static __always_inline bool ehlo_reply(struct flow *f, __u32 at, __u32 end)
{
	struct talk t = { .at = at, .end = end, .await = AWAIT_EHLO_REPLY };

	bpf_loop(OFFERS, next_offer, &t, 0);
	if (t.at != end || t.await != AWAIT_COMMAND)
		return false;
	f->offered = t.offered;
	f->await = AWAIT_COMMAND;
	return true;
}

/* next_reply reads a reply of one line. It returns 1 where there is none that is awaited. */
static long next_reply(__u32 i, struct talk *t)
{
	__u32 zero = 0, next, code;
	struct scratch *c = bpf_map_lookup_elem(&scratches, &zero);

	if (!c || t->at == t->end)
		return 1;
	next = t->form == ONE_LINE ? t->end : next_line(c, t->at, t->end);
	if (!next || next - t->at < 6 || next - t->at > LINE)
		return 1;
	code = word(c, t->at);
	if (t->pending) {
		if (code != WORD('2', '5', '0', ' '))
			return 1;
		t->pending--;
	} else if (t->await == AWAIT_GREETING && code == WORD('2', '2', '0', ' ')) {
		t->await = AWAIT_COMMAND;
	} else if (t->await == AWAIT_DATA_REPLY && code == WORD('3', '5', '4', ' ')) {
		t->await = AWAIT_MAIL_DATA;
	} else if (t->await == AWAIT_END_REPLY && code == WORD('2', '5', '0', ' ')) {
		t->await = AWAIT_COMMAND;
	} else if (t->await == AWAIT_TLS_REPLY && code == WORD('2', '2', '0', ' ')) {
		t->await = AWAIT_TLS;
	} else if (t->await == AWAIT_QUIT_REPLY && code == WORD('2', '2', '1', ' ')) {
		t->await = AWAIT_NOTHING;
	} else {
		return 1;
	}
	t->at = next;
	return 0;
}

/* replies follows the server's octets: as many whole replies of one line as are awaited, or
 * fewer. A 220 that does not acknowledge STARTTLS was said before it, and is no answer. */
static __always_inline bool replies(struct flow *f, __u32 ack, __u32 at, __u32 end, enum form form)
{
	struct talk t = { .at = at, .end = end, .form = form, .await = f->await, .pending = f->pending };

	bpf_loop(GROUP + 1, next_reply, &t, 0);
	if (t.at != end || (t.await == AWAIT_TLS && ack != f->next[TO_SERVER]))
		return false;
	if (t.await == AWAIT_MAIL_DATA) {
		f->place = LINE_START;
		f->line = 0;
	}
	if (t.await == AWAIT_TLS)
		f->left[0] = f->left[1] = f->met[0] = f->met[1] = f->proven = 0;
	f->pending = t.pending;
	f->await = t.await;
	return true;
}

/* mail_run reads a run of mail data, and returns the place behind it. */
__noinline __u32 mail_run(struct scratch *c, __u32 at, __u32 end, __u32 place)
{
	if (!c)
		return UNFIT;
	for (int i = 0; i < RUN / 8; i++, at += 8) {
		if (place == IN_LINE && at + 8 <= end && !below(EIGHT(c, at), '\r' + 1))
			continue;
		for (int j = 0; j < 8 && at + j < end; j++)
			place = behind(in_mail, place, OCTET(c, at + j));
	}
	return place;
}

/* mail_data follows small mail data: lines that end in CRLF, none of which begins with a dot
 * but the last, where that is all of it (RFC 5321 section 4.1.1.4), or where it begins with two
 * (section 4.5.2). */
static __always_inline bool mail_data(struct flow *f, struct scratch *c, __u32 at, __u32 end)
{
	__u32 place = f->place, stop = end;
	bool ends = end - at >= 3 && OCTET(c, end - 3) == '.' && OCTET(c, end - 2) == '\r' && OCTET(c, end - 1) == '\n';

	if (ends) /* perhaps: the dot may stand in a line */
		stop = end - 3;
	for (int i = 0; i < SMALL / RUN && at < stop; i++, at += RUN) {
		place = mail_run(c, at, stop, place);
		if (place == UNFIT)
			return false;
	}
	if (at < stop)
		return false;
	if (ends && place == LINE_START)
		f->await = AWAIT_END_REPLY;
	else if (ends && place == BEHIND_CR)
		return false;
	else if (ends)
		place = LINE_START;
	if (place == BEHIND_DOT)
		return false;
	f->place = place;
	f->line = place == LINE_START ? 0 : UNTOLD;
	return true;
}

#endif
