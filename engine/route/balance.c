/* balance.c - which group, by exact shares, and which of its targets. */
#include "ring.h"
#include "route.h"
#include "turns.h"
#include "view.h"
#include <math.h>

void
action_spread(struct action *a, struct arena *arena)
{
	uint32_t weights[FORWARD_GROUPS_MAX], sum = 0;
	struct turns *turns;

	assert(a->nforwards <= FORWARD_GROUPS_MAX);
	a->nturns = 0;
	a->turns = NULL;
	for (uint32_t i = 0; i < a->nforwards; i++)
		sum += weights[i] = a->forwards[i].weight;
	if (sum == 0)
		return;
	turns = xcalloc(1, turns_size(a->nforwards));
	turns_init(turns, weights, a->nforwards);
	a->nturns = turns->sum;
	a->turns = arena_alloc(arena, a->nturns);
	for (uint32_t t = 0; t < a->nturns; t++)
		a->turns[t] = (uint8_t)turns_next(turns);
	free(turns);
}

void
balance_forget(struct slot *s)
{
	free(s->view);
	s->view = NULL;
}

/* ------------------------------------------------------------------ groups */

/* An action's turns while some of its groups are passed over. It stands in the rule's slot. */
#define SPLIT_MAGIC 0x5b117000u
struct split {
	unsigned magic;
	uint32_t edition;
	uint32_t usable;
	struct turns *turns;
};

/* Bit i: forwards[i] has a share and somebody to send to. By need only when nobody is fit in any of them. */
static uint32_t
usable_forwards(struct balance *b, const struct table *t, const struct action *a)
{
	uint32_t usable[FIT + 1] = {0};

	for (uint32_t i = 0; i < a->nforwards; i++) {
		const struct group *g =
		    a->forwards[i].weight > 0 ? table_group(t, a->forwards[i].group) : NULL;
		const struct view *v = g != NULL ? view_get(b, g) : NULL;

		if (v != NULL)
			usable[v->fitness] |= 1u << i;
	}
	return usable[FIT] != 0 ? usable[FIT] : usable[FIT_BY_NEED];
}

static uint32_t
weighty_forwards(const struct action *a)
{
	uint32_t weighty = 0;

	for (uint32_t i = 0; i < a->nforwards; i++)
		weighty |= (uint32_t)(a->forwards[i].weight > 0) << i;
	return weighty;
}

static struct split *
split_get(struct slot *s, const struct action *a, uint32_t usable)
{
	uint32_t weights[FORWARD_GROUPS_MAX] = {0};
	struct split *split = s->view;

	assert(split == NULL || split->magic == SPLIT_MAGIC);
	if (split != NULL && split->edition == a->edition && split->usable == usable)
		return split;
	balance_forget(s);
	split = malloc(sizeof(*split) + turns_size(a->nforwards));
	if (split == NULL)
		return NULL;
	*split = (struct split){SPLIT_MAGIC, a->edition, usable, (struct turns *)(split + 1)};
	for (uint32_t i = 0; i < a->nforwards; i++)
		weights[i] = usable >> i & 1 ? a->forwards[i].weight : 0;
	turns_init(split->turns, weights, a->nforwards);
	s->view = split;
	return split;
}

/* By the whole cycle. */
static const struct forward *
next_forward(const struct action *a, struct slot *s)
{
	const struct forward *f;

	if (s->edition != a->edition || s->turn >= a->nturns) {
		s->edition = a->edition;
		s->turn = 0;
	}
	f = &a->forwards[a->turns[s->turn]];
	s->turn = s->turn + 1 < a->nturns ? s->turn + 1 : 0;
	return f;
}

/*
 * Weighted rendezvous: every group draws a time to come, exponentially distributed by its weight, from the
 * key and its own name; the first has the caller. A weight that grows moves callers to its group and from no
 * group whose weight grew as much; a group that is passed over moves its own callers only.
 */
static const struct forward *
sticky_forward(const struct action *a, uint32_t among, uint64_t key)
{
	const struct forward *best = NULL;
	double soonest = 0;

	for (uint32_t i = 0; i < a->nforwards; i++) {
		const struct forward *f = &a->forwards[i];
		double draw, time;

		if (!(among >> i & 1))
			continue;
		draw = ((double)(str_hash(f->name, key) >> 11) + 0.5) * 0x1p-53;
		time = -log(draw) / f->weight;
		if (best == NULL || time < soonest) {
			best = f;
			soonest = time;
		}
	}
	return best;
}

const struct forward *
balance_forward(
    struct balance *b, const struct table *t, const struct action *a, struct slot *s, const struct caller *c)
{
	uint32_t usable, weighty = weighty_forwards(a);
	const struct forward *f;
	struct split *split;
	uint64_t key;

	assert(a->kind == ACTION_FORWARD);
	if (a->nturns == 0)
		return NULL;
	usable = usable_forwards(b, t, a);
	if (usable == 0)
		return NULL;
	key = caller_hash(&a->sticky, c);
	if (key != 0)
		f = sticky_forward(a, a->on_empty_fail ? weighty : usable, key);
	else if (likely(usable == weighty || a->on_empty_fail))
		f = next_forward(a, s);
	else if ((split = split_get(s, a, usable)) != NULL)
		f = &a->forwards[turns_next(split->turns)];
	else
		return NULL;
	return usable >> (f - a->forwards) & 1 ? f : NULL;
}

/* ------------------------------------------------------------------ targets */

/* xorshift64*: any draw will do */
static uint32_t
draw_random(struct balance *b)
{
	b->random ^= b->random >> 12;
	b->random ^= b->random << 25;
	b->random ^= b->random >> 27;
	return (uint32_t)(b->random * 0x2545f4914f6cdd1dull >> 32);
}

/* Does a target that is new take this turn? `draw` is even over 32 bits. */
static bool
is_old_enough(struct balance *b, const struct group *g, uint32_t target, uint32_t draw)
{
	struct slot *s = slot_at(b->slots, g->targets[target].slot);
	uint32_t age_ms = ((uint32_t)*b->now_ms | 1) - s->born_ms;

	if (s->born_ms == 0)
		return true;
	if (age_ms >= g->slow_start_ms) {
		s->born_ms = 0;
		return true;
	}
	return (draw >> 24) <
	       SLOW_START_LEAST + (256 - SLOW_START_LEAST) * (uint64_t)age_ms / g->slow_start_ms;
}

/* The row after the one that is to be avoided, when there is another. */
static uint32_t
not_avoided(const struct group *g, const struct view *v, uint32_t row, uint32_t avoid)
{
	if (g->targets[v->rows[row].target].slot != avoid)
		return row;
	return row + 1 < v->n ? row + 1 : 0;
}

static uint32_t
next_row(struct view *v, struct slot *s)
{
	uint32_t row = s->turn < v->n ? s->turn : 0;

	if (v->turns != NULL)
		return turns_next(v->turns);
	s->turn = row + 1;
	return row;
}

static uint32_t
round_robin(struct balance *b, const struct group *g, struct view *v, uint32_t avoid)
{
	struct slot *s = slot_at(b->slots, g->slot);
	uint32_t row = next_row(v, s);

	for (unsigned i = 0; g->slow_start_ms > 0 && i < SLOW_START_TRIES; i++) {
		if (is_old_enough(b, g, v->rows[row].target, draw_random(b)))
			break;
		row = next_row(v, s);
	}
	return not_avoided(g, v, row, avoid);
}

/* By weight, at random; not the row `but`, which is v->n when there is none. */
static uint32_t
draw_row(struct balance *b, const struct view *v, uint32_t but)
{
	uint32_t end = but + 1 < v->n ? v->rows[but + 1].upto : v->sum;
	uint32_t left_out = but < v->n ? end - v->rows[but].upto : 0;
	uint32_t at = (uint32_t)((uint64_t)draw_random(b) * (v->sum - left_out) >> 32);
	uint32_t low = 0, high = v->n;

	if (left_out > 0 && at >= v->rows[but].upto)
		at += left_out;
	if (v->turns == NULL)
		return at / (v->sum / v->n);
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (v->rows[middle].upto <= at)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static uint32_t
draw_old_row(struct balance *b, const struct group *g, const struct view *v, uint32_t but)
{
	uint32_t row = draw_row(b, v, but);

	for (unsigned i = 0; g->slow_start_ms > 0 && i < SLOW_START_TRIES; i++) {
		if (is_old_enough(b, g, v->rows[row].target, draw_random(b)))
			break;
		row = draw_row(b, v, but);
	}
	return row;
}

/* The less busy for its weight of two that are drawn; the first when they are alike. */
static uint32_t
least_requests(struct balance *b, const struct group *g, const struct view *v, uint32_t avoid)
{
	uint32_t first = draw_old_row(b, g, v, v->n);
	uint32_t second = v->n > 1 ? draw_old_row(b, g, v, first) : first;
	const struct target *x = &g->targets[v->rows[first].target];
	const struct target *y = &g->targets[v->rows[second].target];
	uint64_t x_busy = (uint64_t)slot_at(b->slots, x->slot)->inflight * target_weight(y);
	uint64_t y_busy = (uint64_t)slot_at(b->slots, y->slot)->inflight * target_weight(x);

	if (x->slot == avoid)
		return second;
	return x_busy <= y_busy || y->slot == avoid ? first : second;
}

/* The first usable one from the key's cell on, by steps of its own: the callers of one that is down then go
 * to all others alike. NULL: none of them has a cell. */
static const struct target *
hashed(struct balance *b, const struct group *g, const struct view *v, uint64_t key, uint32_t avoid)
{
	uint32_t at = (uint32_t)(key % RING_CELLS), tries = 0;
	uint32_t step = 1 + (uint32_t)((key >> 20) % (RING_CELLS - 1));

	for (uint32_t i = 0; i < RING_CELLS; i++) {
		uint32_t target = g->ring->cells[at];

		at = at + step < RING_CELLS ? at + step : at + step - RING_CELLS;
		if (!view_has(v, target) || (g->targets[target].slot == avoid && v->n > 1))
			continue;
		/* The same callers come over first, and stay. */
		if (g->slow_start_ms == 0 || tries == SLOW_START_TRIES ||
		    is_old_enough(b, g, target, (uint32_t)(key >> 32)))
			return &g->targets[target];
		tries++;
	}
	return NULL;
}

bool
balance_uses(struct balance *b, const struct group *g, uint32_t target)
{
	const struct view *v = view_get(b, g);

	return v != NULL && view_has(v, target);
}

const struct target *
balance_target(struct balance *b, const struct group *g, uint64_t key, uint32_t avoid)
{
	struct view *v = view_get(b, g);
	const struct target *t = NULL;
	uint32_t row;

	CHECK(g, GROUP_MAGIC);
	if (v == NULL || v->n == 0)
		return NULL;
	if (key != 0 && g->ring != NULL)
		t = hashed(b, g, v, key, avoid);
	if (t != NULL)
		return t;
	if (g->algorithm == ALGORITHM_LEAST_REQUESTS)
		row = least_requests(b, g, v, avoid);
	else
		row = round_robin(b, g, v, avoid);
	return &g->targets[v->rows[row].target];
}
