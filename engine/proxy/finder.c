/* finder.c - the thread that looks up targets' names, and what the workers keep of it. */
#include "finder.h"

#include "../net/lookup.h"
#include "../net/timer.h"
#include "clock.h"
#include "limits.h"
#include "log.h"
#include "trunk.h"
#include "upstream.h"
#include "worker.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define EVENTS 32
#define BUSY_RETRY_MS 100u

/* A target that is known by name. */
struct named {
	struct list link; /* lock; among those of the table */
	struct list todo; /* lock; until the thread has seen that it is new, or gone */
	struct finder *finder;
	/* What it is: never changes. */
	uint32_t group, group_slot, slot, vpc;
	char *host, *space;
	/* lock: what is known */
	bool gone;	  /* no table names it any more */
	uint64_t edition; /* of the finder, when the addresses changed */
	uint32_t n[FAMILIES];
	struct addr addr[FAMILIES][NAME_ADDRESSES_MAX];
	uint64_t due_ms; /* the next look-up */
	const char *why; /* the last one failed; NULL: it did not */
	/* The thread's. */
	struct timer timer;
	struct lookup *lookup; /* under way, or NULL */
	unsigned seat;
	uint32_t failures; /* in a row */
	enum lookup_outcome outcomes[FAMILIES];
	const char *whys[FAMILIES];
	uint32_t ttl_s;
};

struct finder {
	const struct engine_config *config;
	struct worker *workers;
	unsigned nworkers;
	pthread_t thread;
	int epoll, wake_fd;
	_Atomic bool stopping;
	_Atomic uint64_t edition; /* changed with the lock held */
	pthread_mutex_t lock;
	struct list known; /* lock; those that changed last at the end */
	struct list todo;  /* lock */
	/* The thread's. */
	struct wheel wheel;
	struct named *seats[FINDER_LOOKUPS_MAX]; /* those with a look-up under way */
};

/* What a worker keeps in a slot. */
struct addresses {
	uint32_t turn;
	uint32_t n;
	struct addr all[];
};

/* ------------------------------------------------------------------ what is known */

/* With the lock held. */
static void
note_change(struct named *n)
{
	n->edition = atomic_load_explicit(&n->finder->edition, memory_order_relaxed) + 1;
	atomic_store_explicit(&n->finder->edition, n->edition, memory_order_release);
	list_del(&n->link);
	list_append(&n->finder->known, &n->link);
}

static bool
is_known(const struct named *n, unsigned family, const struct addr *all, uint32_t count)
{
	if (n->n[family] != count)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (!addr_eq(&n->addr[family][i], &all[i]))
			return false;
	return true;
}

static void
learn(struct named *n, unsigned family, const struct addr *all, uint32_t count)
{
	struct finder *f = n->finder;
	bool changed;

	pthread_mutex_lock(&f->lock);
	changed = !n->gone && !is_known(n, family, all, count);
	if (changed) {
		n->n[family] = count;
		if (count > 0)
			memcpy(n->addr[family], all, count * sizeof(*all));
		note_change(n);
	}
	pthread_mutex_unlock(&f->lock);
	for (unsigned i = 0; changed && i < f->nworkers; i++)
		worker_wake(&f->workers[i]);
}

/* ------------------------------------------------------------------ look-ups */

static void
watch(void *owner, int fd, bool read, bool write)
{
	const struct named *n = owner;
	struct epoll_event e = {.events = (read ? EPOLLIN : 0u) | (write ? EPOLLOUT : 0u),
	    .data.u64 = (uint64_t)n->seat << 32 | (uint32_t)fd};
	int epoll = n->finder->epoll;

	if (!read && !write)
		epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
	else if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &e) != 0)
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e); /* what fails here is late */
}

static void
answer(void *owner, const struct lookup_answer *a)
{
	struct named *n = owner;

	n->outcomes[a->family] = a->outcome;
	n->whys[a->family] = a->why;
	if (a->outcome != LOOKUP_FOUND)
		return;
	n->ttl_s = MIN(n->ttl_s, a->ttl_s);
	learn(n, a->family, a->addr, a->n);
}

static uint32_t
retry_s(uint32_t failures)
{
	return MIN(1u << MIN(failures - 1, 10u), FINDER_RETRY_MAX_S);
}

/* In how many seconds it is looked up again. */
static uint32_t
judge(struct named *n, const char **why)
{
	const enum lookup_outcome *o = n->outcomes;
	bool found = o[FAMILY_4] == LOOKUP_FOUND || o[FAMILY_6] == LOOKUP_FOUND;
	bool failed = o[FAMILY_4] == LOOKUP_FAILED || o[FAMILY_6] == LOOKUP_FAILED;
	uint32_t wait_s = MAX(MIN(n->ttl_s, FINDER_TTL_MAX_S), FINDER_TTL_MIN_S);

	*why = found ? NULL : n->whys[o[FAMILY_4] == LOOKUP_NONE && failed ? FAMILY_6 : FAMILY_4];
	/* One family alone may come to its end; the last one stays what it was. */
	for (unsigned i = 0; found && i < FAMILIES; i++)
		if (o[i] == LOOKUP_NONE)
			learn(n, i, NULL, 0);
	n->failures = found && !failed ? 0 : n->failures + 1;
	return n->failures == 0 ? wait_s : MIN(wait_s, retry_s(n->failures));
}

static void
plan(struct named *n, uint32_t wait_s, const char *why)
{
	struct finder *f = n->finder;
	uint64_t due_ms = clock_ms() + wait_s * 1000ull;

	if (why != NULL && n->failures == 1)
		log_warn("%s: %s", n->host, why);
	pthread_mutex_lock(&f->lock);
	n->due_ms = due_ms;
	n->why = why;
	pthread_mutex_unlock(&f->lock);
	timer_set(&f->wheel, &n->timer, due_ms);
}

static void
leave_seat(struct named *n)
{
	lookup_end(n->lookup);
	n->lookup = NULL;
	n->finder->seats[n->seat] = NULL;
}

/* What a namespace has of its own, as ip-netns(8) has it. */
static const char *
find_resolv_conf(const struct named *n, char path[static NETNS_PATH_MAX])
{
	if (n->space == NULL || strchr(n->space, '/') != NULL)
		return NULL;
	snprintf(path, NETNS_PATH_MAX, "/etc/netns/%s/resolv.conf", n->space);
	return access(path, R_OK) == 0 ? path : NULL;
}

static void
begin(struct named *n, unsigned seat)
{
	struct finder *f = n->finder;
	char path[NETNS_PATH_MAX];
	struct lookup_config c = {.vpc = n->vpc,
	    .resolv_conf = find_resolv_conf(n, path),
	    .server = f->config->name_server,
	    .owner = n,
	    .watch = watch,
	    .answer = answer};
	const char *why;
	uint32_t wait_s;

	n->seat = seat;
	n->ttl_s = UINT32_MAX;
	for (unsigned i = 0; i < FAMILIES; i++) {
		n->outcomes[i] = LOOKUP_FAILED;
		n->whys[i] = "the look-up cannot be begun";
	}
	if (lookup_begin(&n->lookup, n->host, &c) == 0) {
		f->seats[seat] = n;
		return;
	}
	wait_s = judge(n, &why);
	plan(n, wait_s, why);
}

static void
on_due(struct timer *t)
{
	struct named *n = container_of(t, struct named, timer);
	struct finder *f = n->finder;
	unsigned seat = 0;

	while (seat < FINDER_LOOKUPS_MAX && f->seats[seat] != NULL)
		seat++;
	if (seat < FINDER_LOOKUPS_MAX)
		begin(n, seat);
	else
		timer_set(&f->wheel, t, clock_ms() + BUSY_RETRY_MS);
}

/* Milliseconds until one of them is late. */
static int
tend_lookups(struct finder *f)
{
	int wait = INT32_MAX;

	for (unsigned i = 0; i < FINDER_LOOKUPS_MAX; i++) {
		struct named *n = f->seats[i];
		const char *why;
		uint32_t wait_s;

		if (n == NULL)
			continue;
		lookup_late(n->lookup);
		if (!lookup_over(n->lookup)) {
			wait = lookup_wait(n->lookup, wait);
			continue;
		}
		leave_seat(n);
		wait_s = judge(n, &why);
		plan(n, wait_s, why);
	}
	return wait;
}

/* ------------------------------------------------------------------ the thread */

static void
named_free(struct named *n)
{
	free(n->host);
	free(n->space);
	free(n);
}

static void
take_todo(struct finder *f)
{
	pthread_mutex_lock(&f->lock);
	list_each_safe(it, &f->todo)
	{
		struct named *n = container_of(it, struct named, todo);

		list_del(it);
		if (!n->gone) {
			timer_set(&f->wheel, &n->timer, 0);
			continue;
		}
		timer_stop(&f->wheel, &n->timer);
		if (n->lookup != NULL)
			leave_seat(n);
		named_free(n);
	}
	pthread_mutex_unlock(&f->lock);
}

static void
on_event(struct finder *f, const struct epoll_event *e)
{
	struct named *n;
	uint64_t drain;

	if (e->data.u64 == UINT64_MAX) {
		while (read(f->wake_fd, &drain, sizeof(drain)) > 0)
			;
		return;
	}
	n = f->seats[e->data.u64 >> 32];
	if (n != NULL)
		lookup_ready(n->lookup, (int)(uint32_t)e->data.u64,
		    (e->events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0, (e->events & EPOLLOUT) != 0);
}

static void *
run(void *arg)
{
	struct finder *f = arg;
	struct epoll_event events[EVENTS];

	while (!atomic_load(&f->stopping)) {
		int64_t timer_ms;
		int wait, n;

		take_todo(f);
		wheel_run(&f->wheel, clock_ms());
		wait = tend_lookups(f);
		timer_ms = wheel_wait(&f->wheel, clock_ms());
		if (timer_ms >= 0)
			wait = (int)MIN(timer_ms, (int64_t)wait);
		n = epoll_wait(f->epoll, events, EVENTS, wait);
		for (int i = 0; i < n; i++)
			on_event(f, &events[i]);
	}
	return NULL;
}

static void
wake(struct finder *f)
{
	uint64_t one = 1;

	/* It can only fail when the counter is full, and then the thread is awake. */
	if (write(f->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* ------------------------------------------------------------------ the control thread */

static int
open_descriptors(struct finder *f)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = UINT64_MAX};

	f->epoll = epoll_create1(EPOLL_CLOEXEC);
	f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->epoll < 0 || f->wake_fd < 0 || epoll_ctl(f->epoll, EPOLL_CTL_ADD, f->wake_fd, &e) != 0)
		return -errno;
	return 0;
}

static void
close_descriptors(struct finder *f)
{
	if (f->epoll >= 0)
		close(f->epoll);
	if (f->wake_fd >= 0)
		close(f->wake_fd);
}

int
finder_start(struct finder **out, const struct engine_config *c, struct worker *workers, unsigned n)
{
	struct finder *f = xcalloc(1, sizeof(*f));
	int rc;

	f->config = c;
	f->workers = workers;
	f->nworkers = n;
	list_init(&f->known);
	list_init(&f->todo);
	pthread_mutex_init(&f->lock, NULL);
	wheel_init(&f->wheel, clock_ms());
	rc = open_descriptors(f);
	if (rc == 0)
		rc = -pthread_create(&f->thread, NULL, run, f);
	if (rc != 0) {
		close_descriptors(f);
		free(f);
		return rc;
	}
	*out = f;
	return 0;
}

static struct named *
find(struct finder *f, uint32_t slot)
{
	list_each(it, &f->known)
	{
		struct named *n = container_of(it, struct named, link);

		if (n->slot == slot)
			return n;
	}
	return NULL;
}

static struct str
host_of(const struct target *t)
{
	const char *colon = memchr(t->host.p, ':', t->host.len);

	return (struct str){t->host.p, colon != NULL ? (uint32_t)(colon - t->host.p) : t->host.len};
}

static bool
is_same(const struct named *n, const struct group *g, const struct target *t)
{
	struct str space = n->space != NULL ? str_of(n->space) : STR("");

	return n->group == g->index && n->group_slot == g->slot && n->slot == t->slot && n->vpc == g->vpc &&
	       str_eq(space, g->space) && str_eq(str_of(n->host), host_of(t));
}

static void
add(struct finder *f, const struct group *g, const struct target *t)
{
	struct named *n = xcalloc(1, sizeof(*n));
	struct str host = host_of(t);

	n->finder = f;
	n->group = g->index;
	n->group_slot = g->slot;
	n->slot = t->slot;
	n->vpc = g->vpc;
	n->host = xstrndup(host.p, host.len);
	if (g->space.len > 0)
		n->space = xstrndup(g->space.p, g->space.len);
	timer_init(&n->timer, on_due);
	list_init(&n->link);
	note_change(n);
	list_append(&f->todo, &n->todo);
}

static void
forget(struct finder *f, struct named *n)
{
	list_del(&n->link);
	n->gone = true;
	list_del(&n->todo);
	list_append(&f->todo, &n->todo);
}

static const struct target *
target_of(const struct named *n, const struct group *g)
{
	for (uint32_t i = 0; g != NULL && i < g->ntargets; i++)
		if (target_is_named(&g->targets[i]) && is_same(n, g, &g->targets[i]))
			return &g->targets[i];
	return NULL;
}

static void
offer_group(struct finder *f, uint32_t index, const struct group *g)
{
	list_each_safe(it, &f->known)
	{
		struct named *n = container_of(it, struct named, link);

		if (n->group == index && target_of(n, g) == NULL)
			forget(f, n);
	}
	for (uint32_t i = 0; g != NULL && i < g->ntargets; i++)
		if (target_is_named(&g->targets[i]) && find(f, g->targets[i].slot) == NULL)
			add(f, g, &g->targets[i]);
}

void
finder_offer(struct finder *f, const struct table *before, const struct table *next)
{
	uint32_t n = table_ngroups(next);

	if (before != NULL)
		n = MAX(n, table_ngroups(before));
	if (!table_has_names(next) && (before == NULL || !table_has_names(before)))
		return;
	pthread_mutex_lock(&f->lock);
	for (uint32_t i = 0; i < n; i++) {
		const struct group *now = table_group(next, i);

		if (before == NULL || table_group(before, i) != now)
			offer_group(f, i, now);
	}
	pthread_mutex_unlock(&f->lock);
	wake(f);
}

uint32_t
finder_addresses(
    struct finder *f, uint32_t slot, struct addr *all, uint32_t max, uint32_t *ttl_s, const char **why)
{
	uint64_t now_ms = clock_ms();
	const struct named *n;
	uint32_t count = 0;

	*ttl_s = 0;
	*why = NULL;
	pthread_mutex_lock(&f->lock);
	n = find(f, slot);
	if (n != NULL) {
		*ttl_s = n->due_ms > now_ms ? (uint32_t)((n->due_ms - now_ms + 999) / 1000) : 0;
		*why = n->why;
	}
	for (unsigned k = 0; n != NULL && k < FAMILIES; k++)
		for (uint32_t i = 0; i < n->n[k] && count < max; i++)
			all[count++] = n->addr[k][i];
	pthread_mutex_unlock(&f->lock);
	return count;
}

void
finder_stop(struct finder *f)
{
	atomic_store(&f->stopping, true);
	wake(f);
	pthread_join(f->thread, NULL);
}

static void
free_all(struct finder *f, struct list *l, size_t at)
{
	list_each_safe(it, l)
	{
		struct named *n = (struct named *)((char *)it - at);

		list_del(&n->link);
		list_del(&n->todo);
		if (n->lookup != NULL)
			leave_seat(n);
		named_free(n);
	}
}

void
finder_free(struct finder *f)
{
	free_all(f, &f->known, offsetof(struct named, link));
	free_all(f, &f->todo, offsetof(struct named, todo));
	close_descriptors(f);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* ------------------------------------------------------------------ the workers */

/* A copy for a worker's slot. */
static struct addresses *
copy(const struct named *n, uint32_t turn)
{
	struct addresses *a = calloc(1, sizeof(*a) + (n->n[0] + n->n[1]) * sizeof(a->all[0]));

	assert(a != NULL);
	a->turn = turn;
	for (unsigned k = 0; k < FAMILIES; k++)
		for (uint32_t i = 0; i < n->n[k]; i++)
			a->all[a->n++] = n->addr[k][i];
	return a;
}

static void
hear(struct worker *w, const struct named *n)
{
	struct slot *s = worker_slot(w, n->slot), *group = worker_slot(w, n->group_slot);
	struct addresses *old = s->addresses;
	uint8_t down = s->down & (uint8_t)~DOWN_UNRESOLVED;

	/* Workers begin at different ones. */
	s->addresses = copy(n, old != NULL ? old->turn : w->index);
	free(old);
	if (n->n[0] + n->n[1] == 0)
		down |= DOWN_UNRESOLVED;
	if (down != s->down)
		group->epoch++;
	__atomic_store_n(&s->down, down, __ATOMIC_RELAXED);
	upstream_leave(w, n->slot);
	trunk_leave(w, n->slot);
}

void
finder_hear(struct worker *w)
{
	struct finder *f = engine_finder(w->engine);

	if (f == NULL || atomic_load_explicit(&f->edition, memory_order_acquire) == w->found)
		return;
	pthread_mutex_lock(&f->lock);
	for (struct list *it = f->known.prev; it != &f->known; it = it->prev) {
		const struct named *n = container_of(it, struct named, link);

		if (n->edition <= w->found)
			break;
		hear(w, n);
	}
	w->found = atomic_load_explicit(&f->edition, memory_order_relaxed);
	pthread_mutex_unlock(&f->lock);
}

static bool
is_host_of(const struct addr *host, const struct addr *a)
{
	struct addr bare = *a;

	addr_set_port(&bare, 0);
	return addr_eq(host, &bare);
}

bool
finder_next(struct worker *w, const struct target *t, struct addr *a)
{
	struct addresses *known;

	if (!target_is_named(t)) {
		*a = t->addr;
		return true;
	}
	known = worker_slot(w, t->slot)->addresses;
	if (known == NULL || known->n == 0)
		return false;
	if (is_host_of(&known->all[known->turn % known->n], a))
		known->turn++;
	*a = known->all[known->turn++ % known->n];
	addr_set_port(a, addr_port(&t->addr));
	return true;
}

bool
finder_left(struct worker *w, uint32_t slot, const struct addr *a)
{
	const struct addresses *known = worker_slot(w, slot)->addresses;

	for (uint32_t i = 0; known != NULL && i < known->n; i++)
		if (is_host_of(&known->all[i], a))
			return false;
	return known != NULL;
}

void
finder_drop(struct worker *w, uint32_t slot)
{
	struct slot *s = worker_slot(w, slot);

	free(s->addresses);
	s->addresses = NULL;
}
