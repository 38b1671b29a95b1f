/* probe.h - one health check: a connection of its own, a question, and what the answer means. */
#ifndef PROBE_H
#define PROBE_H

#include "../http/h2.h"
#include "subject.h"

#define PROBE_ANSWER_MAX 64u /* bytes of a gRPC message: a status takes 7 */

struct probe {
	struct conn conn;
	struct worker *w;
	struct subject *subject; /* NULL: it is over, and the kernel has yet to let go */
	struct addr addr;	 /* for the kernel, which may be slower than the subject */
	struct buf *out, *in;
	size_t scanned; /* of `in`, HTTP/1 */
	/* HTTP/2 */
	struct h2 *h2;
	bool decided; /* reason is what came out: the connection is closed outside of h2's callbacks */
	enum target_reason reason;
	bool head_seen;
	struct buf *message; /* gRPC: what is still to be sent of the body */
	uint32_t answer_len;
	uint8_t answer[PROBE_ANSWER_MAX];
};

/* Asks s's question; subject_done tells, never from inside. NULL: nothing can be said of the target, for want
 * of memory or descriptors here. */
struct probe *probe_start(struct subject *s);
/* Its subject is gone: nobody is told. */
void probe_drop(struct probe *p);
void probe_fini(struct worker *w);

/* ---- for its halves */

void probe_over(struct probe *p, enum target_reason reason); /* tells the subject and closes */
void probe_give_up(struct probe *p); /* for want of memory here: nothing is said of the target */
/* Is a status one of the good ones? */
enum target_reason probe_judge(const struct probe *p, unsigned status);

/* probe_h2.c */
bool probe_h2_start(struct probe *p);		    /* false: no memory */
void probe_h2_data(struct probe *p, struct buf *b); /* takes b */
void probe_h2_sent(struct probe *p);

#endif
