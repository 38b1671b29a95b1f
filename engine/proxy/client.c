/* client.c - a client's connection: gather a head, hand it to an exchange, answer, and again. */
#include "client.h"

#include "../net/sock.h"
#include "exchange.h"
#include <errno.h>
#include <stdio.h>

#define LINGER_MS 2000u		/* how long a client may take to notice that we closed */
#define LINGER_BYTES (1u << 20) /* and how much of its data is thrown away meanwhile */

static void parse(struct client *c);

static void
drop_input(struct client *c)
{
	if (c->in != NULL)
		buf_put(c->w->net.pools, c->in);
	c->in = NULL;
	c->scanned = 0;
}

/* ------------------------------------------------------------------ answers of our own */

void
client_reply(struct client *c, unsigned status, bool close, bool head_only, struct str request_id)
{
	struct buf *b = buf_get(&c->w->net.pools[BUF_SMALL]);

	if (b == NULL) {
		client_close(c);
		return;
	}
	c->state = CLIENT_REPLY;
	c->closing = close || c->w->stopping;
	b->len = (uint32_t)h1_print_own(buf_data(b), status, request_id, c->closing, head_only);
	conn_deadline(&c->conn, c->idle_ms);
	conn_send(&c->conn, buf_data(b), b->len);
	conn_hold(&c->conn, b);
}

static void
refuse(struct client *c, const struct fault *fault)
{
	worker_count(c->w, COUNTER_BAD_REQUEST);
	drop_input(c);
	c->unread = true;
	client_reply(c, fault->status, true, false, (struct str){"", 0});
}

/* Closes our half and throws away what still comes, so that the answer is not lost in a reset. */
static void
linger(struct client *c)
{
	c->state = CLIENT_LINGER;
	c->lingered = 0;
	drop_input(c);
	if (c->conn.ended) {
		client_close(c);
		return;
	}
	conn_shutdown(&c->conn);
	conn_deadline(&c->conn, LINGER_MS);
	conn_recv(&c->conn, BUF_BIG);
}

void
client_next(struct client *c, bool keep_alive)
{
	c->state = CLIENT_HEAD;
	if (!keep_alive || c->w->stopping) {
		if (c->unread || c->in != NULL)
			linger(c);
		else
			client_close(c);
		return;
	}
	if (c->in != NULL) {
		conn_deadline(&c->conn, c->w->config->head_timeout_ms);
		parse(c);
		return;
	}
	if (c->conn.ended) {
		client_close(c);
		return;
	}
	conn_deadline(&c->conn, c->idle_ms);
	conn_await(&c->conn, BUF_SMALL);
}

/* ------------------------------------------------------------------ requests */

static void
parse(struct client *c)
{
	struct worker *w = c->w;
	const struct fault *fault;
	int n = h1_parse_request(&w->msg, buf_data(c->in), c->in->len, &c->scanned, &fault);

	if (n < 0) {
		refuse(c, fault);
		return;
	}
	if (n == 0) {
		if (c->conn.ended)
			client_close(c);
		else
			conn_recv(&c->conn, BUF_SMALL);
		return;
	}
	c->scanned = 0;
	worker_count(w, COUNTER_REQUESTS);
	exchange_start(c, (size_t)n);
}

static void
on_data(struct conn *conn, struct buf *b)
{
	struct client *c = container_of(conn, struct client, conn);

	switch (c->state) {
	case CLIENT_HEAD:
		if (c->in == NULL)
			conn_deadline(conn, c->w->config->head_timeout_ms);
		if (buf_gather(c->w->net.pools, &c->in, b) != 0)
			client_close(c);
		else
			parse(c);
		break;
	case CLIENT_EXCHANGE:
		request_data(c->ex, b);
		break;
	case CLIENT_REPLY:
		if (buf_gather(c->w->net.pools, &c->in, b) != 0)
			client_close(c);
		break;
	case CLIENT_LINGER:
		c->lingered += b->len;
		buf_put(c->w->net.pools, b);
		if (c->lingered > LINGER_BYTES)
			client_close(c);
		else
			conn_recv(conn, BUF_BIG);
		break;
	}
}

static void
on_end(struct conn *conn, int error)
{
	struct client *c = container_of(conn, struct client, conn);

	switch (c->state) {
	case CLIENT_HEAD:
	case CLIENT_LINGER:
		client_close(c);
		break;
	case CLIENT_EXCHANGE:
		request_end(c->ex, error);
		break;
	case CLIENT_REPLY: /* half closed: the answer is still wanted */
		break;
	}
}

static void
on_sent(struct conn *conn, int error)
{
	struct client *c = container_of(conn, struct client, conn);

	if (c->state == CLIENT_EXCHANGE) {
		answer_sent(c->ex, error);
		return;
	}
	assert(c->state == CLIENT_REPLY);
	if (error != 0)
		client_close(c);
	else
		client_next(c, !c->closing);
}

static void
on_timeout(struct conn *conn)
{
	static const struct fault late = {408, "head timeout"};
	struct client *c = container_of(conn, struct client, conn);

	if (c->state == CLIENT_EXCHANGE) {
		exchange_client_timeout(c->ex);
	} else if (c->state == CLIENT_REPLY && conn_progress(conn)) {
		conn_deadline(conn, c->idle_ms);
	} else if (c->state == CLIENT_HEAD && c->in != NULL) {
		worker_count(c->w, COUNTER_CLIENT_TIMEOUT);
		refuse(c, &late);
	} else {
		client_close(c);
	}
}

/* ------------------------------------------------------------------ life */

static void
on_freed(struct conn *conn)
{
	struct client *c = container_of(conn, struct client, conn);
	struct worker *w = c->w;

	drop_input(c);
	list_del(&c->link);
	atomic_store_explicit(&w->nclients, w->nclients - 1, memory_order_relaxed);
	c->free_next = w->free_clients;
	w->free_clients = c;
	worker_client_gone(w);
}

static const struct conn_events events = {
    .data = on_data,
    .end = on_end,
    .sent = on_sent,
    .timeout = on_timeout,
    .freed = on_freed,
};

void
client_close(struct client *c)
{
	struct exchange *ex = c->ex;

	c->ex = NULL;
	if (ex != NULL)
		exchange_abort(ex);
	conn_close(&c->conn);
}

void
client_accepted(struct worker *w, int fd, uint32_t place, uint32_t serial)
{
	struct client *c = w->free_clients;

	if (c != NULL)
		w->free_clients = c->free_next;
	else if ((c = malloc(sizeof(*c))) == NULL) {
		ring_close(w->net.ring, fd);
		return;
	}
	conn_init(&c->conn, &w->net, fd, &events);
	c->w = w;
	c->ex = NULL;
	c->in = NULL;
	c->scanned = 0;
	c->place = place;
	c->serial = serial;
	c->idle_ms = w->config->idle_timeout_ms;
	c->state = CLIENT_HEAD;
	c->closing = c->unread = false;
	c->peer[0] = '\0';
	list_append(&w->clients, &c->link);
	worker_count(w, COUNTER_ACCEPTED);
	atomic_store_explicit(&w->nclients, w->nclients + 1, memory_order_relaxed);
	conn_deadline(&c->conn, c->idle_ms);
	conn_recv(&c->conn, BUF_SMALL);
}

struct str
client_peer(struct client *c)
{
	if (c->peer[0] == '\0')
		sock_peer(c->conn.fd, c->peer);
	return str_of(c->peer);
}
