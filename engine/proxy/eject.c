/* eject.c - passive checks: a target that fails requests is left out for a time that grows.
 *
 * As Envoy's outlier detection with its origins split: failed connections and 5xx are counted apart, each in
 * a row, and each worker counts what it sees itself. A group's ejections are decided by one worker, so that
 * the limit holds. Each ejection is longer than the one before, and each stretch without one takes that back.
 */
#include "health.h"

#include "event.h"

/* A target that was ejected not long ago. */
struct ejection {
	struct list link;
	struct timer timer; /* the end of it, or of a stretch without one */
	struct worker *w;
	uint32_t group, slot;
	uint32_t times; /* ejections in a row */
	bool out;	/* it is left out now */
};

static struct ejection *
find(const struct worker *w, uint32_t slot)
{
	list_each(it, &w->health.ejections)
	{
		struct ejection *e = container_of(it, struct ejection, link);

		if (e->slot == slot)
			return e;
	}
	return NULL;
}

static const struct target *
target_of(const struct group *g, uint32_t slot)
{
	for (uint32_t i = 0; g != NULL && i < g->ntargets; i++)
		if (g->targets[i].slot == slot)
			return &g->targets[i];
	return NULL;
}

static void
ejection_free(struct ejection *e)
{
	timer_stop(&e->w->net.wheel, &e->timer);
	list_del(&e->link);
	free(e);
}

/* Sets or takes back what all workers know. */
static void
set_out(struct ejection *e, const struct group *g, const struct target *t, bool out)
{
	struct words x = health_words(worker_slot(e->w, t->slot));
	struct notice n = {.kind = out ? NOTICE_EJECTED : NOTICE_BACK, .group = g->index, .slot = t->slot};

	e->out = out;
	x.down = (uint8_t)(out ? x.down | DOWN_EJECTED : x.down & ~(unsigned)DOWN_EJECTED);
	health_set(e->w, g, t, x, true);
	notice_spread(e->w, &n);
}

static void
on_timer(struct timer *timer)
{
	struct ejection *e = container_of(timer, struct ejection, timer);
	const struct group *g = table_group(e->w->current->table, e->group);

	if (e->out)
		set_out(e, g, target_of(g, e->slot), false);
	else if (--e->times == 0) {
		ejection_free(e);
		return;
	}
	timer_set(&e->w->net.wheel, timer, e->w->net.now_ms + g->passive.ejection_ms);
}

/* May one more of the group be left out? */
static bool
has_room(struct worker *w, const struct group *g)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->ntargets; i++)
		n += (worker_slot(w, g->targets[i].slot)->down & DOWN_EJECTED) != 0;
	return n == 0 || (uint64_t)(n + 1) * 100 <= (uint64_t)g->ntargets * g->passive.ejected_percent;
}

void
eject_failing(struct worker *w, uint32_t group, uint32_t slot)
{
	const struct group *g = table_group(w->current->table, group);
	const struct target *t = target_of(g, slot);
	struct ejection *e = find(w, slot);
	uint64_t ms;

	if (t == NULL || !g->passive.enabled || (e != NULL && e->out) || !has_room(w, g))
		return;
	if (e == NULL) {
		e = calloc(1, sizeof(*e));
		assert(e != NULL);
		*e = (struct ejection){.w = w, .slot = slot, .group = group};
		timer_init(&e->timer, on_timer);
		list_append(&w->health.ejections, &e->link);
	}
	/* Past the longest it does not count on, so that it is taken back in bounded time. */
	if ((uint64_t)g->passive.ejection_ms * e->times < g->passive.ejection_max_ms)
		e->times++;
	e->times = MAX(e->times, 1);
	ms = MIN((uint64_t)g->passive.ejection_ms * e->times, g->passive.ejection_max_ms);
	worker_count(w, COUNTER_EJECTIONS);
	timer_stop(&w->net.wheel, &e->timer);
	timer_set(&w->net.wheel, &e->timer, w->net.now_ms + ms);
	set_out(e, g, t, true);
}

void
eject_count(struct worker *w, uint32_t group, uint32_t slot, enum outcome outcome)
{
	const struct group *g = table_group(w->current->table, group);
	struct slot *s = worker_slot(w, slot);
	struct notice n = {.kind = NOTICE_FAILING, .group = group, .slot = slot};
	struct worker *judge;

	if (g == NULL || !g->passive.enabled || s->down & DOWN_EJECTED)
		return;
	/* An answer, whatever it is, came by a connection. */
	if (outcome == OUTCOME_ERROR) {
		s->failures = 0;
		s->errors += s->errors < UINT16_MAX;
	} else {
		s->failures += s->failures < UINT16_MAX;
	}
	if ((g->passive.failures == 0 || s->failures < g->passive.failures) &&
	    (g->passive.errors == 0 || s->errors < g->passive.errors))
		return;
	s->failures = s->errors = 0;
	judge = engine_worker(w->engine, g->slot % engine_nworkers(w->engine));
	if (judge == w)
		eject_failing(w, group, slot);
	else
		notice_send(w, judge, &n);
}

void
eject_adopt(struct worker *w, uint32_t group)
{
	const struct group *g = table_group(w->current->table, group);

	list_each_safe(it, &w->health.ejections)
	{
		struct ejection *e = container_of(it, struct ejection, link);

		if (e->group == group && (target_of(g, e->slot) == NULL || !g->passive.enabled))
			ejection_free(e);
	}
}

void
eject_fini(struct worker *w)
{
	while (!list_empty(&w->health.ejections))
		ejection_free(container_of(w->health.ejections.next, struct ejection, link));
}
