/* subject.h - what is asked of a machine, and who wants to know: groups that ask the same of the same address
 * ask once, and the answer counts for each of them.
 *
 * A subject lives as long as a check wants it. It has its own turn in every interval. A check without a
 * result yet may hurry it; what comes out then, between two turns, is for such checks alone: the others'
 * thresholds count turns.
 */
#ifndef SUBJECT_H
#define SUBJECT_H

#include "health.h"

/* All that one probe depends on; what its protocol does not use is empty. */
struct question {
	struct addr addr; /* where */
	uint32_t vpc;
	enum check_protocol protocol;
	bool tls, http2;
	struct str path;    /* HTTP, HTTPS */
	struct str service; /* GRPC */
	uint32_t interval_ms, timeout_ms;
	uint32_t ncodes; /* HTTP, HTTPS */
	const struct code_range *codes;
};

struct subject {
	struct question question; /* what it refers to is in `codes` and behind them */
	uint64_t hash;
	struct worker *w;
	struct subject *next; /* in its bucket */
	struct list checks;
	struct timer timer;
	uint64_t turn_ms;    /* its next turn */
	struct probe *probe; /* under way, or NULL */
	bool early;	     /* that one is between two turns */
	struct code_range codes[];
};

/* c wants to know what g asks of its target t. False: it did so already; true: its results count anew. */
bool subject_join(struct worker *w, struct check *c, const struct group *g, const struct target *t);
void subject_leave(struct check *c);
/* Is asked soon, for a check without a result. */
void subject_hurry(struct subject *s);
/* Of its probe, which is over: REASON_NONE for good. */
void subject_done(struct subject *s, enum target_reason reason);
void subject_fini(struct worker *w); /* nobody wants to know anything any more */

#endif
