/* client.c - a client's connection: gather a head, hand it to an exchange, answer, and again. */
#include "client.h"

#include "../net/sock.h"
#include "exchange.h"
#include "keyring.h"
#include "mux.h"
#include <errno.h>
#include <stdio.h>

#define LINGER_MS 2000u		/* how long a client may take to notice that we closed */
#define LINGER_BYTES (1u << 20) /* and how much of its data is thrown away meanwhile */

static void parse(struct client *c);

void
client_drop_input(struct client *c)
{
	if (c->in != NULL)
		buf_put(c->w->net.pools, c->in);
	c->in = NULL;
	c->scanned = 0;
}

/* ------------------------------------------------------------------ answers of our own */

/* On a stream. */
static void
print_reply(struct client *c, struct buf *b, unsigned status, bool head_only, struct str request_id)
{
	size_t head;

	if (c->grpc)
		b->len = (uint32_t)(head = block_print_grpc(buf_data(b), status, c->grpc_status, request_id));
	else
		b->len = (uint32_t)block_print_own(buf_data(b), status, request_id, head_only, &head);
	conn_frame(&c->conn, (uint32_t)head, true);
}

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
	if (conn_is_stream(&c->conn))
		print_reply(c, b, status, head_only, request_id);
	else
		b->len = (uint32_t)h1_print_own(buf_data(b), status, request_id, c->closing, head_only);
	conn_deadline(&c->conn, c->idle_ms);
	conn_send(&c->conn, buf_data(b), b->len);
	conn_hold(&c->conn, b);
}

static void
refuse(struct client *c, const struct fault *fault)
{
	worker_count(c->w, COUNTER_BAD_REQUEST);
	client_drop_input(c);
	c->unread = true;
	client_reply(c, fault->status, true, false, (struct str){"", 0});
}

/* Closes our half and throws away what still comes, so that the answer is not lost in a reset: of a stream
 * too, since not every client reads an answer that a reset stands behind. */
static void
linger(struct client *c)
{
	c->state = CLIENT_LINGER;
	c->lingered = 0;
	client_drop_input(c);
	if (c->conn.ended) {
		client_close(c);
		return;
	}
	if (!conn_is_stream(&c->conn))
		conn_shutdown(&c->conn);
	conn_deadline(&c->conn, LINGER_MS);
	conn_recv(&c->conn, BUF_BIG);
}

void
client_next(struct client *c, bool keep_alive)
{
	c->state = CLIENT_HEAD;
	if (conn_is_stream(&c->conn)) {
		/* Clients of gRPC know that an answer may end a call; to others a reset may hide it. */
		if (c->grpc)
			client_close(c);
		else
			linger(c);
		return;
	}
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

/* ------------------------------------------------------------------ HTTP/2 */

static bool on_begin(struct mux *m, struct stream *s);

/* Why it is over stands in a GOAWAY, which a reset would take away. */
static void
on_over(struct mux *m)
{
	struct client *c = container_of(m->transport, struct client, conn);

	mux_free(m);
	c->mux = NULL;
	linger(c);
}

static void
on_idle(struct mux *m)
{
	struct client *c = container_of(m->transport, struct client, conn);

	conn_deadline(&c->conn, c->idle_ms);
}

static const struct mux_owner owner = {.begin = on_begin, .over = on_over, .idle = on_idle};

/* Prior knowledge (RFC 9113 3.3): four bytes tell the preface from any request. */
static bool
is_preface(const struct buf *b)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

	return b->len >= 4 && memcmp(buf_data(b), preface, MIN(b->len, sizeof(preface) - 1)) == 0;
}

/* What a client begins with: the preface and an empty SETTINGS. */
#define PREFACE_BYTES (24u + 9u)

static void
carrier_data(struct client *c, struct buf *b)
{
	c->scanned += b->len;
	if (c->fresh && c->scanned >= PREFACE_BYTES) {
		c->fresh = false;
		conn_deadline(&c->conn, c->idle_ms);
	}
	mux_data(c->mux, b);
}

/* The connection is a carrier from now on. */
static void
start_mux(struct client *c)
{
	struct buf *b = c->in;

	c->mux = mux_new(c->w, &c->conn, true, &owner);
	if (c->mux == NULL) {
		client_close(c);
		return;
	}
	worker_count(c->w, COUNTER_H2_CONNECTIONS);
	c->state = CLIENT_MUX;
	c->in = NULL;
	c->fresh = true;
	c->scanned = 0;
	conn_deadline(&c->conn, c->w->config->head_timeout_ms);
	if (b != NULL)
		carrier_data(c, b);
	else
		conn_recv(&c->conn, BUF_MID);
}

static void
carrier_timeout(struct client *c)
{
	bool idle = c->mux->nstreams == 0;
	bool over = c->conn.sending ? !conn_progress(&c->conn)
		    : idle	    ? c->mux->leaving
				    : !mux_is_alive(c->mux);

	if (c->fresh)
		worker_count(c->w, COUNTER_CLIENT_TIMEOUT);
	if (c->fresh || over) {
		client_close(c);
		return;
	}
	if (idle)
		mux_leave(c->mux, true);
	conn_deadline(&c->conn, c->idle_ms);
}

/* ------------------------------------------------------------------ TLS */

static void
end_handshake(struct client *c)
{
	if (list_empty(&c->shaking))
		return;
	list_del(&c->shaking);
	c->w->nshaking--;
}

static struct tls_held *
choose(struct conn *conn, struct str sni)
{
	struct client *c = container_of(conn, struct client, conn);
	const struct table *t = c->w->current->table;
	const struct place *p = table_place(t, c->place);
	const struct service *s = NULL;

	if (p == NULL || p->serial != c->serial)
		return NULL;
	if (match_place_open(t, p, sni, &s) == NULL)
		s = sni.len == 0 ? table_sole(t, p) : NULL;
	if (s == NULL)
		return NULL;
	c->service = s->slot;
	c->idle_ms = s->idle_timeout_s * 1000;
	return keyring_identity(c->w, s);
}

static void
begin_handshake(struct client *c)
{
	struct worker *w = c->w;

	c->state = CLIENT_HANDSHAKE;
	list_append(&w->shaking, &c->shaking);
	if (++w->nshaking > HANDSHAKES_MAX) {
		worker_count(w, COUNTER_TLS_FAILED);
		client_close(container_of(w->shaking.next, struct client, shaking));
	}
	conn_deadline(&c->conn, w->config->head_timeout_ms);
	if (tls_accept(&c->conn, w->tls, choose) != 0)
		client_close(c);
}

/* Somebody said http:// to this port. */
static void
refuse_plain(struct client *c)
{
	static const char answer[] = "HTTP/1.1 400 Bad Request\r\n"
				     "content-type: text/plain\r\n"
				     "content-length: 54\r\n"
				     "connection: close\r\n\r\n"
				     "This port speaks HTTPS: the request came in the clear\n";

	worker_count(c->w, COUNTER_TLS_PLAIN);
	c->state = CLIENT_REPLY;
	c->closing = c->unread = true;
	conn_deadline(&c->conn, c->idle_ms);
	conn_send(&c->conn, answer, sizeof(answer) - 1);
}

static void
on_connected(struct conn *conn, int error)
{
	struct client *c = container_of(conn, struct client, conn);
	struct worker *w = c->w;

	end_handshake(c);
	if (error == -EPROTONOSUPPORT) {
		refuse_plain(c);
	} else if (error != 0) {
		worker_count(w, COUNTER_TLS_FAILED);
		if (tls_failure(conn) == TLS_FAILURE_NAME)
			worker_count(w, COUNTER_TLS_UNKNOWN);
		else if (tls_failure(conn) == TLS_FAILURE_CERTIFICATE)
			worker_count(w, COUNTER_TLS_REFUSED);
		if (error != -EPROTO) {
			client_close(c);
			return;
		}
		tls_drop(conn);
		linger(c);
	} else {
		worker_count(w, COUNTER_TLS_HANDSHAKES);
		if (tls_is_resumed(conn))
			worker_count(w, COUNTER_TLS_RESUMED);
		c->state = CLIENT_HEAD;
		if (tls_is_h2(conn)) {
			start_mux(c);
			return;
		}
		conn_deadline(conn, c->idle_ms);
		conn_recv(conn, BUF_SMALL);
	}
}

/* ------------------------------------------------------------------ requests */

static void
parse(struct client *c)
{
	struct worker *w = c->w;
	const struct fault *fault;
	int n;

	if (c->fresh && c->conn.tls == NULL && is_preface(c->in)) {
		start_mux(c);
		return;
	}
	n = h1_parse_request(&w->msg, buf_data(c->in), c->in->len, &c->scanned, &fault);

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
	c->fresh = false;
	worker_count(w, COUNTER_REQUESTS);
	exchange_start(c, (size_t)n);
}

static void
on_head(struct conn *conn, struct buf *b)
{
	struct client *c = container_of(conn, struct client, conn);
	bool last = conn->ended && b->len == b->head && conn->trailers == NULL;
	const struct fault *fault;
	uint32_t n = b->head;

	c->in = b;
	conn_deadline(conn, c->idle_ms);
	if (block_parse_request(&c->w->msg, (struct str){buf_data(b), n}, last, &fault) != 0) {
		refuse(c, fault);
		return;
	}
	c->grpc = msg_is_grpc(&c->w->msg);
	worker_count(c->w, COUNTER_REQUESTS);
	exchange_start(c, n);
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
	case CLIENT_MUX:
		carrier_data(c, b);
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
	case CLIENT_MUX:
		client_close(c);
		break;
	case CLIENT_EXCHANGE:
		request_end(c->ex, error);
		break;
	case CLIENT_REPLY:     /* half closed: the answer is still wanted */
	case CLIENT_HANDSHAKE: /* on_connected is told */
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
	assert(c->state == CLIENT_REPLY || c->state == CLIENT_MUX);
	if (error != 0)
		client_close(c);
	else if (c->state == CLIENT_MUX)
		mux_sent(c->mux);
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
	} else if (c->state == CLIENT_MUX) {
		carrier_timeout(c);
	} else if (c->state == CLIENT_REPLY && conn_progress(conn)) {
		conn_deadline(conn, c->idle_ms);
	} else if (c->state == CLIENT_HEAD && c->in != NULL) {
		worker_count(c->w, COUNTER_CLIENT_TIMEOUT);
		refuse(c, &late);
	} else {
		if (c->state == CLIENT_HANDSHAKE)
			worker_count(c->w, COUNTER_TLS_FAILED);
		client_close(c);
	}
}

/* ------------------------------------------------------------------ life */

static void
on_freed(struct conn *conn)
{
	struct client *c = container_of(conn, struct client, conn);
	struct worker *w = c->w;

	client_drop_input(c);
	list_del(&c->link);
	if (!conn_is_stream(conn))
		atomic_store_explicit(&w->nclients, w->nclients - 1, memory_order_relaxed);
	spare_give(&w->spare_clients, c);
	worker_client_gone(w);
}

static const struct conn_events events = {
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .sent = on_sent,
    .connected = on_connected,
    .timeout = on_timeout,
    .freed = on_freed,
};

void
client_close(struct client *c)
{
	struct exchange *ex = c->ex;

	c->ex = NULL;
	end_handshake(c);
	if (ex != NULL)
		exchange_abort(ex);
	if (c->mux != NULL)
		mux_free(c->mux);
	c->mux = NULL;
	conn_close(&c->conn);
}

static struct client *
client_new(struct worker *w, uint32_t place, uint32_t serial)
{
	struct client *c = spare_take(&w->spare_clients, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->w = w;
	c->ex = NULL;
	c->mux = NULL;
	c->carrier = NULL;
	c->in = NULL;
	c->scanned = 0;
	c->place = place;
	c->serial = serial;
	c->service = SLOT_NONE;
	c->idle_ms = w->config->idle_timeout_ms;
	c->state = CLIENT_HEAD;
	c->closing = c->unread = c->grpc = false;
	c->grpc_status = 0;
	c->fresh = true;
	c->peer[0] = '\0';
	list_append(&w->clients, &c->link);
	list_init(&c->shaking);
	return c;
}

/* A stream of HTTP/2. */
static bool
on_begin(struct mux *m, struct stream *s)
{
	struct client *carrier = container_of(m->transport, struct client, conn);
	struct client *c = client_new(m->w, carrier->place, carrier->serial);

	if (c == NULL)
		return false;
	c->carrier = carrier;
	mux_attach(s, &c->conn, &events);
	return true;
}

void
client_accepted(struct worker *w, int fd, const struct place *p)
{
	struct client *c = client_new(w, p->index, p->serial);

	if (c == NULL) {
		ring_close(w->net.ring, fd);
		return;
	}
	conn_init(&c->conn, &w->net, fd, &events);
	worker_count(w, COUNTER_ACCEPTED);
	atomic_store_explicit(&w->nclients, w->nclients + 1, memory_order_relaxed);
	if (p->protocol == PROTOCOL_HTTPS) {
		begin_handshake(c);
		return;
	}
	conn_deadline(&c->conn, c->idle_ms);
	conn_recv(&c->conn, BUF_SMALL);
}

void
client_leave(struct client *c, bool final)
{
	if (c->state == CLIENT_MUX)
		mux_leave(c->mux, final);
	else if (c->state == CLIENT_HANDSHAKE ||
		 (c->state == CLIENT_HEAD && c->in == NULL && c->carrier == NULL))
		client_close(c);
}

const struct conn *
client_transport(const struct client *c)
{
	return c->carrier != NULL ? &c->carrier->conn : &c->conn;
}

uint32_t
client_service(const struct client *c)
{
	return c->carrier != NULL ? c->carrier->service : c->service;
}

void
client_set_idle(struct client *c, uint32_t ms)
{
	c->idle_ms = ms;
	if (c->carrier != NULL)
		c->carrier->idle_ms = ms;
}

struct str
client_peer(struct client *c)
{
	if (c->carrier != NULL)
		return client_peer(c->carrier);
	if (c->peer[0] == '\0')
		sock_peer(c->conn.fd, c->peer);
	return str_of(c->peer);
}
