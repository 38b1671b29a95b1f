/* resolve.h - the answer to one question, from the table alone. */
#ifndef RESOLVE_H
#define RESOLVE_H

#include "../dns/dns.h"
#include "counters.h"
#include "limits.h"
#include "table.h"

#include <stdatomic.h>

struct resolve {
	const struct table *table;
	struct str suffix;
	uint32_t ttl_s;
	bool forwards;				       /* there is somebody who knows the other names */
	_Atomic uint64_t counters[NAME_COUNTER_COUNT]; /* relaxed, single writer */
};

enum resolve_verdict { RESOLVE_NOTHING, RESOLVE_ANSWER, RESOLVE_FORWARD };

/* The message is in room (NAME_ANSWER_MAX bytes) when the verdict is ANSWER. q is filled unless it is NOTHING
 * and points into p. */
enum resolve_verdict resolve_message(struct resolve *r, const struct zone *z, const void *p, size_t n,
    bool stream, struct dns_query *q, uint8_t *room, size_t *len);
/* An answer that is nothing but a code. */
size_t resolve_failure(const struct resolve *r, const struct dns_query *q, unsigned rcode, uint8_t *room);

static inline void
resolve_count(struct resolve *r, enum name_counter id)
{
	atomic_store_explicit(&r->counters[id],
	    atomic_load_explicit(&r->counters[id], memory_order_relaxed) + 1, memory_order_relaxed);
}

#endif
