/* check.h - what only the whole shows: references, duplicates, clashes of names. */
#ifndef CHECK_H
#define CHECK_H

#include "object.h"

/* An address on which a network's services are offered, through one of its VPCs. */
struct reach {
	uint32_t vpc;	  /* namespace number */
	struct addr addr; /* AF_UNSPEC: each service on its own pair */
	struct entry *network;
	const struct node *from; /* the VPC */
	const char *netns;	 /* as the VPC calls it; NULL: the daemon's own */
};

/* Does the reach offer somebody at addr (no port) in the namespace? */
bool reach_covers(const struct reach *r, uint32_t vpc, const struct addr *addr);

/* A name that a service answers to; line 0 when it is generated. */
struct want {
	struct str name;
	unsigned line, column;
};

/* An address, without a port, on which a service is offered. */
struct offer {
	struct addr addr;
	uint32_t vpc;
	const char *netns; /* as in struct reach */
};

/* A service to be compiled. */
struct job {
	struct entry *entry;
	struct entry **networks; /* in which it is, sorted by name */
	uint32_t nnetworks;
	struct want *wants;
	uint32_t nwants;
	struct offer *offers; /* networks may reach the same */
	uint32_t noffers;
};

struct check {
	struct edit *e;
	struct model *m;
	const struct table *served; /* may be NULL */
	struct arena arena;
	struct reach *reaches;
	uint32_t nreaches, reaches_size;
	const struct reach **by_vpc; /* the same by namespace, then as above */
	struct job *jobs;
	uint32_t njobs, jobs_size;
	struct entry **asked; /* clean groups whose use the services' new parts may change (compile.c) */
	uint32_t nasked, asked_size;
	struct map claims;   /* scope and name: the entry that has it */
	struct map meetings; /* place: who has it (meet.c) */
};

/* Looks at every dirty entry: fills its `found`, the `wrong` of its nodes, and jobs for the services. */
void check_run(struct check *c, struct edit *e, const struct table *served);
void check_reaches(struct check *c); /* the part of it that model_explain_place needs */
/* Those of one namespace, in the order of reaches. */
const struct reach *const *check_reaches_of(const struct check *c, uint32_t vpc, uint32_t *n);
void check_fini(struct check *c);
/* The service as it is served, or NULL. */
const struct service *check_before(const struct check *c, const struct entry *e);

/* Where a problem points: a node, or one of its attributes; v's text is quoted when a line is told. */
struct where {
	const struct node *node;
	const struct value *value; /* NULL: the node itself */
	unsigned line, column;
};

struct where where_value(const struct node *n, uint32_t index);
/* Adds one to what was found of the entry; valid until the next. */
struct problem *problem(struct entry *e, struct where at, int err, const char *fmt, ...) PRINTF(4, 5);

/* Texts that do not parse: kept since the edit had to take anything. True when there was one. */
bool check_texts(struct entry *e, const struct node *n);
/* The references of one attribute. True when all are there. */
bool check_refs(const struct model *m, struct entry *e, const struct node *n, uint32_t index);

/* The association by which the VPC is in a network, the eldest when there are several; NULL: in none. */
const struct node *vpc_owner(const struct entry *vpc);
/* The attribute is set, to a text that parses. */
bool node_has(const struct node *n, uint32_t index);
/* The association of the VPC that holds, or NULL. */
const struct node *vpc_owner(const struct entry *vpc);
/* All that is required is there, and none of it wrong. */
bool node_is_complete(const struct node *n);
/* The value of a one-value attribute or its default; n has none of its texts wrong. */
uint32_t node_number(const struct node *n, uint32_t index, uint32_t preset);
/* The word of an attribute that is one of some; the first when it is not set. */
const char *node_word(const struct node *n, uint32_t index);
/* Orders by family, IPv4 first, then address, then port. */
int addr_compare(const struct addr *a, const struct addr *b);

#endif
