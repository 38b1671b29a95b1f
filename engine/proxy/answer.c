/* answer.c - the second half of an exchange: the answer, to the client. */
#include "exchange.h"

#include "health.h"
#include "upstream.h"
#include <errno.h>

static void parse(struct exchange *ex);

void
answer_bad(struct exchange *ex)
{
	worker_count(ex->w, COUNTER_BAD_ANSWER);
	health_report(ex->w, ex->group, ex->target, OUTCOME_ERROR);
	exchange_fail(ex, 502);
}

static void
count_answer(struct worker *w, unsigned status)
{
	worker_count(w, COUNTER_ANSWERS_2XX + (enum counter)(MIN(status, 599u) / 100 - 2));
}

/* The head of the answer as the client gets it, in w->head: its length. */
static size_t
print_answer(struct exchange *ex, const struct msg_reply *reply)
{
	struct worker *w = ex->w;

	return conn_is_stream(&ex->client->conn) ? block_print_response(w->head, &w->msg, reply)
						 : h1_print_response(w->head, &w->msg, reply);
}

/* Puts the n bytes of w->head in front of b's data and sends both; the relay is that of the rest. False: no
 * memory, and ex is gone. */
static bool
send_head(struct exchange *ex, struct buf *b, size_t n)
{
	struct client *c = ex->client;

	b = buf_front(ex->w->net.pools, b, (uint32_t)n);
	if (b == NULL) {
		exchange_break(ex);
		return false;
	}
	b->off -= (uint32_t)n;
	b->len += (uint32_t)n;
	memcpy(buf_data(b), ex->w->head, n);
	ex->to_client.sending = b;
	ex->to_client.head = conn_is_stream(&c->conn) ? (uint32_t)n : 0;
	conn_deadline(&c->conn, ex->idle_ms);
	exchange_send(ex, &ex->to_client, &c->conn);
	return true;
}

/* A 1xx: passed on, and the answer is still to come. */
static void
interim(struct exchange *ex, size_t head_len)
{
	struct msg_reply reply = {.close = false};
	struct buf *b = ex->answer, *head;
	size_t n;

	b->off += (uint32_t)head_len;
	b->len -= (uint32_t)head_len;
	if (ex->minor == 0 || ex->lambda) {
		parse(ex);
		return;
	}
	n = print_answer(ex, &reply);
	head = buf_heap((uint32_t)n);
	if (head == NULL) {
		answer_bad(ex);
		return;
	}
	head->off += (uint32_t)n;
	exchange_forget(ex);
	ex->wait = WAIT_INTERIM;
	relay_init(&ex->to_client, BODY_EOF, 0, FRAME_RAW);
	send_head(ex, head, n);
}

/* This is the answer: the request is not sent again, and has no time any more to be answered in. */
static void
settle(struct exchange *ex)
{
	ex->deadline_ms = 0;
	exchange_forget(ex);
}

static void
switch_protocol(struct exchange *ex, size_t head_len)
{
	struct msg_reply reply = {.request_id = {ex->id, ex->id_len}};
	struct client *c = ex->client;
	struct buf *b = ex->answer;
	size_t n = print_answer(ex, &reply);

	worker_count(ex->w, COUNTER_TUNNELS);
	settle(ex);
	ex->wait = WAIT_TUNNEL;
	ex->active_ms = ex->w->net.now_ms;
	ex->keep_alive = ex->up_keep = false;
	relay_init(&ex->to_target, BODY_EOF, 0, FRAME_RAW);
	relay_init(&ex->to_client, BODY_EOF, 0, FRAME_RAW);
	b->off += (uint32_t)head_len;
	b->len -= (uint32_t)head_len;
	ex->answer = NULL;
	ex->answered = true;
	if (!send_head(ex, b, n))
		return;
	b = c->in;
	c->in = NULL;
	if (b != NULL)
		tunnel_data(ex, &ex->to_target, b, &ex->up->conn);
	else if (c->conn.ended)
		tunnel_end(ex, &ex->to_target, &c->conn, &ex->up->conn);
	else
		conn_recv(&c->conn, BUF_SMALL);
}

/* How the rest of the answer comes and goes. */
static void
init_relay(struct exchange *ex, const struct msg *m, bool chunked)
{
	enum relay_frame frame = conn_is_stream(&ex->client->conn) ? FRAME_STREAM
				 : chunked			   ? FRAME_CHUNKED
								   : FRAME_RAW;

	if (conn_is_stream(&ex->up->conn))
		relay_init(&ex->to_client, BODY_EOF, 0, frame);
	else
		relay_init(&ex->to_client, m->body == BODY_NONE ? BODY_LENGTH : m->body,
		    m->body == BODY_NONE ? 0 : m->length, frame);
}

static void
final(struct exchange *ex, size_t head_len, enum outcome outcome)
{
	struct worker *w = ex->w;
	struct msg *m = &w->msg;
	struct buf *b = ex->answer, *rest;
	bool framed = m->body != BODY_CHUNKED && m->body != BODY_EOF;
	struct msg_reply reply = {.request_id = {ex->id, ex->id_len}, .chunked = !framed && ex->minor >= 1};
	size_t n;
	int rc;

	settle(ex);
	if (w->stopping || !ex->to_target.done || (!framed && !reply.chunked))
		ex->keep_alive = false;
	reply.close = !ex->keep_alive;
	reply.keep_alive = ex->keep_alive && ex->minor == 0;
	ex->up_keep = m->keep_alive && m->body != BODY_EOF;
	if (m->body == BODY_NONE && conn_is_stream(&ex->up->conn) && !conn_is_stream(&ex->client->conn) &&
	    status_has_content(m->status, ex->method))
		m->body = BODY_LENGTH; /* HTTP/1 must be told that it is empty */
	n = print_answer(ex, &reply);
	init_relay(ex, m, reply.chunked);
	b->off += (uint32_t)head_len;
	b->len -= (uint32_t)head_len;
	rc = exchange_feed(&ex->to_client, &ex->up->conn, b, &rest);
	if (rc != 0) {
		answer_bad(ex);
		return;
	}
	if (rest != NULL) {
		/* More than the answer: what is it the answer to? */
		buf_put(w->net.pools, rest);
		ex->up_keep = false;
	}
	count_answer(w, m->status);
	health_report(w, ex->group, ex->target, outcome);
	ex->answer = NULL;
	ex->wait = WAIT_BODY;
	ex->answered = true;
	send_head(ex, b, n);
}

/* It is passed on, unless the rule would rather have another one. */
static void
judge(struct exchange *ex, size_t head_len)
{
	const struct msg *m = &ex->w->msg;
	unsigned status = ex->client->grpc ? msg_grpc_error(m) : m->status;

	if (status < 500)
		final(ex, head_len, OUTCOME_GOOD);
	else if (!retry_answer(ex, status))
		final(ex, head_len, OUTCOME_ERROR);
}

void
answer_whole(struct exchange *ex, struct buf *b)
{
	struct worker *w = ex->w;
	struct msg_reply reply = {.request_id = {ex->id, ex->id_len}};
	bool stream = conn_is_stream(&ex->client->conn);

	if (w->stopping)
		ex->keep_alive = false;
	reply.close = !ex->keep_alive;
	reply.keep_alive = ex->keep_alive && ex->minor == 0;
	relay_init(&ex->to_client, BODY_LENGTH, 0, stream ? FRAME_STREAM : FRAME_RAW);
	ex->to_client.bytes = b->len;
	count_answer(w, w->msg.status);
	ex->wait = WAIT_BODY;
	ex->answered = true;
	send_head(ex, b, print_answer(ex, &reply));
}

/* The head at the front of ex->answer: its length, 0 when it is not there yet, -1 when it is malformed. */
static int
parse_head(struct exchange *ex)
{
	const struct buf *b = ex->answer;
	const struct fault *fault;
	const struct conn *up = &ex->up->conn;
	struct msg *m = &ex->w->msg;
	enum method method = ex->lambda ? METHOD_POST : ex->method;

	if (b->head == 0)
		return h1_parse_response(m, buf_data(b), b->len, &ex->scanned, method, &fault);
	if (block_parse_response(m, (struct str){buf_data(b), b->head},
		up->ended && b->len == b->head && up->trailers == NULL, ex->method, &fault) != 0)
		return -1;
	return (int)b->head;
}

static void
parse(struct exchange *ex)
{
	struct worker *w = ex->w;
	int n;

	if (ex->answer == NULL || ex->answer->len == 0) {
		if (ex->up->conn.ended)
			answer_bad(ex);
		else
			conn_recv(&ex->up->conn, BUF_MID);
		return;
	}
	n = parse_head(ex);
	if (n < 0 || (n == 0 && ex->up->conn.ended)) {
		answer_bad(ex);
		return;
	}
	if (n == 0) {
		conn_recv(&ex->up->conn, BUF_MID);
		return;
	}
	ex->scanned = 0;
	if (w->msg.status == 101) {
		if (ex->upgrade && w->msg.upgrade && ex->to_target.done && !ex->up->conn.sending)
			switch_protocol(ex, (size_t)n);
		else
			answer_bad(ex);
	} else if (w->msg.status < 200) {
		interim(ex, (size_t)n);
	} else if (ex->lambda) {
		invoke_head(ex, (size_t)n);
	} else {
		judge(ex, (size_t)n);
	}
}

/* Sends what the relay has, or gets it more, or is done. */
static void
answer_more(struct exchange *ex)
{
	struct relay *r = &ex->to_client;
	struct conn *client = &ex->client->conn;

	if (relay_next(r) != NULL) {
		conn_deadline(client, ex->idle_ms);
		exchange_send(ex, r, client);
	} else if (r->done) {
		exchange_finish(ex);
	} else if (ex->up->conn.ended) {
		answer_end(ex, ex->up->conn.error);
	} else {
		conn_deadline(&ex->up->conn, ex->idle_ms);
		conn_recv(&ex->up->conn, relay_class(r, ex->w->net.pools, BUF_MID));
	}
}

static void
target_body(struct exchange *ex, struct buf *b)
{
	struct relay *r = &ex->to_client;
	struct buf *rest;
	int rc = exchange_feed(r, &ex->up->conn, b, &rest);

	if (rc != 0) {
		buf_put(ex->w->net.pools, b);
		answer_bad(ex);
		return;
	}
	if (rest != NULL) {
		buf_put(ex->w->net.pools, rest);
		ex->up_keep = false;
	}
	if (relay_has(r, b))
		r->sending = b;
	else
		buf_put(ex->w->net.pools, b);
	answer_more(ex);
}

void
answer_data(struct exchange *ex, struct buf *b)
{
	if (ex->wait == WAIT_TUNNEL) {
		tunnel_data(ex, &ex->to_client, b, &ex->client->conn);
	} else if (ex->wait == WAIT_BODY && (ex->to_client.done || ex->to_client.sending != NULL)) {
		/* Behind the end of the answer. */
		buf_put(ex->w->net.pools, b);
		ex->up_keep = false;
	} else if (ex->wait == WAIT_BODY) {
		target_body(ex, b);
	} else if (ex->wait == WAIT_INVOKED) {
		invoke_data(ex, b);
	} else if (ex->delayed) {
		/* An answer to nothing: that connection is not to be trusted with the request. */
		buf_put(ex->w->net.pools, b);
		if (request_replayable(ex))
			request_replay(ex);
		else
			answer_bad(ex);
	} else {
		if (!ex->keeping)
			exchange_forget(ex);
		if (buf_gather(ex->w->net.pools, &ex->answer, b) != 0)
			answer_bad(ex);
		else if (ex->wait == WAIT_ANSWER)
			parse(ex);
	}
}

void
answer_head(struct exchange *ex, struct buf *b)
{
	if (!ex->keeping)
		exchange_forget(ex);
	exchange_drop(ex, &ex->answer);
	ex->answer = b;
	if (ex->wait == WAIT_ANSWER)
		parse(ex);
}

/* The target has closed, and there is no whole head. */
void
answer_ended(struct exchange *ex)
{
	if (ex->answer == NULL && request_replayable(ex))
		request_replay(ex);
	else if (ex->answer != NULL || !retry_try(ex, RETRY_CONNECT | RETRY_5XX | RETRY_GATEWAY))
		answer_bad(ex);
}

void
answer_end(struct exchange *ex, int error)
{
	switch (ex->wait) {
	case WAIT_TUNNEL:
		if (error == 0)
			tunnel_end(ex, &ex->to_client, &ex->up->conn, &ex->client->conn);
		else
			exchange_break(ex);
		break;
	case WAIT_ANSWER:
		/* Otherwise the completion of the send comes back to it: it may use the request still. */
		if (!ex->up->conn.sending)
			answer_ended(ex);
		break;
	case WAIT_INVOKED:
		invoke_end(ex, error);
		break;
	case WAIT_BODY:
		if (ex->to_client.done || ex->to_client.sending != NULL)
			break; /* answer_more comes back to it */
		if (error != 0 || exchange_end(&ex->to_client, &ex->up->conn) != 0)
			answer_bad(ex);
		else
			answer_more(ex);
		break;
	default:
		break; /* parse sees it after the interim answer */
	}
}

void
answer_sent(struct exchange *ex, int error)
{
	exchange_drop(ex, &ex->to_client.sending);
	relay_sent(&ex->to_client, ex->w->net.now_ms);
	if (error != 0) {
		worker_count(ex->w, COUNTER_CLIENT_GONE);
		client_close(ex->client);
		return;
	}
	switch (ex->wait) {
	case WAIT_INTERIM:
		ex->wait = WAIT_ANSWER;
		parse(ex);
		break;
	case WAIT_GATHER: /* a 100 of ours */
		invoke_gather(ex);
		break;
	case WAIT_TUNNEL:
		tunnel_sent(ex, &ex->to_client, &ex->up->conn, &ex->client->conn);
		break;
	default:
		answer_more(ex);
		break;
	}
}
