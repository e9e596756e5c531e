// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's own share of keepword: it decides, before a packet costs a trip to user space
 * and back, whether the packet has to make it. Attached to the ingress of the interfaces
 * (tcx, below Linux 6.6 clsact).
 *
 * A packet that may go on by itself gets the mark that exempts from the queue. All others go
 * on without it, and netfilter diverts them: what is not understood here is inspected there.
 *
 * Of a connection that inspection has granted, a packet goes on if it is what the dialogue
 * waits for, whole and in order: a single reply, a command of a known kind, mail data without
 * a line that begins with a dot. It is logged, whole, before it goes on, and inspection reads
 * the log before anything else of the connection. So inspection knows all octets, and the
 * program need not keep any: a retransmission, a hole, an unexpected word, all that has to be
 * compared or changed comes up.
 *
 * With the first packet that comes up the connection is inspection's again, until it grants
 * it anew and nothing of it is on the way between here and there (grant.seen).
 */
#include "dialogue.h"
#include "log.h"
#include "opening.h"
#include "segment.h"
#include "text.h"
#include "tls.h"
#include <linux/pkt_cls.h>
#include <stddef.h>

char LICENSE[] SEC("license") = "GPL";

/* clamp lowers a window that promises more than inspection can keep (RFC 9293 section 3.8.6:
 * its right edge moves with the acknowledgement, and so never shrinks). */
__noinline bool clamp(struct __sk_buff *skb, struct flow *f, struct segment *g)
{
	__u32 zero = 0;
	struct settings *set = bpf_map_lookup_elem(&control, &zero);
	__be16 from, to;
	__u8 shift;

	if (!set || !f || !g)
		return false;
	shift = f->scale[g->dir & 1] & 15;
	if (!set->window || (__u32)g->window << shift <= set->window)
		return true;
	from = bpf_htons(g->window);
	to = bpf_htons(set->window >> shift);
	if (bpf_l4_csum_replace(skb, g->tcp + offsetof(struct tcphdr, check), from, to, sizeof to) ||
	    bpf_skb_store_bytes(skb, g->tcp + offsetof(struct tcphdr, window), &to, sizeof to, 0))
		return false;
	return true;
}

/* speak follows the octets of a dialogue. They are in c, behind the headers. */
static __always_inline bool speak(const struct settings *set, struct flow *f, struct segment *g, struct scratch *c)
{
	__u32 at = g->headers, end = g->size;
	enum form form;

	if (end > SMALL - 4 || at >= end)
		return false;
	if (f->await == AWAIT_TLS)
		return records(f, g->dir & 1, at, end);
	if (g->dir == TO_SERVER && f->await == AWAIT_MAIL_DATA)
		return mail_data(f, c, at, end);
	form = text(c, at, end);
	if (form == NOT_TEXT)
		return false;
	if (g->dir == TO_SERVER)
		return f->await == AWAIT_COMMAND && !f->pending && commands(f, at, end, form);
	if (f->await == AWAIT_EHLO_REPLY)
		return !f->pending && granted(set, &g->conn) && ehlo_reply(f, at, end);
	return replies(f, g->ack, at, end, form);
}

struct attempt {
	struct flow *flow;
	bool taken;
};

static long try_once(__u32 i, struct attempt *a)
{
	a->taken = !__sync_val_compare_and_swap(&a->flow->busy, 0, 1);
	return a->taken;
}

/* take waits until no other CPU decides a packet of f, longer than reading a large one takes. */
static __always_inline bool take(struct flow *f)
{
	struct attempt a = { .flow = f };

	bpf_loop(1 << 16, try_once, &a, 0);
	return a.taken;
}

static __always_inline void release(struct flow *f)
{
	__sync_lock_test_and_set(&f->busy, 0);
}

#define HEARTBEAT 300000000000ULL /* nanoseconds: inspection forgets connections that are silent longer */

/* follow decides a packet of a connection that is the program's. */
static __always_inline decision follow(const struct settings *set, struct flow *f, struct __sk_buff *skb, struct segment *g)
{
	__u8 d = g->dir & 1;
	__u32 zero = 0, length = g->size - g->headers, acked = f->acked[!d];
	bool ends = g->flags & FIN;
	struct scratch *c;

	if (f->epoch != set->epoch || !alive(set, &g->conn))
		return COUNT_VOID;
	if (g->odd || (g->flags & ~(FIN | PSH)) != ACK)
		return COUNT_HEADERS;
	if (g->seq != f->next[d] || (f->fin & 1 << d && (length || ends)) || (__s32)(f->next[!d] - g->ack) < 0)
		return COUNT_ORDER;
	if (set->window && g->seq + length - f->acked[d] > set->window)
		return COUNT_ORDER; /* more than is kept for comparison */
	if (!clamp(skb, f, g))
		return COUNT_HEADERS;
	if (g->size > SMALL - 4 || (length && d == TO_SERVER && f->await == AWAIT_MAIL_DATA && (f->ring || g->size > set->large))) {
		decision r = (decision)follow_text(skb, f, g);

		if (r != PASS)
			return r;
		f->next[d] += length;
	} else {
		c = bpf_map_lookup_elem(&scratches, &zero);
		if (!c || !ready(skb, g))
			return COUNT_CHECKSUM;
		if (length && !speak(set, f, g, c))
			return COUNT_WORDS;
		if (!tell(skb, f, g))
			return COUNT_LOG_FULL;
		f->next[d] += length + ends;
		f->fin |= ends << d;
		count(COUNT_FOLLOWED, 1);
	}
	if ((__s32)(g->ack - acked) > 0) /* see acknowledges; that one is missed is no harm */
		__sync_val_compare_and_swap(&f->acked[!d], acked, g->ack);
	prove(f);
	return PASS;
}

/* parts notes who has said goodbye. */
static __always_inline void parts(struct flow *f, struct segment *g)
{
	if (g->flags & FIN)
		f->fin |= 1 << (g->dir & 1);
	if (g->flags & RST)
		f->fin = 3; /* perhaps: if it goes on, that is logged */
}

/* pass decides a packet of a connection in TLS. */
static __always_inline decision pass(const struct settings *set, struct flow *f, struct __sk_buff *skb, struct segment *g)
{
	__u8 d = g->dir & 1;
	__u32 end = g->seq + g->size - g->headers;

	if (g->partial || !(g->flags & (SYN | RST | ACK))) /* no receiver takes it (RFC 9293 section 3.10.7.4) */
		return COUNT_HEADERS;
	if (g->flags & SYN)
		return COUNT_ORDER; /* the next connection, perhaps */
	parts(f, g);
	/* Where the log has no room, it is told with the next one. */
	if (!((f->fin || bpf_ktime_get_coarse_ns() > f->logged + HEARTBEAT) && ready(skb, g) && tell(skb, f, g)))
		note(f, g);
	if ((__s32)(end - f->next[d]) > 0)
		f->next[d] = end;
	count(COUNT_PASSED, 1);
	count(COUNT_PASSED_OCTETS, g->size);
	return PASS;
}

/* fits says that a packet can be one of the connection that was granted as one in TLS, and not
 * of one that uses its ports again (RFC 9293 section 3.4.1). */
static __always_inline bool fits(const struct grant *r, const struct segment *g)
{
	__u8 d = g->dir & 1;
	__s32 seq = g->seq - r->next[d], ack = g->ack - r->next[!d];
	const __s32 near = 1 << 24;

	return -near < seq && seq < near && -near < ack && ack < near;
}

/* renew takes up what inspection has granted since. */
static __always_inline bool renew(const struct settings *set, struct flow *f, struct segment *g)
{
	struct grant *r = bpf_map_lookup_elem(&grants, &g->conn);

	if (!r || g->partial || g->flags & SYN)
		return false;
	if (r->owner == OWNER_PASS) {
		if (!fits(r, g))
			return false;
		f->owner = OWNER_PASS;
		f->logged = bpf_ktime_get_ns();
	} else if ((__s16)(r->seen - f->diverted) < 0) { /* for ever, and so when the count has come round */
		bpf_map_delete_elem(&grants, &g->conn);
		return false;
	} else if (r->seen != f->diverted || r->owner != OWNER_FOLLOW || r->epoch != set->epoch || f->fin) {
		return false;
	} else {
		f->owner = OWNER_FOLLOW;
		f->epoch = set->epoch;
		f->await = r->await;
		f->place = IN_LINE;
		f->line = r->line;
		f->ring = r->ring;
		f->pending = 0;
		f->acked[0] = r->acked[0];
		f->acked[1] = r->acked[1];
		f->scale[0] = r->scale[0];
		f->scale[1] = r->scale[1];
		f->scaled = true;
	}
	f->next[0] = r->next[0];
	f->next[1] = r->next[1];
	count(COUNT_TAKEN, 1);
	return true;
}

/* acknowledges lets a bare acknowledgement through, without waiting for who decides another
 * packet of the connection. Inspection need not know of it: what is logged next says it too. So
 * that nothing is kept there in vain, it learns of one that ends what is in flight in a dialogue,
 * and of those that end a connection. */
static __always_inline bool acknowledges(const struct settings *set, struct flow *f, struct __sk_buff *skb, struct segment *g)
{
	__u8 d = g->dir & 1;
	__u32 next = f->next[!d], acked = f->acked[!d];

	if (f->owner != OWNER_FOLLOW || g->size != g->headers || g->flags != ACK || g->odd || f->fin || f->epoch != set->epoch ||
	    g->seq != f->next[d] || (__s32)(next - g->ack) < 0)
		return false;
	if ((g->ack == next && g->ack != acked && f->await != AWAIT_MAIL_DATA) || f->await == AWAIT_TLS)
		return false;
	if (!vouched(skb) || !clamp(skb, f, g))
		return false;
	/* What another CPU has made it meanwhile may be newer; a ring may have been taken on it. */
	if ((__s32)(g->ack - acked) > 0 && __sync_val_compare_and_swap(&f->acked[!d], acked, g->ack) != acked)
		return false;
	__sync_fetch_and_add(&f->packets[d], 1);
	__sync_fetch_and_add(&f->octets[d], g->size);
	count(COUNT_SILENT, 1);
	return true;
}

/* beside lets the bare acknowledgements of a connection through that is inspection's: they carry
 * nothing, and inspection learns of each. */
static __always_inline bool beside(const struct settings *set, struct flow *f, struct __sk_buff *skb, struct segment *g)
{
	if (g->flags != ACK || g->size != g->headers || g->odd || !f->scaled || f->epoch != set->epoch || !alive(set, &g->conn))
		return false;
	if (!clamp(skb, f, g) || !ready(skb, g) || !tell(skb, f, g))
		return false;
	count(COUNT_FOLLOWED, 1);
	return true;
}

/* owned decides a packet of a connection that is known, whoever's it is. */
static __always_inline decision owned(const struct settings *set, struct flow *f, struct __sk_buff *skb, struct segment *g)
{
	decision d = COUNT_OWNED;
	bool over;

	if (acknowledges(set, f, skb, g))
		return PASS;
	if (!take(f))
		return COUNT_BUSY;
	if (f->owner == OWNER_USER)
		renew(set, f, g);
	if (f->owner == OWNER_FOLLOW)
		d = follow(set, f, skb, g);
	else if (f->owner == OWNER_PASS)
		d = pass(set, f, skb, g);
	else if (beside(set, f, skb, g))
		d = PASS;
	if (d != PASS) {
		if (f->owner == OWNER_FOLLOW)
			hand_back(set, f, skb, g);
		f->owner = OWNER_USER;
		f->ring = 0;
		f->diverted++;
	}
	over = f->owner == OWNER_FOLLOW && f->fin == 3 && f->acked[0] == f->next[0] && f->acked[1] == f->next[1];
	release(f);
	if (over)
		bpf_map_delete_elem(&flows, &g->conn);
	return d;
}

/* adopt takes a connection in TLS that is older than the program. */
static __always_inline bool adopt(const struct settings *set, struct __sk_buff *skb, struct segment *g)
{
	struct grant *r = bpf_map_lookup_elem(&grants, &g->conn);
	__u32 zero = 0;
	struct scratch *c = bpf_map_lookup_elem(&scratches, &zero);
	struct flow *f;

	if (!r || !c || g->partial || r->owner != OWNER_PASS || g->flags & (SYN | FIN | RST) || !fits(r, g))
		return false;
	f = fresh(c);
	f->owner = OWNER_PASS;
	f->logged = bpf_ktime_get_ns();
	f->next[g->dir & 1] = g->seq;
	f->next[!(g->dir & 1)] = g->ack;
	note(f, g);
	return !bpf_map_update_elem(&flows, &g->conn, f, BPF_NOEXIST);
}

static __always_inline decision decide(const struct settings *set, struct __sk_buff *skb, struct segment *g)
{
	struct flow *f = bpf_map_lookup_elem(&flows, &g->conn);
	bool begins = (g->flags & (SYN | ACK)) == SYN; /* with ECE and CWR too (RFC 3168 section 6.1.1), and PSH or URG */

	if (begins) /* whatever was granted was granted to another connection */
		bpf_map_delete_elem(&grants, &g->conn);
	if (f && f->owner == OWNER_PASS && f->fin == 3 && begins) { /* the next one on these ports */
		bpf_map_delete_elem(&flows, &g->conn);
		f = NULL;
	}
	if (!f) {
		struct opening *o = bpf_map_lookup_elem(&openings, &g->conn);
		decision d;

		if (!o && g->flags & SYN)
			return open(set, skb, g);
		if (!o)
			return adopt(set, skb, g) ? PASS : COUNT_UNKNOWN;
		d = establish(set, skb, g, o);
		if (d != COUNT_OWNED)
			return d;
		f = bpf_map_lookup_elem(&flows, &g->conn);
		if (!f)
			return COUNT_UNKNOWN;
	}
	return owned(set, f, skb, g);
}

/* present has the program that follows as long as the process has it open: the kernel empties an
 * array of programs with the last descriptor of it (kernel/bpf/arraymap.c, map_release_uref). */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} present SEC(".maps");

SEC("tc")
int keepword_present(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct settings *set = bpf_map_lookup_elem(&control, &zero);
	struct segment g = {};
	decision d;

	if (!set || (skb->mark & set->mark) == set->mark ||
	    (skb->vlan_present && skb->vlan_tci & 0xfff)) /* with 0 it is a priority, and no network's */
		return TC_ACT_UNSPEC;
	if (parse(skb, set, &g) != OURS)
		return TC_ACT_UNSPEC;
	d = decide(set, skb, &g);
	if (d == PASS) {
		skb->mark |= set->mark;
		return TC_ACT_UNSPEC;
	}
	count(d, 1);
	return d == COUNT_BUSY ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

/* keepword_steer is at the interfaces, also while the process is dead: then only connections in TLS
 * pass, for nobody reads of any other. */
SEC("tc")
int keepword_steer(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct settings *set;
	struct segment g = {};
	struct flow *f;

	bpf_tail_call(skb, &present, 0);
	set = bpf_map_lookup_elem(&control, &zero);
	if (!set || (skb->vlan_present && skb->vlan_tci & 0xfff) || parse(skb, set, &g) != OURS)
		return TC_ACT_UNSPEC;
	if (g.flags & SYN) /* as in decide */
		bpf_map_delete_elem(&grants, &g.conn);
	f = bpf_map_lookup_elem(&flows, &g.conn);
	if (!f) {
		count(COUNT_UNKNOWN, 1);
		return TC_ACT_UNSPEC;
	}
	if (f->owner != OWNER_PASS || g.partial || g.flags & SYN || !(g.flags & (RST | ACK))) {
		f->owner = OWNER_USER;
		count(COUNT_VOID, 1);
		return TC_ACT_UNSPEC;
	}
	parts(f, &g); /* whoever comes back learns of it by the next */
	note(f, &g);
	count(COUNT_PASSED, 1);
	count(COUNT_PASSED_OCTETS, g.size);
	skb->mark |= set->mark;
	return TC_ACT_UNSPEC;
}
