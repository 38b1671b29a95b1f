/* resolver.h - answers to DNS questions in the VPCs: one thread, apart from the workers. */
#ifndef RESOLVER_H
#define RESOLVER_H

#include "engine.h"

struct resolver;

/* ---- control thread */

int resolver_start(struct resolver **r, const struct engine_config *c);
/* Opens sockets for the zones that have none yet. A failure is no reason to refuse the table: it is logged,
 * told by resolver_state, and tried again next time. Then exactly one of resolver_offer and
 * resolver_unprepare. */
void resolver_prepare(struct resolver *r, const struct table *next);
void resolver_unprepare(struct resolver *r);
/* The table to answer from; resolver_await returns when no other is looked at any more. */
void resolver_offer(struct resolver *r, const struct table *next);
void resolver_await(struct resolver *r);
int resolver_state(const struct resolver *r, uint32_t vpc);	     /* engine_resolver */
bool resolver_waits(const struct resolver *r);			     /* a site could not be had */
uint64_t resolver_count(const struct resolver *r, unsigned counter); /* enum name_counter */
void resolver_stop(struct resolver *r);

#endif
