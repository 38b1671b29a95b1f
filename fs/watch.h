/* watch.h - what the store changes without the kernel asking for it by name. */
#ifndef WATCH_H
#define WATCH_H

#include "txn.h"

struct fuse_session;

/* From here on the session is told; until t->store.moved is NULL again. One a process. */
void watch_start(struct tree *t, struct fuse_session *session);

#endif
