/* conn.h - a TCP connection on a worker's ring: at most one receive and one send in flight.
 *
 * A receive holds no buffer while it waits, and one is armed only when its owner wants data: that is the
 * back-pressure. Whoever closes a connection does not touch it again; its memory is the owner's until
 * `freed`.
 */
#ifndef CONN_H
#define CONN_H

#include "addr.h"
#include "buf.h"
#include "timer.h"

/* What a worker's connections share. */
struct net {
	struct ring *ring;
	struct buf_pool pools[BUF_CLASSES];
	struct wheel wheel;
	uint64_t now_ms;
	uint32_t nopen; /* connections and listeners that the kernel may still use */
};

struct conn;

struct conn_events {
	void (*data)(struct conn *c, struct buf *b); /* takes b */
	void (*end)(struct conn *c, int error);	     /* no more data: 0 at its orderly end, else -errno */
	void (*sent)(struct conn *c, int error);     /* all of it, or -errno */
	void (*connected)(struct conn *c, int error);
	void (*timeout)(struct conn *c);
	void (*freed)(struct conn *c); /* closed, and the kernel has let go of it */
};

struct conn {
	struct op recv_op, send_op, connect_op;
	struct net *net;
	const struct conn_events *events;
	struct timer timer;
	struct list starved;
	int fd;
	uint8_t recv_class;
	bool receiving, sending, connecting, closing, ended;
	bool more;	       /* the last receive left something in the socket */
	struct buf *held;      /* conn_hold */
	struct iovec parts[2]; /* conn_send_both */
	struct msghdr message;
	uint32_t send_len;
	uint32_t unsent; /* in the kernel's queue when last looked at */
};

void conn_init(struct conn *c, struct net *net, int fd, const struct conn_events *events);
void conn_connect(struct conn *c, const struct addr *a); /* a is used until it is connected */
void conn_recv(struct conn *c, enum buf_class class);	 /* nothing when one is armed or data has ended */
void conn_await(struct conn *c, enum buf_class class);	 /* the same, when the peer has yet to send */
void conn_send(struct conn *c, const void *p, size_t n); /* none may be in flight; p is used until `sent` */
/* Two buffers' data as one. */
void conn_send_both(struct conn *c, const struct buf *first, const struct buf *second);
/* Takes b, which the send in flight uses: it is given back when that has completed, before `sent`. */
void conn_hold(struct conn *c, struct buf *b);
void conn_shutdown(struct conn *c); /* no more data from us */
void conn_reset(struct conn *c);    /* closing it will send RST */
void conn_close(struct conn *c);
void conn_close_now(struct conn *c); /* its descriptor is free when this returns */
void conn_deadline(struct conn *c, uint64_t in_ms);
/* Has the peer taken any bytes since the last call? A stalled send is told from a slow one by this. */
bool conn_progress(struct conn *c);
/* Arms the receives that had found no buffer, as far as there are buffers now; once a turn. */
void conn_wake_starved(struct net *net);

#endif
