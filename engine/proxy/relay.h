/* relay.h - a body on its way: what was received is made into what is sent, in the buffer it lies in. */
#ifndef RELAY_H
#define RELAY_H

#include "../http/h1.h"
#include "../net/buf.h"

struct relay {
	enum body body;	  /* how the sender frames it */
	bool chunked;	  /* how we frame it; otherwise the bytes go as they are */
	bool done;	  /* its end was seen */
	bool full;	  /* the last receive filled its buffer: more is waiting */
	bool slow;	  /* the receiver takes its time: no big buffer is kept waiting for it */
	uint64_t sent_ms; /* when the send in flight began */
	uint64_t left;	  /* BODY_LENGTH */
	uint64_t bytes;	  /* of the body, so far */
	struct chunk chunk;
	struct buf *sending;  /* the receiver has not taken all of it */
	struct buf *after;    /* to be sent behind it: a trailer section */
	struct buf *trailers; /* a trailer section in parts */
};

void relay_init(struct relay *r, enum body body, uint64_t length, bool chunked);
/*
 * Turns b's data into what is sent on, in b; nothing may be left (b->len 0). *rest: what came behind the
 * body's end, in a buffer of its own (NULL: nothing). -EBADMSG: malformed; -ENOMEM. b stays the caller's.
 */
int relay_feed(struct relay *r, struct buf *b, struct buf **rest);
/* The sender has closed: 0 when that is how this body ends (relay->after may hold a last piece), else -EPIPE.
 */
int relay_end(struct relay *r);
/* The class of buffer to receive the rest with: the one given, or a big one when more is to come. */
enum buf_class relay_class(const struct relay *r, const struct buf_pool *pools, enum buf_class class);
/* What is being sent has been taken; called with the time of its beginning in sent_ms. */
void relay_sent(struct relay *r, uint64_t now_ms);
/* Gives back what is not being sent. */
void relay_fini(struct relay *r, struct buf_pool *pools);

#endif
