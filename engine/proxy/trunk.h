/* trunk.h - HTTP/2 connections to targets, shared by a worker's exchanges, each of which has a stream. */
#ifndef TRUNK_H
#define TRUNK_H

#include "upstream.h"

/* Makes u, which has its target, a stream to ex's target: connected already (u->reused), or later. -errno. */
int trunk_take(struct exchange *ex, struct upstream *u, const struct conn_events *events);
/* No exchange will use this target again: its trunks are closed when their streams have ended. */
void trunk_retire(struct worker *w, uint32_t slot);
void trunk_leave(
    struct worker *w, uint32_t slot); /* the same for those to addresses that its name no longer has */
/* Frees the descriptor of an idle one of any target; false when there is none. */
bool trunk_shed(struct worker *w);

#endif
