/* breaker.h - no target gets more at a time than its rule allows. */
#ifndef BREAKER_H
#define BREAKER_H

#include "worker.h"

/* t, or when it has max in flight (0: no limit) another one of its group that has not. NULL: all are full. */
const struct target *breaker_pick(
    struct worker *w, const struct group *g, const struct target *t, uint32_t max);

#endif
