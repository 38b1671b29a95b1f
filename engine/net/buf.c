/* buf.c - buffer pools. */
#include "buf.h"

#include <errno.h>
#include <sys/mman.h>

#define GATHER_FIRST 4096u /* what came in parts begins with so much room */
#define RING_MAX 1024u	   /* places in the kernel's ring */

/* Not a multiple of 4096: buffers of a power of two would share the same few cache sets. */
static size_t
stride(const struct buf_pool *p)
{
	return BUF_FRONT + p->room + BUF_BEHIND;
}

int
buf_pool_init(struct buf_pool *p, struct ring *ring, enum buf_class class, const struct buf_sizes *sizes)
{
	int rc;

	assert(sizes->want <= sizes->want_max && sizes->want_max <= RING_MAX);
	*p = (struct buf_pool){.room = sizes->room,
	    .max = sizes->max,
	    .class = class,
	    .want = sizes->want,
	    .want_max = sizes->want_max};
	list_init(&p->starved);
	rc = ring_buffers_new(&p->ring, ring, class, RING_MAX);
	if (rc != 0)
		return rc;
	p->bufs = calloc(p->max, sizeof(*p->bufs));
	if (p->bufs == NULL)
		return -ENOMEM;
	buf_refill(p);
	return 0;
}

void
buf_pool_fini(struct buf_pool *p)
{
	if (p->bufs == NULL)
		return;
	for (uint32_t i = 0; i < p->nbufs; i++)
		free(p->bufs[i].base);
	free(p->bufs);
	ring_buffers_free(p->ring);
	p->bufs = NULL;
}

static struct buf *
make(struct buf_pool *p)
{
	struct buf *b;

	if (p->nbufs == p->max)
		return NULL;
	b = &p->bufs[p->nbufs];
	b->base = malloc(stride(p));
	if (b->base == NULL)
		return NULL;
	b->room = p->room;
	b->class = (uint8_t)p->class;
	b->id = (uint16_t)p->nbufs++;
	return b;
}

void
buf_refill(struct buf_pool *p)
{
	while (p->in_ring < p->want) {
		struct buf *b = p->stack;

		if (b != NULL)
			p->stack = b->next;
		else if ((b = make(p)) == NULL)
			return;
		ring_buffers_add(p->ring, b->base + BUF_FRONT, b->room, b->id);
		p->in_ring++;
	}
}

/* What is left belongs to those who receive now. */
static bool
is_scarce(const struct buf_pool *p)
{
	return unlikely(p->held >= p->max - p->max / 4);
}

/* b with its data in memory of its own, its place free again; b itself when there is no memory. */
static struct buf *
move_out(struct buf_pool *p, struct buf *b)
{
	struct buf *own = buf_heap(b->room);

	if (own == NULL)
		return b;
	memcpy(buf_data(own), buf_data(b), b->len);
	own->len = b->len;
	p->held--;
	b->next = p->stack;
	p->stack = b;
	return own;
}

struct buf *
buf_taken(struct buf_pool *p, unsigned id, uint32_t len)
{
	struct buf *b = &p->bufs[id];

	assert(id < p->nbufs && len <= b->room && p->in_ring > 0);
	p->in_ring--;
	p->held++;
	b->off = BUF_FRONT;
	b->len = len;
	b->head = 0;
	b->next = NULL;
	return p->class == BUF_SMALL && is_scarce(p) ? move_out(p, b) : b;
}

bool
buf_starved(struct buf_pool *p)
{
	if (p->in_ring == 0)
		p->want = MIN(p->want * 2, p->want_max);
	return p->held < p->max;
}

struct buf *
buf_get(struct buf_pool *p)
{
	struct buf *b = p->stack;

	if (is_scarce(p))
		return buf_heap(p->room);
	if (b != NULL)
		p->stack = b->next;
	else if ((b = make(p)) == NULL)
		return buf_heap(p->room);
	p->held++;
	b->off = BUF_FRONT;
	b->len = b->head = 0;
	b->next = NULL;
	return b;
}

struct buf *
buf_heap(uint32_t room)
{
	struct buf *b = malloc(sizeof(*b) + BUF_FRONT + room + BUF_BEHIND);

	if (b == NULL)
		return NULL;
	*b = (struct buf){.base = (char *)(b + 1), .off = BUF_FRONT, .room = room, .class = BUF_HEAP};
	return b;
}

void
buf_put(struct buf_pool *pools, struct buf *b)
{
	struct buf_pool *p;

	if (b->class == BUF_HEAP) {
		free(b);
		return;
	}
	p = &pools[b->class];
	assert(p->held > 0);
	p->held--;
	b->next = p->stack;
	p->stack = b;
}

int
buf_gather(struct buf_pool *pools, struct buf **in, struct buf *b)
{
	struct buf *old = *in, *bigger;

	if (old == NULL) {
		*in = b;
		return 0;
	}
	if (old->off + old->len + b->len > BUF_FRONT + old->room) {
		bigger = buf_heap(MAX((old->len + b->len) * 2, GATHER_FIRST));
		if (bigger == NULL) {
			buf_put(pools, b);
			return -ENOMEM;
		}
		memcpy(buf_data(bigger), buf_data(old), old->len);
		bigger->len = old->len;
		buf_put(pools, old);
		*in = old = bigger;
	}
	memcpy(buf_data(old) + old->len, buf_data(b), b->len);
	old->len += b->len;
	buf_put(pools, b);
	return 0;
}

struct buf *
buf_front(struct buf_pool *pools, struct buf *b, uint32_t n)
{
	struct buf *bigger;

	if (likely(b->off >= n))
		return b;
	bigger = buf_heap(n + b->len);
	if (bigger != NULL) {
		bigger->off += n;
		bigger->len = b->len;
		memcpy(buf_data(bigger), buf_data(b), b->len);
	}
	buf_put(pools, b);
	return bigger;
}
