/* drain.c - targets on their way out. */
#include "drain.h"

#include "exchange.h"
#include "pass.h"

/* ------------------------------------------------------------------ control thread */

static struct drain *
find(const struct drains *d, uint32_t slot)
{
	list_each(it, &d->targets)
	{
		struct drain *t = container_of(it, struct drain, link);

		if (t->slot == slot)
			return t;
	}
	return NULL;
}

const struct drain *
drains_find(const struct drains *d, uint32_t slot)
{
	return find(d, slot);
}

void
drains_forget(struct drains *d, uint32_t slot)
{
	struct drain *t = find(d, slot);

	if (t == NULL)
		return;
	list_del(&t->link);
	free(t->name);
	free(t);
}

static void
order(struct drains *d, uint32_t slot, uint32_t ms, bool over)
{
	if (d->norders == d->size) {
		d->size = MAX(d->size * 2, 16);
		d->orders = xrealloc(d->orders, d->size * sizeof(*d->orders));
	}
	d->orders[d->norders++] = (struct drain_order){slot, ms, over};
}

/* One that drains already keeps its time. */
static void
begin(struct drains *d, const struct group *g, const struct target *target, uint32_t ms, bool removed)
{
	struct drain *t = find(d, target->slot);

	if (t == NULL) {
		t = xcalloc(1, sizeof(*t));
		t->slot = target->slot;
		t->group = g->slot;
		t->end_ms = clock_ms() + ms;
		t->name = xcalloc(1, target->name.len + 1);
		memcpy(t->name, target->name.p, target->name.len);
		list_append(&d->targets, &t->link);
		order(d, t->slot, ms, false);
	}
	t->removed = removed;
}

/* Targets keep their order for the most part: the next one is looked at first. */
static const struct target *
follow(const struct group *g, uint32_t slot, uint32_t *at)
{
	for (uint32_t n = 0; n < g->ntargets; n++) {
		const struct target *t = &g->targets[(*at + n) % g->ntargets];

		if (t->slot != slot)
			continue;
		*at = (*at + n + 1) % g->ntargets;
		return t;
	}
	return NULL;
}

/* next is NULL when the group is gone. */
static void
plan_group(struct drains *d, const struct group *old, const struct group *next)
{
	uint32_t at = 0, ms = next != NULL ? next->drain_ms : old->drain_ms;

	for (uint32_t i = 0; i < old->ntargets; i++) {
		const struct target *was = &old->targets[i];
		const struct target *is = next != NULL ? follow(next, was->slot, &at) : NULL;

		if (is == NULL) {
			begin(d, old, was, ms, true);
		} else if (was->admin == ADMIN_UP && is->admin != ADMIN_UP) {
			begin(d, old, is, ms, false);
		} else if (was->admin != ADMIN_UP && is->admin == ADMIN_UP) {
			drains_forget(d, is->slot);
			order(d, is->slot, 0, true);
		}
	}
}

void
drains_plan(struct drains *d, const struct table *old, const struct table *next)
{
	uint32_t i = 0;

	d->norders = 0;
	for (; (i = table_group_differs(old, next, i)) != UINT32_MAX; i++) {
		const struct group *was = table_group(old, i), *is = table_group(next, i);

		if (was != NULL)
			plan_group(d, was, is != NULL && is->slot == was->slot ? is : NULL);
	}
}

void
drains_fini(struct drains *d)
{
	while (!list_empty(&d->targets))
		drains_forget(d, container_of(d->targets.next, struct drain, link)->slot);
	free(d->orders);
}

/* ------------------------------------------------------------------ worker */

#define TICK_MS 100u

/* A target on the list. Its slot's `draining` keeps the number from being used for another one. */
struct leaving {
	struct list link;
	uint32_t slot;
	uint64_t end_ms;
};

static void
leaving_free(struct worker *w, struct leaving *l)
{
	list_del(&l->link);
	__atomic_store_n(&worker_slot(w, l->slot)->draining, 0, __ATOMIC_RELEASE);
	free(l);
}

/* This is rare, and looks at every request there is: nothing has to be kept for it while they run. */
static void
cut(struct worker *w, uint32_t slot)
{
	list_each_safe(it, &w->clients)
	{
		struct exchange *ex = container_of(it, struct client, link)->ex;

		if (ex == NULL || ex->target != slot)
			continue;
		worker_count(w, COUNTER_DRAIN_CUT);
		exchange_fail(ex, 503);
	}
	pass_cut(w, slot);
}

static void
on_timer(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, drain_timer);

	list_each_safe(it, &w->drains)
	{
		struct leaving *l = container_of(it, struct leaving, link);

		if (w->net.now_ms >= l->end_ms)
			cut(w, l->slot);
		else if (worker_slot(w, l->slot)->inflight > 0)
			continue;
		leaving_free(w, l);
	}
	if (!list_empty(&w->drains))
		timer_set(&w->net.wheel, t, w->net.now_ms + TICK_MS);
}

void
drain_init(struct worker *w)
{
	timer_init(&w->drain_timer, on_timer);
}

void
drain_fini(struct worker *w)
{
	while (!list_empty(&w->drains))
		leaving_free(w, container_of(w->drains.next, struct leaving, link));
}

static void
forget(struct worker *w, uint32_t slot)
{
	list_each_safe(it, &w->drains)
	{
		struct leaving *l = container_of(it, struct leaving, link);

		if (l->slot == slot)
			leaving_free(w, l);
	}
}

void
drain_adopt(struct worker *w, const struct drain_order *orders, uint32_t n)
{
	bool ticking = !list_empty(&w->drains);

	for (uint32_t i = 0; i < n; i++) {
		struct slot *s = worker_slot(w, orders[i].slot);
		struct leaving *l;

		if (orders[i].over) {
			forget(w, orders[i].slot);
		} else if (s->inflight > 0 && !s->draining) {
			l = xcalloc(1, sizeof(*l));
			l->slot = orders[i].slot;
			l->end_ms = w->net.now_ms + orders[i].ms;
			list_append(&w->drains, &l->link);
			__atomic_store_n(&s->draining, 1, __ATOMIC_RELEASE);
		}
	}
	/* It is not moved: changes may come faster than it ticks. */
	if (!ticking && !list_empty(&w->drains))
		timer_set(&w->net.wheel, &w->drain_timer, w->net.now_ms + TICK_MS);
}
