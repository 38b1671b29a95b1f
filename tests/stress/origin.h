/* origin.h - for the stress test: small targets, all in one thread. */
#ifndef ORIGIN_H
#define ORIGIN_H

#include "wire.h"

#include <pthread.h>
#include <stdatomic.h>

enum { ORIGIN_H1, ORIGIN_H1_TLS, ORIGIN_H2, ORIGIN_H2_TLS, NORIGINS };

struct origins {
	uint16_t ports[NORIGINS];
	struct paper paper; /* what those with TLS show */
	int fds[NORIGINS];
	pthread_t thread;
	atomic_bool stopping;
	atomic_uint answered[NORIGINS];
};

/* paper is filled in; ports are when it returns. */
void origins_start(struct origins *o);
void origins_stop(struct origins *o);

#endif
