/* lookup.h - the addresses of one name, asked for as this machine asks: the owner of c-ares.
 *
 * A lookup is one thread's. It asks for both families at the same time, and reads hosts and resolv.conf anew,
 * so that a change of them counts for the next one.
 */
#ifndef LOOKUP_H
#define LOOKUP_H

#include "addr.h"

struct lookup;

enum { FAMILY_4, FAMILY_6, FAMILIES };

enum lookup_outcome {
	LOOKUP_FOUND,  /* addresses */
	LOOKUP_NONE,   /* the name, or an address of this family, is known not to be there */
	LOOKUP_FAILED, /* nobody knows */
};

struct lookup_answer {
	enum lookup_outcome outcome;
	unsigned family;   /* FAMILY_4 or FAMILY_6 */
	const char *why;   /* unless it is FOUND: in words that last */
	uint32_t ttl_s;	   /* FOUND: of the one that lasts shortest */
	uint32_t n;	   /* FOUND: 1..NAME_ADDRESSES_MAX */
	struct addr *addr; /* sorted, with port 0; valid for the call */
};

struct lookup_config {
	uint32_t vpc;		 /* namespace number (netns.h): it is asked from there */
	const char *resolv_conf; /* NULL: /etc/resolv.conf */
	struct addr server;	 /* is asked, and no resolv.conf read; family 0: none */
	void *owner;
	/* From now on lookup_ready is wanted when fd can be read, or written; neither: never again. */
	void (*watch)(void *owner, int fd, bool read, bool write);
	/* Called once a family. The lookup must not be ended from in there. */
	void (*answer)(void *owner, const struct lookup_answer *a);
};

/* Both answers may come before this returns (of /etc/hosts). -errno: nothing was begun. */
int lookup_begin(struct lookup **l, const char *name, const struct lookup_config *c);
void lookup_ready(struct lookup *l, int fd, bool read, bool write);
/* Milliseconds until lookup_late has something to do, at most `max`. */
int lookup_wait(struct lookup *l, int max);
void lookup_late(struct lookup *l);
bool lookup_over(const struct lookup *l); /* both answers have come */
void lookup_end(struct lookup *l);	  /* at any time; answers that have not come never do */

#endif
