/* breaker.c - the limit of requests in flight to a target. */
#include "breaker.h"

const struct target *
breaker_pick(struct worker *w, const struct group *g, const struct target *t, uint32_t max)
{
	uint32_t at = (uint32_t)(t - g->targets);

	if (likely(max == 0) || worker_slot(w, t->slot)->inflight < max)
		return t;
	for (uint32_t n = 1; n < g->ntargets; n++) {
		const struct target *other = &g->targets[(at + n) % g->ntargets];
		const struct slot *s = worker_slot(w, other->slot);

		if (other->admin == ADMIN_UP && s->down == 0 && s->inflight < max)
			return other;
	}
	return NULL;
}
