/* follow.h - reads of /.events that wait, and polls, as FUSE has them. */
#ifndef FOLLOW_H
#define FOLLOW_H

#include "events.h"
#include <fuse_lowlevel.h>

extern const struct event_owner follow_owner;

/* Answers now, or when something has happened or the reader has a signal to look at. */
void follow_read(fuse_req_t req, struct event_reader *r, size_t size, off_t off, int flags);
/* r NULL: a file that is always ready. Takes poll. */
void follow_poll(fuse_req_t req, struct event_reader *r, struct fuse_pollhandle *poll);

#endif
