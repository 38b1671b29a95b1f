/* worker.c - the thread: its loop, the tables it has seen, its listeners. */
#include "worker.h"

#include "client.h"
#include "drain.h"
#include "finder.h"
#include "health.h"
#include "keyring.h"
#include "mux.h"
#include "pass.h"
#include "trunk.h"
#include "upstream.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/random.h>

#define RING_ENTRIES 4096u
#define TICK_MS 100u

/* Few big ones in the ring, so that a body passes through memory that is still in the cache. */
static const struct buf_sizes buf_sizes[BUF_CLASSES] = {
    [BUF_SMALL] = {.room = 2048, .max = 16384, .want = 16, .want_max = 1024},
    [BUF_MID] = {.room = 80 * 1024, .max = 512, .want = 16, .want_max = 512},
    [BUF_BIG] = {.room = 512 * 1024, .max = 64, .want = 2, .want_max = 2},
};

/* ------------------------------------------------------------------ tables */

struct table_ref *
worker_pin(struct worker *w)
{
	w->current->pins++;
	return w->current;
}

/* Tells the control thread which tables this worker may still look at. */
static void
forget_tables(struct worker *w)
{
	struct table_ref *first = container_of(w->tables.next, struct table_ref, link);

	while (first != w->current && first->pins == 0) {
		list_del(&first->link);
		free(first);
		first = container_of(w->tables.next, struct table_ref, link);
	}
	atomic_store_explicit(&w->oldest, table_generation(first->table), memory_order_release);
}

void
worker_unpin(struct worker *w, struct table_ref *ref)
{
	assert(ref->pins > 0);
	if (--ref->pins == 0 && ref != w->current)
		forget_tables(w);
}

/* ------------------------------------------------------------------ listeners */

static bool
is_full(const struct worker *w)
{
	return atomic_load_explicit(&w->nclients, memory_order_relaxed) >= w->config->connections_max;
}

static void
pause_accepting(struct worker *w)
{
	w->paused = true;
	list_each(it, &w->listeners) listen_pause(container_of(it, struct listen, link));
	timer_set(&w->net.wheel, &w->tick, w->net.now_ms + TICK_MS);
}

static void
resume_accepting(struct worker *w)
{
	w->paused = false;
	list_each(it, &w->listeners) listen_resume(container_of(it, struct listen, link));
}

static void
on_accepted(struct listen *l, int fd)
{
	struct worker *w = container_of(l->net, struct worker, net);
	const struct place *p;

	if (fd < 0) {
		worker_count(w, COUNTER_ACCEPT_FAILED);
		/* No descriptor for one more: an idle connection to a target is worth less. */
		if (fd == -EMFILE || fd == -ENFILE)
			upstream_shed(w);
		pause_accepting(w);
		return;
	}
	p = table_place(w->current->table, l->place);
	if (p == NULL || p->serial != l->serial)
		ring_close(w->net.ring, fd);
	else if (p->protocol == PROTOCOL_TLS_PASSTHROUGH)
		pass_accepted(w, fd, l->place, l->serial);
	else
		client_accepted(w, fd, p);
	if (is_full(w) && !w->paused) {
		worker_count(w, COUNTER_CONNECTIONS_FULL);
		pause_accepting(w);
	}
}

void
worker_client_gone(struct worker *w)
{
	if (w->paused && !w->stopping && !is_full(w))
		resume_accepting(w);
}

/* Between requests a connection is closed; with HTTP/2 the client is told to go, and that this is the last
 * word when `final`. */
static void
leave_clients(struct worker *w, bool final)
{
	list_each_safe(it, &w->clients)
	{
		struct client *c = container_of(it, struct client, link);

		if (!c->conn.closing)
			client_leave(c, final);
	}
}

static void
on_tick(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, tick);

	if (w->paused && !w->stopping && !is_full(w))
		resume_accepting(w);
	if (w->stopping)
		leave_clients(w, true);
	if (w->paused || w->stopping)
		timer_set(&w->net.wheel, t, w->net.now_ms + TICK_MS);
}

static void
open_listener(struct worker *w, const struct opening *o)
{
	struct listen *l;
	int fd = o->fds[w->index];

	if (fd < 0)
		return;
	l = calloc(1, sizeof(*l));
	assert(l != NULL);
	l->place = o->place;
	l->serial = o->serial;
	list_append(&w->listeners, &l->link);
	listen_open(l, &w->net, fd, on_accepted);
	if (w->paused)
		listen_pause(l);
}

static void
close_listeners(struct worker *w, const struct table *t)
{
	list_each_safe(it, &w->listeners)
	{
		struct listen *l = container_of(it, struct listen, link);
		const struct place *p = t != NULL ? table_place(t, l->place) : NULL;

		if (p != NULL && p->serial == l->serial)
			continue;
		list_del(&l->link);
		listen_close(l);
	}
}

/* ------------------------------------------------------------------ messages of the control thread */

static void
adopt(struct worker *w, const struct publication *p)
{
	struct table_ref *ref = calloc(1, sizeof(*ref));
	/* The control thread keeps it until this is over. */
	const struct table *before = w->current != NULL ? w->current->table : NULL;
	const uint32_t *retired;
	uint32_t n;

	assert(ref != NULL);
	ref->table = p->table;
	list_append(&w->tables, &ref->link);
	w->current = ref;
	forget_tables(w);
	if (p->places_changed)
		close_listeners(w, p->table);
	for (uint32_t i = 0; i < p->nopenings; i++)
		open_listener(w, &p->openings[i]);
	health_adopt(w, before);
	finder_hear(w);
	retired = table_retired(p->table, &n);
	for (uint32_t i = 0; i < n; i++) {
		upstream_retire(w, retired[i]);
		trunk_retire(w, retired[i]);
		keyring_drop(w, retired[i]);
		finder_drop(w, retired[i]);
	}
	drain_adopt(w, p->drains, p->ndrains);
	engine_acknowledge(w->engine);
}

static void
begin_stop(struct worker *w)
{
	w->stopping = true;
	w->stop_ms = w->net.now_ms + w->config->drain_timeout_ms;
	close_listeners(w, NULL);
	leave_clients(w, false);
	pass_drain(w);
	health_stop(w);
	timer_set(&w->net.wheel, &w->tick, w->net.now_ms + TICK_MS);
}

static void
on_wake(struct op *op, int result, uint32_t flags)
{
	struct worker *w = container_of(op, struct worker, wake_op);
	const struct publication *p = engine_publication(w->engine);

	health_hear(w);
	if (p != NULL && (w->current == NULL || w->current->table != p->table))
		adopt(w, p);
	finder_hear(w);
	if (engine_stopping(w->engine) && !w->stopping)
		begin_stop(w);
	ring_read(w->net.ring, &w->wake_op, w->wake_fd, &w->wake_value, sizeof(w->wake_value));
}

void
worker_wake(struct worker *w)
{
	uint64_t one = 1;

	/* It can only fail when the counter is full, and then the worker is awake. */
	if (write(w->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* ------------------------------------------------------------------ the loop */

static bool
is_over(struct worker *w)
{
	bool idle = list_empty(&w->clients) && list_empty(&w->passes);

	return w->stopping && (idle || w->net.now_ms >= w->stop_ms);
}

static void
loop(struct worker *w)
{
	struct net *net = &w->net;

	while (!is_over(w)) {
		bool idle = list_empty(&net->ready) && list_empty(&w->muxes);

		ring_turn(net->ring, idle ? wheel_wait(&net->wheel, net->now_ms) : 0);
		net->now_ms = clock_ms();
		wheel_run(&net->wheel, net->now_ms);
		conn_wake_ready(net);
		mux_run(w);
		for (int i = 0; i < BUF_CLASSES; i++)
			buf_refill(&net->pools[i]);
		conn_wake_starved(net);
		conn_wake_ready(net);
	}
}

static void
close_all(struct worker *w)
{
	list_each_safe(it, &w->clients)
	{
		struct client *c = container_of(it, struct client, link);

		if (!c->conn.closing)
			client_close(c);
	}
	pass_cut_all(w);
	mux_run(w);
	while (upstream_shed(w))
		;
	/* The completions of what was cancelled: a few turns are plenty, the ring's end takes the rest. */
	for (int i = 0; i < 100 && w->net.nopen > 0; i++)
		ring_turn(w->net.ring, 10);
	/* What the last of them closed is still to be submitted. */
	ring_turn(w->net.ring, 0);
}

static int
begin(struct worker *w)
{
	struct net *net = &w->net;
	const char *why;
	int rc;

	if (w->cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(w->cpu, &set);
		sched_setaffinity(0, sizeof(set), &set); /* a wish */
	}
	if (getrandom(w->random, sizeof(w->random), 0) != sizeof(w->random))
		return -errno;
	rc = ring_new(&net->ring, RING_ENTRIES, engine_ring_features(w->engine));
	if (rc != 0)
		return rc;
	for (int i = 0; i < BUF_CLASSES && rc == 0; i++)
		rc = buf_pool_init(&net->pools[i], net->ring, i, &buf_sizes[i]);
	if (rc != 0)
		return rc;
	net->now_ms = clock_ms();
	w->balance = (struct balance){w->slots, &net->now_ms, w->random[0] | 1};
	wheel_init(&net->wheel, net->now_ms);
	timer_init(&w->tick, on_tick);
	drain_init(w);
	w->orphans = mux_new_orphans(w);
	if (w->orphans == NULL)
		return -ENOMEM;
	rc = tls_world_new(&w->tls, engine_tls_secret(w->engine), &why);
	if (rc != 0)
		return rc;
	w->wake_op.done = on_wake;
	ring_read(net->ring, &w->wake_op, w->wake_fd, &w->wake_value, sizeof(w->wake_value));
	return 0;
}

static void
empty_slots(struct worker *w)
{
	for (uint32_t i = 0; i < SLOT_CHUNKS_MAX && w->slots[i] != NULL; i++)
		for (uint32_t k = 0; k < SLOT_CHUNK; k++) {
			keyring_drop(w, i * SLOT_CHUNK + k);
			balance_forget(worker_slot(w, i * SLOT_CHUNK + k));
			finder_drop(w, i * SLOT_CHUNK + k);
		}
}

static void
end(struct worker *w)
{
	if (w->net.ring != NULL)
		ring_free(w->net.ring);
	spares_fini(&w->spare_clients);
	spares_fini(&w->spare_upstreams);
	spares_fini(&w->spare_trunks);
	spares_fini(&w->spare_exchanges);
	spares_fini(&w->spare_streams);
	health_fini(w);
	free(w->orphans);
	empty_slots(w);
	drain_fini(w);
	if (w->tls != NULL)
		tls_world_free(w->tls);
	while (!list_empty(&w->tables)) {
		struct table_ref *ref = container_of(w->tables.next, struct table_ref, link);

		list_del(&ref->link);
		free(ref);
	}
	for (int i = 0; i < BUF_CLASSES; i++)
		buf_pool_fini(&w->net.pools[i]);
	pipe_pool_fini(&w->net.pipes);
}

/* A send can be told not to raise it; a splice into a socket that is broken cannot. */
static void
block_sigpipe(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void *
run(void *arg)
{
	struct worker *w = arg;
	int rc;

	block_sigpipe();
	rc = begin(w);
	atomic_store(&w->failed, rc != 0 ? rc : 1);
	engine_acknowledge(w->engine);
	if (rc == 0) {
		loop(w);
		close_all(w);
	}
	end(w);
	return NULL;
}

void
worker_init(struct worker *w)
{
	list_init(&w->tables);
	list_init(&w->listeners);
	list_init(&w->clients);
	list_init(&w->passes);
	list_init(&w->drains);
	list_init(&w->shaking);
	list_init(&w->idle);
	list_init(&w->idle_trunks);
	list_init(&w->muxes);
	list_init(&w->told);
	list_init(&w->health.ejections);
	list_init(&w->net.ready);
}

int
worker_start(struct worker *w)
{
	int rc;

	worker_init(w);
	w->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (w->wake_fd < 0)
		return -errno;
	notice_init(w);
	rc = pthread_create(&w->thread, NULL, run, w);
	if (rc != 0) {
		notice_fini(w);
		close(w->wake_fd);
		return -rc;
	}
	return 0;
}

void
worker_fini(struct worker *w)
{
	notice_fini(w);
	close(w->wake_fd);
	for (uint32_t i = 0; i < SLOT_CHUNKS_MAX; i++)
		free(w->slots[i]);
}
