/* quotas.h - how many of something there may be, as the daemon's configuration says. */
#ifndef QUOTAS_H
#define QUOTAS_H

#include "check.h"

/* Adds to what was found of the entry what is one too many: what came last. What was there at the last
 * publish may stay. */
void quotas_check(const struct model *m, struct entry *e);

#endif
