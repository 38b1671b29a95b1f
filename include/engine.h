/* engine.h - the running proxy, as the control plane sees it. All calls: control thread only. */
#ifndef ENGINE_H
#define ENGINE_H

#include "table.h"

struct engine;

/* Defaults in engine_config_default; ranges are checked where CONF is parsed. */
struct engine_config {
	unsigned workers;	      /* 0 = one per core allowed to us */
	unsigned connections_max;     /* client connections a worker holds */
	unsigned pool_max;	      /* idle connections kept per target and worker */
	unsigned head_timeout_ms;     /* from the first byte of a request to the end of its head: 408 */
	unsigned idle_timeout_ms;     /* a connection between requests, before a service is known */
	unsigned connect_timeout_ms;  /* to a target: 503 after another was tried */
	unsigned response_timeout_ms; /* from the request's last byte to the head of the answer: 504 */
	unsigned pool_timeout_ms;     /* an idle connection to a target */
	unsigned drain_timeout_ms;    /* engine_stop waits this long for requests in flight */
	bool pin;		      /* worker i runs on the i-th allowed core alone */
	const char *suffix;	      /* of generated names; borrowed until engine_stop */
	unsigned name_ttl_s;	      /* how long an answer of a resolver may be kept */
	struct addr upstream;	      /* other names are asked there; family 0: refused */
	struct addr name_server;      /* knows the names of targets; family 0: as resolv.conf says */
	struct addr resolvers[2];     /* where the zones of a table are answered */
};

void engine_config_default(struct engine_config *c);

/* Starts the workers on an empty table. `slots` is the control plane's allocator of counter slots:
 * the engine recycles what a table retired once no worker can see it. -errno; *why in one sentence. */
int engine_start(struct engine **e, const struct engine_config *c, struct slots *slots, const char **why);

/*
 * Opens what next needs and the served table has not (sockets). May fail: -EADDRINUSE,
 * -EADDRNOTAVAIL, -EACCES, -EMFILE, ..., then *place is the index of the place that failed (SLOT_NONE: none)
 * and nothing is left open. After success exactly one of engine_publish or engine_unprepare follows.
 */
int engine_prepare(struct engine *e, const struct table *next, uint32_t *place);
void engine_unprepare(struct engine *e);
/* Takes next. Returns when every worker serves it. Cannot fail. */
void engine_publish(struct engine *e, struct table *next);
const struct table *engine_table(const struct engine *e); /* the served one; borrowed */

/* Frees tables that no worker can see any more. Called by publish too; cheap. */
void engine_reclaim(struct engine *e);

/* Sums over the workers; a slot never used counts 0. */
uint64_t engine_requests(const struct engine *e, uint32_t slot);
uint64_t engine_inflight(const struct engine *e, uint32_t slot);

/* A target that gets no new request. */
struct draining {
	struct str name; /* borrowed until the next publish or reclaim */
	uint32_t slot;
	bool removed; /* it is in no table any more */
	uint64_t requests, inflight;
	uint64_t ends_in_ms; /* 0: what is in flight is being cut off */
};
/* Those that were removed from a group, by its slot, and have something in flight: the first behind *at,
 * which begins as 0. False: there are no more. The engine remembers their names. */
bool engine_removed(const struct engine *e, uint32_t group, uint32_t *at, struct draining *d);
/* The target of a slot, when its admin changed from up. False: it did not, or that was before this engine. */
bool engine_draining(const struct engine *e, uint32_t slot, struct draining *d);

/* How a target is, Lattice's words and ours for why. NONE: nobody has looked at it yet. */
enum target_state {
	TARGET_NONE,
	TARGET_INITIAL,
	TARGET_HEALTHY,
	TARGET_UNHEALTHY,
	TARGET_UNUSED,
	TARGET_DRAINING,
	TARGET_UNAVAILABLE,
};

enum target_reason {
	REASON_NONE,
	REASON_INITIAL,	    /* InitialHealthChecking */
	REASON_FAILED,	    /* HealthCheckFailed: it answered, but not well */
	REASON_TIMEOUT,	    /* HealthCheckTimeout */
	REASON_UNREACHABLE, /* ConnectionFailed */
	REASON_CODE,	    /* CodeMismatch */
	REASON_EJECTED,	    /* Ejected, by passive checks */
	REASON_NOT_IN_USE,  /* TargetGroupNotInUse */
	REASON_DISABLED,    /* HealthCheckDisabled */
	REASON_NO_SUPPORT,  /* HealthCheckNotSupported: LAMBDA, ALB */
	REASON_DRAINING,    /* Draining */
};

const char *target_state_word(enum target_state s);
const char *target_reason_word(enum target_reason r); /* "" for NONE */

/* Of a target of the served table. *reason: why it is not HEALTHY. */
enum target_state engine_target(const struct engine *e, const struct target *t, enum target_reason *reason);

/* A target's state has changed. */
struct target_event {
	uint64_t unix_ms;
	struct str group, target;
	struct addr address; /* of one that an instance has; else AF_UNSPEC */
	enum target_state from, to;
	enum target_reason reason;
};
/* Readable when there are events that engine_events has not told. */
int engine_events_fd(const struct engine *e);
/* Tells each of them, oldest first; the names are valid for the call. */
void engine_events(struct engine *e, void (*each)(void *ctx, const struct target_event *event), void *ctx);

/* Addresses, without port, of a target of the served table that is known by name: how many, at most `max`.
 * *ttl_s: seconds until they are looked up again. *why: the last look-up failed, and so; else NULL. */
uint32_t engine_addresses(
    const struct engine *e, uint32_t slot, struct addr *all, uint32_t max, uint32_t *ttl_s, const char **why);

struct engine_stats {
	unsigned workers;
	uint64_t connections; /* of clients, open now */
	uint64_t requests;    /* ever */
	uint64_t tables;      /* alive: the served one and those still pinned */
	uint64_t last_publish_us;
};
void engine_stats(const struct engine *e, struct engine_stats *s);
/* The resolver of a namespace: 0 it answers, -ENOENT there is none, else why its sockets could not be had. */
int engine_resolver(const struct engine *e, uint32_t vpc);
/* Is there one whose sockets could not be had? engine_retry_resolvers tries again. */
bool engine_resolvers_wait(const struct engine *e);
void engine_retry_resolvers(struct engine *e);
const char *engine_features(const struct engine *e); /* one line: what the kernel gave */
/* Prometheus text of the engine's own counters (counters.h). */
void engine_metrics(const struct engine *e, struct text *out);

/* Closes the listeners, lets requests in flight end (at most drain_timeout_ms), joins the workers. */
void engine_stop(struct engine *e);

#endif
