/* view.c - what a worker knows of a group: its usable targets. */
#include "view.h"

/* Is the target one of those that this fitness is about? */
static bool
is_meant(struct balance *b, const struct target *t, enum fitness fitness)
{
	unsigned down = slot_at(b->slots, t->slot)->down;

	if (t->admin != ADMIN_UP)
		return false;
	return fitness == FIT ? down == 0 : (down & DOWN_UNRESOLVED) == 0;
}

static uint32_t
count(struct balance *b, const struct group *g, enum fitness fitness)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->ntargets; i++)
		n += is_meant(b, &g->targets[i], fitness);
	return n;
}

/* Who was not usable before, in a group that was served then, begins slowly. */
static void
note_births(struct balance *b, const struct group *g, bool first)
{
	for (uint32_t i = 0; i < g->ntargets; i++) {
		struct slot *s = slot_at(b->slots, g->targets[i].slot);
		bool usable = is_meant(b, &g->targets[i], FIT);

		if (usable && !s->known)
			s->born_ms = first ? 0 : (uint32_t)*b->now_ms | 1;
		s->known = usable;
	}
}

static struct view *
view_new(uint32_t ntargets, uint32_t n)
{
	size_t nbits = (ntargets + 63) / 64, turns = turns_size(n);
	struct view *v = calloc(1, sizeof(*v) + turns + nbits * sizeof(*v->bits) + n * sizeof(*v->rows));

	if (v == NULL)
		return NULL;
	v->magic = VIEW_MAGIC;
	v->turns = (struct turns *)(v + 1);
	v->bits = (uint64_t *)((char *)v->turns + turns);
	v->rows = (struct view_row *)(v->bits + nbits);
	return v;
}

static void
fill(struct view *v, struct balance *b, const struct group *g, uint32_t *weights)
{
	bool even = true;

	for (uint32_t i = 0; i < g->ntargets; i++) {
		if (!is_meant(b, &g->targets[i], v->fitness))
			continue;
		weights[v->n] = target_weight(&g->targets[i]);
		even &= weights[v->n] == weights[0];
		v->rows[v->n++] = (struct view_row){i, v->sum};
		v->sum += weights[v->n - 1];
		v->bits[i / 64] |= 1ull << i % 64;
	}
	if (even)
		v->turns = NULL;
	else
		turns_init(v->turns, weights, v->n);
}

struct view *
view_make(struct balance *b, const struct group *g)
{
	struct slot *s = slot_at(b->slots, g->slot);
	enum fitness fitness = FIT;
	struct view *v;
	uint32_t *weights, n;

	CHECK(g, GROUP_MAGIC);
	note_births(b, g, s->view == NULL);
	n = count(b, g, fitness);
	if (n == 0)
		n = count(b, g, fitness = FIT_BY_NEED);
	if (n == 0)
		fitness = FIT_NONE;
	v = view_new(g->ntargets, n);
	weights = malloc((n + 1) * sizeof(*weights));
	if (v == NULL || weights == NULL) {
		free(v);
		free(weights);
		return NULL;
	}
	v->serial = g->serial;
	v->epoch = s->epoch;
	v->fitness = fitness;
	if (n > 0)
		fill(v, b, g, weights);
	free(weights);
	balance_forget(s);
	s->view = v;
	return v;
}
