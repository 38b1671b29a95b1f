/* slots.h - small dense numbers for things that outlive a table: services, groups, counters.
 *
 * A number belongs to the identity of an object, not to a table, so that counters, balancing
 * positions and connection pools survive an edit. A number that is freed is handed out again
 * only after slots_recycle, which the engine calls when no worker can see the table that used it.
 */
#ifndef SLOTS_H
#define SLOTS_H

#include "base.h"

#define SLOT_NONE UINT32_MAX

struct slots {
	uint32_t next; /* one more than the largest ever given */
	uint32_t *spare;
	uint32_t nspare, size;
};

uint32_t slots_take(struct slots *s);
void slots_recycle(struct slots *s, uint32_t slot);
void slots_fini(struct slots *s);

#endif
