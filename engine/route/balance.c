/* balance.c - which group, by exact shares, and which of its targets. */
#include "route.h"

static uint32_t
gcd(uint32_t a, uint32_t b)
{
	while (b != 0) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/*
 * Who has the next turn, the t-th of `sum`, when given[i] of the turns before went to i. Tijdeman's chairman
 * assignment: among the n whose claim has grown to 1 / (2n - 2) of a turn, the one whose claim would
 * first exceed what the bound allows. Then no count is ever a whole turn off its share.
 */
static uint32_t
chairman(const uint32_t *weights, const uint32_t *given, uint32_t nall, int64_t n, int64_t t, int64_t sum)
{
	int64_t scale = n > 1 ? 2 * n - 2 : 1, best_slack = 0, best_weight = 0;
	uint32_t best = 0;

	for (uint32_t i = 0; i < nall; i++) {
		int64_t weight = weights[i];
		int64_t claim = scale * (t * weight - (int64_t)given[i] * sum);
		int64_t slack = (scale - 1) * sum - claim;

		if (weight == 0 || (n > 1 && claim < sum))
			continue;
		if (best_weight == 0 || slack * best_weight < best_slack * weight) {
			best = i;
			best_slack = slack;
			best_weight = weight;
		}
	}
	assert(best_weight > 0);
	return best;
}

void
action_spread(struct action *a, struct arena *arena)
{
	uint32_t weights[FORWARD_GROUPS_MAX] = {0}, given[FORWARD_GROUPS_MAX] = {0};
	uint32_t unit = 0, sum = 0, n = 0;

	assert(a->nforwards <= FORWARD_GROUPS_MAX);
	a->nturns = 0;
	a->turns = NULL;
	for (uint32_t i = 0; i < a->nforwards; i++)
		unit = gcd(unit, a->forwards[i].weight);
	if (unit == 0)
		return;
	for (uint32_t i = 0; i < a->nforwards; i++) {
		weights[i] = a->forwards[i].weight / unit;
		sum += weights[i];
		n += weights[i] > 0;
	}
	a->nturns = sum;
	a->turns = arena_alloc(arena, sum);
	for (uint32_t t = 0; t < sum; t++) {
		uint32_t i = chairman(weights, given, a->nforwards, n, t + 1, sum);

		a->turns[t] = (uint8_t)i;
		given[i]++;
	}
}

static bool
has_targets(const struct table *t, const struct forward *f)
{
	const struct group *g = table_group(t, f->group);

	return g != NULL && g->ntargets > 0;
}

/* Bit i: forwards[i] has somewhere to go. */
static uint32_t
forwards_alive(const struct table *t, const struct action *a)
{
	uint32_t alive = 0;

	for (uint32_t i = 0; i < a->nforwards; i++)
		alive |= (uint32_t)has_targets(t, &a->forwards[i]) << i;
	return alive;
}

const struct forward *
balance_forward(const struct table *t, const struct action *a, struct slot *s)
{
	const struct forward *f;
	uint32_t alive, at;

	assert(a->kind == ACTION_FORWARD);
	if (a->nturns == 0)
		return NULL;
	if (s->edition != a->edition || s->turn >= a->nturns) {
		s->edition = a->edition;
		s->turn = 0;
	}
	at = s->turn;
	f = &a->forwards[a->turns[at]];
	if (unlikely(!has_targets(t, f))) {
		alive = forwards_alive(t, a);
		for (uint32_t n = 0; n < a->nturns && !(alive >> a->turns[at] & 1); n++)
			at = at + 1 < a->nturns ? at + 1 : 0;
		f = &a->forwards[a->turns[at]];
		if (!(alive >> a->turns[at] & 1))
			return NULL;
	}
	s->turn = at + 1 < a->nturns ? at + 1 : 0;
	return f;
}

const struct target *
balance_target(const struct group *g, struct slot *s, uint32_t avoid)
{
	uint32_t at;

	CHECK(g, GROUP_MAGIC);
	if (g->ntargets == 0)
		return NULL;
	at = s->turn < g->ntargets ? s->turn : 0;
	if (avoid != SLOT_NONE && g->targets[at].slot == avoid)
		at = at + 1 < g->ntargets ? at + 1 : 0;
	s->turn = at + 1;
	return &g->targets[at];
}
