/* request.c - the first half of an exchange: the request, to the target. */
#include "exchange.h"

#include "health.h"
#include "upstream.h"
#include <errno.h>

/* The head and what came with it; with b, more of the body. */
static void
send_request(struct exchange *ex, struct buf *b)
{
	struct conn *up = &ex->up->conn;

	ex->delayed = false;
	ex->in_flight = true;
	ex->to_target.sent_ms = ex->w->net.now_ms;
	exchange_deadline(ex, ex->whole ? ex->response_ms : ex->idle_ms);
	conn_frame(up, ex->head, ex->to_target.done && ex->to_target.after == NULL);
	if (b != NULL)
		conn_send_both(up, ex->request, b);
	else
		conn_send(up, buf_data(ex->request), ex->request->len);
}

void
request_connected(struct exchange *ex)
{
	struct client *c = ex->client;

	ex->wait = WAIT_ANSWER;
	conn_await(&ex->up->conn, BUF_MID);
	/* One send of a large body's beginning is cheaper than two, and the target does not wait for it: the
	 * bytes are in the socket. */
	if (!ex->to_target.done && c->conn.more && !c->conn.ended && c->in == NULL) {
		ex->delayed = true;
		exchange_deadline(ex, ex->idle_ms);
		conn_recv(&c->conn, BUF_BIG);
	} else {
		send_request(ex, NULL);
	}
}

void
request_unreachable(struct exchange *ex, int error)
{
	worker_count(ex->w, COUNTER_CONNECT_FAILED);
	health_unreachable(ex->w, ex->group, ex->target, error);
	if (error != -EMFILE && error != -ENFILE) {
		if (retry_try(ex, RETRY_CONNECT | RETRY_5XX | RETRY_GATEWAY))
			return;
		if (ex->tries++ == 0 && exchange_pick_another(ex)) {
			worker_count(ex->w, COUNTER_RETRIES);
			ex->wait = WAIT_CONNECT;
			upstream_take(ex, false);
			return;
		}
	}
	exchange_fail(ex, 503);
}

#define REFUSED_MAX 3u /* streams of one request */

/* May the request be sent once more if the connection turns out to be dead? */
bool
request_replayable(const struct exchange *ex)
{
	bool again = ex->delayed || (ex->whole && method_is_idempotent(ex->method));

	if (ex->table == NULL)
		return false;
	/* Who says that it never looked at the request may be asked again, whatever was asked. */
	if (ex->up->conn.unseen)
		return ex->tries < REFUSED_MAX;
	return ex->up->reused && ex->tries == 0 && again;
}

/* The pooled connection was closed under the request before a byte of an answer. */
void
request_replay(struct exchange *ex)
{
	if (retry_leave(ex) != 0) {
		exchange_fail(ex, 503);
		return;
	}
	worker_count(ex->w, COUNTER_RETRIES);
	ex->tries++;
	ex->wait = WAIT_CONNECT;
	if (exchange_pick_another(ex))
		upstream_take(ex, false);
	else
		upstream_take(ex, true);
}

static void client_body(struct exchange *ex, struct buf *b);

static void
request_done(struct exchange *ex)
{
	struct client *c = ex->client;

	exchange_deadline(ex, ex->response_ms);
	/* The next request's receive: it also tells of a client that resets. */
	if (ex->keep_alive && c->in == NULL)
		conn_await(&c->conn, BUF_SMALL);
}

/* Sends what the relay has, or gets it more. */
static void
request_more(struct exchange *ex)
{
	struct relay *r = &ex->to_target;
	struct client *c = ex->client;
	struct buf *b = c->in;

	if (relay_next(r) != NULL) {
		exchange_deadline(ex, ex->idle_ms);
		/* Trailers of a stream are a send of their own. */
		if (unlikely(r->head > 0))
			exchange_forget(ex);
		exchange_send(ex, r, &ex->up->conn);
	} else if (r->done) {
		request_done(ex);
	} else if (b != NULL) {
		c->in = NULL;
		client_body(ex, b);
	} else if (c->conn.ended) {
		request_end(ex, c->conn.error);
	} else {
		conn_deadline(&c->conn, ex->idle_ms);
		conn_recv(&c->conn, relay_class(r, ex->w->net.pools, BUF_SMALL));
	}
}

void
request_sent(struct exchange *ex, int error)
{
	struct relay *r = &ex->to_target;

	ex->in_flight = false;
	retry_keep(ex);
	exchange_drop(ex, &r->sending);
	relay_sent(r, ex->w->net.now_ms);
	if (ex->wait == WAIT_TUNNEL) {
		if (error != 0)
			exchange_break(ex);
		else
			tunnel_sent(ex, r, &ex->client->conn, &ex->up->conn);
		return;
	}
	if (ex->up->conn.ended && ex->wait == WAIT_ANSWER) {
		answer_ended(ex);
		return;
	}
	if (error != 0) {
		/* The target may have answered before it closed: the receive will tell. */
		if (!r->done)
			ex->client->unread = true;
		ex->keeping = ex->keeping && r->done;
		r->done = true;
		ex->keep_alive = ex->keep_alive && !ex->client->unread;
		ex->up_keep = false;
		return;
	}
	/* A stream may yet be refused. */
	if (!ex->keeping && !request_replayable(ex) && !(ex->h2 && ex->whole))
		exchange_forget(ex);
	request_more(ex);
}

/* It came while the request goes to another target: the first send has it. */
static void
more_to_send(struct exchange *ex, struct buf *b)
{
	if (buf_gather(ex->w->net.pools, &ex->request, b) != 0)
		exchange_fail(ex, 503);
	else
		ex->whole = ex->to_target.done && ex->to_target.after == NULL;
}

static void
client_body(struct exchange *ex, struct buf *b)
{
	struct relay *r = &ex->to_target;
	struct client *c = ex->client;
	struct buf *rest;
	int rc = exchange_feed(r, &c->conn, b, &rest);

	if (rc != 0) {
		buf_put(ex->w->net.pools, b);
		worker_count(ex->w, COUNTER_BAD_REQUEST);
		ex->keep_alive = false;
		exchange_fail(ex, rc == -EBADMSG ? 400 : 503);
		return;
	}
	c->in = rest;
	if (ex->wait == WAIT_GATHER) {
		invoke_body(ex, b);
		return;
	}
	if (ex->wait == WAIT_CONNECT) {
		more_to_send(ex, b);
		return;
	}
	if (relay_has(r, b))
		r->sending = b;
	else
		buf_put(ex->w->net.pools, b);
	if (ex->delayed)
		send_request(ex, r->sending);
	else
		request_more(ex);
}

/* It was asked for before the request went to another target, whose connection is not done with what was
 * there then: request_more comes back to what came. */
static bool
is_early(const struct exchange *ex)
{
	return !ex->to_target.done && ex->up != NULL && ex->up->conn.sending;
}

void
request_data(struct exchange *ex, struct buf *b)
{
	struct client *c = ex->client;

	if (ex->wait == WAIT_TUNNEL)
		tunnel_data(ex, &ex->to_target, b, &ex->up->conn);
	else if (!ex->to_target.done && !is_early(ex))
		client_body(ex, b);
	else if (buf_gather(ex->w->net.pools, &c->in, b) != 0)
		client_close(c);
}

void
request_end(struct exchange *ex, int error)
{
	struct client *c = ex->client;

	if (ex->wait == WAIT_TUNNEL && error == 0) {
		tunnel_end(ex, &ex->to_target, &c->conn, &ex->up->conn);
		return;
	}
	/* A client that has sent all it has to may close its half and wait. */
	if (error == 0 && (ex->to_target.done || is_early(ex)))
		return;
	if (error == 0 && exchange_end(&ex->to_target, &c->conn) == 0) {
		if (ex->wait == WAIT_GATHER)
			invoke_gather(ex);
		else if (ex->wait != WAIT_CONNECT)
			request_more(ex);
		return;
	}
	worker_count(ex->w, COUNTER_CLIENT_GONE);
	client_close(c);
}
