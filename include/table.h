/* table.h - the compiled routing table: what fs builds and workers read.
 *
 * A sealed table is immutable. It is a thin copy-on-write index over parts (services, groups,
 * places), so that one edit copies a path and shares everything else with the table before it.
 * Parts are built in an arena of their own and handed over; the table's reference count is the
 * control thread's alone and never touched by a worker.
 */
#ifndef TABLE_H
#define TABLE_H

#include "addr.h"
#include "arena.h"
#include "slots.h"

/* ------------------------------------------------------------------ parts */

enum match_op { MATCH_ANY, MATCH_EXACT, MATCH_PREFIX, MATCH_CONTAINS };

struct header_match {
	struct str name; /* lower case */
	struct str value;
	enum match_op op; /* never MATCH_ANY */
};

/* All that is set must hold (Lattice RuleMatch). */
struct match {
	struct str method; /* len 0 = any; case-sensitive */
	struct str path;
	enum match_op path_op; /* ANY, EXACT or PREFIX (of bytes) */
	bool path_case;	       /* the path is compared case-sensitively */
	bool header_case;      /* header values are */
	uint32_t nheaders;
	struct header_match *headers;
};

enum action_kind { ACTION_FORWARD, ACTION_FIXED };

struct forward {
	uint32_t group;	 /* index of table_group */
	uint32_t slot;	 /* counter: requests this rule sent to this group */
	uint16_t weight; /* 0..999 */
	struct str name; /* of the group, for printing */
};

struct action {
	enum action_kind kind;
	uint16_t status; /* FIXED: 200..599 */
	uint32_t nforwards;
	struct forward *forwards;
	/* The exact split: one cycle of indices into forwards, weight/gcd turns each, spread so that every
	 * prefix is within 1 of the share. Empty when all weights are 0. */
	uint32_t nturns;
	uint8_t *turns;
	uint32_t edition; /* differs after every change of this action: a worker then restarts the cycle */
};

struct rule {
	struct str name; /* "default" for the default action */
	uint32_t priority;
	uint32_t slot; /* counter and position in the cycle */
	struct match match;
	struct action action;
};

enum protocol { PROTOCOL_HTTP, PROTOCOL_HTTPS, PROTOCOL_TLS_PASSTHROUGH };

struct rule_index; /* engine/route/match.c */

struct listener {
	struct str name;
	uint16_t port;
	enum protocol protocol;
	uint32_t nrules;
	struct rule *rules;		/* lowest priority number first */
	struct rule fallback;		/* the default action; its match is empty */
	const struct rule_index *index; /* match_index_build; NULL: scan the rules */
};

struct host_name {
	uint32_t scope;	 /* the service network's number: names are looked up within one */
	struct str name; /* lower case, or `*.` and a suffix */
};

struct scope_name {
	uint32_t scope;
	struct str name; /* of the network */
};

/* What a service shows in a handshake; PEM, as many workers as there are load it for themselves. */
struct certificate {
	struct str chain; /* the leaf first */
	struct str key;
	/* For those who look: */
	bool local;	   /* the local CA's */
	struct str mark;   /* digits that differ with the chain, for printing; len 0 of a local one */
	struct str issuer; /* of the leaf */
	int64_t not_after_s;
};

#define SERVICE_MAGIC 0x5e41ce5fu
struct service {
	unsigned magic;
	uint32_t refs;	    /* control thread only */
	struct arena arena; /* everything below lives in it */
	uint32_t index;	    /* of table_service */
	uint32_t slot;	    /* counter */
	struct str name;
	uint32_t idle_timeout_s;
	uint32_t nlisteners;
	struct listener *listeners; /* only those that serve */
	uint32_t nhosts;
	struct host_name *hosts;
	/* Its own, then the local CA's: the first that covers the client's SNI is shown, else the first. None
	 * when no listener is HTTPS. */
	uint32_t ncertificates;
	struct certificate certificates[2];
	struct str client_ca;	   /* PEM: who may sign client certificates; len 0: none is asked for */
	struct str client_ca_mark; /* digits that differ with it, for printing */
	uint32_t tls_edition;	   /* differs after every change of the three above: they are loaded anew */
	uint32_t nplaces;
	uint32_t *places; /* the places it is offered at: the builder counts them */
	uint32_t nscopes;
	struct scope_name *scopes; /* the networks it is offered in, for printing */
	bool named;		   /* the builder's: its hosts are in the index */
};

enum group_protocol { GROUP_HTTP, GROUP_HTTPS, GROUP_TCP };
enum group_version { GROUP_HTTP1, GROUP_HTTP2, GROUP_GRPC }; /* GRPC is HTTP/2 on the wire */

struct target {
	struct str name;  /* as its file is called */
	struct addr addr; /* the port filled in */
	uint32_t slot;	  /* counter, in-flight count and idle connections */
};

#define GROUP_MAGIC 0x6409b10cu
struct group {
	unsigned magic;
	uint32_t refs;
	struct arena arena;
	uint32_t index;
	uint32_t slot; /* counter and position of the round robin */
	struct str name;
	uint32_t vpc; /* namespace number of its targets; 0 = the daemon's own */
	enum group_protocol protocol;
	enum group_version version;
	/* HTTPS: the target's certificate is verified when there is a CA or the system's are trusted. */
	struct str ca;	    /* PEM; len 0: none */
	struct str ca_mark; /* digits that differ with it, for printing */
	bool verify_system;
	uint32_t tls_edition; /* differs after every change of these */
	uint32_t ntargets;
	struct target *targets;
};

/* A listening socket: one address and port in one namespace, shared by the services met there. */
#define PLACE_MAGIC 0x91aceadd
struct place {
	unsigned magic;
	uint32_t refs;
	uint32_t index;
	uint32_t serial; /* a connection remembers index and serial: the index may be used again */
	uint32_t vpc;	 /* namespace number; 0 = the daemon's own */
	struct addr addr;
	enum protocol protocol; /* of all users; may change while index and serial, and so the socket, stay */
	bool open;		/* a service that is alone here answers to any host */
	uint32_t nusers;	/* services offered here */
	uint32_t sum;		/* of their indices, so that one alone is known at once: place_sole */
	char *space; /* what its namespace is called, for printing (free); NULL: the daemon's own */
	uint32_t nscopes;
	uint32_t *scopes; /* networks whose names are valid here, in a block of its own (free) */
};

/* A namespace in which a resolver answers: for the names of these networks. */
struct zone {
	uint32_t vpc; /* namespace number */
	uint32_t nscopes;
	uint32_t *scopes;
};

/* All of them: replaced as a whole, since few edits touch them. */
#define ZONES_MAGIC 0x20e5f00du
struct zones {
	unsigned magic;
	uint32_t refs;
	struct arena arena; /* the rows and their scopes live in it */
	uint32_t n;
	struct zone *all; /* by namespace number, each once */
};

/* ------------------------------------------------------------------ reading (any thread) */

struct table;

uint64_t table_generation(const struct table *t);
/* NULL when there is none by that number. */
const struct service *table_service(const struct table *t, uint32_t index);
const struct group *table_group(const struct table *t, uint32_t index);
const struct place *table_place(const struct table *t, uint32_t index);
uint32_t table_nplaces(const struct table *t); /* one more than the largest index */
/* The service that has the place for itself, or NULL. */
const struct service *table_sole(const struct table *t, const struct place *p);
/* The service called `host` (no port, any case) in a scope: exact names first, then the longest
 * wildcard. NULL: no such name. Cost does not grow with the number of services. */
const struct service *table_host(const struct table *t, uint32_t scope, struct str host);
/* `host` exactly as a service gave it, `*.` and all; no wildcard is searched. */
const struct service *table_host_exact(const struct table *t, uint32_t scope, struct str host);
uint32_t table_nservices(const struct table *t);	/* one more than the largest index */
const struct zones *table_zones(const struct table *t); /* NULL: none */
/* NULL: no resolver answers there. */
const struct zone *table_zone(const struct table *t, uint32_t vpc);
/* What a resolver tells of the names of one network in a namespace, as hosts(5): `ADDRESS NAME...`, by
 * service name and address. A wildcard stands in a comment. */
void table_print_hosts(const struct table *t, uint32_t vpc, uint32_t scope, struct text *out);
/*
 * One line an effective route, in match order, stable: /.table, and the diff of a hold.
 *
 *   NETWORK SERVICE/LISTENER PRIORITY RULE PROTOCOL PLACES HOSTS [idle-timeout=S] [TLS...] [MATCH...] ->
 * ACTION main shop/web 10 cart HTTP 127.0.0.1:8080,[::1]:8080 shop,shop.localhost path-prefix=/cart ->
 * forward blue:90{10.0.0.5:80} green:10{}                                       (in one line)
 *
 * The first four words name the route: a line is the same route in two tables when they are equal. The
 * default action has priority and name `default`. Lines are sorted by network, service, port and priority.
 * A place in a namespace of its own is ADDRESS@NETNS. What the targets of a group speak, unless it is HTTP
 * with HTTP1, follows them: `blue:90{10.0.0.5:443}/HTTPS/HTTP2`, and when their certificates are verified
 * `/verified` by the system's CAs, `/verified:MARK` by its own, `/verified:system+MARK` by both.
 * TLS of an HTTPS listener: `certificate=own:MARK`, or `certificate=local-ca` where the local CA's is all
 * there is, and `client-ca=MARK`. A value with blanks, quotes or bytes that do not print stands in double
 * quotes, escaped as in C.
 */
void table_print(const struct table *t, struct text *out);
/* The lines of one service alone. */
void table_print_service(const struct table *t, const struct service *s, struct text *out);

/* Numbers that this table no longer uses and the one before it did. A worker that adopts the table
 * drops the idle connections of these slots. */
const uint32_t *table_retired(const struct table *t, uint32_t *n);

/* ------------------------------------------------------------------ building (control thread) */

struct build;

/* Starts from base (NULL: empty), which stays as it is. */
struct build *build_new(const struct table *base);
/* Sets, replaces or (part NULL) removes a part. Takes the part. Services are handed over in two steps
 * by the caller's order: first all removals and replacements, names are checked at build_seal. */
void build_service(struct build *b, uint32_t index, struct service *part);
void build_group(struct build *b, uint32_t index, struct group *part);
/* A place that services name in `places`; needed before build_seal, kept while it has users. */
void build_place(struct build *b, struct place *part);
void build_retire(struct build *b, uint32_t slot);
/* Replaces all zones. Takes them; NULL: none. */
void build_zones(struct build *b, struct zones *zones);
/*
 * Checks what only the whole shows and freezes. -EEXIST: a host name is taken in a scope, then *clash
 * tells which (valid until the next call). On failure the build is unchanged and may be amended.
 * Frees the build on success.
 */
struct clash {
	uint32_t scope;
	struct str name;
	const struct service *mine, *theirs;
};
int build_seal(struct build *b, struct table **t, struct clash *clash);
void build_abort(struct build *b);

struct service *service_new(void); /* refs 1, empty arena; service_put frees at 0 */
void service_put(struct service *s);
struct group *group_new(void);
void group_put(struct group *g);
struct place *place_new(void);
void place_put(struct place *p);
struct zones *zones_new(void);
void zones_put(struct zones *z);

void table_free(struct table *t); /* drops its references to parts */

/* Fills turns of a from the weights, in the arena of its part. */
void action_spread(struct action *a, struct arena *arena);
/* Builds l->index when the listener has enough rules for it to pay. */
void match_index_build(struct listener *l, struct arena *arena);

#endif
