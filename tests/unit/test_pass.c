/* test_pass.c - TLS passthrough: a real engine, real sockets, and ClientHellos of OpenSSL. */
#include "../../engine/http/hello.h"
#include "clock.h"
#include "engine.h"
#include "hellos.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

#define SCOPE 7u
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

static struct addr
local_addr(uint16_t port)
{
	struct addr a = {.in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};

	addr_set_port(&a, port);
	return a;
}

static int
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

/* A port that was free a moment ago. */
static uint16_t
free_port(void)
{
	uint16_t port;

	close(listen_local(&port, 1));
	return port;
}

static int
connect_local(uint16_t port)
{
	struct addr a = local_addr(port);
	struct timeval limit = {.tv_sec = WAIT_MS / 1000};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	cr_assert(connect(fd, &a.sa, sizeof(a.in)) == 0, "%s", strerror(errno));
	return fd;
}

static void
send_all(int fd, const void *p, size_t n)
{
	cr_assert(send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n);
}

/* The client's side of a new connection, its hello sent. */
static int
client_open(const struct site *s, const struct hello *h)
{
	int fd = connect_local(s->port);

	send_all(fd, h->p, h->n);
	return fd;
}

/* The next connection that came to a target, or -1. */
static int
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

static void
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
static int
read_end(int fd)
{
	char c;
	ssize_t n = TEMP_FAILURE_RETRY(recv(fd, &c, 1, 0));

	return n > 0 ? 1 : n == 0 ? 0 : -errno;
}

static void
reset(int fd)
{
	struct linger now = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/* ------------------------------------------------------------------ the table */

static struct group *
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

static struct service *
service_make(const struct site *s, uint32_t which)
{
	static const char *const hosts[3][2] = {
	    {"shop.test", "*.wild.test"}, {"cart.test", "cart"}, {"bare.test", "bare"}};
	static const uint32_t groups[3][2] = {{BLUE, GREEN}, {GREEN}, {EMPTY}};
	struct service *v = service_new();
	struct action *a;

	v->index = which;
	v->slot = s->service_slots[which];
	v->name = arena_str(&v->arena, str_of(hosts[which][0]));
	v->idle_timeout_s = s->idle_s;
	v->nlisteners = v->nscopes = v->nplaces = 1;
	v->listeners = arena_alloc(&v->arena, sizeof(*v->listeners));
	v->listeners[0] =
	    (struct listener){.name = STR("tls"), .port = s->port, .protocol = PROTOCOL_TLS_PASSTHROUGH};
	v->listeners[0].fallback = (struct rule){.name = STR("default"), .slot = s->rule_slots[which]};
	a = &v->listeners[0].fallback.action;
	a->nforwards = which == 0 ? 2 : 1;
	a->forwards = arena_alloc(&v->arena, 2 * sizeof(*a->forwards));
	for (uint32_t i = 0; i < a->nforwards; i++)
		a->forwards[i] = (struct forward){.group = groups[which][i],
		    .slot = s->forward_slots[which][i],
		    .weight = which == 0 ? s->weights[i] : 1,
		    .name = STR("group")};
	action_spread(a, &v->arena);
	v->nhosts = 2;
	v->hosts = arena_alloc(&v->arena, 2 * sizeof(*v->hosts));
	for (uint32_t i = 0; i < 2; i++)
		v->hosts[i] = (struct host_name){SCOPE, str_of(hosts[which][i])};
	v->scopes = arena_alloc(&v->arena, sizeof(*v->scopes));
	v->scopes[0] = (struct scope_name){SCOPE, STR("net")};
	v->places = arena_alloc(&v->arena, sizeof(*v->places));
	v->places[0] = 0;
	return v;
}

static void
site_publish(struct site *s)
{
	struct build *b = build_new(engine_table(s->engine));
	struct place *p = place_new();
	struct table *next;
	struct clash clash;
	uint32_t place;

	p->serial = 1;
	p->addr = local_addr(s->port);
	p->protocol = PROTOCOL_TLS_PASSTHROUGH;
	p->open = true;
	p->nscopes = 1;
	p->scopes = xcalloc(1, sizeof(*p->scopes));
	p->scopes[0] = SCOPE;
	build_place(b, p);
	for (uint32_t i = 0; i < NGROUPS; i++)
		build_group(b, i, group_make(s, i));
	for (uint32_t i = 0; i < 3; i++)
		build_service(b, i, service_make(s, i));
	cr_assert(build_seal(b, &next, &clash) == 0);
	cr_assert(engine_prepare(s->engine, next, &place) == 0);
	engine_publish(s->engine, next);
}

static void
take_slots(struct site *s, uint32_t *slots, size_t n)
{
	for (size_t i = 0; i < n; i++)
		slots[i] = slots_take(&s->slots);
}

/* What a test sets before site_start. */
static void
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

static void
site_start(struct site *s)
{
	const char *why;

	cr_assert(engine_start(&s->engine, &s->config, &s->slots, &why) == 0, "%s", why);
	site_publish(s);
}

static void
site_stop(struct site *s)
{
	engine_stop(s->engine);
	slots_fini(&s->slots);
	for (unsigned i = 0; i < NTARGETS; i++)
		close(s->targets[i]);
}

static unsigned long
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

/* ------------------------------------------------------------------ who gets it */

static void
expect_routed(const struct site *s, const struct hello *h, unsigned target)
{
	int client = client_open(s, h), far = target_accept(s, target, WAIT_MS);

	cr_assert(far >= 0);
	expect_bytes(far, h->p, h->n);
	send_all(far, "welcome", 7);
	expect_bytes(client, "welcome", 7);
	send_all(client, "more", 4);
	expect_bytes(far, "more", 4);
	close(client);
	cr_expect(read_end(far) == 0);
	close(far);
}

Test(pass, goes_where_the_name_says_and_changes_nothing, .timeout = 60)
{
	static struct hello wild;
	struct site s;
	uint64_t bytes;

	site_init(&s);
	site_start(&s);
	expect_routed(&s, &shop, BLUE);
	expect_routed(&s, &cart, GREEN);
	hello_make(&wild, TLS1_3_VERSION, "any.wild.test", 0);
	expect_routed(&s, &wild, BLUE);
	bytes = shop.n + cart.n + wild.n + 3 * 4;
	cr_expect(metric(&s, "passthrough_connections_total") == 3);
	cr_expect(metric(&s, "passthrough_bytes_received_total") == bytes);
	cr_expect(metric(&s, "passthrough_bytes_sent_total") == 3 * 7);
	cr_expect(metric(&s, "connections_accepted_total") == 3);
	site_stop(&s);
}

Test(pass, counts_for_service_rule_forward_group_and_target, .timeout = 60)
{
	struct site s;
	struct engine_stats stats;
	int client, far;

	site_init(&s);
	site_start(&s);
	client = client_open(&s, &shop);
	far = target_accept(&s, BLUE, WAIT_MS);
	cr_assert(far >= 0);
	EVENTUALLY(engine_inflight(s.engine, s.target_slots[BLUE]) == 1);
	cr_expect(engine_requests(s.engine, s.service_slots[0]) == 1);
	cr_expect(engine_requests(s.engine, s.rule_slots[0]) == 1);
	cr_expect(engine_requests(s.engine, s.forward_slots[0][BLUE]) == 1);
	cr_expect(engine_requests(s.engine, s.group_slots[BLUE]) == 1);
	cr_expect(engine_requests(s.engine, s.target_slots[BLUE]) == 1);
	cr_expect(engine_requests(s.engine, s.target_slots[GREEN]) == 0);
	/* An open connection is a client's, and holds no table. */
	EVENTUALLY(metric(&s, "passthrough_connections_total") == 1);
	site_publish(&s);
	engine_reclaim(s.engine);
	engine_stats(s.engine, &stats);
	cr_expect(stats.connections == 1 && stats.tables == 1);
	expect_bytes(far, shop.p, shop.n);
	send_all(far, "x", 1);
	expect_bytes(client, "x", 1);
	close(client);
	close(far);
	EVENTUALLY(engine_inflight(s.engine, s.target_slots[BLUE]) == 0);
	EVENTUALLY((engine_stats(s.engine, &stats), stats.connections == 0));
	site_stop(&s);
}

Test(pass, shares_connections_by_weight, .timeout = 60)
{
	struct site s;

	site_init(&s);
	s.weights[0] = 3;
	s.weights[1] = 1;
	site_start(&s);
	for (unsigned i = 0; i < 8; i++) {
		int client = client_open(&s, &shop);

		EVENTUALLY(metric(&s, "passthrough_connections_total") == i + 1);
		close(client);
	}
	cr_expect(engine_requests(s.engine, s.forward_slots[0][0]) == 6);
	cr_expect(engine_requests(s.engine, s.forward_slots[0][1]) == 2);
	site_stop(&s);
}

/* ------------------------------------------------------------------ who gets nothing */

static void
expect_closed(const struct site *s, const struct hello *h, const char *counter)
{
	unsigned long before = metric(s, counter);
	int client = client_open(s, h);

	cr_expect(read_end(client) == 0, "%s", counter);
	cr_expect(metric(s, counter) == before + 1, "%s", counter);
	cr_expect(target_accept(s, BLUE, 0) < 0 && target_accept(s, GREEN, 0) < 0);
	close(client);
}

Test(pass, closes_what_names_nobody, .timeout = 60)
{
	static struct hello h;
	struct site s;

	site_init(&s);
	site_start(&s);
	hello_make(&h, TLS1_3_VERSION, NULL, 0);
	expect_closed(&s, &h, "passthrough_no_name_total");
	hello_make(&h, TLS1_3_VERSION, "other.test", 0);
	expect_closed(&s, &h, "passthrough_unknown_total");
	hello_make(&h, TLS1_3_VERSION, "bare.test", 0);
	expect_closed(&s, &h, "no_target_total");
	h.n = (size_t)snprintf((char *)h.p, WIRE_MAX, "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
	expect_closed(&s, &h, "passthrough_bad_hellos_total");
	cr_expect(metric(&s, "passthrough_connections_total") == 0);
	cr_expect(engine_requests(s.engine, s.service_slots[0]) == 0);
	site_stop(&s);
}

Test(pass, takes_a_hello_in_pieces_and_up_to_its_bound, .timeout = 60)
{
	static struct hello h;
	struct site s;
	int client, far;

	site_init(&s);
	site_start(&s);
	client = connect_local(s.port);
	for (size_t i = 0; i < shop.n; i++)
		send_all(client, shop.p + i, 1);
	far = target_accept(&s, BLUE, WAIT_MS);
	cr_assert(far >= 0);
	expect_bytes(far, shop.p, shop.n);
	close(client);
	close(far);

	hello_make(&h, TLS1_3_VERSION, "shop.test", 12000);
	hello_make(&h, TLS1_3_VERSION, "shop.test", 12000 + (HELLO_BYTES_MAX - h.n));
	cr_assert(h.n == HELLO_BYTES_MAX);
	expect_routed(&s, &h, BLUE);
	/* Early data comes right behind. */
	memset(h.p + h.n, 0x17, 30000);
	h.n += 30000;
	expect_routed(&s, &h, BLUE);
	hello_make(&h, TLS1_3_VERSION, "shop.test", 16300);
	cr_assert(h.n > HELLO_BYTES_MAX);
	client = client_open(&s, &h);
	/* What it sent and nobody read makes it a reset. */
	cr_expect(read_end(client) <= 0);
	cr_expect(metric(&s, "passthrough_bad_hellos_total") == 1);
	close(client);
	site_stop(&s);
}

Test(pass, does_not_wait_for_a_slow_hello, .timeout = 60)
{
	struct site s;
	struct pollfd p;
	int silent, slow;
	uint64_t start;

	site_init(&s);
	s.config.head_timeout_ms = 300;
	site_start(&s);
	start = clock_ms();
	silent = connect_local(s.port);
	slow = connect_local(s.port);
	/* A byte now and then does not move the deadline. */
	p = (struct pollfd){.fd = slow, .events = POLLIN};
	for (unsigned i = 0; i < 100 && poll(&p, 1, 50) <= 0; i++)
		send_all(slow, shop.p + i, 1);
	cr_expect(clock_ms() - start >= 300 && clock_ms() - start < 2000);
	cr_expect(read_end(silent) == 0 && read_end(slow) <= 0);
	cr_expect(metric(&s, "passthrough_timeouts_total") == 2);
	close(silent);
	close(slow);
	site_stop(&s);
}

/* ------------------------------------------------------------------ targets that are not there */

Test(pass, tries_another_target_when_one_refuses, .timeout = 60)
{
	struct site s;

	site_init(&s);
	s.spare = free_port();
	site_start(&s);
	expect_routed(&s, &shop, BLUE);
	cr_expect(metric(&s, "retries_total") == 1);
	cr_expect(metric(&s, "target_connect_errors_total") == 1);
	cr_expect(engine_requests(s.engine, s.target_slots[2]) == 1);
	cr_expect(engine_inflight(s.engine, s.target_slots[2]) == 0);
	cr_expect(engine_requests(s.engine, s.service_slots[0]) == 1);
	site_stop(&s);
}

Test(pass, tries_another_target_when_one_does_not_answer, .timeout = 60)
{
	struct site s;
	int deaf, waiting[4];
	struct addr a;

	site_init(&s);
	/* A listener whose queue is full takes no more. */
	deaf = listen_local(&s.spare, 0);
	a = local_addr(s.spare);
	for (unsigned i = 0; i < COUNT(waiting); i++) {
		waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(waiting[i], &a.sa, sizeof(a.in));
	}
	site_start(&s);
	expect_routed(&s, &shop, BLUE);
	cr_expect(metric(&s, "retries_total") == 1);
	cr_expect(metric(&s, "target_connects_total") == 2);
	EVENTUALLY(engine_inflight(s.engine, s.target_slots[2]) == 0);
	for (unsigned i = 0; i < COUNT(waiting); i++)
		close(waiting[i]);
	close(deaf);
	site_stop(&s);
}

Test(pass, closes_when_no_target_can_be_reached, .timeout = 60)
{
	struct engine_stats stats;
	struct site s;
	int client;

	site_init(&s);
	s.spare = free_port();
	close(s.targets[BLUE]);
	s.targets[BLUE] = -1;
	site_start(&s);
	client = client_open(&s, &shop);
	cr_expect(read_end(client) == 0);
	cr_expect(metric(&s, "target_connect_errors_total") == 2);
	cr_expect(metric(&s, "passthrough_connections_total") == 0);
	EVENTUALLY((engine_stats(s.engine, &stats), stats.connections == 0));
	cr_expect(engine_inflight(s.engine, s.target_slots[BLUE]) == 0);
	close(client);
	site_stop(&s);
}

/* ------------------------------------------------------------------ ends */

static void
pair_open(const struct site *s, int *client, int *far)
{
	*client = client_open(s, &shop);
	*far = target_accept(s, BLUE, WAIT_MS);
	cr_assert(*far >= 0);
	expect_bytes(*far, shop.p, shop.n);
}

Test(pass, carries_a_half_close_over, .timeout = 60)
{
	struct engine_stats stats;
	struct site s;
	int ends[2];

	site_init(&s);
	site_start(&s);
	for (unsigned i = 0; i < 2; i++) {
		pair_open(&s, &ends[0], &ends[1]);
		send_all(ends[i], "last words", 10);
		shutdown(ends[i], SHUT_WR);
		expect_bytes(ends[!i], "last words", 10);
		cr_expect(read_end(ends[!i]) == 0);
		/* The other way is open still. */
		poll(NULL, 0, 20);
		send_all(ends[!i], "an answer", 9);
		expect_bytes(ends[i], "an answer", 9);
		shutdown(ends[!i], SHUT_WR);
		cr_expect(read_end(ends[i]) == 0);
		EVENTUALLY((engine_stats(s.engine, &stats), stats.connections == 0));
		close(ends[0]);
		close(ends[1]);
	}
	site_stop(&s);
}

Test(pass, carries_a_reset_over, .timeout = 60)
{
	struct engine_stats stats;
	struct site s;
	int ends[2];

	site_init(&s);
	site_start(&s);
	for (unsigned i = 0; i < 2; i++) {
		pair_open(&s, &ends[0], &ends[1]);
		send_all(ends[1], "x", 1);
		expect_bytes(ends[0], "x", 1);
		reset(ends[i]);
		cr_expect(read_end(ends[!i]) == -ECONNRESET, "side %u", i);
		close(ends[!i]);
		EVENTUALLY((engine_stats(s.engine, &stats), stats.connections == 0));
		/* After a half close of the other side as well. */
		pair_open(&s, &ends[0], &ends[1]);
		shutdown(ends[!i], SHUT_WR);
		cr_expect(read_end(ends[i]) == 0);
		reset(ends[i]);
		cr_expect(read_end(ends[!i]) == -ECONNRESET, "side %u, half closed", i);
		close(ends[!i]);
		EVENTUALLY((engine_stats(s.engine, &stats), stats.connections == 0));
	}
	site_stop(&s);
}

/* A target may say why before it closes on a client that goes on sending. */
Test(pass, delivers_the_last_words_of_a_target_that_stops_reading, .timeout = 60)
{
	static char junk[1 << 20];
	struct site s;
	int client, far;

	site_init(&s);
	site_start(&s);
	for (unsigned i = 0; i < 20; i++) {
		pair_open(&s, &client, &far);
		fcntl(client, F_SETFL, O_NONBLOCK);
		while (send(client, junk, sizeof(junk), MSG_NOSIGNAL) > 0)
			poll(NULL, 0, 1);
		fcntl(client, F_SETFL, 0);
		send_all(far, "fatal alert", 11);
		close(far); /* with unread data: a reset */
		expect_bytes(client, "fatal alert", 11);
		cr_expect(read_end(client) == -ECONNRESET);
		close(client);
	}
	site_stop(&s);
}

Test(pass, ends_after_the_idle_timeout_and_not_before, .timeout = 60)
{
	struct site s;
	int client, far;
	uint64_t start, took;

	site_init(&s);
	s.idle_s = 1;
	site_start(&s);
	pair_open(&s, &client, &far);
	/* Bytes either way keep it. */
	for (unsigned i = 0; i < 3; i++) {
		poll(NULL, 0, 600);
		send_all(i % 2 ? client : far, "x", 1);
		expect_bytes(i % 2 ? far : client, "x", 1);
	}
	start = clock_ms();
	cr_expect(read_end(client) == 0 && read_end(far) == 0);
	took = clock_ms() - start;
	cr_expect(took >= 900 && took < 2000, "%u ms", (unsigned)took);
	close(client);
	close(far);
	site_stop(&s);
}

/* ------------------------------------------------------------------ bulk */

#define BULK (32u << 20)

struct bulk {
	int fd;
	bool slow;
	bool sound;
};

/* A pattern in which no two places nearby look alike. */
static uint8_t
byte_at(size_t i)
{
	return (uint8_t)(i * 2654435761u >> 13);
}

static void *
bulk_send(void *arg)
{
	struct bulk *b = arg;
	static __thread uint8_t piece[100000];

	b->sound = true;
	for (size_t at = 0; at < BULK && b->sound;) {
		size_t n = MIN(sizeof(piece), BULK - at);

		for (size_t i = 0; i < n; i++)
			piece[i] = byte_at(at + i);
		b->sound = send(b->fd, piece, n, MSG_NOSIGNAL) == (ssize_t)n;
		at += n;
	}
	shutdown(b->fd, SHUT_WR);
	return NULL;
}

static void *
bulk_read(void *arg)
{
	struct bulk *b = arg;
	static __thread uint8_t piece[70000];
	size_t at = 0;
	ssize_t n;

	b->sound = true;
	while ((n = recv(b->fd, piece, sizeof(piece), 0)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			b->sound = b->sound && piece[i] == byte_at(at + (size_t)i);
		at += (size_t)n;
		/* Three pauses, each long enough that everything behind is full. */
		if (b->slow && at / (BULK / 4) != (at - (size_t)n) / (BULK / 4))
			poll(NULL, 0, 300);
	}
	b->sound = b->sound && n == 0 && at == BULK;
	return NULL;
}

Test(pass, carries_megabytes_both_ways_past_a_slow_reader, .timeout = 120)
{
	struct site s;
	pthread_t threads[4];
	struct bulk bulks[4];
	int client, far;

	site_init(&s);
	s.idle_s = 1;
	site_start(&s);
	pair_open(&s, &client, &far);
	for (unsigned i = 0; i < 4; i++) {
		bulks[i] = (struct bulk){.fd = i % 2 ? client : far, .slow = i == 2};
		pthread_create(&threads[i], NULL, i < 2 ? bulk_send : bulk_read, &bulks[i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		cr_expect(bulks[i].sound, "thread %u", i);
	}
	cr_expect(metric(&s, "passthrough_bytes_received_total") == shop.n + BULK);
	cr_expect(metric(&s, "passthrough_bytes_sent_total") == BULK);
	close(client);
	close(far);
	site_stop(&s);
}

/* ------------------------------------------------------------------ stop */

Test(pass, is_waited_for_at_the_stop_and_then_cut, .timeout = 60)
{
	struct site s;
	int waiting, client, far;
	uint64_t start, took;

	site_init(&s);
	site_start(&s);
	pair_open(&s, &client, &far);
	waiting = connect_local(s.port);
	start = clock_ms();
	site_stop(&s);
	took = clock_ms() - start;
	cr_expect(took >= 300 && took < 1500, "%u ms", (unsigned)took);
	cr_expect(read_end(client) == -ECONNRESET && read_end(far) == -ECONNRESET);
	cr_expect(read_end(waiting) == 0 || read_end(waiting) == -ECONNRESET);
	close(waiting);
	close(client);
	close(far);
}

static void *
stop_run(void *arg)
{
	site_stop(arg);
	return NULL;
}

Test(pass, may_end_in_its_own_time_at_the_stop, .timeout = 60)
{
	struct site s;
	pthread_t stopping;
	int client, far;
	uint64_t start;

	site_init(&s);
	s.config.drain_timeout_ms = 20000;
	site_start(&s);
	pair_open(&s, &client, &far);
	start = clock_ms();
	pthread_create(&stopping, NULL, stop_run, &s);
	poll(NULL, 0, 200);
	send_all(far, "the end", 7);
	expect_bytes(client, "the end", 7);
	close(far);
	cr_expect(read_end(client) == 0);
	close(client);
	pthread_join(stopping, NULL);
	cr_expect(clock_ms() - start < 5000);
}
