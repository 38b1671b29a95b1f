/* spaces.h - which namespace a VPC's netns names, from moment to moment.
 *
 * A namespace has one number for as long as it is wanted, whatever it is called; one that was removed and
 * made again under its old name is another.
 */
#ifndef SPACES_H
#define SPACES_H

#include "model.h"

struct spaces;

/* Told of a name that stands for another namespace than before, or for none, or for one again. */
typedef void spaces_fn(void *ctx, const char *name);

struct spaces *spaces_new(void);
/* Takes the routes away and lets the namespaces go. */
void spaces_free(struct spaces *s);
/* For the model, as long as s lives. */
struct netns_source *spaces_source(struct spaces *s);

/* The two descriptors to poll: [0] for POLLIN, [1] for POLLPRI. */
void spaces_watch(const struct spaces *s, int fds[static 2]);
/* Something may have come or gone: looks at every name. failed: gives those of spaces_fail another try, too.
 */
void spaces_refresh(struct spaces *s, bool failed, spaces_fn *moved, void *ctx);
/* Nothing can be served in there now: it counts as not there until the next try. */
void spaces_fail(struct spaces *s, uint32_t number, const char *why, spaces_fn *moved, void *ctx);
/* Is there a name that only looking again can find: one that waits, or a path? */
bool spaces_waits(const struct spaces *s);
/* VPCs may have changed: a sweep is due. */
void spaces_touch(struct spaces *s);
/* Nothing has been looked up or touched since the last sweep, and that left nothing to be let go. */
bool spaces_swept(const struct spaces *s);
/* Forgets names that no VPC has, and lets namespaces go that neither a name stands for nor the table uses.
 * alone: no other table than this is alive. */
void spaces_sweep(struct spaces *s, const struct model *m, const struct table *served, bool alone);

#endif
