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

/* What of a request tells callers apart: for a sticky split, or a consistent hash. */
enum caller_kind {
	CALLER_NONE,
	CALLER_HEADER,
	CALLER_COOKIE,
	CALLER_SOURCE, /* the client's address */
	CALLER_PATH,
};

struct caller_key {
	enum caller_kind kind;
	struct str name; /* HEADER: lower case. COOKIE: as it is spelled */
};

/* When a request is sent again, to another target where there is one. */
enum retry_on {
	RETRY_CONNECT = 1, /* no connection, or it broke before a byte of the answer */
	RETRY_TIMEOUT = 2, /* a try has an even share of what is left of `timeout`, and that was over */
	RETRY_5XX = 4,	   /* any 5xx; 502, 503 and 504 alone with the next */
	RETRY_GATEWAY = 8,
};

/* What an action does when a target does not do well. */
struct resilience {
	uint32_t timeout_ms; /* for the answer to begin, all tries together; 0: CONF's response-timeout-ms */
	uint32_t
	    retries; /* more tries at most, 0..10; in a worker at most 20 % of the requests under way, or 3 */
	uint8_t retry_on; /* enum retry_on */
	uint32_t
	    max_requests; /* in flight to a target by a worker; more: another target, or 503; 0: no limit */
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
	struct caller_key sticky; /* a caller stays with its group: monotone in the weights */
	bool on_empty_fail;	  /* a group without a usable target keeps its share, as 503 */
	struct resilience resilience;
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
	struct str arn;	 /* of the network, for events; len 0: none is known */
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
	struct str arn, region; /* for events; len 0: none is known */
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

enum group_type { GROUP_IP, GROUP_INSTANCE, GROUP_LAMBDA, GROUP_ALB };
enum algorithm { ALGORITHM_ROUND_ROBIN, ALGORITHM_LEAST_REQUESTS, ALGORITHM_CONSISTENT_HASH };

enum check_protocol { CHECK_HTTP, CHECK_HTTPS, CHECK_TCP, CHECK_GRPC };

struct code_range {
	uint16_t low, high;
};

/* Active checks (Lattice 3.6; TCP and GRPC are ours). */
struct health_check {
	bool enabled;
	enum check_protocol protocol;
	bool http2;	    /* HTTP, HTTPS */
	uint16_t port;	    /* 0: the target's */
	struct str path;    /* and query */
	struct str service; /* GRPC: of grpc.health.v1 */
	uint32_t interval_ms, timeout_ms;
	uint32_t healthy, unhealthy; /* thresholds */
	uint32_t ncodes;
	struct code_range *codes; /* of answers that are good */
};

/* A target that fails requests is left out for a time that grows (Envoy's outlier detection). */
struct passive_check {
	bool enabled;
	uint32_t failures;    /* connections in a row that failed; 0: do not count */
	uint32_t errors;      /* 5xx in a row; 0: do not count */
	uint32_t ejection_ms; /* times the number of ejections in a row */
	uint32_t ejection_max_ms;
	uint32_t ejected_percent; /* of the group's targets at most, at least one */
};

/* What holds when nothing is said. A group's own check has its protocol, and is enabled, by
 * group_check_default.
 */
void health_check_default(struct health_check *c);
void passive_check_default(struct passive_check *c);

enum admin { ADMIN_UP, ADMIN_DRAIN, ADMIN_DOWN }; /* DRAIN and DOWN: no new request */

struct target {
	struct str name;  /* as its file is called */
	struct addr addr; /* the port filled in; ALB, LAMBDA: only the port (AF_UNSPEC) unless host is one */
	uint16_t weight;  /* 1..999, 0 is taken for 1; share = weight / sum */
	enum admin admin;
	struct str host; /* ALB: name or address. LAMBDA: authority of url, for Host */
	struct str path; /* LAMBDA: of url, from its first `/`, and query; both printable ASCII */
	uint32_t slot;	 /* counter, in-flight count and idle connections */
};

static inline uint32_t
target_weight(const struct target *t)
{
	return MAX(t->weight, 1u);
}

/* Its address is not known but by looking up host, as far as a colon. */
static inline bool
target_is_named(const struct target *t)
{
	return t->addr.sa.sa_family == AF_UNSPEC && t->host.len > 0;
}

#define GROUP_MAGIC 0x6409b10cu
struct group {
	unsigned magic;
	uint32_t refs;
	uint64_t serial; /* of this part: no other has or had it, so that a worker knows what it has seen */
	struct arena arena;
	uint32_t index;
	uint32_t slot; /* counter and position of the round robin */
	struct str name;
	uint32_t vpc;	  /* namespace number of its targets; 0 = the daemon's own */
	struct str space; /* what that namespace is called: names are looked up by its own resolv.conf */
	enum group_protocol protocol;
	enum group_version version;
	/* HTTPS: the target's certificate is verified when there is a CA or the system's are trusted. */
	struct str ca;	    /* PEM; len 0: none */
	struct str ca_mark; /* digits that differ with it, for printing */
	bool verify_system;
	uint32_t tls_edition; /* differs after every change of these */
	enum group_type type;
	enum algorithm algorithm;
	struct caller_key hash_key;   /* CONSISTENT_HASH */
	const struct hash_ring *ring; /* CONSISTENT_HASH: group_ring_build; NULL: round robin */
	uint32_t drain_ms;	/* a target that is removed or drained has so long to end its requests */
	uint32_t slow_start_ms; /* a new target's share grows to its own over this time; 0: at once */
	bool lambda_v2;		/* LAMBDA: events; such a group has protocol HTTP and version HTTP1 */
	struct str arn;		/* for events; len 0: none is known */
	struct health_check check;
	struct passive_check passive;
	bool used; /* by an action that is served: only then it is checked */
	uint32_t ntargets;
	struct target *targets; /* those with admin up first */
};

/* Fills in the check that a group of its type, protocol and version has when nothing is said: of what it
 * speaks, enabled for HTTP1 to IP and INSTANCE targets, as Lattice. */
void group_check_default(const struct group *g, struct health_check *c);

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
	char *space;   /* what its namespace is called, for printing (free); NULL: the daemon's own */
	char *vpc_arn; /* whence requests come here, for events (free); NULL: none is known */
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
/* The first index from `from` on whose group is not the same part in both; UINT32_MAX: none. What two tables
 * of one descent share costs nothing. */
uint32_t table_group_differs(const struct table *a, const struct table *b, uint32_t from);
uint32_t table_nplaces(const struct table *t); /* one more than the largest index */
/* The service that has the place for itself, or NULL. */
const struct service *table_sole(const struct table *t, const struct place *p);
/* The service called `host` (no port, any case) in a scope: exact names first, then the longest
 * wildcard. NULL: no such name. Cost does not grow with the number of services. */
const struct service *table_host(const struct table *t, uint32_t scope, struct str host);
/* `host` exactly as a service gave it, `*.` and all; no wildcard is searched. */
const struct service *table_host_exact(const struct table *t, uint32_t scope, struct str host);
uint32_t table_nservices(const struct table *t);	/* one more than the largest index */
uint32_t table_ngroups(const struct table *t);		/* the same */
bool table_has_names(const struct table *t);		/* targets for which target_is_named */
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
 * there is, and `client-ca=MARK`.
 * A target is `10.0.0.5:80*3` with a weight other than 1, `10.0.0.5:80!drain` or `!down` when it gets no new
 * requests, `elb.example:80` of an ALB, and the url of a LAMBDA. What else a group and an action say stands
 * in brackets behind them, in this order, where it is not the default:
 *
 *   forward
 * blue:90{10.0.0.5:80}[INSTANCE,consistent-hash=cookie:id,drain=30,slow-start=10,events=V2,check=...,
 *       passive=...] green:10{} [sticky=cookie:id,on-empty=fail,timeout=500ms,retries=2,retry-on=connect+5xx,
 *       max-requests=100]
 *   check=off or check=PROTOCOL[/HTTP2]:PORT:PATH-OR-SERVICE:INTERVAL:TIMEOUT:HEALTHY:UNHEALTHY:MATCHER
 *   passive=FAILURES:ERRORS:EJECTION:EJECTION-MAX:PERCENT                     (times in ms)
 *
 * A value with blanks, quotes or bytes that do not print stands in double quotes, escaped as in C.
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
/* Fills ring of a group with CONSISTENT_HASH from its targets, in its arena. */
void group_ring_build(struct group *g);
void group_put(struct group *g);
struct place *place_new(void);
void place_put(struct place *p);
struct zones *zones_new(void);
void zones_put(struct zones *z);

void table_free(struct table *t); /* drops its references to parts */

/* Fills turns of a from the weights, in the arena of its part. */
void action_spread(struct action *a, struct arena *arena);
/* Fills ring of g from its targets, in its arena, when the algorithm is CONSISTENT_HASH and they are
 * RING_CELLS - 1 at most. */
void group_ring_build(struct group *g);
/* Builds l->index when the listener has enough rules for it to pay. */
void match_index_build(struct listener *l, struct arena *arena);

#endif
