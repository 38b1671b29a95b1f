/* listen.c - multishot accept. */
#include "listen.h"

#include <errno.h>
#include <sys/socket.h>

static void
let_go(struct listen *l)
{
	if (l->accepting)
		return;
	l->net->nopen--;
	free(l);
}

static void
arm(struct listen *l)
{
	if (l->accepting)
		return;
	l->accepting = true;
	ring_accept(l->net->ring, &l->op, l->fd);
}

static void
accepted(struct op *op, int result, uint32_t flags)
{
	struct listen *l = container_of(op, struct listen, op);

	if (!ring_more(flags))
		l->accepting = false;
	if (l->closing) {
		if (result >= 0)
			ring_close(l->net->ring, result);
		let_go(l);
		return;
	}
	if (result != -ECANCELED)
		l->accepted(l, result);
	/* The kernel ends a multishot accept now and then without a reason of ours; and what ended by a pause
	 * may have been resumed before the end was seen. An error pauses: its owner resumes when it likes. */
	if (!l->paused)
		arm(l);
}

void
listen_open(struct listen *l, struct net *net, int fd, listen_fn *fn)
{
	l->op.done = accepted;
	l->net = net;
	l->fd = fd;
	l->accepted = fn;
	net->nopen++;
	listen_resume(l);
}

void
listen_resume(struct listen *l)
{
	l->paused = false;
	arm(l);
}

void
listen_pause(struct listen *l)
{
	l->paused = true;
	if (l->accepting)
		ring_cancel(l->net->ring, &l->op);
}

void
listen_close(struct listen *l)
{
	l->closing = true;
	/* An armed accept keeps the socket alive past close: shutdown frees the port at once. */
	shutdown(l->fd, SHUT_RDWR);
	if (l->accepting)
		ring_cancel(l->net->ring, &l->op);
	close(l->fd);
	l->fd = -1;
	let_go(l);
}
