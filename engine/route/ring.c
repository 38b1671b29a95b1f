/* ring.c - which target a key belongs to: Maglev (Eisenbud et al., NSDI 2016), by weight.
 *
 * Every target has an order of the cells of its own, from a hash of its name and address alone, and takes in
 * its turns the first that is free. All targets are in it, usable or not: whose target is not goes on to
 * another cell (balance.c), and nobody else moves.
 */
#include "ring.h"

#include "turns.h"

struct seat {
	uint64_t hash;
	uint32_t target; /* index in the group */
	uint32_t at, step;
};

static uint64_t
target_hash(const struct target *t)
{
	char text[ADDR_TEXT_MAX];

	addr_print(&t->addr, text);
	return str_hash(t->name, str_hash(str_of(text), 0));
}

static int
seat_compare(const void *a, const void *b)
{
	const struct seat *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->target < y->target ? -1 : x->target > y->target;
}

/* Who comes first must not hang on the others: by hash. */
static struct seat *
seats_new(const struct group *g)
{
	struct seat *seats = xcalloc(g->ntargets, sizeof(*seats));

	for (uint32_t i = 0; i < g->ntargets; i++) {
		uint64_t hash = target_hash(&g->targets[i]);

		seats[i] = (struct seat){.hash = hash,
		    .target = i,
		    .at = (uint32_t)(hash % RING_CELLS),
		    .step = 1 + (uint32_t)((hash >> 32) % (RING_CELLS - 1))};
	}
	qsort(seats, g->ntargets, sizeof(*seats), seat_compare);
	return seats;
}

void
group_ring_build(struct group *g)
{
	struct hash_ring *ring;
	struct turns *turns;
	struct seat *seats;
	uint32_t *weights;
	bool *taken;

	g->ring = NULL;
	if (g->algorithm != ALGORITHM_CONSISTENT_HASH || g->ntargets == 0 || g->ntargets > RING_CELLS - 1)
		return;
	ring = arena_alloc(&g->arena, sizeof(*ring));
	seats = seats_new(g);
	taken = xcalloc(RING_CELLS, sizeof(*taken));
	weights = xcalloc(g->ntargets, sizeof(*weights));
	turns = xcalloc(1, turns_size(g->ntargets));
	for (uint32_t i = 0; i < g->ntargets; i++)
		weights[i] = target_weight(&g->targets[seats[i].target]);
	turns_init(turns, weights, g->ntargets);
	for (uint32_t i = 0; i < RING_CELLS; i++) {
		struct seat *s = &seats[turns_next(turns)];

		while (taken[s->at])
			s->at = (s->at + s->step) % RING_CELLS;
		taken[s->at] = true;
		ring->cells[s->at] = (uint16_t)s->target;
	}
	free(turns);
	free(weights);
	free(taken);
	free(seats);
	g->ring = ring;
}
