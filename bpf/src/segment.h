/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A TCP segment as it comes in, its headers and its checksum.
 */
#ifndef KEEPWORD_SEGMENT_H
#define KEEPWORD_SEGMENT_H

#include "maps.h"
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

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

#endif
