/* relay.h - a body on its way: what was received is made into what is sent, in the buffer it lies in. */
#ifndef RELAY_H
#define RELAY_H

#include "../http/block.h"
#include "../http/h1.h"
#include "../net/buf.h"

/* How the receiver gets it. */
enum relay_frame {
	FRAME_RAW, /* the bytes as they are: their number is known, or the end of the connection ends them */
	FRAME_CHUNKED, /* HTTP/1's chunked coding */
	FRAME_STREAM,  /* the bytes as they are, on a stream, which knows an end, and trailers as a block */
};

struct relay {
	enum body body; /* how the sender frames it; a stream's is BODY_EOF, whatever length it tells */
	enum relay_frame frame;
	bool done;	  /* its end was seen */
	bool full;	  /* the last receive filled its buffer: more is waiting */
	bool slow;	  /* the receiver takes its time: no big buffer is kept waiting for it */
	uint64_t sent_ms; /* when the send in flight began */
	uint64_t left;	  /* BODY_LENGTH */
	uint64_t bytes;	  /* of the body, so far */
	struct chunk chunk;
	struct buf *sending; /* the receiver has not taken all of it */
	struct buf
	    *after;    /* to be sent behind it: a trailer section; for a stream that just ends it is empty */
	uint32_t head; /* of what is sent: a header block in front (conn_frame) */
	struct buf *trailers; /* a trailer section in parts */
};

void relay_init(struct relay *r, enum body body, uint64_t length, enum relay_frame frame);
/*
 * Turns b's data into what is sent on, in b; nothing may be left (b->len 0). last: the sender, a stream, has
 * ended with it. *rest: what came behind the body's end, in a buffer of its own (NULL: nothing). -EBADMSG:
 * malformed; -ENOMEM. b stays the caller's.
 */
int relay_feed(struct relay *r, struct buf *b, bool last, struct buf **rest);
/* The trailers of a stream that has ended: before the relay_feed or relay_end that ends it. -EBADMSG,
 * -ENOMEM. */
int relay_trailers(struct relay *r, struct str block);
/* The sender has closed: 0 when that is how this body ends (relay->after may hold a last piece), else -EPIPE.
 */
int relay_end(struct relay *r);
/* What is to be sent next becomes `sending`: what is behind the body, once that is gone. NULL: nothing. */
struct buf *relay_next(struct relay *r);
/* Is b, which was fed, to be sent? An end without bytes is something to a stream. */
static inline bool
relay_has(const struct relay *r, const struct buf *b)
{
	return b->len > 0 || (r->frame == FRAME_STREAM && r->done && r->after == NULL);
}
/* The class of buffer to receive the rest with: the one given, or a big one when more is to come. */
enum buf_class relay_class(const struct relay *r, const struct buf_pool *pools, enum buf_class class);
/* What is being sent has been taken; called with the time of its beginning in sent_ms. */
void relay_sent(struct relay *r, uint64_t now_ms);
/* Gives back what is not being sent. */
void relay_fini(struct relay *r, struct buf_pool *pools);

#endif
