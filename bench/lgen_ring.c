/* lgen_ring.c - the ring and its buffers, and what a connection has to send. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lgen.h"

#define BUFFERS 2048u
#define BUFFER_BYTES 4096u
#define OUTBOX_BYTES 4096u

/* ------------------------------------------------------------------ ring */

void
ring_open(struct lgen *g)
{
	struct io_uring_params params = {
	    .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
	    .cq_entries = 65536,
	};
	/* liburing 2.3 has no helper that makes a buffer ring */
	size_t size = BUFFERS * sizeof(struct io_uring_buf);
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)memory, .ring_entries = BUFFERS};
	int rc = io_uring_queue_init_params(4096, &g->ring, &params);

	if (rc < 0)
		die("io_uring", -rc);
	rc = io_uring_register_buf_ring(&g->ring, &reg, 0);
	if (rc < 0)
		die("buffer ring", -rc);
	g->buffers = memory;
	io_uring_buf_ring_init(g->buffers);
	g->buffer_bytes = mmap(NULL, (size_t)BUFFERS * BUFFER_BYTES, PROT_READ | PROT_WRITE,
	    MAP_ANONYMOUS | MAP_PRIVATE | MAP_POPULATE, -1, 0);
	g->queue = calloc((size_t)2 * CONNS_MAX, sizeof(*g->queue));
	if (memory == MAP_FAILED || g->buffer_bytes == MAP_FAILED || g->queue == NULL)
		die("buffers", errno);
	for (unsigned i = 0; i < BUFFERS; i++)
		io_uring_buf_ring_add(g->buffers, g->buffer_bytes + (size_t)i * BUFFER_BYTES, BUFFER_BYTES,
		    (unsigned short)i, io_uring_buf_ring_mask(BUFFERS), (int)i);
	io_uring_buf_ring_advance(g->buffers, BUFFERS);
}

void
ring_buffer_give(struct lgen *g, unsigned id)
{
	io_uring_buf_ring_add(g->buffers, g->buffer_bytes + (size_t)id * BUFFER_BYTES, BUFFER_BYTES,
	    (unsigned short)id, io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(g->buffers, 1);
}

struct span
ring_buffer(const struct lgen *g, const struct io_uring_cqe *cqe)
{
	unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

	return (struct span){
	    g->buffer_bytes + (size_t)id * BUFFER_BYTES, cqe->res > 0 ? (size_t)cqe->res : 0};
}

static struct io_uring_sqe *
ring_sqe(struct lgen *g)
{
	struct io_uring_sqe *sqe;

	while ((sqe = io_uring_get_sqe(&g->ring)) == NULL)
		io_uring_submit(&g->ring);
	return sqe;
}

static void
sqe_tag(struct io_uring_sqe *sqe, enum op op, unsigned index)
{
	io_uring_sqe_set_data64(sqe, (uint64_t)op << 56 | index);
}

void
ring_recv(struct lgen *g, enum op op, unsigned index, int fd)
{
	struct io_uring_sqe *sqe = ring_sqe(g);

	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0;
	sqe_tag(sqe, op, index);
}

void
ring_send(struct lgen *g, enum op op, unsigned index, int fd, const char *bytes, size_t len, bool quiet)
{
	struct io_uring_sqe *sqe = ring_sqe(g);

	io_uring_prep_send(sqe, fd, bytes, len, MSG_NOSIGNAL | MSG_WAITALL);
	if (quiet)
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	sqe_tag(sqe, op, index);
}

void
ring_accept(struct lgen *g)
{
	struct io_uring_sqe *sqe = ring_sqe(g);

	io_uring_prep_multishot_accept(sqe, g->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	sqe_tag(sqe, OP_ACCEPT, 0);
}

void
ring_connect(struct lgen *g, unsigned index, int fd)
{
	struct io_uring_sqe *sqe = ring_sqe(g);

	io_uring_prep_connect(sqe, fd, (struct sockaddr *)&g->opt.target, sizeof(g->opt.target));
	sqe_tag(sqe, OP_CONNECT, index);
}

/* ------------------------------------------------------------------ what a connection says */

char *
outbox_room(struct outbox *o, size_t len)
{
	size_t room = o->room > 0 ? o->room : OUTBOX_BYTES;

	if (o->room - o->len >= len)
		return o->bytes + o->len;
	while (room - o->len < len)
		room *= 2;
	o->bytes = realloc(o->bytes, room);
	if (o->bytes == NULL)
		die("realloc", errno);
	o->room = room;
	return o->bytes + o->len;
}

void
conn_queue(struct lgen *g, struct conn *c)
{
	if (c->queued)
		return;
	c->queued = true;
	g->queue[g->nqueued++] = c;
}

void
conn_say(struct lgen *g, struct conn *c, const char *bytes, size_t len)
{
	struct outbox *o = c->tls != NULL ? &c->clear : &c->waiting;

	memcpy(outbox_room(o, len), bytes, len);
	o->len += len;
	conn_queue(g, c);
}

static void
conn_flush(struct lgen *g, struct conn *c)
{
	struct outbox o = c->flying;

	if (c->flying.len > 0 || c->waiting.len == 0 || c->over || c->fd < 0)
		return;
	c->flying = c->waiting;
	c->waiting = o;
	ring_send(
	    g, c->client ? OP_SENT : OP_BACKEND_SENT, c->index, c->fd, c->flying.bytes, c->flying.len, false);
}

void
conn_flush_all(struct lgen *g)
{
	for (unsigned i = 0; i < g->nqueued; i++) {
		struct conn *c = g->queue[i];

		if (c->tls != NULL && c->clear.len > 0)
			tls_seal(g, c);
		c->queued = false;
		conn_flush(g, c);
	}
	g->nqueued = 0;
}

void
conn_sent(struct lgen *g, struct conn *c)
{
	c->flying.len = 0;
	if (!c->over)
		conn_flush(g, c);
	else if (c->client)
		client_closed(g, c->index);
	else
		backend_closed(g, c->index);
}

bool
conn_close(struct conn *c)
{
	c->over = c->flying.len > 0;
	if (c->over)
		return false;
	c->clear.len = c->waiting.len = 0;
	close(c->fd);
	c->fd = -1;
	return true;
}

void
conn_abort(struct conn *c)
{
	shutdown(c->fd, SHUT_RDWR);
}
