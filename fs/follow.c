/* follow.c - reads of /.events that wait, and polls, as FUSE has them. */
#include "follow.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

static void
answer(void *request, struct str s)
{
	fuse_reply_buf(request, s.p, s.len);
}

static void
wake(void *poll)
{
	fuse_lowlevel_notify_poll(poll);
}

static void
forget(void *poll)
{
	fuse_pollhandle_destroy(poll);
}

const struct event_owner follow_owner = {.answer = answer, .wake = wake, .forget = forget};

/* The reader has a signal to look at. */
static void
interrupt(fuse_req_t req, void *reader)
{
	if (event_cancel(reader, req))
		fuse_reply_err(req, EINTR);
}

void
follow_read(fuse_req_t req, struct event_reader *r, size_t size, off_t off, int flags)
{
	struct str s;

	if (event_read(r, (uint64_t)off, size, &s) == 0) {
		fuse_reply_buf(req, s.p, s.len);
	} else if (flags & O_NONBLOCK) {
		fuse_reply_err(req, EAGAIN);
	} else if (fuse_req_interrupted(req)) {
		fuse_reply_err(req, EINTR);
	} else {
		event_wait(r, req, (uint64_t)off, size);
		fuse_req_interrupt_func(req, interrupt, r);
	}
}

void
follow_poll(fuse_req_t req, struct event_reader *r, struct fuse_pollhandle *poll)
{
	if (r == NULL) {
		if (poll != NULL)
			fuse_pollhandle_destroy(poll);
		fuse_reply_poll(req, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
		return;
	}
	if (poll != NULL)
		event_poll(r, poll);
	fuse_reply_poll(req, event_is_ready(r) ? POLLIN | POLLRDNORM : 0);
}
