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
#include "types.h"
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

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

/* segment is a TCP segment as it is needed here. */
struct segment {
	struct conn conn;
	__u32 at;      /* where the IP header begins in the frame */
	__u32 tcp;     /* where the TCP header begins */
	__u32 size;    /* octets from the IP header on */
	__u32 headers; /* of them IP's and TCP's */
	__u32 seq, ack;
	__u16 window;
	__u8 flags;
	__u8 dir;
	bool odd;     /* it has options that are not looked at here */
	bool partial; /* only conn and dir are known; it is odd too */
};

/* TCP's control bits (RFC 9293 section 3.1). */
#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10

static __always_inline bool inspected(const struct settings *s, __be16 port)
{
	__u16 p = bpf_ntohs(port);

	return s->ports[p / 64] >> (p % 64) & 1;
}

enum sort { NOT_OURS, OURS };

/* IPv6's extension headers (RFC 8200 section 4, RFC 4302), and the most of them that are read. */
enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, AUTHENTICATION = 51, DESTINATION = 60 };
#define EXTENSIONS 8

struct way {
	__u32 src[4], dst[4];
	__be16 ports[2];
};

/* unusual reads of a packet whose it is: of one with IP options or extension headers, of a first
 * fragment, and of one whose headers are not in one piece. It needs a look, and must not come up
 * without being missed here. */
__noinline bool unusual(struct __sk_buff *skb, struct way *w)
{
	__u32 at = ETH_HLEN;

	if (!w)
		return false;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, at, &ip, sizeof ip) || ip.version != 4 || ip.ihl < 5 || ip.protocol != IPPROTO_TCP ||
		    ip.frag_off & bpf_htons(0x1fff))
			return false;
		w->src[0] = w->src[1] = w->dst[0] = w->dst[1] = 0;
		w->src[2] = w->dst[2] = bpf_htonl(0xffff);
		w->src[3] = ip.saddr;
		w->dst[3] = ip.daddr;
		at += ip.ihl * 4;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip;
		__u8 next;

		if (bpf_skb_load_bytes(skb, at, &ip, sizeof ip) || ip.version != 6)
			return false;
		__builtin_memcpy(w->src, &ip.saddr, sizeof w->src);
		__builtin_memcpy(w->dst, &ip.daddr, sizeof w->dst);
		next = ip.nexthdr;
		at += sizeof ip;
		for (int i = 0; i < EXTENSIONS && next != IPPROTO_TCP; i++) {
			struct {
				__u8 next, length;
				__be16 offset;
			} h;

			if (bpf_skb_load_bytes(skb, at, &h, sizeof h))
				return false;
			if (next == FRAGMENT) {
				if (h.offset & bpf_htons(0xfff8))
					return false;
				at += 8;
			} else if (next == AUTHENTICATION) {
				at += (h.length + 2) * 4;
			} else if (next == HOP_BY_HOP || next == ROUTING || next == DESTINATION) {
				at += (h.length + 1) * 8;
			} else {
				return false;
			}
			next = h.next;
		}
		if (next != IPPROTO_TCP)
			return false;
	} else {
		return false;
	}
	return !bpf_skb_load_bytes(skb, at, w->ports, sizeof w->ports);
}

/* usual reads the headers of a packet that has no unusual ones. */
static __always_inline bool usual(struct __sk_buff *skb, struct segment *g, struct way *w)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct tcphdr *t;
	__u32 size, header;

	if (data + ETH_HLEN + sizeof(struct iphdr) + sizeof(struct tcphdr) > end)
		return false;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = data + ETH_HLEN;

		if (ip->protocol != IPPROTO_TCP || ip->version != 4 || ip->ihl != 5 ||
		    ip->frag_off & bpf_htons(0x3fff)) /* offset, or more fragments */
			return false;
		w->src[0] = w->src[1] = w->dst[0] = w->dst[1] = 0;
		w->src[2] = w->dst[2] = bpf_htonl(0xffff);
		w->src[3] = ip->saddr;
		w->dst[3] = ip->daddr;
		size = bpf_ntohs(ip->tot_len);
		header = sizeof *ip;
		t = (void *)(ip + 1);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) + sizeof *t > end || ip->nexthdr != IPPROTO_TCP || ip->version != 6)
			return false;
		__builtin_memcpy(w->src, &ip->saddr, sizeof w->src);
		__builtin_memcpy(w->dst, &ip->daddr, sizeof w->dst);
		size = sizeof *ip + bpf_ntohs(ip->payload_len);
		header = sizeof *ip;
		t = (void *)(ip + 1);
	} else {
		return false;
	}
	w->ports[0] = t->source;
	w->ports[1] = t->dest;
	g->tcp = ETH_HLEN + header;
	g->size = size;
	g->headers = header + t->doff * 4;
	g->seq = bpf_ntohl(t->seq);
	g->ack = bpf_ntohl(t->ack_seq);
	g->window = bpf_ntohs(t->window);
	g->flags = ((__u8 *)t)[13];
	if (t->doff < 5 || g->headers > size || size > skb->len - ETH_HLEN) { /* no receiver takes it */
		g->odd = g->partial = true;
		g->flags = 0;
	} else if (((__u8 *)t)[12] & 0x0f) {
		g->odd = true;
	} else if (t->doff == 8) { /* as Linux sends timestamps (RFC 7323 appendix A) */
		__be32 *o = (void *)(t + 1);

		g->odd = (void *)(o + 1) > end || *o != bpf_htonl(0x0101080a);
	} else if (t->doff != 5) {
		g->odd = true;
	}
	return true;
}

/* parse reads the headers. What it does not take for OURS needs no exemption, or gets none. */
static __always_inline enum sort parse(struct __sk_buff *skb, const struct settings *set, struct segment *g)
{
	struct way w = {};
	bool to, from;

	g->at = ETH_HLEN;
	if (!usual(skb, g, &w)) {
		if (!unusual(skb, &w))
			return NOT_OURS;
		g->odd = g->partial = true;
	}
	from = inspected(set, w.ports[0]);
	to = inspected(set, w.ports[1]);
	if (from == to)
		return NOT_OURS; /* with both, only who knows the SYN can tell the server */
	if (to) {
		g->dir = TO_SERVER;
		__builtin_memcpy(g->conn.client, w.src, sizeof w.src);
		__builtin_memcpy(g->conn.server, w.dst, sizeof w.dst);
		g->conn.client_port = w.ports[0];
		g->conn.server_port = w.ports[1];
	} else {
		g->dir = TO_CLIENT;
		__builtin_memcpy(g->conn.client, w.dst, sizeof w.dst);
		__builtin_memcpy(g->conn.server, w.src, sizeof w.src);
		g->conn.client_port = w.ports[1];
		g->conn.server_port = w.ports[0];
	}
	return OURS;
}

/* sk_buff___own is the part of struct sk_buff that tells who vouches for the checksum. */
struct sk_buff___own {
	__u8 ip_summed : 2;
} __attribute__((preserve_access_index));

extern void *bpf_cast_to_kern_ctx(void *obj) __ksym __weak;

enum { CHECKSUM_NONE, CHECKSUM_UNNECESSARY, CHECKSUM_COMPLETE, CHECKSUM_PARTIAL };

/* vouched says that the checksum needs no look: the card has seen that it is right, or the
 * packet has never been on a wire (struct sk_buff, ip_summed). */
static __always_inline bool vouched(struct __sk_buff *skb)
{
	if (bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY) >= 0)
		return true;
	if (bpf_cast_to_kern_ctx) { /* the kernel has it */
		struct sk_buff___own *b = bpf_cast_to_kern_ctx(skb);

		return BPF_CORE_READ_BITFIELD(b, ip_summed) == CHECKSUM_PARTIAL;
	}
	return false;
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* sound says that the checksum of the packet in c is right (RFC 9293 section 3.1). Behind
 * the packet there are zeros. */
__noinline bool sound(struct scratch *c, struct segment *g)
{
	__u32 header, length, done = 0;
	__s64 sum;

	if (!c || !g) /* which the verifier wants to be sure of */
		return false;
	header = g->tcp - ETH_HLEN;
	length = g->size - header;
	sum = bpf_htons(IPPROTO_TCP) + (__s64)bpf_htons(length);
	if (header != sizeof(struct iphdr) && header != sizeof(struct ipv6hdr))
		return false;
	sum = bpf_csum_diff(NULL, 0, g->conn.client, 16, fold(sum));
	sum = bpf_csum_diff(NULL, 0, g->conn.server, 16, sum);
	if (header == sizeof(struct iphdr)) /* the mapped prefixes are no part of it */
		sum = bpf_csum_diff((__be32 *)g->conn.client, 12, NULL, 0, bpf_csum_diff((__be32 *)g->conn.server, 12, NULL, 0, sum));
	for (int i = 0; i < SMALL / 512 && done < length; i++, done += 512) {
		__u32 n = length - done, at = header + done;

		if (n > 512)
			n = 512;
		n = (n + 3) & ~3u;
		if (at > SMALL - 512 || n > 512)
			return false;
		sum = bpf_csum_diff(NULL, 0, (__be32 *)&c->packet[at], n, sum);
	}
	return done >= length && fold(sum) == 0xffff;
}

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

/* granted says that the server's replies to EHLO may go by themselves. */
static __always_inline bool granted(const struct settings *set, const struct conn *c)
{
	struct server s = { .port = c->server_port };
	__u32 *epoch;

	__builtin_memcpy(s.addr, c->server, sizeof s.addr);
	epoch = bpf_map_lookup_elem(&servers, &s);
	return epoch && *epoch == set->epoch;
}

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

static __always_inline void note(struct flow *f, struct segment *g)
{
	__u8 d = g->dir & 1;

	f->packets[d]++;
	f->octets[d] += g->size;
}

/* A decision is PASS, BUSY, or why a packet has to come up: a counter. */
#define PASS COUNTERS
typedef enum counter decision;

#define HEARTBEAT 300000000000ULL /* nanoseconds: inspection forgets connections that are silent longer */

#include "text.h"

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
	if ((__s32)(g->ack - acked) > 0)
		f->acked[!d] = g->ack;
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
	if ((__s32)(g->ack - acked) > 0) /* an older one that is written over it is no harm */
		f->acked[!d] = g->ack;
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
