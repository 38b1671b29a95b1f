/* heal.h - namespaces that come and go while their VPCs stay. */
#ifndef HEAL_H
#define HEAL_H

#include "txn.h"

/* Looks which namespaces came or went, and serves accordingly. failed: tries those again that could not be
 * served. */
void heal_look(struct tree *t, bool failed);
/* Serves what heal_look found and a hold, say, kept from being served; lets go what nothing uses. */
void heal_run(struct tree *t);
/* Milliseconds until heal_run has something to do; -1: nothing. */
int heal_timeout(const struct tree *t);
/* No socket can be had in the namespace: leaves its VPCs out until the next try. */
void heal_exclude(struct tree *t, uint32_t netns, const char *why);

#endif
