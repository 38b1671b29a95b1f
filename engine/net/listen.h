/* listen.h - a worker's listening socket at one place. */
#ifndef LISTEN_H
#define LISTEN_H

#include "conn.h"

struct listen;
/* A new connection (fd >= 0), or the -errno that ended accepting: EMFILE and the like. */
typedef void listen_fn(struct listen *l, int fd);

struct listen {
	struct op op;
	struct net *net;
	listen_fn *accepted;
	int fd;
	uint32_t place, serial;
	bool accepting; /* the kernel has an accept of ours */
	bool paused, closing;
	struct list link; /* the worker's */
};

/* Takes fd. */
void listen_open(struct listen *l, struct net *net, int fd, listen_fn *accepted);
void listen_resume(struct listen *l); /* accepts again after an error or a pause */
void listen_pause(struct listen *l);
/* Closes now, so that the port is free when this returns; the memory is freed after the last completion. */
void listen_close(struct listen *l);

#endif
