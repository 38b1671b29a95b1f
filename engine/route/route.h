/* route.h - decisions: pure functions of a table, a message and a worker's own positions. */
#ifndef ROUTE_H
#define ROUTE_H

#include "../http/msg.h"
#include "table.h"

/* Why no new request goes to a target. With every target of a group down by health alone, all are taken as
 * up. */
enum down {
	DOWN_UNHEALTHY = 1,  /* active checks */
	DOWN_EJECTED = 2,    /* passive checks */
	DOWN_UNRESOLVED = 4, /* ALB: its name has no address yet: not taken as up */
};

/* A worker's own words for a counter slot. Single writer; others read `requests` relaxed. */
struct slot {
	uint64_t requests;
	uint32_t turn;	  /* position in an action's cycle or a group's round robin */
	uint32_t edition; /* of the action that turn counts for */
	uint32_t inflight;
	uint8_t down;	/* of a target: enum down, as this worker knows it */
	uint32_t epoch; /* of a group: differs after every change of `down` of one of its targets */
	uint32_t
	    born_ms; /* of a target: low bits of the time it came to be usable, for slow start; 0: long ago */
	uint32_t nidle;
	void *idle;	 /* upstream.c: idle connections of a target */
	void *trunks;	 /* trunk.c: its HTTP/2 connections */
	void *addresses; /* finder.c: of a target that is known by name */
	void *held;	 /* keyring.c: a service's identity, a group's trust, a target's session */
};

/* The listener at a place that serves a name, and its service: of the place's scopes the first in which there
 * is one. NULL: nobody by that name is met there. */
const struct listener *match_place(
    const struct table *t, const struct place *p, struct str name, const struct service **s);
/* The same for a client that may be met on a service's own address: there any other name is that service too.
 */
const struct listener *match_place_open(
    const struct table *t, const struct place *p, struct str name, const struct service **s);

/* The first rule that matches, the fallback otherwise. Never NULL. */
const struct rule *match_rule(const struct listener *l, const struct msg *m);
bool match_holds(const struct match *want, const struct msg *m);

/* The next entry of a forward action by its exact cycle, passing over groups without a target.
 * NULL: all weights are 0 or no group has a target. */
const struct forward *balance_forward(const struct table *t, const struct action *a, struct slot *s);
/* Round robin; not `avoid` when there is another (SLOT_NONE: none to avoid). NULL: the group is empty. */
const struct target *balance_target(const struct group *g, struct slot *s, uint32_t avoid);

#endif
