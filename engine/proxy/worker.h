/* worker.h - one thread of the proxy and all that belongs to it. Nothing here is shared but what says so. */
#ifndef WORKER_H
#define WORKER_H

#include "../http/h1.h"
#include "../net/listen.h"
#include "../net/tls.h"
#include "../route/route.h"
#include "clock.h"
#include "counters.h"
#include "engine.h"
#include "spare.h"

#include <pthread.h>
#include <stdatomic.h>

#define REQUEST_ID_MAX 512u /* reference 4.3: a client's longer one is cut */

/* A table this worker has seen; it lives until no exchange of this worker can come back to it. */
struct table_ref {
	struct list link;
	const struct table *table;
	uint32_t pins;
};

/* What the control thread hands to the workers; valid until every worker has adopted it. */
struct opening {
	uint32_t place, serial;
	int *fds; /* one a worker, taken by it; -1: none for it */
};

struct publication {
	const struct table *table;
	uint32_t nopenings;
	struct opening *openings;
	bool places_changed;
	const struct drain_order *drains;
	uint32_t ndrains;
};

/* What this worker has to do with the health of targets (health.h). */
struct health {
	pthread_mutex_t lock;  /* of the inbox, alone */
	struct list inbox;     /* struct notice: other workers' */
	struct check **checks; /* by slot: those that are this worker's to check */
	uint32_t size;
	struct subject **subjects; /* buckets, a power of two of them: what those checks ask */
	uint32_t nbuckets, nsubjects;
	uint32_t nnew; /* subjects that the table at hand hurried */
	struct list ejections;
	struct spares spare_probes;
	struct tls_held *trust; /* of probes: none */
};

struct worker {
	struct engine *engine;
	unsigned index;
	int cpu; /* -1: not pinned */
	pthread_t thread;
	const struct engine_config *config;
	struct net net;

	/* shared: written here, read by the control thread */
	_Atomic uint64_t oldest; /* of the oldest table still pinned */
	_Atomic uint64_t nclients;
	_Atomic int failed;			  /* -errno of the start, 1 once it runs */
	_Atomic uint64_t counters[COUNTER_COUNT]; /* relaxed, single writer */
	struct slot
	    *_Atomic slots[SLOT_CHUNKS_MAX]; /* made by the control thread before a table needs them */

	struct list tables;
	struct table_ref *current;
	struct list listeners;
	struct list clients;
	struct list passes; /* connections that are passed through */
	struct list drains; /* drain.c */
	struct timer drain_timer;
	uint32_t nexchanges; /* in flight */
	uint32_t nretries;   /* of those, sent once more */
	struct list shaking; /* those in a TLS handshake, longest first */
	uint32_t nshaking;
	struct list idle;	 /* connections to targets, longest idle first */
	struct list idle_trunks; /* those of HTTP/2 */
	struct list muxes;	 /* those with something to be done in this turn */
	struct list told;	 /* streams of them that have something to be told */
	struct mux *orphans;	 /* mux_new_orphans */
	struct tls_world *tls;
	struct health health;
	uint64_t found; /* finder.c: what was heard */
	bool paused;	/* no accepting: at the limit, or out of descriptors */
	bool stopping;
	uint64_t stop_ms;
	struct timer tick;

	int wake_fd;
	struct op wake_op;
	uint64_t wake_value;

	struct spares spare_clients, spare_upstreams, spare_trunks, spare_exchanges, spare_streams;

	uint64_t held; /* bytes of bodies that are gathered for functions: LAMBDA_HELD_MAX */
	uint64_t random[2];
	struct balance balance;
	struct msg msg; /* scratch of the message at hand */
	char head[HEAD_BYTES_MAX + 4096];
} __attribute__((aligned(64))); /* no cache line belongs to two workers */

void worker_init(struct worker *w); /* of zeros: its lists are empty; worker_start does it */
int worker_start(struct worker *w); /* the thread then sets `failed` and acknowledges */
void worker_wake(struct worker *w); /* any thread */
/* When no worker's thread runs any more: one that has ended is still told things by the others. */
void worker_fini(struct worker *w);

static inline void
worker_count(struct worker *w, enum counter id)
{
	atomic_store_explicit(&w->counters[id],
	    atomic_load_explicit(&w->counters[id], memory_order_relaxed) + 1, memory_order_relaxed);
}

static inline void
worker_count_bytes(struct worker *w, enum counter id, uint64_t n)
{
	atomic_store_explicit(&w->counters[id],
	    atomic_load_explicit(&w->counters[id], memory_order_relaxed) + n, memory_order_relaxed);
}

static inline struct slot *
worker_slot(struct worker *w, uint32_t slot)
{
	return slot_at(w->slots, slot);
}

/* A request was routed through this slot. The control thread reads the count while we write it. */
static inline void
slot_count(struct slot *s)
{
	__atomic_store_n(&s->requests, s->requests + 1, __ATOMIC_RELAXED);
}

/* The served table, kept until worker_unpin. */
struct table_ref *worker_pin(struct worker *w);
void worker_unpin(struct worker *w, struct table_ref *ref);

/* A client connection is gone: there may be room to accept again. */
void worker_client_gone(struct worker *w);

/* engine.c: what the control thread published last. */
const struct publication *engine_publication(struct engine *e);
bool engine_stopping(struct engine *e);
const struct ring_features *engine_ring_features(struct engine *e);
const uint8_t *engine_tls_secret(struct engine *e); /* TLS_SECRET bytes */
unsigned engine_nworkers(const struct engine *e);
struct worker *engine_worker(struct engine *e, unsigned index);
struct event_queue *engine_event_queue(struct engine *e);
struct finder *engine_finder(struct engine *e); /* NULL: not yet */
void engine_acknowledge(struct engine *e);	/* wakes the control thread that waits in publish */

#endif
