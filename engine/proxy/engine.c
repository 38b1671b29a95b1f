/* engine.c - the workers as one: start, prepare, publish, reclaim, stop. The control thread's side. */
#include "engine.h"

#include "../net/sock.h"
#include "drain.h"
#include "event.h"
#include "finder.h"
#include "health.h"
#include "resolver.h"
#include "worker.h"
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* A published table until no worker can see it. */
struct retiring {
	struct list link;
	struct table *table;
};

struct engine {
	struct engine_config config;
	struct ring_features features;
	struct slots *slots;
	unsigned nworkers;
	struct worker *workers;
	struct resolver *resolver;
	struct finder *_Atomic finder;
	struct list tables; /* oldest first; the last is served */
	struct table *served;
	uint32_t *freed; /* slots of freed tables that still count something */
	uint32_t nfreed, freed_size;
	uint32_t nchunks; /* of slots, in every worker */
	struct opening *openings;
	uint32_t nopenings;
	bool places_changed;
	struct publication publications[2]; /* in turns: a worker may be looking at the last one */
	struct drains drains;
	_Atomic(const struct publication *) published;
	_Atomic bool stopping;
	_Atomic uint32_t acknowledged; /* futex */
	uint8_t tls_secret[TLS_SECRET];
	struct event_queue events;
	uint64_t last_publish_us;
	char feature_line[160];
};

void
engine_config_default(struct engine_config *c)
{
	*c = (struct engine_config){
	    .connections_max = 65536,
	    .pool_max = 1024,
	    .head_timeout_ms = 10000,
	    .idle_timeout_ms = 60000,
	    .connect_timeout_ms = 5000,
	    .response_timeout_ms = 60000,
	    .pool_timeout_ms = 60000,
	    .drain_timeout_ms = 10000,
	    .suffix = "lattice.internal",
	    .name_ttl_s = 60,
	};
	addr_parse(STR("169.254.169.253:53"), &c->resolvers[0]);
	addr_parse(STR("[fd00:ec2::253]:53"), &c->resolvers[1]);
}

/* ------------------------------------------------------------------ what workers ask */

const struct publication *
engine_publication(struct engine *e)
{
	return atomic_load_explicit(&e->published, memory_order_acquire);
}

bool
engine_stopping(struct engine *e)
{
	return atomic_load(&e->stopping);
}

const struct ring_features *
engine_ring_features(struct engine *e)
{
	return &e->features;
}

const uint8_t *
engine_tls_secret(struct engine *e)
{
	return e->tls_secret;
}

unsigned
engine_nworkers(const struct engine *e)
{
	return e->nworkers;
}

struct worker *
engine_worker(struct engine *e, unsigned index)
{
	return &e->workers[index];
}

struct event_queue *
engine_event_queue(struct engine *e)
{
	return &e->events;
}

struct finder *
engine_finder(struct engine *e)
{
	return atomic_load_explicit(&e->finder, memory_order_acquire);
}

void
engine_acknowledge(struct engine *e)
{
	atomic_fetch_add(&e->acknowledged, 1);
	syscall(SYS_futex, &e->acknowledged, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Waits until `n` acknowledgements have come since `before`. */
static void
await(struct engine *e, uint32_t before, unsigned n)
{
	uint32_t seen;

	while ((seen = atomic_load(&e->acknowledged)) - before < n)
		syscall(SYS_futex, &e->acknowledged, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

/* ------------------------------------------------------------------ start */

static unsigned
allowed_cpus(int *cpus, unsigned max)
{
	cpu_set_t set;
	unsigned n = 0;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	for (int i = 0; i < CPU_SETSIZE && n < max; i++) {
		if (CPU_ISSET(i, &set))
			cpus[n++] = i;
	}
	return MAX(n, 1u);
}

static int
start_workers(struct engine *e)
{
	int cpus[WORKERS_MAX] = {0};
	unsigned ncpus = allowed_cpus(cpus, WORKERS_MAX), started = 0;
	uint32_t before = atomic_load(&e->acknowledged);
	int rc = 0;

	e->nworkers = e->config.workers != 0 ? MIN(e->config.workers, WORKERS_MAX) : ncpus;
	e->workers = aligned_alloc(_Alignof(struct worker), e->nworkers * sizeof(*e->workers));
	if (e->workers == NULL)
		return -ENOMEM;
	memset(e->workers, 0, e->nworkers * sizeof(*e->workers));
	for (unsigned i = 0; i < e->nworkers && rc == 0; i++) {
		struct worker *w = &e->workers[i];

		w->engine = e;
		w->index = i;
		w->config = &e->config;
		w->cpu = e->config.pin ? cpus[i % ncpus] : -1;
		rc = worker_start(w);
		started += rc == 0;
	}
	await(e, before, started);
	for (unsigned i = 0; i < started && rc == 0; i++) {
		int state = atomic_load(&e->workers[i].failed);

		if (state < 0)
			rc = state;
	}
	e->nworkers = started;
	return rc;
}

static struct table *
empty_table(void)
{
	struct build *b = build_new(NULL);
	struct table *t = NULL;
	struct clash clash;

	if (build_seal(b, &t, &clash) != 0)
		abort();
	return t;
}

static void
describe(struct engine *e)
{
	snprintf(e->feature_line, sizeof(e->feature_line), "io_uring%s%s%s buffer-rings multishot-accept",
	    e->features.single_issuer ? " single-issuer" : "",
	    e->features.defer_taskrun ? " defer-taskrun" : "",
	    e->features.defer_taskrun ? "" : " coop-taskrun");
}

static int
start_finder(struct engine *e)
{
	struct finder *f;
	int rc = finder_start(&f, &e->config, e->workers, e->nworkers);

	if (rc == 0)
		atomic_store(&e->finder, f);
	return rc;
}

int
engine_start(struct engine **out, const struct engine_config *c, struct slots *slots, const char **why)
{
	struct engine *e = xcalloc(1, sizeof(*e));
	int rc;

	e->config = *c;
	e->slots = slots;
	list_init(&e->tables);
	list_init(&e->drains.targets);
	*why = "the proxy's threads cannot be started";
	rc = ring_probe(&e->features, why);
	if (rc == 0 && getrandom(e->tls_secret, TLS_SECRET, 0) != TLS_SECRET)
		rc = -EIO;
	if (rc == 0)
		rc = event_queue_init(&e->events);
	if (rc != 0) {
		free(e);
		return rc;
	}
	describe(e);
	rc = start_workers(e);
	if (rc == 0)
		rc = resolver_start(&e->resolver, &e->config);
	if (rc == 0)
		rc = start_finder(e);
	if (rc != 0) {
		engine_stop(e);
		return rc;
	}
	engine_publish(e, empty_table());
	*out = e;
	return 0;
}

/* ------------------------------------------------------------------ prepare */

/* Counters for every slot number in use, in every worker. */
static int
reserve_slots(struct engine *e)
{
	while (e->nchunks * SLOT_CHUNK < e->slots->next) {
		if (e->nchunks == SLOT_CHUNKS_MAX)
			return -ENOMEM;
		for (unsigned i = 0; i < e->nworkers; i++) {
			struct slot *chunk = e->workers[i].slots[e->nchunks];

			/* Kept from an attempt that failed half way. */
			if (chunk == NULL)
				chunk = calloc(SLOT_CHUNK, sizeof(*chunk));
			if (chunk == NULL)
				return -ENOMEM;
			atomic_store(&e->workers[i].slots[e->nchunks], chunk);
		}
		e->nchunks++;
	}
	return 0;
}

/* Where there are thousands of places a socket for every worker at each would leave no descriptor for
 * connections: a place then has one worker, and the places are spread over them. */
static bool
is_crowded(const struct table *next, unsigned nworkers)
{
	struct rlimit r;

	return getrlimit(RLIMIT_NOFILE, &r) == 0 &&
	       (uint64_t)table_nplaces(next) * nworkers > (uint64_t)r.rlim_cur / 4;
}

static int
open_place(struct engine *e, const struct place *p, bool crowded)
{
	struct opening *o;
	int rc = sock_probe(p->vpc, &p->addr);

	if (rc != 0)
		return rc;
	e->openings = xrealloc(e->openings, (e->nopenings + 1) * sizeof(*o));
	o = &e->openings[e->nopenings++];
	*o = (struct opening){p->index, p->serial, xcalloc(e->nworkers, sizeof(int))};
	for (unsigned i = 0; i < e->nworkers; i++)
		o->fds[i] = -1;
	for (unsigned i = 0; i < e->nworkers; i++) {
		if (crowded && i != p->index % e->nworkers)
			continue;
		rc = sock_listen(p->vpc, &p->addr);
		if (rc < 0)
			return rc;
		o->fds[i] = rc;
	}
	return 0;
}

static void
free_openings(struct engine *e)
{
	for (uint32_t i = 0; i < e->nopenings; i++)
		free(e->openings[i].fds);
	free(e->openings);
	e->openings = NULL;
	e->nopenings = 0;
}

static void
close_openings(struct engine *e)
{
	for (uint32_t i = 0; i < e->nopenings; i++) {
		for (unsigned k = 0; k < e->nworkers; k++) {
			if (e->openings[i].fds[k] >= 0)
				close(e->openings[i].fds[k]);
		}
	}
	free_openings(e);
}

int
engine_prepare(struct engine *e, const struct table *next, uint32_t *place)
{
	uint32_t n = MAX(table_nplaces(next), table_nplaces(e->served));
	bool crowded = is_crowded(next, e->nworkers);
	int rc = reserve_slots(e);

	assert(e->nopenings == 0);
	e->places_changed = false;
	*place = SLOT_NONE;
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		const struct place *p = table_place(next, i), *old = table_place(e->served, i);

		if (p == old || (p != NULL && old != NULL && p->serial == old->serial))
			continue;
		e->places_changed = true;
		if (p == NULL)
			continue;
		rc = open_place(e, p, crowded);
		if (rc != 0)
			*place = i;
	}
	if (rc == 0)
		resolver_prepare(e->resolver, next);
	else
		close_openings(e);
	return rc;
}

void
engine_unprepare(struct engine *e)
{
	resolver_unprepare(e->resolver);
	close_openings(e);
}

/* ------------------------------------------------------------------ publish and reclaim */

void
engine_publish(struct engine *e, struct table *next)
{
	struct retiring *r = xcalloc(1, sizeof(*r));
	struct publication *p = &e->publications[atomic_load(&e->published) == &e->publications[0]];
	uint32_t before = atomic_load(&e->acknowledged);
	uint64_t start = clock_ns();

	finder_offer(e->finder, e->served, next);
	if (e->served != NULL)
		drains_plan(&e->drains, e->served, next);
	*p = (struct publication){
	    next, e->nopenings, e->openings, e->places_changed, e->drains.orders, e->drains.norders};
	atomic_store_explicit(&e->published, p, memory_order_release);
	resolver_offer(e->resolver, next);
	for (unsigned i = 0; i < e->nworkers; i++)
		worker_wake(&e->workers[i]);
	await(e, before, e->nworkers);
	resolver_await(e->resolver);
	free_openings(e);
	e->places_changed = false;
	r->table = next;
	list_append(&e->tables, &r->link);
	e->served = next;
	e->last_publish_us = (clock_ns() - start) / 1000;
	engine_reclaim(e);
}

const struct table *
engine_table(const struct engine *e)
{
	return e->served;
}

static bool
slot_in_use(const struct engine *e, uint32_t slot)
{
	for (unsigned i = 0; i < e->nworkers; i++) {
		const struct slot *s = worker_slot(&e->workers[i], slot);

		if (__atomic_load_n(&s->inflight, __ATOMIC_ACQUIRE) != 0 ||
		    __atomic_load_n(&s->draining, __ATOMIC_ACQUIRE) != 0)
			return true;
	}
	return false;
}

/* Gives the numbers back that nothing counts on any more: a request may outlive its target's table. */
static void
recycle(struct engine *e)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < e->nfreed; i++) {
		uint32_t slot = e->freed[i];

		if (slot_in_use(e, slot)) {
			e->freed[kept++] = slot;
			continue;
		}
		for (unsigned k = 0; k < e->nworkers; k++) {
			balance_forget(worker_slot(&e->workers[k], slot));
			memset(worker_slot(&e->workers[k], slot), 0, sizeof(struct slot));
		}
		drains_forget(&e->drains, slot);
		slots_recycle(e->slots, slot);
	}
	e->nfreed = kept;
}

static void
note_freed(struct engine *e, const struct table *successor)
{
	uint32_t n;
	const uint32_t *slots = table_retired(successor, &n);

	if (e->nfreed + n > e->freed_size) {
		e->freed_size = (e->nfreed + n) * 2;
		e->freed = xrealloc(e->freed, e->freed_size * sizeof(*e->freed));
	}
	if (n > 0)
		memcpy(e->freed + e->nfreed, slots, n * sizeof(*slots));
	e->nfreed += n;
}

void
engine_reclaim(struct engine *e)
{
	uint64_t oldest = UINT64_MAX;

	for (unsigned i = 0; i < e->nworkers; i++)
		oldest = MIN(oldest, atomic_load_explicit(&e->workers[i].oldest, memory_order_acquire));
	for (;;) {
		struct retiring *r = container_of(e->tables.next, struct retiring, link);

		if (list_empty(&e->tables) || r->table == e->served || table_generation(r->table) >= oldest)
			break;
		list_del(&r->link);
		table_free(r->table);
		free(r);
		note_freed(e, container_of(e->tables.next, struct retiring, link)->table);
	}
	if (e->nfreed > 0)
		recycle(e);
}

/* ------------------------------------------------------------------ figures */

uint64_t
engine_requests(const struct engine *e, uint32_t slot)
{
	uint64_t sum = 0;

	if (slot / SLOT_CHUNK >= e->nchunks)
		return 0;
	for (unsigned i = 0; i < e->nworkers; i++)
		sum += __atomic_load_n(&worker_slot(&e->workers[i], slot)->requests, __ATOMIC_RELAXED);
	return sum;
}

uint64_t
engine_inflight(const struct engine *e, uint32_t slot)
{
	uint64_t sum = 0;

	if (slot / SLOT_CHUNK >= e->nchunks)
		return 0;
	for (unsigned i = 0; i < e->nworkers; i++)
		sum += __atomic_load_n(&worker_slot(&e->workers[i], slot)->inflight, __ATOMIC_RELAXED);
	return sum;
}

static void
tell_drain(const struct engine *e, const struct drain *t, struct draining *d)
{
	uint64_t now = clock_ms();

	*d = (struct draining){.name = str_of(t->name),
	    .slot = t->slot,
	    .removed = t->removed,
	    .requests = engine_requests(e, t->slot),
	    .inflight = engine_inflight(e, t->slot),
	    .ends_in_ms = t->end_ms > now ? t->end_ms - now : 0};
}

bool
engine_removed(const struct engine *e, uint32_t group, uint32_t *at, struct draining *d)
{
	uint32_t n = 0;

	list_each(it, &e->drains.targets)
	{
		const struct drain *t = container_of(it, struct drain, link);

		if (n++ < *at || t->group != group || !t->removed)
			continue;
		*at = n;
		tell_drain(e, t, d);
		if (d->inflight > 0)
			return true;
	}
	return false;
}

bool
engine_draining(const struct engine *e, uint32_t slot, struct draining *d)
{
	const struct drain *t = drains_find(&e->drains, slot);

	if (t == NULL || t->removed)
		return false;
	tell_drain(e, t, d);
	return true;
}

enum target_state
engine_target(const struct engine *e, const struct target *t, enum target_reason *reason)
{
	struct words x = {0};

	/* The worker that checks it is the first to know. */
	if (t->slot / SLOT_CHUNK < e->nchunks)
		x = health_shown(
		    health_words(worker_slot(&e->workers[health_owner(t, e->nworkers)], t->slot)));
	*reason = x.reason;
	return x.state;
}

int
engine_events_fd(const struct engine *e)
{
	return e->events.fd;
}

void
engine_events(struct engine *e, void (*each)(void *ctx, const struct target_event *event), void *ctx)
{
	event_each(&e->events, each, ctx);
}

uint32_t
engine_addresses(
    const struct engine *e, uint32_t slot, struct addr *all, uint32_t max, uint32_t *ttl_s, const char **why)
{
	return finder_addresses(e->finder, slot, all, max, ttl_s, why);
}

static uint64_t
counter(const struct engine *e, enum counter id)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < e->nworkers; i++)
		sum += atomic_load_explicit(&e->workers[i].counters[id], memory_order_relaxed);
	return sum;
}

void
engine_stats(const struct engine *e, struct engine_stats *s)
{
	*s = (struct engine_stats){.workers = e->nworkers,
	    .requests = counter(e, COUNTER_REQUESTS),
	    .last_publish_us = e->last_publish_us};
	for (unsigned i = 0; i < e->nworkers; i++)
		s->connections += atomic_load_explicit(&e->workers[i].nclients, memory_order_relaxed);
	list_each(it, &e->tables) s->tables++;
}

int
engine_resolver(const struct engine *e, uint32_t vpc)
{
	return resolver_state(e->resolver, vpc);
}

bool
engine_resolvers_wait(const struct engine *e)
{
	return resolver_waits(e->resolver);
}

void
engine_retry_resolvers(struct engine *e)
{
	resolver_prepare(e->resolver, e->served);
	resolver_offer(e->resolver, e->served);
	resolver_await(e->resolver);
}

const char *
engine_features(const struct engine *e)
{
	return e->feature_line;
}

static void
print_counter(struct text *out, const char *name, const char *help, uint64_t value)
{
	text_printf(out, "# HELP latticefs_%s %s\n# TYPE latticefs_%s counter\nlatticefs_%s %llu\n", name,
	    help, name, name, (unsigned long long)value);
}

void
engine_metrics(const struct engine *e, struct text *out)
{
	static const struct {
		enum counter id;
		const char *name, *help;
	} rows[] = {
#define X(id, name, help) {COUNTER_##id, name, help},
	    COUNTERS(X)
#undef X
	};
	static const struct {
		enum name_counter id;
		const char *name, *help;
	} names[] = {
#define X(id, name, help) {NAME_COUNTER_##id, name, help},
	    NAME_COUNTERS(X)
#undef X
	};
	struct engine_stats s;

	for (size_t i = 0; i < COUNT(rows); i++)
		print_counter(out, rows[i].name, rows[i].help, counter(e, rows[i].id));
	for (size_t i = 0; i < COUNT(names); i++)
		print_counter(out, names[i].name, names[i].help, resolver_count(e->resolver, names[i].id));
	engine_stats(e, &s);
	text_printf(out,
	    "# HELP latticefs_connections Client connections open now\n# TYPE latticefs_connections gauge\n"
	    "latticefs_connections %llu\n"
	    "# HELP latticefs_tables Routing tables alive: the served one and those a request still needs\n"
	    "# TYPE latticefs_tables gauge\nlatticefs_tables %llu\n",
	    (unsigned long long)s.connections, (unsigned long long)s.tables);
}

/* ------------------------------------------------------------------ stop */

static void
free_tables(struct engine *e)
{
	list_each_safe(it, &e->tables)
	{
		struct retiring *r = container_of(it, struct retiring, link);

		table_free(r->table);
		free(r);
	}
}

void
engine_stop(struct engine *e)
{
	if (e->finder != NULL)
		finder_stop(e->finder);
	atomic_store(&e->stopping, true);
	for (unsigned i = 0; i < e->nworkers; i++) {
		if (atomic_load(&e->workers[i].failed) == 1)
			worker_wake(&e->workers[i]);
	}
	for (unsigned i = 0; i < e->nworkers; i++)
		pthread_join(e->workers[i].thread, NULL);
	for (unsigned i = 0; i < e->nworkers; i++)
		worker_fini(&e->workers[i]);
	if (e->resolver != NULL)
		resolver_stop(e->resolver);
	if (e->finder != NULL)
		finder_free(e->finder);
	free_tables(e);
	drains_fini(&e->drains);
	event_queue_fini(&e->events);
	free(e->workers);
	free(e->freed);
	free(e);
}
