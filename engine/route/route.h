/* route.h - decisions: pure functions of a table, a message and a worker's own positions. */
#ifndef ROUTE_H
#define ROUTE_H

#include "../http/msg.h"
#include "limits.h"
#include "table.h"
#include <stdatomic.h>

/* Why no new request goes to a target. Of a group without one that is up those serve that are new, and
 * without these all that are down by health alone. */
enum down {
	DOWN_UNHEALTHY = 1,  /* active checks */
	DOWN_EJECTED = 2,    /* passive checks */
	DOWN_UNRESOLVED = 4, /* ALB: its name has no address yet: not taken as up */
	DOWN_NEW = 8,	     /* active checks: nothing is known of it yet */
};

/* A worker's own words for a counter slot. Single writer; others read `requests` relaxed. */
struct slot {
	uint64_t requests;
	uint32_t turn;	  /* position in an action's cycle or a group's round robin */
	uint32_t edition; /* of the action that turn counts for */
	uint32_t inflight;
	uint8_t draining;      /* drain.c: of a target, the worker still has it on its list */
	uint8_t down;	       /* of a target: enum down, as this worker knows it */
	uint8_t state, reason; /* of a target: enum target_state and target_reason by active checks */
	uint32_t epoch;	       /* of a group: differs after every change of `down` of one of its targets */
	uint32_t
	    born_ms; /* of a target: low bits of the time it came to be usable, for slow start; 0: long ago */
	bool known;  /* of a target: it was usable when last looked at */
	uint32_t nidle;
	uint16_t failures, errors; /* of a target, in a row: eject.c */
	void *idle;		   /* upstream.c: idle connections of a target */
	void *trunks;		   /* trunk.c: its HTTP/2 connections */
	void *addresses;	   /* finder.c: of a target that is known by name */
	void *held;		   /* keyring.c: a service's identity, a group's trust, a target's session */
	void *view; /* balance.c: a group's usable targets; a rule's split while a group has none */
};

static inline struct slot *
slot_at(struct slot *_Atomic const *chunks, uint32_t slot)
{
	return &atomic_load_explicit(&chunks[slot / SLOT_CHUNK], memory_order_relaxed)[slot % SLOT_CHUNK];
}

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

/* Who asks. */
struct caller {
	const struct msg *msg; /* NULL: bytes that are passed through */
	struct str source;     /* the address, without its port */
};

/* Never 0, unless it has no such key: then it is nobody's in particular. */
uint64_t caller_hash(const struct caller_key *k, const struct caller *c);

/* What a worker balances by, all of it its own. */
struct balance {
	struct slot *_Atomic const *slots; /* chunks of SLOT_CHUNK */
	const uint64_t *now_ms;
	uint64_t random; /* not 0 */
};

/*
 * The group of an action for the next request; s: of its rule. By the exact split, or by the caller's key
 * where the action is sticky. A group without a usable target is passed over and its share is the others',
 * exactly, when one has such; when none has, those go on with all of their targets that are only unhealthy or
 * ejected. NULL: there is nobody; or, with on_empty_fail, not in the group whose turn it is.
 */
const struct forward *balance_forward(
    struct balance *b, const struct table *t, const struct action *a, struct slot *s, const struct caller *c);
/* The target for a request with this key (caller_hash of g->hash_key), by the group's algorithm; not `avoid`
 * when there is another (SLOT_NONE: none to avoid). NULL: nobody is usable. */
const struct target *balance_target(struct balance *b, const struct group *g, uint64_t key, uint32_t avoid);
/* Do requests to g go to this one of its targets, when it is its turn? */
bool balance_uses(struct balance *b, const struct group *g, uint32_t target);
/* Gives back what balance keeps in a slot. */
void balance_forget(struct slot *s);

#endif
