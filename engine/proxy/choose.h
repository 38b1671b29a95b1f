/* choose.h - the target of a request, or of a connection that is passed through. */
#ifndef CHOOSE_H
#define CHOOSE_H

#include "worker.h"

struct choice {
	const struct forward *forward;
	const struct group *group;
	const struct target *target;
	uint64_t key; /* the caller's, for choose_another */
};

/* By the rule, for this caller. False: it does not forward, no group has a usable target, or they all have
 * max_requests in flight; it is counted which. */
bool choose_target(struct worker *w, const struct table *t, const struct rule *rule,
    const struct caller *caller, struct choice *out);
/* Another one of g than `avoid`, and not one that has max in flight (0: no limit); or `avoid` itself when it
 * is known by name: it may be somewhere else, too. NULL: there is none. */
const struct target *choose_another(
    struct worker *w, const struct group *g, uint64_t key, uint32_t avoid, uint32_t max);

#endif
