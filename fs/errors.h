/* errors.h - the refusals that were answered lately, for .errors and the attribute user.lattice.error. */
#ifndef ERRORS_H
#define ERRORS_H

#include "diag.h"
#include <sys/types.h>

#define ERRORS_RING 1024u /* of the whole tree; a directory shows the last ERRORS_KEPT of its subtree */

struct refusal {
	uint64_t unix_ms;
	uid_t uid;
	char *path;
	char *text; /* as diag_print gives it */
};

struct errors {
	struct refusal ring[ERRORS_RING];
	uint64_t n; /* ever added */
};

void errors_add(struct errors *e, uid_t uid, const struct diag *d);
/* The last ERRORS_KEPT of the subtree at dir ("" the root) that uid may see, oldest first. */
void errors_print(const struct errors *e, const char *dir, uid_t uid, struct text *out);
/* The text of the last refusal of one file, or NULL: uid has none. Valid until the next add. */
const char *errors_last(const struct errors *e, const char *path, uid_t uid);
uint64_t errors_time(const struct errors *e); /* of the last one, 0: none */
void errors_fini(struct errors *e);

#endif
