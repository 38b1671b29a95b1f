/* buf.h - the bytes between a receive and a send.
 *
 * A buffer has room in front of its data, so that a head can be rewritten, or a chunk framed, where it was
 * received and sent from there: bytes are not copied between sockets. Three classes live in rings that the
 * kernel picks from (an idle connection holds none); the fourth is plain heap, for what must be gathered.
 *
 * Kernel rings hand buffers out first in, first out, so a large one is always cold. Ours keeps few in the
 * ring and the rest on a stack; when the ring runs dry it is kept fuller from then on.
 *
 * Thousands of clients that are slow on purpose hold thousands of buffers. A quarter of each pool is for
 * receives alone; a small buffer beyond the rest moves to memory of its own as it comes, so that receiving
 * never stops, and larger receives fall back to small ones.
 */
#ifndef BUF_H
#define BUF_H

#include "base.h"
#include "list.h"
#include "ring.h"

/* SMALL for a client's head, MID for a target's answer and what is left of it, BIG for bodies that go on. */
enum buf_class { BUF_SMALL, BUF_MID, BUF_BIG, BUF_CLASSES, BUF_HEAP = BUF_CLASSES };

#define BUF_FRONT 512u /* MSG_GROWTH_MAX and a chunk's size line fit */
#define BUF_BEHIND 64u /* the end of a chunk, the last chunk and an empty trailer section */

struct buf {
	char *base;	   /* memory: BUF_FRONT, room, BUF_BEHIND */
	uint32_t off, len; /* the data */
	uint32_t room;
	uint16_t id;
	uint8_t class;
	uint32_t head;	  /* of what a stream received: so much of the data is a header block */
	struct buf *next; /* on the stack, or in a queue of its holder */
};

struct buf_pool {
	struct ring_buffers *ring;
	struct buf *bufs; /* by id */
	struct buf *stack;
	uint32_t room;
	uint32_t nbufs, max;	/* made so far, at most */
	uint32_t in_ring, want; /* how many the kernel has, and should have */
	uint32_t want_max;
	uint32_t held;
	enum buf_class class;
	struct list starved; /* whoever was refused for want of a buffer; woken by the worker */
};

struct buf_sizes {
	uint32_t room;		 /* of one buffer */
	uint32_t max;		 /* buffers made at most */
	uint32_t want, want_max; /* in the kernel's ring: at first, and once it has run dry */
};
int buf_pool_init(struct buf_pool *p, struct ring *ring, enum buf_class class, const struct buf_sizes *sizes);
void buf_pool_fini(struct buf_pool *p);
/* A buffer with the data of a completed receive. */
struct buf *buf_taken(struct buf_pool *p, unsigned id, uint32_t len);
/* Called when a receive was refused: keep the ring fuller. False: the pool is at its limit and all are in
 * use. */
bool buf_starved(struct buf_pool *p);
/* Tops the ring up from the stack; once a turn. */
void buf_refill(struct buf_pool *p);

/* An empty buffer for an answer of our own or for bytes that must be kept. NULL: out of memory. */
struct buf *buf_get(struct buf_pool *p);
struct buf *buf_heap(uint32_t room);
/* Gives a buffer of any class back. pools is indexed by class. */
void buf_put(struct buf_pool *pools, struct buf *b);

/* Adds b's data behind *in's, which may be NULL, in one buffer. Takes b, also on failure. -ENOMEM. */
int buf_gather(struct buf_pool *pools, struct buf **in, struct buf *b);

/* b with room for n bytes in front of its data, or a copy that has it (b is given back then). NULL: out of
 * memory, b is given back. */
struct buf *buf_front(struct buf_pool *pools, struct buf *b, uint32_t n);

static inline char *
buf_data(const struct buf *b)
{
	return b->base + b->off;
}

#endif
