/* finder.h - addresses of targets that are known by name (ALB): one thread looks them up, the workers have
 * copies.
 *
 * A target whose address has no family is looked up by its host, as far as a colon: again when the TTL of
 * what was found is over (FINDER_TTL_MIN_S..MAX_S), sooner and sooner less after a failure. What a name once
 * had it keeps until it has other addresses. Each worker holds the addresses of such a target in its slot
 * and changes them when it is woken, so that a request finds them without a lock; while there is none, the
 * target is DOWN_UNRESOLVED.
 */
#ifndef FINDER_H
#define FINDER_H

#include "engine.h"

struct finder;
struct worker;
struct upstream;

/* ---- control thread */

int finder_start(struct finder **f, const struct engine_config *c, struct worker *workers, unsigned n);
/* Before the workers adopt next: what they know by name follows from it. */
void finder_offer(struct finder *f, const struct table *before, const struct table *next);
uint32_t finder_addresses(struct finder *f, uint32_t slot, struct addr *all, uint32_t max, uint32_t *ttl_s,
    const char **why);		    /* engine_addresses */
void finder_stop(struct finder *f); /* no worker is woken any more */
void finder_free(struct finder *f);

/* ---- workers */

/* Takes over what has changed. */
void finder_hear(struct worker *w);
/* Where the next request to t goes: t's address, or in turn one of those of its name, not *a when there is
 * another. False: it has none. */
bool finder_next(struct worker *w, const struct target *t, struct addr *a);
/* Has the target of this slot a name that no longer has the address? */
bool finder_left(struct worker *w, uint32_t slot, const struct addr *a);
void finder_drop(struct worker *w, uint32_t slot); /* no request goes to this target again */

#endif
