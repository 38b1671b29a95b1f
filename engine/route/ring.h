/* ring.h - which target a key belongs to. Private to engine/route/. */
#ifndef RING_H
#define RING_H

#include "limits.h"
#include "table.h"

struct hash_ring {
	uint16_t cells[RING_CELLS]; /* indices of targets of the group */
};

#endif
