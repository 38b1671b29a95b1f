/* site.h - for the stress test: the tables that are published, one a round. */
#ifndef SITE_H
#define SITE_H

#include "engine.h"
#include "origin.h"

enum { PLACE_HTTP, PLACE_SECOND, PLACE_HTTPS, PLACE_PASS, NPLACES };
enum { SHOP, PASS, NSERVICES };

#define NGROUPS (NORIGINS + 1) /* one for each kind of target, and the passthrough's */
#define NPAPERS 3
/* Of each group: one that stays, one that comes and goes, one where nobody listens. */
enum { TARGET_STAYS, TARGET_TURNS, TARGET_DEAD, NTARGETS };

struct site {
	struct engine *engine;
	struct slots slots;
	const uint16_t *origins;      /* their ports */
	uint16_t ports[NPLACES];      /* PLACE_SECOND: 0, there is none in this round */
	struct str ca;		      /* of clients and targets */
	struct paper papers[NPAPERS]; /* of shop, in turns */
	uint32_t service_slots[NSERVICES], rule_slots[NSERVICES];
	uint32_t forward_slots[NGROUPS], group_slots[NGROUPS], target_slots[NGROUPS][NTARGETS];
	uint32_t round;
	int dead_fd; /* keeps dead_port for itself, and does not listen */
	uint16_t dead_port;
};

/* ca, papers and origins are filled in. */
void site_start(struct site *s);
void site_stop(struct site *s);
/* False: it could not be had. */
bool site_publish(struct site *s);

/* What this round's table says. */
bool site_is_fixed(const struct site *s); /* shop answers 404 by itself */
unsigned site_paper(const struct site *s);
bool site_has_client_ca(const struct site *s);
bool site_is_fresh(const struct site *s); /* what it shows, or the CA, has just changed */

#endif
