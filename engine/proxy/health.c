/* health.c - when targets are checked, what the results mean, and who is told. */
#include "health.h"

#include "event.h"
#include "probe.h"
#include "subject.h"

#define BY_CHECKS ((unsigned)(DOWN_NEW | DOWN_UNHEALTHY))

/* ------------------------------------------------------------------ words */

const char *
target_state_word(enum target_state s)
{
	static const char *const words[] = {[TARGET_NONE] = "INITIAL",
	    [TARGET_INITIAL] = "INITIAL",
	    [TARGET_HEALTHY] = "HEALTHY",
	    [TARGET_UNHEALTHY] = "UNHEALTHY",
	    [TARGET_UNUSED] = "UNUSED",
	    [TARGET_DRAINING] = "DRAINING",
	    [TARGET_UNAVAILABLE] = "UNAVAILABLE"};

	return words[s];
}

const char *
target_reason_word(enum target_reason r)
{
	static const char *const words[] = {[REASON_NONE] = "",
	    [REASON_INITIAL] = "InitialHealthChecking",
	    [REASON_FAILED] = "HealthCheckFailed",
	    [REASON_TIMEOUT] = "HealthCheckTimeout",
	    [REASON_UNREACHABLE] = "ConnectionFailed",
	    [REASON_CODE] = "CodeMismatch",
	    [REASON_EJECTED] = "Ejected",
	    [REASON_NOT_IN_USE] = "TargetGroupNotInUse",
	    [REASON_DISABLED] = "HealthCheckDisabled",
	    [REASON_NO_SUPPORT] = "HealthCheckNotSupported",
	    [REASON_DRAINING] = "Draining"};

	return words[r];
}

struct words
health_words(const struct slot *s)
{
	return (struct words){__atomic_load_n(&s->state, __ATOMIC_RELAXED),
	    __atomic_load_n(&s->reason, __ATOMIC_RELAXED), __atomic_load_n(&s->down, __ATOMIC_RELAXED)};
}

struct words
health_shown(struct words x)
{
	if (x.down & DOWN_EJECTED && x.state != TARGET_UNUSED && x.state != TARGET_DRAINING) {
		x.state = TARGET_UNHEALTHY;
		x.reason = REASON_EJECTED;
	}
	return x;
}

static void
tell(struct worker *w, const struct group *g, const struct target *t, struct words from, struct words to)
{
	struct target_event event = {.group = g->name, .target = t->name};

	from = health_shown(from);
	to = health_shown(to);
	if (from.state == to.state || from.state == TARGET_NONE)
		return;
	event.from = from.state;
	event.to = to.state;
	event.reason = to.reason;
	if (g->type == GROUP_INSTANCE)
		event.address = t->addr;
	event_put(engine_event_queue(w->engine), &event);
}

/* False: nothing is new. */
static bool
put_words(struct worker *w, struct slot *group, struct slot *s, struct words to)
{
	struct words from = health_words(s);

	if (memcmp(&from, &to, sizeof(to)) == 0)
		return false;
	__atomic_store_n(&s->state, to.state, __ATOMIC_RELAXED);
	__atomic_store_n(&s->reason, to.reason, __ATOMIC_RELAXED);
	if (from.down == to.down)
		return true;
	__atomic_store_n(&s->down, to.down, __ATOMIC_RELAXED);
	/* It comes to be usable; 0 would be long ago. */
	if (to.down == 0)
		s->born_ms = (uint32_t)w->net.now_ms | 1;
	group->epoch++;
	return true;
}

void
health_set(struct worker *w, const struct group *g, const struct target *t, struct words to, bool teller)
{
	struct slot *s = worker_slot(w, t->slot);
	struct words from = health_words(s);

	if (put_words(w, worker_slot(w, g->slot), s, to) && teller)
		tell(w, g, t, from, to);
}

/* ------------------------------------------------------------------ notices */

void
notice_send(struct worker *from, struct worker *to, const struct notice *n)
{
	struct notice *copy = malloc(sizeof(*copy));

	assert(copy != NULL);
	*copy = *n;
	copy->generation = table_generation(from->current->table);
	pthread_mutex_lock(&to->health.lock);
	list_append(&to->health.inbox, &copy->link);
	pthread_mutex_unlock(&to->health.lock);
	worker_wake(to);
}

void
notice_spread(struct worker *w, const struct notice *n)
{
	for (unsigned i = 0; i < engine_nworkers(w->engine); i++)
		if (i != w->index)
			notice_send(w, engine_worker(w->engine, i), n);
}

static bool
is_live(unsigned state)
{
	return state == TARGET_INITIAL || state == TARGET_HEALTHY || state == TARGET_UNHEALTHY;
}

/* What is known of a target that is checked. */
static struct words
live_words(struct words x, unsigned state, unsigned reason)
{
	unsigned bit = state == TARGET_UNHEALTHY ? DOWN_UNHEALTHY : state == TARGET_INITIAL ? DOWN_NEW : 0;

	return (struct words){(uint8_t)state, (uint8_t)reason, (uint8_t)((x.down & ~BY_CHECKS) | bit)};
}

static void
act(struct worker *w, const struct notice *n)
{
	const struct group *g = table_group(w->current->table, n->group);
	struct slot *s = worker_slot(w, n->slot);
	struct words x = health_words(s);

	if (g == NULL)
		return;
	switch (n->kind) {
	case NOTICE_STATE:
		/* It may not be checked any more since this was sent. */
		if (is_live(x.state))
			put_words(w, worker_slot(w, g->slot), s, live_words(x, n->state, n->reason));
		break;
	case NOTICE_EJECTED:
		x.down |= g->passive.enabled ? DOWN_EJECTED : 0;
		put_words(w, worker_slot(w, g->slot), s, x);
		break;
	case NOTICE_BACK:
		x.down &= (uint8_t)~DOWN_EJECTED;
		put_words(w, worker_slot(w, g->slot), s, x);
		break;
	case NOTICE_FAILING:
		eject_failing(w, n->group, n->slot);
		break;
	}
}

void
notice_init(struct worker *w)
{
	list_init(&w->health.inbox);
	pthread_mutex_init(&w->health.lock, NULL);
}

void
notice_fini(struct worker *w)
{
	while (!list_empty(&w->health.inbox)) {
		struct notice *n = container_of(w->health.inbox.next, struct notice, link);

		list_del(&n->link);
		free(n);
	}
	pthread_mutex_destroy(&w->health.lock);
}

void
health_hear(struct worker *w)
{
	struct list *inbox = &w->health.inbox;
	struct list heard;

	list_init(&heard);
	pthread_mutex_lock(&w->health.lock);
	/* Who told it may be one table ahead of this worker, which then comes back to it in a moment. */
	list_each_safe(it, inbox)
	{
		if (w->current == NULL ||
		    container_of(it, struct notice, link)->generation > table_generation(w->current->table))
			continue;
		list_del(it);
		list_append(&heard, it);
	}
	pthread_mutex_unlock(&w->health.lock);
	while (!list_empty(&heard)) {
		struct notice *n = container_of(heard.next, struct notice, link);

		list_del(&n->link);
		act(w, n);
		free(n);
	}
}

/* ------------------------------------------------------------------ checks */

void
check_done(struct check *c, enum target_reason reason)
{
	struct worker *w = c->subject->w;
	const struct group *g = table_group(w->current->table, c->group);
	const struct slot *s = worker_slot(w, c->slot);
	struct words x = health_words(s);
	struct notice n = {.kind = NOTICE_STATE, .group = c->group, .slot = c->slot, .state = x.state};
	bool good = reason == REASON_NONE;

	c->good = good ? c->good + 1 : 0;
	c->bad = good ? 0 : c->bad + 1;
	/* One success is enough for a new target. */
	if (good && (x.state == TARGET_INITIAL || c->good >= g->check.healthy))
		n.state = TARGET_HEALTHY;
	else if (!good && c->bad >= g->check.unhealthy)
		n.state = TARGET_UNHEALTHY;
	if (n.state == x.state && (n.state != TARGET_UNHEALTHY || good))
		return;
	n.reason = (uint8_t)reason;
	health_set(w, g, &g->targets[c->index], live_words(x, n.state, n.reason), true);
	if (n.state != x.state)
		notice_spread(w, &n);
}

static struct check *
check_of(const struct worker *w, uint32_t slot)
{
	return slot < w->health.size ? w->health.checks[slot] : NULL;
}

static struct check *
check_new(struct worker *w, uint32_t slot)
{
	struct health *h = &w->health;
	struct check *c = calloc(1, sizeof(*c));
	uint32_t size = MAX(slot + 1, h->size * 2);

	if (slot >= h->size) {
		h->checks = realloc(h->checks, size * sizeof(*h->checks));
		assert(h->checks != NULL);
		memset(h->checks + h->size, 0, (size - h->size) * sizeof(*h->checks));
		h->size = size;
	}
	assert(c != NULL);
	h->checks[slot] = c;
	c->slot = slot;
	return c;
}

static void
check_drop(struct worker *w, uint32_t slot)
{
	struct check *c = check_of(w, slot);

	if (c == NULL)
		return;
	w->health.checks[slot] = NULL;
	subject_leave(c);
	free(c);
}

/* The settings may have changed; the state stays. */
static void
check_adopt(struct worker *w, const struct group *g, uint32_t index)
{
	const struct target *t = &g->targets[index];
	struct check *c = check_of(w, t->slot);

	if (c == NULL)
		c = check_new(w, t->slot);
	c->group = g->index;
	c->index = index;
	if (subject_join(w, c, g, t) && worker_slot(w, t->slot)->state == TARGET_INITIAL)
		subject_hurry(c->subject);
}

/* ------------------------------------------------------------------ a new table */

/* Why a target is not checked: its words; state NONE: it is. */
static struct words
idle_words(const struct group *g, const struct target *t)
{
	if (!g->used)
		return (struct words){TARGET_UNUSED, REASON_NOT_IN_USE, 0};
	if (t->admin != ADMIN_UP)
		return (struct words){TARGET_DRAINING, REASON_DRAINING, 0};
	if (g->type != GROUP_IP && g->type != GROUP_INSTANCE)
		return (struct words){TARGET_UNAVAILABLE, REASON_NO_SUPPORT, 0};
	if (!g->check.enabled)
		return (struct words){TARGET_UNAVAILABLE, REASON_DISABLED, 0};
	return (struct words){0};
}

static void
adopt_target(struct worker *w, const struct group *g, uint32_t index)
{
	const struct target *t = &g->targets[index];
	struct words x = health_words(worker_slot(w, t->slot)), idle = idle_words(g, t), to = x;
	bool mine = health_owner(t, engine_nworkers(w->engine)) == w->index;

	if (idle.state != TARGET_NONE) {
		to.state = idle.state;
		to.reason = idle.reason;
		to.down &= (uint8_t)~BY_CHECKS;
	} else if (!is_live(x.state)) {
		to = live_words(x, TARGET_INITIAL, REASON_INITIAL);
	}
	if (!g->passive.enabled)
		to.down &= (uint8_t)~DOWN_EJECTED;
	health_set(w, g, t, to, mine);
	if (mine && idle.state == TARGET_NONE)
		check_adopt(w, g, index);
	else
		check_drop(w, t->slot);
}

/* The check of a slot that is not g's any more. */
static void
drop_gone(struct worker *w, const struct group *g, uint32_t slot)
{
	const struct check *c = check_of(w, slot);

	if (c != NULL && (g == NULL || c->group != g->index || c->index >= g->ntargets ||
			     g->targets[c->index].slot != slot))
		check_drop(w, slot);
}

void
health_adopt(struct worker *w, const struct table *before)
{
	const struct table *now = w->current->table;
	uint32_t n = table_ngroups(now);

	w->health.nnew = 0;
	if (before != NULL)
		n = MAX(n, table_ngroups(before));
	for (uint32_t i = 0; i < n; i++) {
		const struct group *g = table_group(now, i);
		const struct group *old = before != NULL ? table_group(before, i) : NULL;

		if (g == old)
			continue;
		for (uint32_t k = 0; g != NULL && k < g->ntargets; k++)
			adopt_target(w, g, k);
		for (uint32_t k = 0; old != NULL && k < old->ntargets; k++)
			drop_gone(w, g, old->targets[k].slot);
		eject_adopt(w, i);
	}
	health_hear(w);
}

void
health_stop(struct worker *w)
{
	for (uint32_t i = 0; i < w->health.size; i++)
		check_drop(w, i);
}

void
health_fini(struct worker *w)
{
	struct health *h = &w->health;

	health_stop(w);
	free(h->checks);
	subject_fini(w);
	probe_fini(w);
	eject_fini(w);
}
