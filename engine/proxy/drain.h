/* drain.h - targets that get no new request: those in flight have a time to end, and are cut off then.
 *
 * The control thread sees in two tables which targets left or came back, and tells the workers when they
 * adopt the second. It remembers them until nothing is in flight.
 */
#ifndef DRAIN_H
#define DRAIN_H

#include "worker.h"

/* What a worker is to do with a target. */
struct drain_order {
	uint32_t slot;
	uint32_t ms; /* for what is in flight */
	bool over;   /* it is up again */
};

/* ---- control thread */

struct drain {
	struct list link;
	uint32_t slot, group; /* the group's slot */
	bool removed;	      /* else its admin is not up */
	uint64_t end_ms;
	char *name;
};

struct drains {
	struct list targets;
	struct drain_order *orders; /* of the last plan */
	uint32_t norders, size;
};

/* What changes for targets from one table to the next. */
void drains_plan(struct drains *d, const struct table *old, const struct table *next);
const struct drain *drains_find(const struct drains *d, uint32_t slot); /* NULL: it drains not */
void drains_forget(struct drains *d, uint32_t slot);			/* the number is free */
void drains_fini(struct drains *d);

/* ---- worker */

void drain_init(struct worker *w);
void drain_fini(struct worker *w);
void drain_adopt(struct worker *w, const struct drain_order *orders, uint32_t n);

#endif
