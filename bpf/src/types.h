/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the program and the process that loads it both know: keys, values and records. The
 * Go side gets its types from the object's BTF.
 */
#ifndef KEEPWORD_TYPES_H
#define KEEPWORD_TYPES_H

#include <linux/bpf.h>
#include <linux/types.h>

/* Directions, as everywhere in keepword. */
enum { TO_SERVER, TO_CLIENT };

/* conn names a connection: its client first. IPv4 addresses are mapped into IPv6 (RFC 4291
 * section 2.5.5.2), all in network byte order. */
struct conn {
	__u32 client[4];
	__u32 server[4];
	__be16 client_port;
	__be16 server_port;
};

struct server {
	__u32 addr[4];
	__be16 port;
	__u16 zero;
};

/* Who decides the packets of a connection. */
enum owner {
	OWNER_USER,   /* all come up */
	OWNER_FOLLOW, /* the program, as long as what comes is expected */
	OWNER_PASS,   /* nobody: both ends are in TLS */
};

/* What a dialogue waits for (RFC 5321 section 4.1.1, 4.3.1). */
enum await {
	AWAIT_COMMAND,
	AWAIT_GREETING,
	AWAIT_EHLO_REPLY,
	AWAIT_REPLY, /* to a command that changes nothing */
	AWAIT_DATA_REPLY,
	AWAIT_MAIL_DATA,
	AWAIT_END_REPLY, /* to the end of mail data */
	AWAIT_QUIT_REPLY,
	AWAIT_TLS_REPLY,
	AWAIT_TLS,     /* records, since 220 was said to STARTTLS */
	AWAIT_NOTHING, /* 221 was said */
};

/* Where in a line the next octet stands. */
enum place {
	LINE_START,
	IN_LINE,
	BEHIND_CR,
	BEHIND_DOT, /* at the line's beginning */
	UNFIT,      /* what came does not go by itself */
	PLACES,
};

struct flow {
	__u32 busy; /* 1: a packet of it is being decided on some CPU */
	__u8 owner;
	__u8 await;
	__u8 pending; /* replies to simple commands that come before the awaited one */
	__u8 place;
	__u8 scale[2];
	__u8 fin; /* bit 1 << direction */
	__u8 offered; /* the last that was said is an EHLO reply that offers STARTTLS */
	__u32 next[2];  /* sequence number of the next octet of each direction */
	__u32 acked[2]; /* what its receiver acknowledged */
	__u16 diverted; /* packets that were left to the queue, modulo 2^16 */
	__u16 line; /* in mail data: octets of the line at hand, without a dot put before it, or UNTOLD */
	/* What was let through and not logged since the last record. */
	__u32 packets[2];
	__u64 octets[2];
	__u64 logged; /* when the last record was made, nanoseconds since boot */
	__u32 epoch;  /* the settings', when it became the program's */
	__u32 scaled; /* the window scales are known: it was the program's once */
	/* Of TLS: */
	__u16 left[2];   /* octets of the record at hand still to come */
	__u8 met[2];     /* SAID_HELLO, SAID_DATA */
	__u8 proven;     /* both have sent protected data, before proof */
	__u8 ring;       /* where its mail data are kept: index of struct memory, and 1; 0: nowhere */
	__u32 proof[2];
};

/* What an end has said in TLS: its hello, and protected data. */
enum { SAID_HELLO = 1, SAID_DATA = 2 };

/* opening is a connection whose server is granted and which is not established: that it
 * began is told when it is. */
#define HEADERS 104 /* IPv6 and TCP with 40 octets of options and 4 to spare */
struct opening {
	__u32 seq[2];
	__u8 scale[2];
	__u8 answered;
	__u8 size[2];
	__u8 zero[3];
	__u8 syn[2][HEADERS];
};

/* grant is dataplane.Grant: what the process allows. */
struct grant {
	__u32 next[2];
	__u32 acked[2];
	__u16 seen;
	__u16 line; /* as in struct flow */
	__u8 scale[2];
	__u8 owner;
	__u8 await; /* AWAIT_COMMAND, or AWAIT_MAIL_DATA IN_LINE */
	__u8 ring; /* as in struct flow */
	__u8 zero[3];
	__u32 epoch; /* the settings', when it was made; OWNER_PASS is for all */
};

/* The length of a line is not known. */
#define UNTOLD 0xffff

/* An IP packet has at most 65,535 octets, or IPv6's header more. */
#define LARGE 65600

/* memory is a ring of octets of one direction, mapped into the process: octet s lies at
 * octets[s mod RING], as reassembly.Stream has it. What is written beyond its end is written to
 * its beginning too, so that a packet is whole in one place. */
#define RING (1 << 19)
#define RINGS 32
struct memory {
	__u32 taken; /* 1: it belongs to a connection; set on either side, and taken back by the process */
	__u32 zero;
	__u8 before[32]; /* so that as many can be read before any octet */
	__u8 octets[RING];
	__u8 beyond[LARGE + 64];
};

/* The most workers that there can be. */
#define WORKERS 64
#define SLOTS 64

/* settings is what the process says for all connections. It is mapped into its memory. */
struct settings {
	__u64 alive_until[WORKERS]; /* nanoseconds since boot: behind it nothing is followed */
	__u32 epoch;  /* what was granted in another one is void, but for OWNER_PASS */
	__u32 mark;
	__u32 window; /* octets in flight that inspection can keep; 0: as many as there are */
	__u32 large;  /* mail data in packets of more octets are kept in a ring */
	__u8 worker[SLOTS]; /* who gets the connections of a slot, see slot() */
	__u64 ports[65536 / 64];
};

/* handback is logged in a packet's place, with a size of 0, when a connection comes up of which
 * acknowledgements were let through unlogged. */
struct handback {
	struct conn conn;
	__u32 next[2];
	__u32 acked[2];
};

/* record heads each packet in the log. */
struct record {
	__u64 time; /* nanoseconds since boot */
	__u32 size; /* octets of the packet, IP header first */
	__u32 ifindex;
	__u32 packets[2];
	__u64 octets[2];
	__u32 next;  /* before this packet: its direction's next octet */
	__u32 acked; /* and up to where that was acknowledged */
	__u32 owner; /* OWNER_FOLLOW: both are known, OWNER_PASS: the first is */
	/* Where ring is not 0, the packet is cut behind its headers. So many octets of mail data, lines
	 * of text, and those of enum tail stood there, and are kept in that ring. */
	__u32 text;
	__u16 line; /* of them, the octets of a line that goes on */
	__u8 ring;
	__u8 tail;
	__u32 zero;
	/* The packet follows. */
};

/* tail is what may stand behind lines of text. */
enum tail { TAIL_NONE, TAIL_CR, TAIL_END /* of mail data: .CRLF */ };

/* What became of packets: indices of the counters. */
enum counter {
	/* Those that were let through: */
	COUNT_FOLLOWED, /* and logged */
	COUNT_SILENT,   /* and not: acknowledgements, and SYNs */
	COUNT_PASSED,   /* in TLS */
	COUNT_PASSED_OCTETS,
	/* Those that came up: */
	COUNT_UNKNOWN,  /* their connection is not known here */
	COUNT_OWNED,    /* inspection has not granted it */
	COUNT_VOID,     /* or not in this epoch, or nobody reads the log */
	COUNT_HEADERS,  /* an option, a control bit or a fragment that needs a look */
	COUNT_ORDER,    /* a retransmission, or one behind a hole */
	COUNT_LARGE,    /* longer than can be read here */
	COUNT_CHECKSUM, /* nobody vouches for it */
	COUNT_WORDS,    /* the dialogue goes on otherwise than is known here */
	COUNT_LOG_FULL,
	/* Those that were dropped: */
	COUNT_BUSY, /* two CPUs had packets of one connection, and one held it too long, or the log has no
		     * room for how it began */
	/* And: */
	COUNT_TAKEN, /* grants taken up */
	COUNTERS,
};

#endif
