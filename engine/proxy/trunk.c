/* trunk.c - HTTP/2 connections to targets. */
#include "trunk.h"

#include "finder.h"
#include "mux.h"
#include <errno.h>

struct trunk {
	struct conn conn;
	struct worker *w;
	struct mux *mux;
	struct trunk *prev, *next; /* of its target, or free list */
	struct list idle;	   /* the worker's, longest idle first; empty while it has streams */
	struct addr addr;
	uint32_t target; /* slot; SLOT_NONE: no new streams */
	uint64_t host;	 /* upstream_host */
};

static void
target_add(struct trunk *t, uint32_t slot)
{
	struct slot *s = worker_slot(t->w, slot);
	struct trunk *first = s->trunks;

	t->target = slot;
	t->prev = NULL;
	t->next = first;
	if (first != NULL)
		first->prev = t;
	s->trunks = t;
}

/* From now on no exchange finds it. */
static void
target_del(struct trunk *t)
{
	if (t->target == SLOT_NONE)
		return;
	if (t->prev != NULL)
		t->prev->next = t->next;
	else
		worker_slot(t->w, t->target)->trunks = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
	t->prev = t->next = NULL;
	t->target = SLOT_NONE;
}

/* Its streams break; the connection is to be closed. */
static void
trunk_end(struct trunk *t)
{
	target_del(t);
	list_del(&t->idle);
	mux_free(t->mux);
	t->mux = NULL;
}

static void
trunk_close(struct trunk *t)
{
	trunk_end(t);
	conn_close(&t->conn);
}

/* ------------------------------------------------------------------ the mux's owner */

static struct trunk *
trunk_of(struct mux *m)
{
	return container_of(m->transport, struct trunk, conn);
}

static void
on_over(struct mux *m)
{
	trunk_close(trunk_of(m));
}

static void
on_idle(struct mux *m)
{
	struct trunk *t = trunk_of(m);
	bool wanted = t->target != SLOT_NONE && mux_has_room(m) && !t->w->stopping;

	/* While it fails its streams end one by one, and nobody else may close it. */
	if (m->connecting && t->target == SLOT_NONE)
		return;
	if (list_empty(&t->idle))
		list_append(&t->w->idle_trunks, &t->idle);
	/* It must not be closed from here: the next tick does. */
	if (!m->connecting)
		conn_deadline(&t->conn, wanted ? t->w->config->pool_timeout_ms : 0);
}

static const struct mux_owner owner = {.over = on_over, .idle = on_idle};

/* ------------------------------------------------------------------ the transport */

static void
on_data(struct conn *c, struct buf *b)
{
	mux_data(container_of(c, struct trunk, conn)->mux, b);
}

static void
on_end(struct conn *c, int error)
{
	trunk_close(container_of(c, struct trunk, conn));
}

static void
on_sent(struct conn *c, int error)
{
	struct trunk *t = container_of(c, struct trunk, conn);

	if (error == 0) {
		mux_sent(t->mux);
		return;
	}
	/* A GOAWAY may wait to be read, which says what the target did not look at. */
	target_del(t);
	if (!c->receiving)
		trunk_close(t);
}

static void
fail(struct trunk *t, int error)
{
	target_del(t);
	mux_failed(t->mux, error);
	trunk_close(t);
}

static void
on_connected(struct conn *c, int error)
{
	struct trunk *t = container_of(c, struct trunk, conn);

	if (error != 0) {
		fail(t, error);
		return;
	}
	conn_deadline(c, t->w->config->pool_timeout_ms);
	conn_await(c, BUF_MID);
	mux_connected(t->mux);
	if (t->mux->nstreams == 0)
		on_idle(t->mux);
}

static void
on_timeout(struct conn *c)
{
	struct trunk *t = container_of(c, struct trunk, conn);

	if (t->mux->connecting)
		fail(t, -ETIMEDOUT);
	else if (t->mux->nstreams == 0 || (c->sending ? !conn_progress(c) : !mux_is_alive(t->mux)))
		trunk_close(t);
	else
		conn_deadline(c, t->w->config->pool_timeout_ms);
}

static void
on_freed(struct conn *c)
{
	struct trunk *t = container_of(c, struct trunk, conn);

	spare_give(&t->w->spare_trunks, t);
}

static const struct conn_events trunk_events = {
    .data = on_data,
    .end = on_end,
    .sent = on_sent,
    .connected = on_connected,
    .timeout = on_timeout,
    .freed = on_freed,
};

/* ------------------------------------------------------------------ opening */

static int
trunk_open(struct exchange *ex, struct trunk **out)
{
	struct worker *w = ex->w;
	int fd = upstream_socket(w, ex->vpc, ex->addr.sa.sa_family), rc;
	struct trunk *t;

	if (fd < 0)
		return fd;
	t = spare_take(&w->spare_trunks, sizeof(*t));
	if (t == NULL) {
		close(fd);
		return -ENOMEM;
	}
	conn_init(&t->conn, &w->net, fd, &trunk_events);
	t->w = w;
	t->addr = ex->addr;
	t->host = ex->host_hash;
	list_init(&t->idle);
	t->mux = mux_new(w, &t->conn, false, &owner);
	rc = t->mux != NULL ? upstream_secure(ex, &t->conn, &t->addr) : -ENOMEM;
	if (rc != 0) {
		t->target = SLOT_NONE;
		if (t->mux != NULL)
			mux_free(t->mux);
		conn_close(&t->conn);
		return rc;
	}
	target_add(t, ex->target);
	worker_count(w, COUNTER_CONNECTS);
	conn_deadline(&t->conn, w->config->connect_timeout_ms);
	conn_connect(&t->conn, &t->addr);
	*out = t;
	return 0;
}

int
trunk_take(struct exchange *ex, struct upstream *u, const struct conn_events *events)
{
	struct trunk *t = worker_slot(ex->w, ex->target)->trunks;
	int rc;

	while (
	    t != NULL && (t->host != ex->host_hash || !mux_has_room(t->mux) || !addr_eq(&t->addr, &ex->addr)))
		t = t->next;
	if (t == NULL && (rc = trunk_open(ex, &t)) != 0)
		return rc;
	u->reused = !t->mux->connecting;
	list_del(&t->idle);
	return mux_open(t->mux, &u->conn, events);
}

/* No more streams: it is closed when it has none. */
static void
trunk_leave_one(struct trunk *t)
{
	target_del(t);
	if (t->mux->nstreams == 0)
		trunk_close(t);
}

void
trunk_retire(struct worker *w, uint32_t slot)
{
	struct slot *s = worker_slot(w, slot);

	while (s->trunks != NULL)
		trunk_leave_one(s->trunks);
}

void
trunk_leave(struct worker *w, uint32_t slot)
{
	struct trunk *t = worker_slot(w, slot)->trunks, *next;

	for (; t != NULL; t = next) {
		next = t->next;
		if (finder_left(w, slot, &t->addr))
			trunk_leave_one(t);
	}
}

bool
trunk_shed(struct worker *w)
{
	struct trunk *t;

	if (list_empty(&w->idle_trunks))
		return false;
	t = container_of(w->idle_trunks.next, struct trunk, idle);
	trunk_end(t);
	conn_close_now(&t->conn);
	return true;
}
