/* mux.h - an HTTP/2 connection as a carrier of connections, one a stream (conn.h).
 *
 * What its streams send in one turn of the worker goes out in one send. Nothing of theirs is told from inside
 * the codec: what came waits on its stream until mux_run, which the worker calls when the turn's completions
 * are done. The transport is its owner's, who hands on what happens there.
 */
#ifndef MUX_H
#define MUX_H

#include "../http/h2.h"
#include "worker.h"

struct mux;
struct stream;

struct mux_owner {
	/* A client's new stream; the owner has called mux_attach for it when this returns. False: no memory,
	 * it is refused. NULL at a client's side. */
	bool (*begin)(struct mux *m, struct stream *s);
	/* Nothing goes on any more: the transport is to be closed, and the mux freed, at once. */
	void (*over)(struct mux *m);
	/* Its last stream is gone. It must not be freed. */
	void (*idle)(struct mux *m);
};

struct mux {
	struct worker *w;
	struct conn *transport;
	const struct mux_owner *owner;
	struct h2 *h2;
	struct list link;    /* the worker's, when there is something to be done */
	struct list streams; /* all */
	uint32_t nstreams;
	uint32_t nwaiting; /* those that the codec does not know yet: mux_open */
	bool server;
	bool connecting; /* the transport is not there yet: streams wait for it */
	bool leaving;	 /* mux_leave */
	bool pinged;	 /* mux_is_alive asked, and nothing came since */
	bool dying;	 /* what is to be sent is the last */
};

struct stream {
	struct mux *mux;
	struct conn *conn;	 /* NULL: its owner is gone */
	struct list link, ready; /* the mux's, the worker's */
	int32_t id;		 /* 0: not begun */
	struct buf *in, *in_end; /* what came and was not told, header blocks and bytes, in order */
	struct buf *trailers;
	uint32_t taken; /* of the bytes being sent: went into frames */
	bool waiting;	/* in mux.nwaiting */
	bool heard;	/* a client's request came */
	bool answered;	/* and the head of our answer went out */
	bool gone;	/* its first header block went into frames */
	bool closed;	/* the codec knows it no more */
	bool fresh;	/* of a client: told without being asked for */
	bool last;	/* the peer has ended it */
	bool finished;	/* and we have */
	bool sent;	/* what was being sent has gone: to be told */
	bool broken;	/* an error is to be told */
};

/* Where streams live that their connection has left: one a worker, for mux_free. */
struct mux *mux_new_orphans(struct worker *w);
/* NULL: out of memory. A server's transport is connected, a client's will be: mux_connected. */
struct mux *mux_new(struct worker *w, struct conn *transport, bool server, const struct mux_owner *owner);
/* The transport is gone: its streams break, and are told so by mux_run. */
void mux_free(struct mux *m);
void mux_connected(struct mux *m);
void mux_failed(
    struct mux *m, int error); /* the transport did not come to be: the streams are told; then free it */

/* What happens on the transport. */
void mux_data(struct mux *m, struct buf *b); /* takes b */
void mux_sent(struct mux *m);

/* c becomes a new stream of m, or the one that `begin` was told of. -errno: it cannot be had. */
int mux_open(struct mux *m, struct conn *c, const struct conn_events *events);
void mux_attach(struct stream *s, struct conn *c, const struct conn_events *events);
bool mux_has_room(const struct mux *m);
/* Asked now and then while there are streams: has the peer been heard since the last time? It is asked for a
 * sign. */
bool mux_is_alive(struct mux *m);
/* The peer is told that we leave; once more: new streams are not taken any more. */
void mux_leave(struct mux *m, bool final);

/* Does what there is to be done for all of the worker's: once a turn. */
void mux_run(struct worker *w);

#endif
