/* meet.h - where services are offered, and that those who meet at one place speak the same protocol there. */
#ifndef MEET_H
#define MEET_H

#include "check.h"

/* An address, a port and a namespace as a key, in bytes: it is made for every place at every change. */
struct place_key {
	uint32_t vpc;
	uint16_t family, port;
	uint8_t ip[16];
};

/* The key of a place, in k. */
struct str place_key(const struct addr *a, uint32_t vpc, struct place_key *k);

/* Finds the addresses on which the service of a job is offered; in the arena of the check. */
void meet_offers(struct check *c, struct job *j);
/* Of the listeners of all jobs leaves out those that would speak something else at a place than who has it.
 */
void meet_check(struct check *c);
/* What is spoken at a place when all that was found right is served. */
enum protocol meet_protocol(const struct check *c, const struct addr *a, uint32_t vpc);

#endif
