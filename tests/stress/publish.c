/* publish.c - a thousand tables published under load, for the thread sanitizer.
 *
 * The real engine with two workers, a target, four clients that keep their connections, and a control thread
 * that replaces services, groups and places. After every publish it asks on a connection of its own: the new
 * table must answer. Exit 0 when nothing failed; the sanitizer speaks for itself. A plain main: Criterion
 * aborts under TSan.
 */
#include "engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>

#define ROUNDS 1000
#define CLIENTS 4
#define CONNECTIONS_MAX 256
#define SCOPE 7

static const char request[] = "GET /path HTTP/1.1\r\nHost: shop\r\n\r\n";
static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static atomic_bool stopping, target_stopping;
static atomic_uint served, failed;

/* ------------------------------------------------------------------ sockets */

static int
listen_local(uint16_t *port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof(in)) != 0 || listen(fd, 64) != 0 ||
	    getsockname(fd, (struct sockaddr *)&in, &len) != 0)
		abort();
	*port = ntohs(in.sin_port);
	return fd;
}

/* A port that was free a moment ago. */
static uint16_t
free_port(void)
{
	uint16_t port;

	close(listen_local(&port));
	return port;
}

static int
connect_local(uint16_t port)
{
	struct sockaddr_in in = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
	struct timeval limit = {.tv_sec = 30};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* The status of one answer, its body read to the end; 0 when the connection broke. */
static unsigned
ask(int fd)
{
	char head[2048];
	size_t n = 0;

	if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(request) - 1)
		return 0;
	for (;;) {
		/* Freeing the ring that the engine probes with can interrupt a call of this thread. */
		ssize_t got = TEMP_FAILURE_RETRY(recv(fd, head + n, sizeof(head) - 1 - n, 0));
		const char *end, *length;

		if (got <= 0)
			return 0;
		n += (size_t)got;
		head[n] = '\0';
		end = strstr(head, "\r\n\r\n");
		if (end == NULL)
			continue;
		length = strcasestr(head, "\r\ncontent-length:");
		if (length == NULL || length > end ||
		    n >= (size_t)(end + 4 - head) + strtoul(length + 17, NULL, 10))
			return (unsigned)strtoul(head + 9, NULL, 10);
	}
}

/* ------------------------------------------------------------------ the target and the clients */

/* Answers every whole request at once; heads arrive in one piece on loopback. */
static void *
target_run(void *arg)
{
	struct pollfd fds[CONNECTIONS_MAX] = {{.fd = *(int *)arg, .events = POLLIN}};
	nfds_t n = 1;
	char buf[4096];

	while (!atomic_load(&target_stopping)) {
		poll(fds, n, 50);
		if ((fds[0].revents & POLLIN) != 0 && n < CONNECTIONS_MAX)
			fds[n++] = (struct pollfd){.fd = accept(fds[0].fd, NULL, NULL), .events = POLLIN};
		for (nfds_t i = 1; i < n; i++) {
			if ((fds[i].revents & (POLLIN | POLLHUP | POLLERR)) == 0)
				continue;
			if (recv(fds[i].fd, buf, sizeof(buf), 0) > 0) {
				send(fds[i].fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
				continue;
			}
			close(fds[i].fd);
			fds[i--] = fds[--n];
		}
	}
	for (nfds_t i = 0; i < n; i++)
		close(fds[i].fd);
	return NULL;
}

static void *
client_run(void *arg)
{
	uint16_t port = *(uint16_t *)arg;
	int fd = connect_local(port);

	while (!atomic_load(&stopping)) {
		unsigned status = ask(fd);

		if (status != 200 && status != 404 && status != 503) {
			fprintf(stderr, "a client got %u\n", status);
			atomic_fetch_add(&failed, 1);
			break;
		}
		atomic_fetch_add(&served, 1);
	}
	close(fd);
	return NULL;
}

/* ------------------------------------------------------------------ tables */

struct site {
	struct engine *engine;
	struct slots slots;
	uint16_t port, target_port;
	uint32_t service_slot, rule_slot, forward_slots[2];
	uint32_t group_slots[2], target_slots[2];
	uint32_t round;
};

static struct addr
local_addr(uint16_t port)
{
	struct addr a = {.in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};

	addr_set_port(&a, port);
	return a;
}

static struct place *
place_make(uint32_t index, uint16_t port, uint32_t serial)
{
	struct place *p = place_new();

	p->index = index;
	p->serial = serial;
	p->addr = local_addr(port);
	p->protocol = PROTOCOL_HTTP;
	p->nscopes = 1;
	p->scopes = xcalloc(1, sizeof(*p->scopes));
	p->scopes[0] = SCOPE;
	return p;
}

static struct group *
group_make(struct site *s, uint32_t which)
{
	struct group *g = group_new();

	g->index = which;
	g->slot = s->group_slots[which];
	g->name = which == 0 ? STR("blue") : STR("green");
	g->ntargets = 1;
	g->targets = arena_alloc(&g->arena, sizeof(*g->targets));
	g->targets[0] = (struct target){
	    .name = STR("t"), .addr = local_addr(s->target_port), .slot = s->target_slots[which]};
	return g;
}

static void
action_make(struct site *s, struct action *a, struct arena *arena)
{
	a->edition = s->round;
	if (s->round % 3 == 2) {
		a->kind = ACTION_FIXED;
		a->status = 404;
		return;
	}
	a->kind = ACTION_FORWARD;
	a->nforwards = 2;
	a->forwards = arena_alloc(arena, 2 * sizeof(*a->forwards));
	for (uint32_t i = 0; i < 2; i++)
		a->forwards[i] = (struct forward){.group = i,
		    .slot = s->forward_slots[i],
		    .weight = (uint16_t)(i == 0 ? 1 + s->round % 9 : s->round % 5),
		    .name = i == 0 ? STR("blue") : STR("green")};
	action_spread(a, arena);
}

/* One listener at place 0, and in every tenth round another at place 1. */
static struct service *
service_make(struct site *s, uint16_t second)
{
	struct service *v = service_new();
	struct arena *arena = &v->arena;

	v->slot = s->service_slot;
	v->name = STR("shop");
	v->idle_timeout_s = 60;
	v->nlisteners = second != 0 ? 2 : 1;
	v->listeners = arena_alloc(arena, v->nlisteners * sizeof(*v->listeners));
	for (uint32_t i = 0; i < v->nlisteners; i++) {
		struct listener *l = &v->listeners[i];

		l->name = i == 0 ? STR("web") : STR("web-2");
		l->port = i == 0 ? s->port : second;
		l->protocol = PROTOCOL_HTTP;
		l->fallback = (struct rule){.name = STR("default"), .slot = s->rule_slot};
		action_make(s, &l->fallback.action, arena);
		match_index_build(l, arena);
	}
	v->nhosts = 1;
	v->hosts = arena_alloc(arena, sizeof(*v->hosts));
	v->hosts[0] = (struct host_name){SCOPE, STR("shop")};
	v->nscopes = 1;
	v->scopes = arena_alloc(arena, sizeof(*v->scopes));
	v->scopes[0] = (struct scope_name){.scope = SCOPE, .name = STR("net")};
	v->nplaces = v->nlisteners;
	v->places = arena_alloc(arena, v->nplaces * sizeof(*v->places));
	for (uint32_t i = 0; i < v->nplaces; i++)
		v->places[i] = i;
	return v;
}

/* A changed group retires its target's number, as a removed target file does. */
static void
groups_change(struct site *s, struct build *b)
{
	uint32_t which = s->round / 7 % 2;

	if (s->round != 0 && s->round % 7 != 0)
		return;
	if (s->round == 0) {
		build_group(b, 0, group_make(s, 0));
		build_group(b, 1, group_make(s, 1));
		return;
	}
	build_retire(b, s->target_slots[which]);
	s->target_slots[which] = slots_take(&s->slots);
	build_group(b, which, group_make(s, which));
}

static bool
round_publish(struct site *s)
{
	struct build *b = build_new(engine_table(s->engine));
	uint16_t second = s->round % 10 == 9 ? free_port() : 0;
	struct table *next;
	struct clash clash;
	uint32_t place;

	groups_change(s, b);
	if (s->round == 0)
		build_place(b, place_make(0, s->port, 1));
	if (second != 0)
		build_place(b, place_make(1, second, 2 + s->round));
	build_service(b, 0, service_make(s, second));
	if (build_seal(b, &next, &clash) != 0)
		abort();
	int rc = engine_prepare(s->engine, next, &place);
	if (rc != 0) {
		/* Somebody else took the port in between: that is an answer too. */
		fprintf(stderr, "round %u: %s\n", s->round, strerror(-rc));
		table_free(next);
		return second != 0;
	}
	engine_publish(s->engine, next);
	if (second != 0) {
		int fd = connect_local(second);

		if (fd < 0 || ask(fd) == 0)
			atomic_fetch_add(&failed, 1);
		close(fd);
	}
	return true;
}

/* What the table just published must answer. */
static void
round_check(struct site *s, int fd)
{
	struct engine_stats stats;
	unsigned status = ask(fd), want = s->round % 3 == 2 ? 404 : 200;

	if (status != want) {
		fprintf(stderr, "round %u: got %u, want %u\n", s->round, status, want);
		atomic_fetch_add(&failed, 1);
	}
	engine_stats(s->engine, &stats);
	for (unsigned i = 0; i < 2; i++)
		engine_inflight(s->engine, s->target_slots[i]);
	if (s->round % 100 == 99)
		printf("round %u: %llu requests, %llu tables\n", s->round + 1,
		    (unsigned long long)stats.requests, (unsigned long long)stats.tables);
}

static void
site_start(struct site *s)
{
	struct engine_config config;
	const char *why;

	engine_config_default(&config);
	config.workers = 2;
	s->port = free_port();
	s->service_slot = slots_take(&s->slots);
	s->rule_slot = slots_take(&s->slots);
	for (unsigned i = 0; i < 2; i++) {
		s->forward_slots[i] = slots_take(&s->slots);
		s->group_slots[i] = slots_take(&s->slots);
		s->target_slots[i] = slots_take(&s->slots);
	}
	if (engine_start(&s->engine, &config, &s->slots, &why) != 0) {
		fprintf(stderr, "%s\n", why);
		exit(1);
	}
}

int
main(void)
{
	struct site s = {0};
	pthread_t threads[CLIENTS + 1];
	int target = listen_local(&s.target_port), fd;

	site_start(&s);
	pthread_create(&threads[CLIENTS], NULL, target_run, &target);
	if (!round_publish(&s))
		return 1;
	fd = connect_local(s.port);
	for (unsigned i = 0; i < CLIENTS; i++)
		pthread_create(&threads[i], NULL, client_run, &s.port);
	for (s.round = 1; s.round < ROUNDS && atomic_load(&failed) == 0; s.round++) {
		if (!round_publish(&s))
			break;
		round_check(&s, fd);
	}
	/* The clients first: a request in flight needs its target to the end. */
	atomic_store(&stopping, true);
	for (unsigned i = 0; i < CLIENTS; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&target_stopping, true);
	pthread_join(threads[CLIENTS], NULL);
	close(fd);
	engine_stop(s.engine);
	slots_fini(&s.slots);
	printf("%u rounds, %u requests, %u failed\n", s.round, atomic_load(&served), atomic_load(&failed));
	return s.round == ROUNDS && atomic_load(&failed) == 0 && atomic_load(&served) > ROUNDS ? 0 : 1;
}
