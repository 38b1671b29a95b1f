/* upstream.h - connections to targets: opened, kept idle per target, taken again. */
#ifndef UPSTREAM_H
#define UPSTREAM_H

#include "exchange.h"

struct upstream {
	struct conn conn;
	struct worker *w;
	struct exchange *ex;	      /* NULL: idle */
	struct upstream *prev, *next; /* idle list of its target */
	struct list idle;	      /* the worker's, longest idle first */
	uint32_t target;	      /* slot */
	struct addr addr;
	uint64_t host; /* exchange.host_hash: what TLS was told */
	bool reused;
};

/* Gives ex a connection to ex->addr: an idle one at once (request_connected runs before this returns), or a
 * new one. Failure ends in request_unreachable. */
void upstream_take(struct exchange *ex, bool fresh);
/* For trunk.c and pass.c: a socket towards a target, which idle connections make room for. -errno. */
int upstream_socket(struct worker *w, uint32_t vpc, int family);
/* What is in flight to a target, by so many more. Once a slot counts nothing the control thread may take it
 * away. */
void upstream_count(struct slot *s, int by);
/* For trunk.c: TLS on a connection to ex's target where the group has it, a being its address. -errno. */
int upstream_secure(struct exchange *ex, struct conn *c, const struct addr *a);
/* The exchange is over: keep the connection for the next one, or close it. ex->up is NULL after. */
void upstream_give(struct exchange *ex, bool keep);
/* No exchange will use this target again: close its idle connections, keep none from now on. */
void upstream_retire(struct worker *w, uint32_t slot);
/* Closes the idle connections to addresses that its name no longer has. */
void upstream_leave(struct worker *w, uint32_t slot);
/* Frees the descriptor of one idle connection of any target, HTTP/2 or not; false when there is none. */
bool upstream_shed(struct worker *w);

#endif
