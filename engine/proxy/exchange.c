/* exchange.c - a request's life: route, pick a target, start, finish or fail. */
#include "exchange.h"

#include "../http/lambda.h"
#include "choose.h"
#include "finder.h"
#include "health.h"
#include "upstream.h"
#include <errno.h>
#include <stdio.h>

/* ------------------------------------------------------------------ life */

static struct exchange *
exchange_new(struct client *c)
{
	struct worker *w = c->w;
	struct exchange *ex = spare_take(&w->spare_exchanges, sizeof(*ex));

	if (ex == NULL)
		return NULL;
	memset(ex, 0, offsetof(struct exchange, id));
	ex->w = w;
	ex->client = c;
	w->nexchanges++;
	return ex;
}

void
exchange_drop(struct exchange *ex, struct buf **b)
{
	if (*b != NULL)
		buf_put(ex->w->net.pools, *b);
	*b = NULL;
}

/* ------------------------------------------------------------------ bodies */

/* The stream's end, before its last bytes are dealt with. */
static int
feed_trailers(struct relay *r, const struct conn *from)
{
	const struct buf *t = from->trailers;

	return t == NULL ? 0 : relay_trailers(r, (struct str){buf_data(t), t->len});
}

int
exchange_feed(struct relay *r, struct conn *from, struct buf *b, struct buf **rest)
{
	bool last = conn_is_stream(from) && from->ended;
	int rc = last ? feed_trailers(r, from) : 0;

	*rest = NULL;
	return rc != 0 ? rc : relay_feed(r, b, last, rest);
}

int
exchange_end(struct relay *r, struct conn *from)
{
	int rc = conn_is_stream(from) ? feed_trailers(r, from) : 0;

	return rc != 0 ? rc : relay_end(r);
}

void
exchange_send(struct exchange *ex, struct relay *r, struct conn *to)
{
	struct buf *b = r->sending;

	conn_frame(to, r->head, r->done && r->after == NULL);
	r->head = 0;
	r->sent_ms = ex->w->net.now_ms;
	conn_send(to, buf_data(b), b->len);
}

/* ------------------------------------------------------------------ the end */

/* The request cannot be sent again from now on. */
void
exchange_forget(struct exchange *ex)
{
	if (ex->table != NULL)
		worker_unpin(ex->w, ex->table);
	ex->table = NULL;
	if (ex->request != NULL && ex->in_flight) {
		conn_hold(&ex->up->conn, ex->request);
		ex->request = NULL;
	}
	exchange_drop(ex, &ex->request);
	exchange_drop(ex, &ex->kept);
	ex->keeping = false;
	ex->try_end_ms = ex->deadline_ms;
}

/* What a connection still sends is left with it; everything else is given back. */
static void
exchange_free(struct exchange *ex, bool keep_up)
{
	struct worker *w = ex->w;
	struct client *c = ex->client;

	exchange_forget(ex);
	if (ex->to_target.sending != NULL && ex->up != NULL && ex->up->conn.sending) {
		conn_hold(&ex->up->conn, ex->to_target.sending);
		ex->to_target.sending = NULL;
	}
	if (ex->to_client.sending != NULL && c->conn.sending) {
		conn_hold(&c->conn, ex->to_client.sending);
		ex->to_client.sending = NULL;
	}
	exchange_drop(ex, &ex->to_target.sending);
	exchange_drop(ex, &ex->to_client.sending);
	exchange_drop(ex, &ex->answer);
	invoke_fini(ex);
	relay_fini(&ex->to_target, w->net.pools);
	relay_fini(&ex->to_client, w->net.pools);
	worker_count_bytes(w, COUNTER_BYTES_IN, ex->to_target.bytes);
	worker_count_bytes(w, COUNTER_BYTES_OUT, ex->to_client.bytes);
	if (ex->up != NULL)
		upstream_give(ex, keep_up);
	w->nexchanges--;
	w->nretries -= ex->retrying;
	spare_give(&w->spare_exchanges, ex);
}

void
exchange_abort(struct exchange *ex)
{
	exchange_free(ex, false);
}

/* The client must notice that its answer is cut off. */
void
exchange_break(struct exchange *ex)
{
	struct client *c = ex->client;

	conn_reset(&c->conn);
	client_close(c);
}

void
exchange_fail(struct exchange *ex, unsigned status)
{
	struct client *c = ex->client;
	struct worker *w = ex->w;
	bool keep = ex->keep_alive && ex->to_target.done;
	bool head_only = ex->method == METHOD_HEAD;
	char id[REQUEST_ID_MAX];
	struct str request_id = {id, ex->id_len};

	if (ex->answered || c->conn.sending) {
		exchange_break(ex);
		return;
	}
	memcpy(id, ex->id, ex->id_len);
	if (!ex->to_target.done)
		c->unread = true;
	c->idle_ms = ex->idle_ms;
	c->ex = NULL;
	exchange_free(ex, false);
	if (status >= 500)
		worker_count(w, COUNTER_ANSWERS_5XX);
	client_reply(c, status, !keep, head_only, request_id);
}

void
exchange_finish(struct exchange *ex)
{
	struct client *c = ex->client;
	bool keep = ex->keep_alive;

	if (!ex->to_target.done)
		c->unread = true;
	c->idle_ms = ex->idle_ms;
	c->ex = NULL;
	exchange_free(ex, ex->up_keep && ex->to_target.done && !ex->up->conn.sending);
	client_next(c, keep);
}

/* ------------------------------------------------------------------ route */

#define TUNNEL_KEY 24u

struct route {
	const struct service *service;
	const struct listener *listener;
	const struct rule *rule;
};

/* Is there still a listener where the connection came in, of the protocol that it speaks? */
static bool
place_stands(const struct client *c, const struct table *t)
{
	const struct place *p = table_place(t, c->place);

	return p != NULL && p->serial == c->serial &&
	       (p->protocol == PROTOCOL_HTTPS) == (client_transport(c)->tls != NULL);
}

/* Who serves the host at the place where the connection came in. */
static bool
find_route(struct client *c, const struct table *t, struct route *r)
{
	const struct msg *m = &c->w->msg;

	if (!place_stands(c, t))
		return false;
	r->listener = match_place_open(t, table_place(t, c->place), m->host, &r->service);
	if (r->listener == NULL)
		return false;
	r->rule = match_rule(r->listener, m);
	return true;
}

/* The handshake was with another service, or with this one before it asked for client certificates
 * (RFC 9110 15.5.20). */
static bool
is_misdirected(const struct client *c, const struct service *s)
{
	const struct conn *transport = client_transport(c);

	if (transport->tls == NULL)
		return false;
	return client_service(c) != s->slot || (s->client_ca.len > 0 && tls_identity(transport).len == 0);
}

static uint64_t
random_bits(struct worker *w)
{
	uint64_t a = w->random[0], b = w->random[1] ^ a;

	/* xoroshiro128+, seeded by the kernel: unique, not secret */
	w->random[0] = ((a << 24) | (a >> 40)) ^ b ^ (b << 16);
	w->random[1] = (b << 37) | (b >> 27);
	return a + (a ^ b);
}

/* 32 hexadecimal digits and four hyphens, as Lattice's look. */
static uint16_t
make_id(struct worker *w, char *out)
{
	static const char digits[] = "0123456789abcdef";
	unsigned n = 0;

	for (int half = 0; half < 2; half++) {
		uint64_t bits = random_bits(w);

		for (int i = 0; i < 16; i++, bits >>= 4) {
			out[n++] = digits[bits & 15];
			if (n == 8 || n == 13 || n == 18 || n == 23)
				out[n++] = '-';
		}
	}
	return (uint16_t)n;
}

/* A nonce of 16 bytes in base64, for an upgrade that an HTTP/2 client did not have to make up (RFC 6455 4.1).
 */
static struct str
make_tunnel_key(struct worker *w, char out[static TUNNEL_KEY])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint64_t bits = 0;

	for (unsigned i = 0; i < TUNNEL_KEY; i++, bits >>= 6) {
		if (i % 10 == 0)
			bits = random_bits(w);
		out[i] = digits[bits & 63];
	}
	/* 128 bits end in the middle of the 22nd digit. */
	out[21] = "AQgw"[bits & 3];
	out[22] = out[23] = '=';
	return (struct str){out, TUNNEL_KEY};
}

static uint16_t
request_id(struct worker *w, char *out)
{
	const struct msg *m = &w->msg;

	for (uint32_t i = 0; i < m->nfields; i++) {
		const struct field *f = &m->fields[i];

		if (f->id == FIELD_REQUEST_ID && f->value.len > 0) {
			uint32_t n = MIN(f->value.len, REQUEST_ID_MAX);

			memcpy(out, f->value.p, n);
			return (uint16_t)n;
		}
	}
	return make_id(w, out);
}

/* Leaves in c->in what comes behind the request; false when its body has not all arrived. */
static bool
skip_request(struct client *c, size_t head_len)
{
	const struct msg *m = &c->w->msg;
	struct buf *b = c->in;

	if (conn_is_stream(&c->conn)) {
		buf_put(c->w->net.pools, b);
		c->in = NULL;
		return true;
	}
	b->off += (uint32_t)head_len;
	b->len -= (uint32_t)head_len;
	if (m->body == BODY_LENGTH && m->length <= b->len) {
		b->off += (uint32_t)m->length;
		b->len -= (uint32_t)m->length;
	} else if (m->body != BODY_NONE) {
		return false;
	}
	if (b->len == 0) {
		buf_put(c->w->net.pools, b);
		c->in = NULL;
	}
	return true;
}

/* An answer of our own to a request that never gets an exchange. */
static void
answer_here(struct client *c, size_t head_len, unsigned status, bool close)
{
	struct worker *w = c->w;
	char id[REQUEST_ID_MAX];
	struct str idstr = {id, request_id(w, id)};
	bool head_only = w->msg.method_id == METHOD_HEAD;
	bool keep = w->msg.keep_alive && !close;

	if (!skip_request(c, head_len)) {
		c->unread = true;
		keep = false;
	}
	client_reply(c, status, !keep, head_only, idstr);
}

/* ------------------------------------------------------------------ pick */

/* False: it is known by a name that has no address, or no other than the one that was tried. */
static bool
set_target(struct exchange *ex, const struct group *g, const struct target *t)
{
	struct addr tried = ex->addr;

	if (!finder_next(ex->w, t, &ex->addr) || (ex->target == t->slot && addr_eq(&ex->addr, &tried)))
		return false;
	ex->group = g->index;
	ex->vpc = g->vpc;
	ex->target = t->slot;
	ex->h2 = g->version != GROUP_HTTP1;
	ex->tls = g->protocol == GROUP_HTTPS;
	ex->lambda = g->type == GROUP_LAMBDA;
	slot_count(worker_slot(ex->w, t->slot));
	return true;
}

/* False: no group has a usable target, or they are all full. */
static bool
pick(struct exchange *ex, const struct table *t, const struct rule *rule)
{
	struct worker *w = ex->w;
	struct caller caller = {&w->msg, client_peer(ex->client)};
	struct choice c;

	if (!choose_target(w, t, rule, &caller, &c))
		return false;
	ex->key = c.key;
	if (!set_target(ex, c.group, c.target)) {
		worker_count(w, COUNTER_NO_TARGET);
		return false;
	}
	slot_count(worker_slot(w, c.forward->slot));
	slot_count(worker_slot(w, c.group->slot));
	return true;
}

/* The group as it is served now, so that no target is found that was removed meanwhile; NULL when the request
 * does not suit it any more. */
static const struct group *
group_now(const struct exchange *ex)
{
	const struct group *was = table_group(ex->table->table, ex->group);
	const struct group *g = table_group(ex->w->current->table, ex->group);

	if (g == NULL || was == NULL || g->slot != was->slot || g->protocol != was->protocol ||
	    (g->version != GROUP_HTTP1) != ex->h2)
		return NULL;
	return g;
}

const struct target *
exchange_find_another(const struct exchange *ex, const struct group **g)
{
	*g = group_now(ex);
	return *g == NULL ? NULL : choose_another(ex->w, *g, ex->key, ex->target, ex->max_requests);
}

bool
exchange_move(struct exchange *ex, const struct group *g, const struct target *t)
{
	struct table_ref *was = ex->table;

	if (!set_target(ex, g, t))
		return false;
	ex->table = worker_pin(ex->w);
	worker_unpin(ex->w, was);
	return true;
}

bool
exchange_pick_another(struct exchange *ex)
{
	const struct group *g;
	const struct target *t = exchange_find_another(ex, &g);

	return t != NULL && exchange_move(ex, g, t);
}

/* ------------------------------------------------------------------ start */

#define PORT_TEXT_MAX 8u

/* What we add to the request. */
static struct msg_forward
make_forward(struct exchange *ex, const struct listener *l, char port[static PORT_TEXT_MAX])
{
	const struct conn *transport = client_transport(ex->client);

	return (struct msg_forward){.client = client_peer(ex->client),
	    .proto = transport->tls != NULL ? STR("https") : STR("http"),
	    .port = {port, (uint32_t)snprintf(port, PORT_TEXT_MAX, "%u", l->port)},
	    .request_id = {ex->id, ex->id_len},
	    .identity = transport->tls != NULL ? tls_identity(transport) : STR("")};
}

/* The head as it goes to the target, in w->head: its length. */
static size_t
print_request(struct exchange *ex, const struct listener *l, bool chunked)
{
	struct worker *w = ex->w;
	char port[PORT_TEXT_MAX], key[TUNNEL_KEY];
	struct msg_forward f = make_forward(ex, l, port);

	f.chunked = chunked;
	if (w->msg.tunnel)
		f.key = make_tunnel_key(w, key);
	return ex->h2 ? block_print_request(w->head, &w->msg, &f) : h1_print_request(w->head, &w->msg, &f);
}

/* Makes ex->request of the head and what came of the body, where they lie. */
static int
build_request(struct exchange *ex, size_t head_len, const struct listener *l)
{
	struct client *c = ex->client;
	struct msg *m = &ex->w->msg;
	bool chunked = !ex->h2 && (m->body == BODY_CHUNKED || m->body == BODY_EOF);
	struct buf *b = c->in, *rest;
	enum body body = m->body;
	size_t n;
	int rc;

	if (conn_is_stream(&c->conn) && body == BODY_NONE && method_has_content(m->method_id))
		m->body = BODY_LENGTH; /* HTTP/1 says that it is empty (RFC 9110 8.6) */
	n = print_request(ex, l, chunked);

	if (conn_is_stream(&c->conn) && !m->upgrade)
		body = BODY_EOF;
	else if (body == BODY_NONE)
		body = BODY_LENGTH; /* feed would take what is pipelined for a body that is too long */
	relay_init(&ex->to_target, body, m->length,
	    ex->h2    ? FRAME_STREAM
	    : chunked ? FRAME_CHUNKED
		      : FRAME_RAW);
	b->off += (uint32_t)head_len;
	b->len -= (uint32_t)head_len;
	rc = exchange_feed(&ex->to_target, &c->conn, b, &rest);
	if (rc != 0)
		return rc;
	c->in = rest;
	b = buf_front(ex->w->net.pools, b, (uint32_t)n);
	if (b == NULL)
		return -ENOMEM;
	b->off -= (uint32_t)n;
	b->len += (uint32_t)n;
	memcpy(buf_data(b), ex->w->head, n);
	ex->request = b;
	ex->head = ex->h2 ? (uint32_t)n : 0;
	ex->whole = ex->to_target.done && ex->to_target.after == NULL;
	return 0;
}

/* The network by which the request came: of those that meet at its place, one that has the service. */
static struct str
network_arn(const struct place *p, const struct service *s)
{
	for (uint32_t i = 0; i < s->nscopes; i++)
		for (uint32_t k = 0; k < p->nscopes; k++)
			if (s->scopes[i].scope == p->scopes[k])
				return s->scopes[i].arn;
	return STR("");
}

/* The same when the target is a function. */
static int
build_invoke(struct exchange *ex, size_t head_len, const struct route *r)
{
	const struct table *t = ex->w->current->table;
	const struct group *g = table_group(t, ex->group);
	const struct place *p = table_place(t, ex->client->place);
	char port[PORT_TEXT_MAX];
	struct msg_forward f = make_forward(ex, r->listener, port);
	struct lambda_context x = {.v2 = g->lambda_v2,
	    .network_arn = network_arn(p, r->service),
	    .service_arn = r->service->arn,
	    .group_arn = g->arn,
	    .vpc_arn = p->vpc_arn != NULL ? str_of(p->vpc_arn) : STR(""),
	    .region = r->service->region,
	    .now_us = clock_unix_us()};

	return invoke_init(ex, head_len, &f, &x);
}

/* What TLS to the target needs of the request. */
static void
note_host(struct exchange *ex)
{
	struct str host = ex->w->msg.host;

	if (!ex->tls)
		return;
	ex->host_len = (uint16_t)MIN(host.len, HOST_MAX);
	for (uint32_t i = 0; i < ex->host_len; i++)
		ex->host[i] = ascii_lower(host.p[i]);
	ex->host_hash = str_hash((struct str){ex->host, ex->host_len}, 0) | 1;
}

static void
forward(struct client *c, size_t head_len, const struct route *r)
{
	struct worker *w = c->w;
	struct exchange *ex = exchange_new(c);
	unsigned status;
	int rc;

	if (ex == NULL) {
		answer_here(c, head_len, 503, true);
		return;
	}
	ex->max_requests = r->rule->action.resilience.max_requests;
	if (!pick(ex, w->current->table, r->rule)) {
		exchange_free(ex, false);
		answer_here(c, head_len, 503, false);
		return;
	}
	if (ex->h2 && w->msg.tunnel) {
		/* A WebSocket of HTTP/2 can only become an upgrade. */
		exchange_free(ex, false);
		answer_here(c, head_len, 501, false);
		return;
	}
	status = ex->lambda ? invoke_refuses(c) : 0;
	if (status != 0) {
		exchange_free(ex, false);
		answer_here(c, head_len, status, false);
		return;
	}
	ex->minor = w->msg.minor;
	ex->method = (uint8_t)w->msg.method_id;
	ex->keep_alive = w->msg.keep_alive;
	ex->upgrade = w->msg.upgrade && !ex->lambda;
	ex->response_ms = w->config->response_timeout_ms;
	if (c->grpc && msg_grpc_timeout_ms(&w->msg) > 0) {
		ex->response_ms = msg_grpc_timeout_ms(&w->msg);
		ex->grpc_deadline = true;
	}
	note_host(ex);
	ex->idle_ms = r->service->idle_timeout_s * 1000;
	client_set_idle(c, ex->idle_ms);
	ex->id_len = request_id(w, ex->id);
	rc = ex->lambda ? build_invoke(ex, head_len, r) : build_request(ex, head_len, r->listener);
	if (rc != 0) {
		worker_count(w, COUNTER_BAD_REQUEST);
		c->unread = true;
		exchange_free(ex, false);
		client_drop_input(c);
		client_reply(c, rc == -EBADMSG ? 400 : 503, true, false, (struct str){"", 0});
		return;
	}
	retry_init(ex, &r->rule->action.resilience);
	ex->table = worker_pin(w);
	c->ex = ex;
	c->state = CLIENT_EXCHANGE;
	conn_deadline(&c->conn, ex->idle_ms);
	if (ex->lambda)
		invoke_gather(ex);
	else
		upstream_take(ex, false);
}

void
exchange_start(struct client *c, size_t head_len)
{
	struct worker *w = c->w;
	struct route r;

	if (!find_route(c, w->current->table, &r)) {
		bool gone = !place_stands(c, w->current->table);

		worker_count(w, COUNTER_NO_SERVICE);
		if (gone && c->carrier != NULL)
			client_leave(c->carrier, true);
		answer_here(c, head_len, 404, gone);
		return;
	}
	if (is_misdirected(c, r.service)) {
		worker_count(w, COUNTER_MISDIRECTED);
		answer_here(c, head_len, 421, false);
		return;
	}
	slot_count(worker_slot(w, r.service->slot));
	slot_count(worker_slot(w, r.rule->slot));
	if (r.rule->action.kind == ACTION_FIXED) {
		worker_count(w, COUNTER_FIXED);
		client_set_idle(c, r.service->idle_timeout_s * 1000);
		answer_here(c, head_len, r.rule->action.status, false);
		return;
	}
	forward(c, head_len, &r);
}

/* ------------------------------------------------------------------ deadlines */

uint32_t
exchange_until(const struct exchange *ex, uint64_t end_ms, uint32_t ms)
{
	uint64_t now = ex->w->net.now_ms;

	if (likely(end_ms == 0))
		return ms;
	return (uint32_t)MIN(ms, end_ms > now ? end_ms - now : 0);
}

void
exchange_deadline(struct exchange *ex, uint32_t ms)
{
	conn_deadline(&ex->up->conn, exchange_until(ex, ex->try_end_ms, ms));
}

void
exchange_client_timeout(struct exchange *ex)
{
	struct client *c = ex->client;
	uint64_t quiet_ms = ex->w->net.now_ms - ex->active_ms;

	if (ex->wait == WAIT_TUNNEL && quiet_ms < ex->idle_ms) {
		conn_deadline(&c->conn, ex->idle_ms - quiet_ms);
	} else if (ex->wait == WAIT_TUNNEL) {
		client_close(c);
	} else if (c->conn.sending && !conn_progress(&c->conn)) {
		worker_count(ex->w, COUNTER_CLIENT_TIMEOUT);
		exchange_break(ex);
	} else if (ex->wait == WAIT_GATHER && ex->deadline_ms != 0 && ex->w->net.now_ms >= ex->deadline_ms) {
		exchange_fail(ex, 504);
	} else if (ex->wait == WAIT_GATHER ||
		   (!ex->to_target.done && ex->wait == WAIT_ANSWER && !ex->up->conn.sending && !c->grpc)) {
		worker_count(ex->w, COUNTER_CLIENT_TIMEOUT);
		exchange_fail(ex, 408);
	} else {
		conn_deadline(&c->conn, ex->idle_ms);
	}
}

void
exchange_target_timeout(struct exchange *ex)
{
	struct conn *up = &ex->up->conn;
	bool late;

	if (ex->try_end_ms != 0 && ex->w->net.now_ms >= ex->try_end_ms) {
		retry_late(ex);
		return;
	}
	switch (ex->wait) {
	case WAIT_CONNECT:
		upstream_give(ex, false);
		request_unreachable(ex, -ETIMEDOUT);
		return;
	case WAIT_ANSWER:
		/* With a time of its own the request has no other. */
		late = ex->try_end_ms == 0 && (up->sending ? !conn_progress(up) : ex->to_target.done);
		break;
	case WAIT_INVOKED:
		late = true;
		break;
	case WAIT_BODY:
		/* A stream of messages may be silent for as long as it likes. */
		late = up->receiving && ex->to_client.sending == NULL && !ex->client->grpc;
		break;
	default:
		late = false;
		break;
	}
	if (late) {
		worker_count(ex->w, COUNTER_ANSWER_TIMEOUT);
		if (ex->grpc_deadline)
			ex->client->grpc_status = GRPC_DEADLINE_EXCEEDED;
		else
			health_report(ex->w, ex->group, ex->target, OUTCOME_ERROR);
		exchange_fail(ex, 504);
	} else {
		exchange_deadline(ex, ex->idle_ms);
	}
}
