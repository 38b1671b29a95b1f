/* status.h - what .status of an object says: flat keyed lines (contract 6). */
#ifndef STATUS_H
#define STATUS_H

#include "engine.h"
#include "model.h"

/* Supplies what the model cannot know. */
struct status_context {
	const struct model *model;
	const struct engine *engine; /* NULL: counters are 0 */
	/* Calls each(name, is_dir) for the stored entries of a directory, so that ignored files can be named.
	 */
	int (*list)(
	    void *ctx, const char *path, void (*each)(void *, const char *name, bool is_dir), void *arg);
	void *ctx;
};

/* Renders the .status of the object directory at path (never the root). -ENOENT: not an object. */
int status_print(const struct status_context *c, const char *path, struct text *out);
/* `objects services N listeners N ...` lines for the root's .status. */
void status_print_objects(const struct status_context *c, struct text *out);

#endif
