/* groups.h - target groups: what goes together in one, and which addresses its targets have. */
#ifndef GROUPS_H
#define GROUPS_H

#include "check.h"

void groups_check(const struct model *m, struct entry *e);

/* A target of the table: an INSTANCE target gives one for each address of the machine. */
struct target_row {
	struct node *node;
	struct addr addr; /* as in struct target */
};
/* Those of the group's targets that are not wrong, in the order of their names; n of them, the caller's to
 * free. */
struct target_row *groups_targets(const struct node *g, uint32_t *n);

/* consistent-hash waits for what it goes by. */
bool groups_lack_key(const struct node *g);

#endif
