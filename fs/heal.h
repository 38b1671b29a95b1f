/* heal.h - what changes without being written: namespaces that come and go while their VPCs stay,
 * certificates of the local CA that grow old. */
#ifndef HEAL_H
#define HEAL_H

#include "txn.h"

/* Looks which namespaces came or went, and serves accordingly. failed: tries those again that could not be
 * served. */
void heal_look(struct tree *t, bool failed);
/* Serves what heal_look found and a hold, say, kept from being served; lets go what nothing uses;
 * renews certificates. */
void heal_run(struct tree *t);
/* Milliseconds until heal_run has something to do. */
int heal_timeout(const struct tree *t);
/* No socket can be had in the namespace: leaves its VPCs out until the next try. */
void heal_exclude(struct tree *t, uint32_t netns, const char *why);

#endif
