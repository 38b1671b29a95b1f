/* caller.h - for the stress test: a client of HTTP/1.1 or HTTP/2 on a wire. One thread's. */
#ifndef CALLER_H
#define CALLER_H

#include "../../engine/http/h2.h"
#include "wire.h"

/* What a body has, there and back. */
#define POST_BYTES 3000u
#define ANSWER_BYTES 20000u

struct question {
	bool post;
	unsigned status; /* of the answer, once all of it came; 0: it did not */
	int32_t id;	 /* HTTP/2 */
	size_t left;	 /* of its body, to be sent */
};

struct caller {
	struct wire wire;
	struct h2 *h2; /* NULL: HTTP/1.1 */
	unsigned open; /* streams */
	bool over;     /* nothing more can be asked: broken, or the last answer said so */
};

/* w is the caller's from now on. */
void caller_begin(struct caller *c, struct wire *w, bool h2);
void caller_end(struct caller *c);
/* Asks them: one behind the other with HTTP/1.1, at the same time with HTTP/2. How many were asked, less than
 * n when an answer was the connection's last. */
unsigned caller_ask(struct caller *c, struct question *q, unsigned n);

#endif
