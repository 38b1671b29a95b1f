/* bare.h - a worker without its thread, on a clock of the fuzzer's own, and sockets for the other ends. */
#ifndef BARE_H
#define BARE_H

#include "../../engine/proxy/mux.h"
#include "../unit/port.h"
#include <netinet/tcp.h>

/* Everything but a table and slots. */
static inline void
bare_init(struct worker *w)
{
	static const struct buf_sizes sizes[BUF_CLASSES] = {
	    [BUF_SMALL] = {.room = 2048, .max = 256, .want = 16, .want_max = 64},
	    [BUF_MID] = {.room = 80 * 1024, .max = 64, .want = 8, .want_max = 16},
	    [BUF_BIG] = {.room = 512 * 1024, .max = 8, .want = 2, .want_max = 2},
	};
	static struct engine_config config;
	struct ring_features f;
	const char *why;

	engine_config_default(&config);
	w->config = &config;
	w->random[0] = 1;
	worker_init(w);
	assert(ring_probe(&f, &why) == 0 && ring_new(&w->net.ring, 64, &f) == 0);
	for (int i = 0; i < BUF_CLASSES; i++)
		assert(buf_pool_init(&w->net.pools[i], w->net.ring, (enum buf_class)i, &sizes[i]) == 0);
	w->net.now_ms = clock_ms();
	w->balance = (struct balance){w->slots, &w->net.now_ms, 1};
	wheel_init(&w->net.wheel, w->net.now_ms);
	w->orphans = mux_new_orphans(w);
	assert(w->orphans != NULL);
}

/* As the worker's loop does it, so many milliseconds later. */
static inline void
bare_turn(struct worker *w, uint64_t ms)
{
	ring_turn(w->net.ring, 0);
	w->net.now_ms += ms;
	wheel_run(&w->net.wheel, w->net.now_ms);
	conn_wake_ready(&w->net);
	mux_run(w);
	for (int i = 0; i < BUF_CLASSES; i++)
		buf_refill(&w->net.pools[i]);
	conn_wake_starved(&w->net);
	conn_wake_ready(&w->net);
}

/* No connection, no buffer, no stream is left. */
static inline void
bare_check_idle(const struct worker *w)
{
	assert(w->net.nopen == 0 && list_empty(&w->muxes) && w->orphans->nstreams == 0);
	for (int i = 0; i < BUF_CLASSES; i++)
		assert(w->net.pools[i].held == 0);
}

/* ------------------------------------------------------------------ sockets */

static inline int
bare_listen(struct addr *a)
{
	socklen_t len = sizeof(*a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*a = local_addr(0);
	assert(fd >= 0 && bind(fd, &a->sa, sizeof(a->in)) == 0 && listen(fd, 128) == 0);
	assert(getsockname(fd, &a->sa, &len) == 0);
	return fd;
}

/* What is sent is there when send returns. */
static inline void
bare_hurry(int fd)
{
	const int yes = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

/* Nothing of it stays in the kernel, which has only so many ports. */
static inline void
bare_drop(int fd)
{
	const struct linger at_once = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

/* What came is thrown away; *first, while it is 0, becomes its first byte. */
static inline void
bare_drain(int fd, char *first)
{
	static char bytes[65536];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		if (*first == '\0')
			*first = bytes[0];
}

#endif
