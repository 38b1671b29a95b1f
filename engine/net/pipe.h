/* pipe.h - bytes that go from one socket to another as the pages they lie in, through a pipe: nobody reads or
 * copies them here.
 *
 * A pipe holds bytes only between a receive and its send, so few are enough for many connections; whoever
 * gets none takes a buffer.
 */
#ifndef PIPE_H
#define PIPE_H

#include "base.h"

struct pipe {
	int in, out;
	uint32_t len; /* bytes in it */
	struct pipe *next;
};

struct pipe_pool {
	struct pipe *free;
	uint32_t nfree, nopen;
};

/* NULL: too many are in use, or there are no descriptors. */
struct pipe *pipe_get(struct pipe_pool *pool);
void pipe_put(struct pipe_pool *pool, struct pipe *p); /* what is still in it is lost */
void pipe_pool_fini(struct pipe_pool *pool);	       /* none may be in use */
/* Of a socket with O_NONBLOCK: splice asks nothing else whether to wait. fill: so many bytes; 0: it has
 * ended; -EAGAIN: there is nothing now. drain: 0 when all is there; -EAGAIN: it takes no more now. */
int pipe_fill(struct pipe *p, int fd);
int pipe_drain(struct pipe *p, int fd);

#endif
