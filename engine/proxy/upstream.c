/* upstream.c - connections to targets, one pool per target and worker. One to an HTTP/2 target is a stream,
 * and the pool is trunk.c's. */
#include "upstream.h"

#include "../net/sock.h"
#include "finder.h"
#include "keyring.h"
#include "trunk.h"
#include <errno.h>

/* In slot.idle of a target that no table names any more. */
static struct upstream retired;

void
upstream_count(struct slot *s, int by)
{
	__atomic_store_n(&s->inflight, s->inflight + (uint32_t)by, __ATOMIC_RELEASE);
}

static void
pool_add(struct upstream *u)
{
	struct slot *s = worker_slot(u->w, u->target);
	struct upstream *first = s->idle;

	u->prev = NULL;
	u->next = first;
	if (first != NULL)
		first->prev = u;
	s->idle = u;
	s->nidle++;
	list_append(&u->w->idle, &u->idle);
}

static void
pool_del(struct upstream *u)
{
	struct slot *s = worker_slot(u->w, u->target);

	if (u->prev != NULL)
		u->prev->next = u->next;
	else
		s->idle = u->next;
	if (u->next != NULL)
		u->next->prev = u->prev;
	u->prev = u->next = NULL;
	s->nidle--;
	list_del(&u->idle);
}

static void
drop_idle(struct upstream *u)
{
	pool_del(u);
	conn_close(&u->conn);
}

static void
on_head(struct conn *c, struct buf *b)
{
	answer_head(container_of(c, struct upstream, conn)->ex, b);
}

static void
on_data(struct conn *c, struct buf *b)
{
	struct upstream *u = container_of(c, struct upstream, conn);

	if (u->ex != NULL) {
		answer_data(u->ex, b);
		return;
	}
	/* An answer to no request: whoever sends that cannot be trusted with the next one. */
	buf_put(u->w->net.pools, b);
	drop_idle(u);
}

static void
on_end(struct conn *c, int error)
{
	struct upstream *u = container_of(c, struct upstream, conn);

	if (u->ex != NULL)
		answer_end(u->ex, error);
	else
		drop_idle(u);
}

static void
on_sent(struct conn *c, int error)
{
	struct upstream *u = container_of(c, struct upstream, conn);

	request_sent(u->ex, error);
}

static void
on_connected(struct conn *c, int error)
{
	struct upstream *u = container_of(c, struct upstream, conn);
	struct exchange *ex = u->ex;

	if (error == 0) {
		request_connected(ex);
		return;
	}
	upstream_give(ex, false);
	request_unreachable(ex, error);
}

static void
on_timeout(struct conn *c)
{
	struct upstream *u = container_of(c, struct upstream, conn);

	if (u->ex != NULL)
		exchange_target_timeout(u->ex);
	else
		drop_idle(u);
}

static void
on_freed(struct conn *c)
{
	struct upstream *u = container_of(c, struct upstream, conn);

	spare_give(&u->w->spare_upstreams, u);
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

int
upstream_socket(struct worker *w, uint32_t vpc, int family)
{
	int fd = sock_stream(vpc, family);

	/* Idle connections are worth less than somebody who waits. */
	while ((fd == -EMFILE || fd == -ENFILE) && upstream_shed(w))
		fd = sock_stream(vpc, family);
	return fd;
}

int
upstream_secure(struct exchange *ex, struct conn *c, const struct addr *a)
{
	const struct group *g = table_group(ex->table->table, ex->group);
	struct tls_target t = {.session = (struct tls_held **)&worker_slot(ex->w, ex->target)->held,
	    .host = {ex->host, ex->host_len},
	    .addr = a,
	    .h2 = ex->h2};

	if (!ex->tls)
		return 0;
	t.trust = g != NULL ? keyring_trust(ex->w, g) : NULL;
	return t.trust != NULL ? tls_connect(c, ex->w->tls, &t) : -EPROTO;
}

/* Like open_stream it gives u back when it fails. */
static int
open_new(struct exchange *ex, struct upstream *u)
{
	struct worker *w = ex->w;
	int fd = upstream_socket(w, ex->vpc, ex->addr.sa.sa_family), rc;

	if (fd < 0) {
		spare_give(&ex->w->spare_upstreams, u);
		return fd;
	}
	conn_init(&u->conn, &w->net, fd, &events);
	rc = upstream_secure(ex, &u->conn, &ex->addr);
	if (rc != 0) {
		conn_close(&u->conn);
		return rc;
	}
	worker_count(w, COUNTER_CONNECTS);
	conn_connect(&u->conn, &ex->addr);
	return 0;
}

static int
open_stream(struct exchange *ex, struct upstream *u)
{
	int rc = trunk_take(ex, u, &events);

	if (rc != 0)
		spare_give(&ex->w->spare_upstreams, u);
	return rc;
}

/* An idle connection that will do. */
static struct upstream *
find_idle(const struct exchange *ex)
{
	const struct slot *s = worker_slot(ex->w, ex->target);
	struct upstream *u = s->idle;

	if (u == &retired)
		return NULL;
	while (u != NULL && (u->host != ex->host_hash || !addr_eq(&u->addr, &ex->addr)))
		u = u->next;
	return u;
}

/* A new connection, or a stream. */
static void
take_new(struct exchange *ex)
{
	struct worker *w = ex->w;
	struct upstream *u = spare_take(&w->spare_upstreams, sizeof(*u));
	int rc = -ENOMEM;

	if (u != NULL) {
		u->w = w;
		u->ex = ex;
		u->target = ex->target;
		u->host = ex->host_hash;
		u->addr = ex->addr;
		u->reused = false;
		u->prev = u->next = NULL;
		list_init(&u->idle);
		ex->up = u;
		rc = ex->h2 ? open_stream(ex, u) : open_new(ex, u);
	}
	if (rc != 0) {
		ex->up = NULL;
		upstream_count(worker_slot(w, ex->target), -1);
		request_unreachable(ex, rc);
	} else if (u->reused) {
		worker_count(w, COUNTER_REUSED);
		request_connected(ex);
	} else {
		exchange_deadline(ex, w->config->connect_timeout_ms);
	}
}

void
upstream_take(struct exchange *ex, bool fresh)
{
	struct upstream *u = fresh || ex->h2 ? NULL : find_idle(ex);

	upstream_count(worker_slot(ex->w, ex->target), 1);
	if (u == NULL) {
		take_new(ex);
		return;
	}
	pool_del(u);
	u->ex = ex;
	u->reused = true;
	ex->up = u;
	worker_count(ex->w, COUNTER_REUSED);
	request_connected(ex);
}

void
upstream_give(struct exchange *ex, bool keep)
{
	struct upstream *u = ex->up;
	struct slot *s = worker_slot(ex->w, ex->target);

	ex->up = NULL;
	u->ex = NULL;
	if (!keep || u->conn.ended || conn_is_stream(&u->conn) || s->idle == &retired ||
	    s->nidle >= ex->w->config->pool_max || ex->w->stopping ||
	    finder_left(ex->w, ex->target, &u->addr)) {
		conn_close(&u->conn);
	} else {
		pool_add(u);
		conn_deadline(&u->conn, ex->w->config->pool_timeout_ms);
		conn_await(&u->conn, BUF_MID);
	}
	/* Last: the slot may be taken away. */
	upstream_count(s, -1);
}

void
upstream_retire(struct worker *w, uint32_t slot)
{
	struct slot *s = worker_slot(w, slot);

	while (s->idle != NULL && s->idle != &retired)
		drop_idle(s->idle);
	s->idle = &retired;
}

void
upstream_leave(struct worker *w, uint32_t slot)
{
	struct upstream *u = worker_slot(w, slot)->idle, *next;

	for (; u != NULL && u != &retired; u = next) {
		next = u->next;
		if (finder_left(w, slot, &u->addr))
			drop_idle(u);
	}
}

bool
upstream_shed(struct worker *w)
{
	struct upstream *u;

	if (list_empty(&w->idle))
		return trunk_shed(w);
	u = container_of(w->idle.next, struct upstream, idle);
	pool_del(u);
	conn_close_now(&u->conn);
	return true;
}
