/* exchange.c - a request's life: route, pick a target, start, finish or fail. */
#include "exchange.h"

#include "upstream.h"
#include <errno.h>
#include <stdio.h>

/* ------------------------------------------------------------------ life */

static struct exchange *
exchange_new(struct client *c)
{
	struct worker *w = c->w;
	struct exchange *ex = w->free_exchanges;

	if (ex != NULL)
		w->free_exchanges = ex->next;
	else if ((ex = malloc(sizeof(*ex))) == NULL)
		return NULL;
	memset(ex, 0, offsetof(struct exchange, id));
	ex->w = w;
	ex->client = c;
	return ex;
}

void
exchange_drop(struct exchange *ex, struct buf **b)
{
	if (*b != NULL)
		buf_put(ex->w->net.pools, *b);
	*b = NULL;
}

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
	relay_fini(&ex->to_target, w->net.pools);
	relay_fini(&ex->to_client, w->net.pools);
	worker_count_bytes(w, COUNTER_BYTES_IN, ex->to_target.bytes);
	worker_count_bytes(w, COUNTER_BYTES_OUT, ex->to_client.bytes);
	if (ex->up != NULL)
		upstream_give(ex, keep_up);
	ex->next = w->free_exchanges;
	w->free_exchanges = ex;
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

struct route {
	const struct service *service;
	const struct listener *listener;
	const struct rule *rule;
};

static const struct listener *
find_listener(const struct service *s, const struct place *p)
{
	for (uint32_t i = 0; i < s->nlisteners; i++) {
		const struct listener *l = &s->listeners[i];

		if (l->port == addr_port(&p->addr) && l->protocol == p->protocol)
			return l;
	}
	return NULL;
}

/* Is there still a listener where the connection came in? */
static bool
place_stands(const struct client *c, const struct table *t)
{
	const struct place *p = table_place(t, c->place);

	return p != NULL && p->serial == c->serial;
}

/* Who serves the host at the place where the connection came in. */
static bool
find_route(struct client *c, const struct table *t, struct route *r)
{
	const struct place *p = table_place(t, c->place);
	const struct msg *m = &c->w->msg;

	if (!place_stands(c, t))
		return false;
	for (uint32_t i = 0; i < p->nscopes; i++) {
		r->service = table_host(t, p->scopes[i], m->host);
		if (r->service == NULL || (r->listener = find_listener(r->service, p)) == NULL)
			continue;
		r->rule = match_rule(r->listener, m);
		return true;
	}
	/* On an address that is one service's own any other host is that service as well. */
	r->service = p->open ? table_sole(t, p) : NULL;
	if (r->service == NULL || (r->listener = find_listener(r->service, p)) == NULL)
		return false;
	r->rule = match_rule(r->listener, m);
	return true;
}

/* 32 hexadecimal digits and four hyphens, as Lattice's look. */
static uint16_t
make_id(struct worker *w, char *out)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t a = w->random[0], b = w->random[1], bits;
	unsigned n = 0;

	/* xoroshiro128+, seeded by the kernel: unique, not secret */
	for (int half = 0; half < 2; half++) {
		bits = a + b;
		b ^= a;
		a = ((a << 24) | (a >> 40)) ^ b ^ (b << 16);
		b = (b << 37) | (b >> 27);
		for (int i = 0; i < 16; i++, bits >>= 4) {
			out[n++] = digits[bits & 15];
			if (n == 8 || n == 13 || n == 18 || n == 23)
				out[n++] = '-';
		}
	}
	w->random[0] = a;
	w->random[1] = b;
	return (uint16_t)n;
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

static void
set_target(struct exchange *ex, const struct group *g, const struct target *t)
{
	ex->group = g->index;
	ex->vpc = g->vpc;
	ex->target = t->slot;
	ex->addr = t->addr;
	slot_count(worker_slot(ex->w, t->slot));
}

/* False: no group has a target. */
static bool
pick(struct exchange *ex, const struct table *t, const struct rule *rule)
{
	struct worker *w = ex->w;
	const struct forward *f = balance_forward(t, &rule->action, worker_slot(w, rule->slot));
	const struct group *g = f != NULL ? table_group(t, f->group) : NULL;
	const struct target *target = NULL;

	if (g != NULL)
		target = balance_target(g, worker_slot(w, g->slot), SLOT_NONE);
	if (target == NULL)
		return false;
	slot_count(worker_slot(w, f->slot));
	slot_count(worker_slot(w, g->slot));
	set_target(ex, g, target);
	return true;
}

bool
exchange_pick_another(struct exchange *ex)
{
	const struct group *g = table_group(ex->table->table, ex->group);
	const struct target *t = NULL;

	if (g != NULL)
		t = balance_target(g, worker_slot(ex->w, g->slot), ex->target);
	if (t == NULL || t->slot == ex->target)
		return false;
	set_target(ex, g, t);
	return true;
}

/* ------------------------------------------------------------------ start */

/* Makes ex->request of the head and what came of the body, where they lie. */
static int
build_request(struct exchange *ex, size_t head_len, const struct listener *l)
{
	struct client *c = ex->client;
	struct worker *w = ex->w;
	struct msg *m = &w->msg;
	struct buf *b = c->in, *rest;
	char port[8];
	struct msg_forward f = {.client = client_peer(c),
	    .proto = STR("http"),
	    .port = {port, 0},
	    .request_id = {ex->id, ex->id_len},
	    .chunked = m->body == BODY_CHUNKED};
	size_t n;
	int rc;

	f.port.len = (uint32_t)snprintf(port, sizeof(port), "%u", l->port);
	n = h1_print_request(w->head, m, &f);
	relay_init(&ex->to_target, m->body, m->length, f.chunked);
	b->off += (uint32_t)head_len;
	b->len -= (uint32_t)head_len;
	if (m->body == BODY_NONE) {
		/* feed would take what is pipelined for a body that is too long */
		ex->to_target.body = BODY_LENGTH;
	}
	rc = relay_feed(&ex->to_target, b, &rest);
	if (rc != 0)
		return rc;
	assert(b->off >= n);
	b->off -= (uint32_t)n;
	b->len += (uint32_t)n;
	memcpy(buf_data(b), w->head, n);
	ex->request = b;
	c->in = rest;
	ex->whole = ex->to_target.done && ex->to_target.after == NULL;
	return 0;
}

static void
forward(struct client *c, size_t head_len, const struct route *r)
{
	struct worker *w = c->w;
	struct exchange *ex = exchange_new(c);
	int rc;

	if (ex == NULL) {
		answer_here(c, head_len, 503, true);
		return;
	}
	if (!pick(ex, w->current->table, r->rule)) {
		worker_count(w, COUNTER_NO_TARGET);
		exchange_free(ex, false);
		answer_here(c, head_len, 503, false);
		return;
	}
	ex->minor = w->msg.minor;
	ex->method = (uint8_t)w->msg.method_id;
	ex->keep_alive = w->msg.keep_alive;
	ex->upgrade = w->msg.upgrade;
	ex->idle_ms = r->service->idle_timeout_s * 1000;
	ex->id_len = request_id(w, ex->id);
	rc = build_request(ex, head_len, r->listener);
	if (rc != 0) {
		worker_count(w, COUNTER_BAD_REQUEST);
		c->unread = true;
		exchange_free(ex, false);
		buf_put(w->net.pools, c->in);
		c->in = NULL;
		client_reply(c, rc == -EBADMSG ? 400 : 503, true, false, (struct str){"", 0});
		return;
	}
	ex->table = worker_pin(w);
	c->ex = ex;
	c->state = CLIENT_EXCHANGE;
	conn_deadline(&c->conn, ex->idle_ms);
	upstream_take(ex, false);
}

void
exchange_start(struct client *c, size_t head_len)
{
	struct worker *w = c->w;
	struct route r;

	if (!find_route(c, w->current->table, &r)) {
		worker_count(w, COUNTER_NO_SERVICE);
		answer_here(c, head_len, 404, !place_stands(c, w->current->table));
		return;
	}
	slot_count(worker_slot(w, r.service->slot));
	slot_count(worker_slot(w, r.rule->slot));
	if (r.rule->action.kind == ACTION_FIXED) {
		worker_count(w, COUNTER_FIXED);
		c->idle_ms = r.service->idle_timeout_s * 1000;
		answer_here(c, head_len, r.rule->action.status, false);
		return;
	}
	forward(c, head_len, &r);
}

/* ------------------------------------------------------------------ deadlines */

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
	} else if (!ex->to_target.done && ex->wait == WAIT_ANSWER && !ex->up->conn.sending) {
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

	switch (ex->wait) {
	case WAIT_CONNECT:
		upstream_give(ex, false);
		request_unreachable(ex, -ETIMEDOUT);
		return;
	case WAIT_ANSWER:
		late = up->sending ? !conn_progress(up) : ex->to_target.done;
		break;
	case WAIT_BODY:
		late = up->receiving && ex->to_client.sending == NULL;
		break;
	default:
		late = false;
		break;
	}
	if (late) {
		worker_count(ex->w, COUNTER_ANSWER_TIMEOUT);
		exchange_fail(ex, 504);
	} else {
		conn_deadline(up, ex->idle_ms);
	}
}
