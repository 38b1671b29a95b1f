/* upstream.c - connections to targets, one pool per target and worker. */
#include "upstream.h"

#include "../net/sock.h"
#include <errno.h>

/* In slot.idle of a target that no table names any more. */
static struct upstream retired;

static void
count_inflight(struct slot *s, int by)
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

	u->next = u->w->free_upstreams;
	u->w->free_upstreams = u;
}

static const struct conn_events events = {
    .data = on_data,
    .end = on_end,
    .sent = on_sent,
    .connected = on_connected,
    .timeout = on_timeout,
    .freed = on_freed,
};

static struct upstream *
new_upstream(struct worker *w)
{
	struct upstream *u = w->free_upstreams;

	if (u != NULL)
		w->free_upstreams = u->next;
	else
		u = malloc(sizeof(*u));
	return u;
}

static int
open_socket(struct exchange *ex)
{
	int fd = sock_stream(ex->vpc, ex->addr.sa.sa_family);

	/* Idle connections are worth less than a request. */
	while ((fd == -EMFILE || fd == -ENFILE) && upstream_shed(ex->w))
		fd = sock_stream(ex->vpc, ex->addr.sa.sa_family);
	return fd;
}

static void
open_new(struct exchange *ex)
{
	struct worker *w = ex->w;
	struct upstream *u;
	int fd = open_socket(ex);

	u = fd >= 0 ? new_upstream(w) : NULL;
	if (u == NULL) {
		if (fd >= 0)
			close(fd);
		count_inflight(worker_slot(w, ex->target), -1);
		request_unreachable(ex, fd >= 0 ? -ENOMEM : fd);
		return;
	}
	conn_init(&u->conn, &w->net, fd, &events);
	u->w = w;
	u->ex = ex;
	u->target = ex->target;
	u->reused = false;
	u->prev = u->next = NULL;
	list_init(&u->idle);
	ex->up = u;
	worker_count(w, COUNTER_CONNECTS);
	conn_deadline(&u->conn, w->config->connect_timeout_ms);
	conn_connect(&u->conn, &ex->addr);
}

void
upstream_take(struct exchange *ex, bool fresh)
{
	struct slot *s = worker_slot(ex->w, ex->target);
	struct upstream *u = s->idle;

	count_inflight(s, 1);
	if (u == NULL || u == &retired || fresh) {
		open_new(ex);
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
	if (!keep || u->conn.ended || s->idle == &retired || s->nidle >= ex->w->config->pool_max ||
	    ex->w->stopping) {
		conn_close(&u->conn);
	} else {
		pool_add(u);
		conn_deadline(&u->conn, ex->w->config->pool_timeout_ms);
		conn_await(&u->conn, BUF_MID);
	}
	/* Last: a slot that counts nothing may be taken away by the control thread. */
	count_inflight(s, -1);
}

void
upstream_retire(struct worker *w, uint32_t slot)
{
	struct slot *s = worker_slot(w, slot);

	while (s->idle != NULL && s->idle != &retired)
		drop_idle(s->idle);
	s->idle = &retired;
}

bool
upstream_shed(struct worker *w)
{
	struct upstream *u;

	if (list_empty(&w->idle))
		return false;
	u = container_of(w->idle.next, struct upstream, idle);
	pool_del(u);
	conn_close_now(&u->conn);
	return true;
}
