/* health.h - how targets are: active checks (subject.h), ejections (eject.c), and what every worker knows of
 * it.
 *
 * A target is checked by one worker, by its machine, so that all groups that ask the same of it find each
 * other (subject.h); a group's ejections are one worker's, by the group's slot.
 * Whoever decides changes its own words in the target's slot, tells the other workers by a notice, and the
 * control thread by an event. On the request path nothing is shared.
 */
#ifndef HEALTH_H
#define HEALTH_H

#include "worker.h"
#include <errno.h>

/* The words of all targets follow from the table that this worker has just adopted: new ones are INITIAL, of
 * those that are not checked nothing is known. before: the table until now, or NULL. */
void health_adopt(struct worker *w, const struct table *before);
/* Acts on what other workers told, as far as it is of the table at hand. */
void health_hear(struct worker *w);
void health_stop(struct worker *w); /* no checks any more */
void health_fini(struct worker *w);
/* Where other workers' notices come, which outlives this one's thread. */
void notice_init(struct worker *w);
void notice_fini(struct worker *w);

/* ---- passive checks */

enum outcome {
	OUTCOME_GOOD,	     /* an answer below 500; without HTTP, a connection */
	OUTCOME_ERROR,	     /* a 5xx, or no sound answer in time */
	OUTCOME_UNREACHABLE, /* no connection */
};

void eject_count(struct worker *w, uint32_t group, uint32_t slot, enum outcome outcome);

/* What became of a request, or of a try of it, that this target got. */
static inline void
health_report(struct worker *w, uint32_t group, uint32_t slot, enum outcome outcome)
{
	struct slot *s = worker_slot(w, slot);

	if (outcome != OUTCOME_GOOD)
		eject_count(w, group, slot, outcome);
	else if (unlikely(s->failures != 0 || s->errors != 0))
		s->failures = s->errors = 0;
}

/* There was no connection, for want of something here or because of the target. */
static inline void
health_unreachable(struct worker *w, uint32_t group, uint32_t slot, int error)
{
	if (error != -EMFILE && error != -ENFILE && error != -ENOMEM)
		health_report(w, group, slot, OUTCOME_UNREACHABLE);
}

/* Index of the worker that checks a target. It follows from the address without the port, which a slot keeps,
 * so that nothing that is said of a target is ever said by two. */
unsigned health_owner(const struct target *t, unsigned nworkers);

/* ---- for subject.c and eject.c */

/* A target that this worker checks. */
struct check {
	struct list link; /* in its subject's */
	struct subject *subject;
	uint32_t slot;
	uint32_t group, index; /* in the table, and among its targets */
	uint32_t good, bad;    /* results in a row, of this subject */
};

/* What came out: REASON_NONE for good. */
void check_done(struct check *c, enum target_reason reason);

enum notice_kind {
	NOTICE_STATE,	/* of a target, by active checks */
	NOTICE_EJECTED, /* a target is left out */
	NOTICE_BACK,	/* and no more */
	NOTICE_FAILING, /* to the worker that ejects: a target failed too often here */
};

struct notice {
	struct list link;
	uint64_t generation; /* of the table it is about */
	uint32_t group, slot;
	uint8_t kind, state, reason;
};

/* To all other workers. */
void notice_spread(struct worker *w, const struct notice *n);
void notice_send(struct worker *from, struct worker *to, const struct notice *n);

/* Sets a target's words here. teller: it is this worker's to tell the control thread. */
struct words {
	uint8_t state, reason, down;
};
void health_set(
    struct worker *w, const struct group *g, const struct target *t, struct words to, bool teller);
struct words health_words(const struct slot *s);
struct words health_shown(struct words x); /* what people are told: an ejected target is UNHEALTHY */

void eject_failing(struct worker *w, uint32_t group, uint32_t slot);
/* A group is another one than before: ejections that it does not allow any more are over. */
void eject_adopt(struct worker *w, uint32_t group);
void eject_fini(struct worker *w);

#endif
