/* invoke.c - an exchange with a Lambda function: the request is gathered, the function invoked with it as an
 * event, its answer gathered and made into a response. */
#include "../http/lambda.h"
#include "exchange.h"
#include "upstream.h"
#include <errno.h>

struct invoke {
	struct lambda_event event;
	struct buf *body; /* so far */
	uint32_t held;	  /* of w->held */
	bool expects;	  /* the client waits for a 100 */
};

/* ------------------------------------------------------------------ the request */

unsigned
invoke_refuses(struct client *c)
{
	const struct msg *m = &c->w->msg;

	if (c->grpc)
		c->grpc_status = GRPC_UNIMPLEMENTED;
	if (c->grpc || m->tunnel)
		return 501;
	if (m->body == BODY_LENGTH && m->length > LAMBDA_BYTES_MAX)
		return 413;
	return c->w->held > LAMBDA_HELD_MAX ? 503 : 0;
}

/* Takes b, a part of the body. */
static int
keep(struct exchange *ex, struct buf *b)
{
	struct invoke *v = ex->invoke;

	v->held += b->len;
	ex->w->held += b->len;
	return buf_gather(ex->w->net.pools, &v->body, b);
}

int
invoke_init(struct exchange *ex, size_t head_len, const struct msg_forward *f, const struct lambda_context *x)
{
	struct client *c = ex->client;
	const struct msg *m = &ex->w->msg;
	struct buf *b = c->in, *rest;
	/* What is pipelined is not for feed to refuse; a stream's end is told beside it. */
	enum body body = c->conn.carrier != NULL ? BODY_EOF : m->body == BODY_NONE ? BODY_LENGTH : m->body;
	int rc;

	ex->invoke = calloc(1, sizeof(*ex->invoke));
	if (ex->invoke == NULL || lambda_event_init(&ex->invoke->event, m, f, x) != 0)
		return -ENOMEM;
	ex->invoke->expects = m->expect_continue;
	relay_init(&ex->to_target, body, m->body == BODY_LENGTH ? m->length : 0, FRAME_RAW);
	b->off += (uint32_t)head_len;
	b->len -= (uint32_t)head_len;
	rc = exchange_feed(&ex->to_target, &c->conn, b, &rest);
	if (rc != 0)
		return rc;
	c->in = rest;
	ex->wait = WAIT_GATHER;
	return keep(ex, b);
}

void
invoke_fini(struct exchange *ex)
{
	struct invoke *v = ex->invoke;

	if (v == NULL)
		return;
	ex->invoke = NULL;
	ex->w->held -= v->held;
	exchange_drop(ex, &v->body);
	lambda_event_fini(&v->event);
	free(v);
}

/* All of the body is there. */
static void
invoke(struct exchange *ex)
{
	struct invoke *v = ex->invoke;
	const struct group *g = table_group(ex->table->table, ex->group);
	struct str body = {buf_data(v->body), v->body->len};
	struct lambda_function fn = {.request_id = {ex->id, ex->id_len}};
	struct buf *b;
	size_t n;

	for (uint32_t i = 0; i < g->ntargets; i++)
		if (g->targets[i].slot == ex->target)
			fn = (struct lambda_function){g->targets[i].host, g->targets[i].path, fn.request_id};
	n = lambda_print_request(NULL, &v->event, &fn, body);
	b = buf_heap((uint32_t)n);
	if (b == NULL) {
		exchange_fail(ex, 503);
		return;
	}
	b->len = (uint32_t)lambda_print_request(buf_data(b), &v->event, &fn, body);
	exchange_drop(ex, &v->body);
	lambda_event_fini(&v->event);
	ex->request = b;
	ex->whole = true;
	ex->wait = WAIT_CONNECT;
	upstream_take(ex, false);
}

/* The client waits to be told that its body is wanted. */
static void
send_continue(struct exchange *ex)
{
	struct client *c = ex->client;
	struct msg_reply reply = {.close = false};
	struct msg *m = &ex->w->msg;
	struct buf *b = buf_heap(MSG_GROWTH_MAX);
	bool stream = c->conn.carrier != NULL;

	if (b == NULL) {
		exchange_fail(ex, 503);
		return;
	}
	m->status = 100;
	m->reason = STR("Continue");
	m->minor = 1;
	m->nfields = 0;
	m->body = BODY_NONE;
	m->upgrade = m->tunnel = false;
	b->len = (uint32_t)(stream ? block_print_response(buf_data(b), m, &reply)
				   : h1_print_response(buf_data(b), m, &reply));
	relay_init(&ex->to_client, BODY_EOF, 0, FRAME_RAW);
	ex->to_client.sending = b;
	ex->to_client.head = stream ? b->len : 0;
	exchange_send(ex, &ex->to_client, &c->conn);
}

void
invoke_gather(struct exchange *ex)
{
	struct client *c = ex->client;
	struct relay *r = &ex->to_target;
	bool expects = ex->invoke->expects && r->bytes == 0;

	ex->invoke->expects = false;
	conn_deadline(&c->conn, exchange_until(ex, ex->deadline_ms, ex->idle_ms));
	if (r->bytes > LAMBDA_BYTES_MAX)
		exchange_fail(ex, 413);
	else if (ex->w->held > LAMBDA_HELD_MAX)
		exchange_fail(ex, 503);
	else if (r->done)
		invoke(ex);
	else if (c->conn.ended)
		request_end(ex, c->conn.error);
	else if (expects)
		send_continue(ex);
	else
		conn_recv(&c->conn, relay_class(r, ex->w->net.pools, BUF_SMALL));
}

void
invoke_body(struct exchange *ex, struct buf *b)
{
	if (keep(ex, b) != 0)
		exchange_fail(ex, 503);
	else
		invoke_gather(ex);
}

/* ------------------------------------------------------------------ the answer */

/* All of the JSON is there. */
static void
respond(struct exchange *ex)
{
	struct buf *b = ex->answer;
	struct str body;

	if (lambda_parse_response(&ex->w->msg, buf_data(b), b->len, ex->method, &body) != 0) {
		answer_bad(ex);
		return;
	}
	if (body.len > 0)
		b->off = (uint32_t)(body.p - b->base);
	b->len = body.len;
	ex->answer = NULL;
	answer_whole(ex, b);
}

static void
collect(struct exchange *ex)
{
	struct relay *r = &ex->to_client;
	struct conn *up = &ex->up->conn;

	if (r->bytes > LAMBDA_BYTES_MAX) {
		answer_bad(ex);
	} else if (r->done) {
		respond(ex);
	} else if (up->ended) {
		invoke_end(ex, up->error);
	} else {
		exchange_deadline(ex, ex->idle_ms);
		conn_recv(up, relay_class(r, ex->w->net.pools, BUF_MID));
	}
}

/* Makes of b what is the answer's. False: the exchange is gone, and b. */
static bool
feed(struct exchange *ex, struct buf *b)
{
	struct buf *rest;
	int rc = exchange_feed(&ex->to_client, &ex->up->conn, b, &rest);

	if (rest != NULL) {
		buf_put(ex->w->net.pools, rest);
		ex->up_keep = false;
	}
	if (rc == 0 && buf_gather(ex->w->net.pools, &ex->answer, b) == 0)
		return true;
	if (rc != 0)
		buf_put(ex->w->net.pools, b);
	answer_bad(ex);
	return false;
}

void
invoke_head(struct exchange *ex, size_t head_len)
{
	const struct msg *m = &ex->w->msg;
	struct buf *b = ex->answer;

	if (!lambda_is_answer(m)) {
		answer_bad(ex);
		return;
	}
	ex->wait = WAIT_INVOKED;
	ex->up_keep = m->keep_alive && m->body != BODY_EOF;
	relay_init(&ex->to_client, m->body == BODY_NONE ? BODY_LENGTH : m->body,
	    m->body == BODY_LENGTH ? m->length : 0, FRAME_RAW);
	b->off += (uint32_t)head_len;
	b->len -= (uint32_t)head_len;
	ex->answer = NULL;
	if (feed(ex, b))
		collect(ex);
}

void
invoke_data(struct exchange *ex, struct buf *b)
{
	if (feed(ex, b))
		collect(ex);
}

void
invoke_end(struct exchange *ex, int error)
{
	if (error != 0 || exchange_end(&ex->to_client, &ex->up->conn) != 0)
		answer_bad(ex);
	else
		collect(ex);
}
