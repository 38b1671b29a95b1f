/* compile.h - the model as parts of a table. */
#ifndef COMPILE_H
#define COMPILE_H

#include "check.h"

/* Gives back what only the last try's table would have used; `now` is the served table. */
void compile_forget(struct edit *e, const struct table *now);

/* A counter slot that only the table at hand uses, until it is published. */
uint32_t compile_slot(struct edit *e);
struct caller_key caller_build(struct arena *arena, const struct caller_key *c);
/* A group that is wrong is there, but empty: who forwards to it need not be made anew when it is put right.
 * old: as it is served, or NULL. */
struct group *group_build(struct check *c, const struct entry *e, const struct group *old, bool used);

#endif
