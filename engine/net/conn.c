/* conn.c - receive, send, connect, close. */
#include "tls_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

static void
let_go(struct conn *c)
{
	if (c->reading || c->writing || c->connecting)
		return;
	conn_unhold(c);
	if (c->tls != NULL)
		tls_free(c);
	if (c->trailers != NULL)
		buf_put(c->net->pools, c->trailers);
	if (c->fd >= 0)
		ring_close(c->net->ring, c->fd);
	c->fd = -1;
	c->net->nopen--;
	c->events->freed(c);
}

static void
set_no_wait(struct conn *c, bool no_wait)
{
	if (likely(c->no_wait == no_wait))
		return;
	c->no_wait = no_wait;
	fcntl(c->fd, F_SETFL, no_wait ? O_NONBLOCK : 0);
}

static void
tell_end(struct conn *c, int error)
{
	c->ended = true;
	c->error = error;
	c->events->end(c, error);
}

/* There is something to be had for conn_recv_piped. */
static void
readable(struct conn *c)
{
	struct pipe *p;
	int n;

	c->receiving = c->reading = c->piping = false;
	if (c->closing) {
		let_go(c);
		return;
	}
	p = pipe_get(&c->net->pipes);
	if (p == NULL) {
		conn_recv(c, BUF_BIG);
		return;
	}
	set_no_wait(c, true);
	n = pipe_fill(p, c->fd);
	if (n > 0) {
		c->events->piped(c, p);
		return;
	}
	pipe_put(&c->net->pipes, p);
	if (n == -EAGAIN || n == -EINTR)
		conn_recv_piped(c);
	else
		tell_end(c, n);
}

static void
received(struct op *op, int result, uint32_t flags)
{
	struct conn *c = container_of(op, struct conn, recv_op);
	struct buf *b = NULL;

	if (c->piping) {
		readable(c);
		return;
	}
	c->receiving = c->reading = false;
	c->more = ring_has_more(flags);
	if (ring_has_buffer(flags))
		b = buf_taken(
		    &c->net->pools[c->recv_class], ring_buffer(flags), result > 0 ? (uint32_t)result : 0);
	if (b != NULL && (result <= 0 || c->closing)) {
		buf_put(c->net->pools, b);
		b = NULL;
	}
	if (c->closing) {
		let_go(c);
	} else if (b != NULL) {
		if (c->tls != NULL)
			tls_received(c, b);
		else
			c->events->data(c, b);
	} else if (result == -ENOBUFS) {
		/* The bigger ones may all be with slow receivers: smaller ones keep everybody going. */
		if (!buf_starved(&c->net->pools[c->recv_class]) && c->recv_class > BUF_SMALL)
			c->recv_class--;
		list_append(&c->net->pools[c->recv_class].starved, &c->starved);
	} else if (result == -EINTR || result == -EAGAIN) {
		conn_arm(c, false);
	} else if (c->tls != NULL) {
		tls_ended(c, result);
	} else {
		tell_end(c, result);
	}
}

/* Nobody uses what was being sent any more. */
void
conn_unhold(struct conn *c)
{
	c->sending = c->last = false;
	c->head = 0;
	while (c->held != NULL) {
		struct buf *b = c->held;

		c->held = b->next;
		buf_put(c->net->pools, b);
	}
}

static void
await_room(struct conn *c)
{
	c->writing = true;
	ring_poll(c->net->ring, &c->send_op, c->fd, POLLOUT);
}

/* It takes more of what conn_send_pipe sends. */
static void
writable(struct conn *c)
{
	int rc;

	c->writing = false;
	if (c->closing) {
		let_go(c);
		return;
	}
	set_no_wait(c, true);
	rc = pipe_drain(c->draining, c->fd);
	if (rc == -EAGAIN || rc == -EINTR) {
		await_room(c);
	} else {
		c->draining = NULL;
		conn_unhold(c);
		c->events->sent(c, rc);
	}
}

static void
sent(struct op *op, int result, uint32_t flags)
{
	struct conn *c = container_of(op, struct conn, send_op);
	/* MSG_WAITALL gives less only when the connection broke. */
	int error = result >= 0 && (uint32_t)result < c->write_len ? -EPIPE : MIN(result, 0);

	if (c->draining != NULL) {
		writable(c);
		return;
	}
	c->writing = false;
	if (c->closing) {
		let_go(c);
	} else if (c->tls != NULL) {
		tls_sent(c, error);
	} else {
		conn_unhold(c);
		c->events->sent(c, error);
	}
}

static void
connected(struct op *op, int result, uint32_t flags)
{
	struct conn *c = container_of(op, struct conn, connect_op);

	c->connecting = false;
	if (c->closing)
		let_go(c);
	else if (c->tls != NULL && result == 0)
		tls_connected(c);
	else
		c->events->connected(c, result);
}

static void
timed_out(struct timer *t)
{
	struct conn *c = container_of(t, struct conn, timer);

	c->events->timeout(c);
}

void
conn_init(struct conn *c, struct net *net, int fd, const struct conn_events *events)
{
	*c = (struct conn){.recv_op = {received},
	    .send_op = {sent},
	    .connect_op = {connected},
	    .net = net,
	    .events = events,
	    .fd = fd};
	timer_init(&c->timer, timed_out);
	list_init(&c->starved);
	net->nopen++;
}

void
conn_init_stream(struct conn *c, struct net *net, const struct conn_carrier *carrier, void *stream,
    const struct conn_events *events)
{
	conn_init(c, net, -1, events);
	c->carrier = carrier;
	c->stream = stream;
}

void
conn_connect(struct conn *c, const struct addr *a)
{
	assert(!c->connecting && !c->closing);
	c->connecting = true;
	ring_connect(c->net->ring, &c->connect_op, c->fd, &a->sa, addr_len(a));
}

void
conn_arm(struct conn *c, bool later)
{
	c->receiving = true;
	if (conn_is_stream(c)) {
		c->carrier->recv(c);
		return;
	}
	c->reading = true;
	set_no_wait(c, false);
	ring_recv(c->net->ring, &c->recv_op, c->fd, c->recv_class, later);
}

static void
receive(struct conn *c, enum buf_class class, bool later)
{
	assert(!c->closing && class != BUF_HEAP);
	if (c->receiving || c->ended || !list_empty(&c->starved))
		return;
	c->recv_class = (uint8_t) class;
	if (c->tls != NULL)
		tls_recv(c, later);
	else
		conn_arm(c, later);
}

void
conn_recv(struct conn *c, enum buf_class class)
{
	receive(c, class, false);
}

void
conn_await(struct conn *c, enum buf_class class)
{
	receive(c, class, true);
}

void
conn_recv_piped(struct conn *c)
{
	assert(!c->closing && !conn_is_stream(c) && c->tls == NULL);
	if (c->receiving || c->ended || !list_empty(&c->starved))
		return;
	c->receiving = c->reading = c->piping = true;
	ring_poll(c->net->ring, &c->recv_op, c->fd, POLLIN | POLLRDHUP);
}

bool
conn_send_pipe(struct conn *c, struct pipe *p)
{
	assert(!c->sending && !c->closing && !conn_is_stream(c) && c->tls == NULL);
	set_no_wait(c, true);
	if (likely(pipe_drain(p, c->fd) == 0))
		return true;
	/* It takes no more, or is broken: the next try will tell. */
	c->sending = true;
	c->unsent = UINT32_MAX;
	c->draining = p;
	await_room(c);
	return false;
}

void
conn_frame(struct conn *c, uint32_t head, bool last)
{
	assert(!c->sending);
	c->head = head;
	c->last = last;
}

void
conn_write(struct conn *c, const void *p, uint32_t n)
{
	assert(!c->writing);
	c->writing = true;
	c->write_len = n;
	set_no_wait(c, false);
	ring_send(c->net->ring, &c->send_op, c->fd, p, n);
}

/* Sends c->parts. */
static void
send_parts(struct conn *c, unsigned nparts)
{
	assert(!c->sending && !c->closing);
	c->sending = true;
	c->unsent = UINT32_MAX;
	if (conn_is_stream(c)) {
		c->carrier->send(c);
	} else if (c->tls != NULL) {
		tls_send(c);
	} else if (nparts == 1) {
		conn_write(c, c->parts[0].iov_base, c->send_len);
	} else {
		c->writing = true;
		c->message = (struct msghdr){.msg_iov = c->parts, .msg_iovlen = nparts};
		c->write_len = c->send_len;
		set_no_wait(c, false);
		ring_sendmsg(c->net->ring, &c->send_op, c->fd, &c->message);
	}
}

void
conn_send(struct conn *c, const void *p, size_t n)
{
	assert((n > 0 || conn_is_stream(c)) && n < UINT32_MAX);
	c->send_len = (uint32_t)n;
	c->parts[0] = (struct iovec){(void *)p, n};
	c->parts[1].iov_len = 0;
	send_parts(c, 1);
}

void
conn_send_both(struct conn *c, const struct buf *first, const struct buf *second)
{
	c->send_len = first->len + second->len;
	c->parts[0] = (struct iovec){buf_data(first), first->len};
	c->parts[1] = (struct iovec){buf_data(second), second->len};
	send_parts(c, 2);
}

void
conn_hold(struct conn *c, struct buf *b)
{
	assert(c->sending);
	b->next = c->held;
	c->held = b;
}

void
conn_shutdown(struct conn *c)
{
	assert(!conn_is_stream(c));
	if (c->tls != NULL)
		tls_shutdown(c);
	else
		shutdown(c->fd, SHUT_WR);
}

void
conn_reset(struct conn *c)
{
	struct linger now = {.l_onoff = 1};

	c->cut = true;
	if (conn_is_stream(c))
		return;
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void
conn_close(struct conn *c)
{
	assert(!c->closing);
	c->closing = true;
	/* Not when the kernel lets go: its deadline may come before that. */
	timer_stop(&c->net->wheel, &c->timer);
	list_del(&c->starved);
	if (conn_is_stream(c)) {
		c->carrier->close(c);
		c->receiving = c->connecting = false;
		let_go(c);
		return;
	}
	if (c->tls != NULL && c->fd >= 0)
		tls_close(c);
	if (c->reading)
		ring_cancel(c->net->ring, &c->recv_op);
	if (c->writing)
		ring_cancel(c->net->ring, &c->send_op);
	if (c->connecting)
		ring_cancel(c->net->ring, &c->connect_op);
	let_go(c);
}

void
conn_close_now(struct conn *c)
{
	close(c->fd);
	c->fd = -1;
	conn_close(c);
}

void
conn_deadline(struct conn *c, uint64_t in_ms)
{
	timer_set(&c->net->wheel, &c->timer, c->net->now_ms + in_ms);
}

bool
conn_progress(struct conn *c)
{
	int queued = 0;
	uint32_t before = c->unsent;

	if (conn_is_stream(c))
		return c->carrier->progress(c);
	if (ioctl(c->fd, SIOCOUTQ, &queued) != 0)
		return false;
	c->unsent = (uint32_t)queued;
	/* The first look has nothing to compare with: give it one more period. */
	return before == UINT32_MAX || c->unsent != before;
}

void
conn_wake_starved(struct net *net)
{
	for (int class = 0; class < BUF_CLASSES; class ++) {
		struct buf_pool *p = &net->pools[class];

		for (uint32_t n = p->in_ring; n > 0 && !list_empty(&p->starved); n--) {
			struct conn *c = container_of(p->starved.next, struct conn, starved);

			list_del(&c->starved);
			conn_arm(c, false);
		}
	}
}

void
conn_wake_ready(struct net *net)
{
	struct list now;

	/* Taken over first: whoever is told may arm again, and has his turn in the next one. */
	list_init(&now);
	if (list_empty(&net->ready))
		return;
	list_add(&net->ready, &now);
	list_del(&net->ready);
	while (!list_empty(&now)) {
		struct conn *c = container_of(now.next, struct conn, starved);

		list_del(&c->starved);
		tls_ready(c);
	}
}
