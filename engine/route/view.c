/* view.c - what a worker knows of a group: its usable targets. */
#include "view.h"

/* The targets that requests go to: the first of these that there are any of. */
static const struct tier {
	enum fitness fitness;
	unsigned forgiven; /* enum down */
} tiers[] = {{FIT, 0}, {FIT, DOWN_NEW}, {FIT_BY_NEED, DOWN_NEW | DOWN_UNHEALTHY | DOWN_EJECTED}};

static bool
is_meant(struct balance *b, const struct target *t, const struct tier *tier)
{
	return t->admin == ADMIN_UP && (slot_at(b->slots, t->slot)->down & ~tier->forgiven) == 0;
}

static uint32_t
count(struct balance *b, const struct group *g, const struct tier *tier)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->ntargets; i++)
		n += is_meant(b, &g->targets[i], tier);
	return n;
}

/* Who was not usable before, in a group that was served then, begins slowly. */
static void
note_births(struct balance *b, const struct group *g, bool first)
{
	for (uint32_t i = 0; i < g->ntargets; i++) {
		struct slot *s = slot_at(b->slots, g->targets[i].slot);
		bool usable = is_meant(b, &g->targets[i], tiers);

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
fill(struct view *v, struct balance *b, const struct group *g, const struct tier *tier, uint32_t *weights)
{
	bool even = true;

	for (uint32_t i = 0; i < g->ntargets; i++) {
		if (!is_meant(b, &g->targets[i], tier))
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
	const struct tier *tier = tiers;
	struct view *v;
	uint32_t *weights, n;

	CHECK(g, GROUP_MAGIC);
	note_births(b, g, s->view == NULL);
	while ((n = count(b, g, tier)) == 0 && tier < tiers + COUNT(tiers) - 1)
		tier++;
	v = view_new(g->ntargets, n);
	weights = malloc((n + 1) * sizeof(*weights));
	if (v == NULL || weights == NULL) {
		free(v);
		free(weights);
		return NULL;
	}
	v->serial = g->serial;
	v->epoch = s->epoch;
	v->fitness = n > 0 ? tier->fitness : FIT_NONE;
	if (n > 0)
		fill(v, b, g, tier, weights);
	free(weights);
	balance_forget(s);
	s->view = v;
	return v;
}
