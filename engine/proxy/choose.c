/* choose.c - the target of a request: by the rule's split, the group's algorithm, and who is not full. */
#include "choose.h"

/* t, or when it has max in flight another one of its group that has not; NULL: all are full. */
static const struct target *
with_room(struct worker *w, const struct group *g, const struct target *t, uint32_t max)
{
	uint32_t at = (uint32_t)(t - g->targets);

	if (likely(max == 0) || worker_slot(w, t->slot)->inflight < max)
		return t;
	for (uint32_t n = 1; n < g->ntargets; n++) {
		uint32_t i = (at + n) % g->ntargets;

		if (balance_uses(&w->balance, g, i) && worker_slot(w, g->targets[i].slot)->inflight < max)
			return &g->targets[i];
	}
	return NULL;
}

bool
choose_target(struct worker *w, const struct table *t, const struct rule *rule, const struct caller *caller,
    struct choice *out)
{
	const struct action *a = &rule->action;
	const struct forward *f = NULL;
	const struct group *g = NULL;
	const struct target *target = NULL;
	uint64_t key = 0;

	if (a->kind == ACTION_FORWARD)
		f = balance_forward(&w->balance, t, a, worker_slot(w, rule->slot), caller);
	if (f != NULL)
		g = table_group(t, f->group);
	if (g != NULL) {
		key = caller_hash(&g->hash_key, caller);
		target = balance_target(&w->balance, g, key, SLOT_NONE);
	}
	if (target == NULL) {
		worker_count(w, COUNTER_NO_TARGET);
		return false;
	}
	target = with_room(w, g, target, a->resilience.max_requests);
	if (target == NULL) {
		worker_count(w, COUNTER_TARGETS_FULL);
		return false;
	}
	*out = (struct choice){f, g, target, key};
	return true;
}

const struct target *
choose_another(struct worker *w, const struct group *g, uint64_t key, uint32_t avoid, uint32_t max)
{
	const struct target *t = balance_target(&w->balance, g, key, avoid);

	if (t != NULL && t->slot != avoid)
		t = with_room(w, g, t, max);
	return t != NULL && (t->slot != avoid || target_is_named(t)) ? t : NULL;
}
