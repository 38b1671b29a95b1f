/* settle.h - removals that wait for their file to come back.
 *
 * vim, install, tar and git remove a file and make it again. So the removal of a schema file is in the store
 * at once, but takes effect after SETTLE_MS, and not at all when the file is back by then. Until then, and as
 * long as the same object is being taken apart, what was removed can be put back: when the file that should
 * take its place is refused, or its object turns out to be in use.
 */
#ifndef SETTLE_H
#define SETTLE_H

#include "txn.h"

/* What was at path has gone from the store. text (taken): of a file that still takes effect; NULL: it is a
 * directory, and gone for the model too. */
void settle_add(struct tree *t, const char *path, const struct stat *st, char *text, size_t len);
/* Takes effect what is due (all: everything). False: there was nothing to do. */
bool settle_run(struct tree *t, bool all);
/* Milliseconds until there is something to do, -1: never. */
int settle_timeout(const struct tree *t);
/* The file at path is back. */
void settle_drop(struct tree *t, const char *path);
/* The object at path is gone for the model, with all below. */
void settle_fold(struct tree *t, const char *path);
/* Does a removal wait, of another file than `but`? */
bool settle_waits(const struct tree *t, const char *but);
/* Puts the file at path back, if it was removed just now. */
bool settle_restore(struct tree *t, const char *path);
/* The same for all that was removed below path. */
void settle_restore_below(struct tree *t, const char *path);
void settle_fini(struct tree *t);

#endif
