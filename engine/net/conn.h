/* conn.h - a connection: a TCP socket on a worker's ring, maybe with TLS (tls.h), or a stream of a carrier
 * that many share (HTTP/2). At most one receive and one send in flight.
 *
 * A receive holds no buffer while it waits, and one is armed only when its owner wants data: that is the
 * back-pressure. Whoever closes a connection does not touch it again; its memory is the owner's until
 * `freed`.
 */
#ifndef CONN_H
#define CONN_H

#include "addr.h"
#include "buf.h"
#include "pipe.h"
#include "timer.h"

/* What a worker's connections share. */
struct net {
	struct ring *ring;
	struct buf_pool pools[BUF_CLASSES];
	struct pipe_pool pipes;
	struct wheel wheel;
	uint64_t now_ms;
	uint32_t nopen;	   /* connections and listeners that the kernel may still use */
	struct list ready; /* connections that have something to tell without the kernel: conn_wake_ready */
};

struct conn;
struct tls;

struct conn_events {
	void (*data)(struct conn *c, struct buf *b); /* takes b */
	/* Of a stream: a header block, b->head bytes, and behind it what came of the body; takes b. */
	void (*head)(struct conn *c, struct buf *b);
	void (*piped)(struct conn *c, struct pipe *p); /* of conn_recv_piped; takes p */
	void (*end)(struct conn *c, int error);	 /* no more data: 0 at its orderly end, else -errno (tls.h) */
	void (*sent)(struct conn *c, int error); /* all of it, or -errno */
	void (*connected)(struct conn *c, int error);
	void (*timeout)(struct conn *c);
	void (*freed)(struct conn *c); /* closed, and the kernel has let go of it */
};

/* What a stream is carried by. Each does for it what the function of the same name does for a socket; a
 * completion is told later, never from inside. */
struct conn_carrier {
	void (*recv)(struct conn *c);
	void (*send)(struct conn *c);  /* parts, of which head and last tell */
	void (*close)(struct conn *c); /* no event is told any more but freed */
	bool (*progress)(struct conn *c);
};

struct conn {
	struct op recv_op, send_op, connect_op;
	struct net *net;
	const struct conn_events *events;
	const struct conn_carrier *carrier; /* of a stream, else NULL */
	void *stream;			    /* the carrier's own */
	struct tls *tls;		    /* NULL: none */
	struct timer timer;
	struct list starved; /* in a pool's list, or in net's ready */
	int fd;
	uint8_t recv_class;
	bool receiving, sending; /* as the owner asked for it */
	bool reading, writing;	 /* recv_op, send_op are the kernel's; with TLS also without the owner */
	bool connecting, closing;
	bool no_wait;	       /* the socket has O_NONBLOCK, as splice needs it and the ring cannot have it */
	bool piping;	       /* the receive is conn_recv_piped's */
	struct pipe *draining; /* what is sent, when it is conn_send_pipe's */
	bool ended;  /* no more data; of a stream also before its last bytes are told, when `end` is not */
	bool unseen; /* a stream that its peer never looked at */
	int error;   /* that it ended with; 0: orderly */
	bool more;   /* the last receive left data: another one has something at once */
	struct buf *held;      /* conn_hold */
	struct iovec parts[2]; /* of the send in flight */
	struct msghdr message;
	uint32_t send_len;    /* what the owner sends */
	uint32_t write_len;   /* what the kernel was given: with TLS something else */
	uint32_t head;	      /* conn_frame */
	bool last, cut;	      /* conn_frame, conn_reset */
	struct buf *trailers; /* of a stream that has ended: a block, or NULL */
	uint32_t unsent;      /* in the kernel's queue when last looked at */
};

static inline bool
conn_is_stream(const struct conn *c)
{
	return c->carrier != NULL;
}

void conn_init(struct conn *c, struct net *net, int fd, const struct conn_events *events);
void conn_init_stream(struct conn *c, struct net *net, const struct conn_carrier *carrier, void *stream,
    const struct conn_events *events);
void conn_connect(struct conn *c, const struct addr *a); /* a is used until it is connected */
void conn_recv(struct conn *c, enum buf_class class);	 /* nothing when one is armed or data has ended */
void conn_await(struct conn *c, enum buf_class class);	 /* the same, when the peer has yet to send */
/* As conn_recv, of a socket without TLS; what comes is in a pipe, or in a big buffer when there is none. */
void conn_recv_piped(struct conn *c);
/* All of it. True: it is sent already; else p is used until `sent`. */
bool conn_send_pipe(struct conn *c, struct pipe *p);
void conn_send(struct conn *c, const void *p, size_t n); /* none may be in flight; p is used until `sent` */
/* Of what is sent next: its first `head` bytes are a header block (block.h), and nothing comes behind it when
 * `last`. Only a stream needs to know. Such a send may have no bytes at all. */
void conn_frame(struct conn *c, uint32_t head, bool last);
/* Two buffers' data as one. */
void conn_send_both(struct conn *c, const struct buf *first, const struct buf *second);
/* Takes b, which the send in flight uses: it is given back when that has completed, before `sent`. */
void conn_hold(struct conn *c, struct buf *b);
void conn_unhold(struct conn *c);   /* for a carrier: the send is over, before it tells `sent` */
void conn_shutdown(struct conn *c); /* no more data from us; a stream ends with a last send (conn_frame) */
void conn_reset(struct conn *c);    /* closing it tells the peer that it was cut off: RST */
void conn_close(struct conn *c);
void conn_close_now(struct conn *c); /* its descriptor is free when this returns */
void conn_deadline(struct conn *c, uint64_t in_ms);
/* Has the peer taken any bytes since the last call? A stalled send is told from a slow one by this. */
bool conn_progress(struct conn *c);
/* Arms the receives that had found no buffer, as far as there are buffers now; once a turn. */
void conn_wake_starved(struct net *net);
/* Tells what connections with TLS have left over for owners that armed a receive meanwhile; once a turn, and
 * the next one may not wait while net->ready is not empty. */
void conn_wake_ready(struct net *net);

#endif
