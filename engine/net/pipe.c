/* pipe.c - pipes, and what is spliced into and out of them. */
#include "pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PIPES_MAX 256u
#define PIPES_KEPT 16u
/* Four times what a pipe begins with; twice that was no cheaper (bench, passthrough). */
#define PIPE_BYTES (256 << 10)

struct pipe *
pipe_get(struct pipe_pool *pool)
{
	struct pipe *p = pool->free;
	int ends[2];

	if (p != NULL) {
		pool->free = p->next;
		pool->nfree--;
		return p;
	}
	if (pool->nopen == PIPES_MAX || (p = malloc(sizeof(*p))) == NULL)
		return NULL;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
		free(p);
		return NULL;
	}
	/* Of its default size it works as well, in smaller steps. */
	fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
	*p = (struct pipe){.in = ends[1], .out = ends[0]};
	pool->nopen++;
	return p;
}

static void
discard(struct pipe_pool *pool, struct pipe *p)
{
	close(p->in);
	close(p->out);
	free(p);
	pool->nopen--;
}

void
pipe_put(struct pipe_pool *pool, struct pipe *p)
{
	if (p->len > 0 || pool->nfree == PIPES_KEPT) {
		discard(pool, p);
		return;
	}
	p->next = pool->free;
	pool->free = p;
	pool->nfree++;
}

void
pipe_pool_fini(struct pipe_pool *pool)
{
	struct pipe *p;

	while ((p = pool->free) != NULL) {
		pool->free = p->next;
		discard(pool, p);
	}
	assert(pool->nopen == 0);
	pool->nfree = 0;
}

static ssize_t
move(int from, int to, size_t n)
{
	ssize_t done = splice(from, NULL, to, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	return done < 0 ? -errno : done;
}

int
pipe_fill(struct pipe *p, int fd)
{
	ssize_t n = move(fd, p->in, INT32_MAX);

	if (n > 0)
		p->len += (uint32_t)n;
	return (int)n;
}

int
pipe_drain(struct pipe *p, int fd)
{
	while (p->len > 0) {
		ssize_t n = move(p->out, fd, p->len);

		if (n <= 0)
			return n < 0 ? (int)n : -EPIPE;
		p->len -= (uint32_t)n;
	}
	return 0;
}
