/* view.h - what a worker knows of a group: its usable targets. Private to engine/route/.
 *
 * It stands in the group's slot and is made anew when the group, or what is known of its targets, has
 * changed.
 */
#ifndef VIEW_H
#define VIEW_H

#include "route.h"
#include "turns.h"

enum fitness {
	FIT_NONE,    /* nobody to send to */
	FIT_BY_NEED, /* only targets that are unhealthy or ejected: all of those */
	FIT,	     /* some are up, or new: what was written is in force when the write returns */
};

struct view_row {
	uint32_t target; /* index in the group */
	uint32_t upto;	 /* sum of the weights of the rows before it */
};

#define VIEW_MAGIC 0x71e3900du
struct view {
	unsigned magic;
	uint32_t epoch;
	uint64_t serial;
	enum fitness fitness;
	uint32_t n;	     /* of rows: the targets that requests go to */
	uint32_t sum;	     /* of their weights */
	struct turns *turns; /* of rows; NULL: all weigh the same */
	struct view_row *rows;
	uint64_t *bits; /* target i is in a row */
};

static inline bool
view_has(const struct view *v, uint32_t target)
{
	return v->bits[target / 64] >> target % 64 & 1;
}

/* NULL: no memory. */
struct view *view_make(struct balance *b, const struct group *g);

static inline struct view *
view_get(struct balance *b, const struct group *g)
{
	struct slot *s = slot_at(b->slots, g->slot);
	struct view *v = s->view;

	assert(v == NULL || v->magic == VIEW_MAGIC);
	if (unlikely(v == NULL || v->serial != g->serial || v->epoch != s->epoch))
		return view_make(b, g);
	return v;
}

#endif
