/* passkit.h - a real engine with a TLS passthrough listener, and both ends of its connections. */
#ifndef PASSKIT_H
#define PASSKIT_H

#include "clock.h"
#include "hellos.h"
#include "tablekit.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

#define NTARGETS 2u
#define WAIT_MS 5000

enum { BLUE, GREEN, EMPTY, NGROUPS };

/* shop goes to blue and green, cart to green, bare to a group without targets. */
struct site {
	struct engine_config config;
	struct engine *engine;
	struct slots slots;
	uint16_t port;
	int targets[NTARGETS]; /* listening */
	uint16_t ports[NTARGETS];
	uint16_t spare; /* another target of blue, before the first; 0: none */
	uint16_t weights[2];
	uint32_t idle_s;
	uint32_t service_slots[3], rule_slots[3], forward_slots[3][2], group_slots[NGROUPS], target_slots[3];
};

static struct hello shop, cart;

/* ------------------------------------------------------------------ sockets
 *
 * Freeing the ring that the engine probes with can interrupt a call of this thread. */

static inline int
listen_local(uint16_t *port, int backlog)
{
	struct addr a = local_addr(0);
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert(fd >= 0 && bind(fd, &a.sa, sizeof(a.in)) == 0 && listen(fd, backlog) == 0);
	cr_assert(getsockname(fd, &a.sa, &len) == 0);
	*port = addr_port(&a);
	return fd;
}

static inline int
connect_local(uint16_t port)
{
	struct addr a = local_addr(port);
	struct timeval limit = {.tv_sec = WAIT_MS / 1000};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	cr_assert(connect(fd, &a.sa, sizeof(a.in)) == 0, "%s", strerror(errno));
	return fd;
}

static inline void
send_all(int fd, const void *p, size_t n)
{
	cr_assert(send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n);
}

/* The client's side of a new connection, its hello sent. */
static inline int
client_open(const struct site *s, const struct hello *h)
{
	int fd = connect_local(s->port);

	send_all(fd, h->p, h->n);
	return fd;
}

/* The next connection that came to a target, or -1. */
static inline int
target_accept(const struct site *s, unsigned which, int wait_ms)
{
	struct pollfd p = {.fd = s->targets[which], .events = POLLIN};
	struct timeval limit = {.tv_sec = WAIT_MS / 1000};
	int fd;

	if (TEMP_FAILURE_RETRY(poll(&p, 1, wait_ms)) <= 0)
		return -1;
	fd = accept4(s->targets[which], NULL, NULL, SOCK_CLOEXEC);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static inline void
expect_bytes(int fd, const void *p, size_t n)
{
	char *got = xcalloc(1, n);
	ssize_t more = 1;

	for (size_t at = 0; at < n; at += (size_t)more) {
		more = TEMP_FAILURE_RETRY(recv(fd, got + at, n - at, 0));
		cr_assert(more > 0, "%zu of %zu bytes: %s", at, n, more < 0 ? strerror(errno) : "closed");
	}
	cr_expect(memcmp(got, p, n) == 0);
	free(got);
}

/* 0 for an orderly end, -errno, or 1 when there is data. */
static inline int
read_end(int fd)
{
	char c;
	ssize_t n = TEMP_FAILURE_RETRY(recv(fd, &c, 1, 0));

	return n > 0 ? 1 : n == 0 ? 0 : -errno;
}

static inline void
reset(int fd)
{
	struct linger now = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/* ------------------------------------------------------------------ the table */

static inline struct group *
group_make(const struct site *s, uint32_t which)
{
	struct group *g = group_new();

	g->index = which;
	g->slot = s->group_slots[which];
	g->name = STR("group");
	g->protocol = GROUP_TCP;
	g->targets = arena_alloc(&g->arena, 2 * sizeof(*g->targets));
	if (which == BLUE && s->spare != 0)
		g->targets[g->ntargets++] = (struct target){
		    .name = STR("spare"), .addr = local_addr(s->spare), .slot = s->target_slots[2]};
	if (which != EMPTY)
		g->targets[g->ntargets++] = (struct target){
		    .name = STR("t"), .addr = local_addr(s->ports[which]), .slot = s->target_slots[which]};
	return g;
}

static inline struct service *
service_make(const struct site *s, uint32_t which)
{
	static const char *const hosts[3][3] = {
	    {"shop.test", "*.wild.test"}, {"cart.test", "cart"}, {"bare.test", "bare"}};
	static const uint32_t groups[3][2] = {{BLUE, GREEN}, {GREEN}, {EMPTY}};
	struct forward to[3] = {0};
	struct service *v;

	for (uint32_t i = 0; i < (which == 0 ? 2 : 1); i++)
		to[i] = (struct forward){.group = groups[which][i],
		    .slot = s->forward_slots[which][i],
		    .weight = which == 0 ? s->weights[i] : 1,
		    .name = STR("group")};
	v = table_kit_service(s->port, PROTOCOL_TLS_PASSTHROUGH, s->service_slots[which],
	    s->rule_slots[which], hosts[which], to);
	v->index = which;
	v->idle_timeout_s = s->idle_s;
	return v;
}

static inline void
site_publish(struct site *s)
{
	struct build *b = build_new(engine_table(s->engine));

	build_place(b, table_kit_place(s->port, PROTOCOL_TLS_PASSTHROUGH));
	for (uint32_t i = 0; i < NGROUPS; i++)
		build_group(b, i, group_make(s, i));
	for (uint32_t i = 0; i < 3; i++)
		build_service(b, i, service_make(s, i));
	table_kit_publish(s->engine, b);
}

static inline void
take_slots(struct site *s, uint32_t *slots, size_t n)
{
	for (size_t i = 0; i < n; i++)
		slots[i] = slots_take(&s->slots);
}

/* What a test sets before site_start. */
static inline void
site_init(struct site *s)
{
	*s = (struct site){.weights = {1, 0}, .idle_s = 60};
	engine_config_default(&s->config);
	s->config.workers = 1;
	s->config.drain_timeout_ms = 300;
	s->config.connect_timeout_ms = 300;
	s->config.head_timeout_ms = 2000;
	s->config.resolvers[0].sa.sa_family = s->config.resolvers[1].sa.sa_family = AF_UNSPEC;
	s->port = free_port();
	for (unsigned i = 0; i < NTARGETS; i++)
		s->targets[i] = listen_local(&s->ports[i], 64);
	take_slots(s, s->service_slots, 3);
	take_slots(s, s->rule_slots, 3);
	take_slots(s, &s->forward_slots[0][0], 6);
	take_slots(s, s->group_slots, NGROUPS);
	take_slots(s, s->target_slots, 3);
	hello_make(&shop, TLS1_3_VERSION, "Shop.Test", 0);
	hello_make(&cart, TLS1_2_VERSION, "cart.test", 0);
}

static inline void
site_start(struct site *s)
{
	const char *why;

	cr_assert(engine_start(&s->engine, &s->config, &s->slots, &why) == 0, "%s", why);
	site_publish(s);
}

static inline void
site_stop(struct site *s)
{
	engine_stop(s->engine);
	slots_fini(&s->slots);
	for (unsigned i = 0; i < NTARGETS; i++)
		close(s->targets[i]);
}

static inline unsigned long
metric(const struct site *s, const char *name)
{
	struct text t = {0};
	char key[96];
	const char *at;
	unsigned long value;

	engine_metrics(s->engine, &t);
	snprintf(key, sizeof(key), "\nlatticefs_%s ", name);
	at = strstr(t.p, key);
	cr_assert(at != NULL, "%s", name);
	value = strtoul(at + strlen(key), NULL, 10);
	text_fini(&t);
	return value;
}

/* A count that a worker is about to change. */
#define EVENTUALLY(cond)                                                 \
	({                                                               \
		uint64_t end_ = clock_ms() + WAIT_MS;                    \
		while (!(cond) && clock_ms() < end_)                     \
			poll(NULL, 0, 2);                                \
		cr_expect(cond, "not within %d ms: %s", WAIT_MS, #cond); \
	})

static inline void
pair_open(const struct site *s, int *client, int *far)
{
	*client = client_open(s, &shop);
	*far = target_accept(s, BLUE, WAIT_MS);
	cr_assert(*far >= 0);
	expect_bytes(*far, shop.p, shop.n);
}

#endif
