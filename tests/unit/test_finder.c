/* test_finder.c - targets that are known by name: what a name server says reaches the workers, and stays. */
#include "passkit.h"
#include <stdatomic.h>

#define TARGETS 3u /* 127.0.0.2, 127.0.0.3 and ::1 */
#define HOST "lb.finder.test"

/* ------------------------------------------------------------------ a name server */

struct names {
	pthread_t thread;
	pthread_mutex_t lock;
	int fd;
	uint16_t port;
	_Atomic bool over;
	/* lock */
	const char *name;	/* the only one that is there */
	const char *addr[2][4]; /* of A and AAAA, NULL behind the last */
	unsigned rcode[2];	/* instead of addresses */
	uint32_t ttl_s;
	unsigned asked[2];
};

enum { A, AAAA };
enum { SERVFAIL = 2, NXDOMAIN = 3 };

/* The name in a question, with dots; returns where its type stands. */
static size_t
read_question(const uint8_t *p, size_t n, char name[static 256])
{
	size_t at = 12, len = 0;

	while (at < n && p[at] != 0 && len + p[at] + 1 < 256) {
		memcpy(name + len, p + at + 1, p[at]);
		len += p[at];
		name[len++] = '.';
		at += p[at] + 1u;
	}
	name[len > 0 ? len - 1 : 0] = '\0';
	return at + 1;
}

static size_t
add_record(uint8_t *out, unsigned kind, uint32_t ttl_s, const char *addr)
{
	uint8_t head[12] = {0xc0, 12, 0, kind == A ? 1 : 28, 0, 1};

	for (unsigned i = 0; i < 4; i++)
		head[6 + i] = (uint8_t)(ttl_s >> (24 - 8 * i));
	head[11] = kind == A ? 4 : 16;
	memcpy(out, head, sizeof(head));
	cr_assert(inet_pton(kind == A ? AF_INET : AF_INET6, addr, out + sizeof(head)) == 1);
	return sizeof(head) + head[11];
}

static size_t
make_answer(struct names *s, uint8_t *p, size_t n)
{
	char name[256];
	size_t type = read_question(p, n, name), len = type + 4;
	unsigned kind = p[type + 1] == 1 ? A : AAAA;
	bool known = strcasecmp(name, s->name) == 0;

	p[2] |= 0x80;
	p[3] = 0;
	memset(p + 8, 0, 4);
	if (!known || s->rcode[kind] != 0)
		p[3] = (uint8_t)(known ? s->rcode[kind] : NXDOMAIN);
	for (unsigned i = 0; known && p[3] == 0 && i < 4 && s->addr[kind][i] != NULL; i++) {
		len += add_record(p + len, kind, s->ttl_s, s->addr[kind][i]);
		p[7]++;
	}
	if (known)
		s->asked[kind]++;
	return len;
}

static void *
names_run(void *arg)
{
	struct names *s = arg;
	uint8_t p[2048];

	while (!atomic_load(&s->over)) {
		struct pollfd wait = {.fd = s->fd, .events = POLLIN};
		struct addr from;
		socklen_t len = sizeof(from);
		ssize_t n;

		if (poll(&wait, 1, 20) <= 0 || (n = recvfrom(s->fd, p, 512, 0, &from.sa, &len)) < 17)
			continue;
		pthread_mutex_lock(&s->lock);
		n = (ssize_t)make_answer(s, p, (size_t)n);
		pthread_mutex_unlock(&s->lock);
		sendto(s->fd, p, (size_t)n, 0, &from.sa, len);
	}
	return NULL;
}

static void
names_start(struct names *s)
{
	struct addr a = local_addr(0);
	socklen_t len = sizeof(a);

	*s = (struct names){.name = HOST, .ttl_s = 1};
	pthread_mutex_init(&s->lock, NULL);
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert(s->fd >= 0 && bind(s->fd, &a.sa, sizeof(a.in)) == 0);
	cr_assert(getsockname(s->fd, &a.sa, &len) == 0);
	s->port = addr_port(&a);
	cr_assert(pthread_create(&s->thread, NULL, names_run, s) == 0);
}

static void
names_set(struct names *s, unsigned kind, unsigned rcode, const char *first, const char *second)
{
	pthread_mutex_lock(&s->lock);
	s->rcode[kind] = rcode;
	s->addr[kind][0] = first;
	s->addr[kind][1] = second;
	pthread_mutex_unlock(&s->lock);
}

static unsigned
names_asked(struct names *s, unsigned kind)
{
	unsigned n;

	pthread_mutex_lock(&s->lock);
	n = s->asked[kind];
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* Two more questions: the answer to the first has been acted on. */
static void
names_pass(struct names *s, unsigned kind)
{
	unsigned before = names_asked(s, kind);

	EVENTUALLY(names_asked(s, kind) >= before + 2);
}

/* ------------------------------------------------------------------ a service with one ALB target */

struct bed {
	struct engine_config config;
	struct engine *engine;
	struct slots slots;
	struct names names;
	uint16_t port, target_port;
	uint32_t service_slot, rule_slot, forward_slot, group_slot, target_slot;
	int listeners[TARGETS], far[TARGETS]; /* far: -1: no connection is open */
};

static struct addr
target_addr(unsigned which, uint16_t port)
{
	static const char *const all[TARGETS] = {"127.0.0.2", "127.0.0.3", "::1"};
	struct addr a;

	cr_assert(addr_parse(str_of(all[which]), &a) == 0);
	addr_set_port(&a, port);
	return a;
}

static void
publish(struct bed *b, const char *host)
{
	struct build *build = build_new(engine_table(b->engine));
	struct group *g = group_new();

	g->slot = b->group_slot;
	g->name = STR("balancers");
	g->type = GROUP_ALB;
	g->ntargets = host != NULL;
	g->targets = arena_alloc(&g->arena, sizeof(*g->targets));
	if (host != NULL)
		g->targets[0] = (struct target){
		    .name = STR("lb.alb"), .host = str_of(host), .weight = 1, .slot = b->target_slot};
	addr_set_port(&g->targets[0].addr, b->target_port);
	build_group(build, 0, g);
	if (host == NULL)
		build_retire(build, b->target_slot);
	table_kit_publish(b->engine, build);
}

static void
publish_service(struct bed *b)
{
	static const char *const hosts[] = {"shop.test", NULL};
	const struct forward to[] = {{.slot = b->forward_slot, .weight = 1, .name = STR("balancers")}, {0}};
	struct build *build = build_new(engine_table(b->engine));

	build_place(build, table_kit_place(b->port, PROTOCOL_HTTP));
	build_service(
	    build, 0, table_kit_service(b->port, PROTOCOL_HTTP, b->service_slot, b->rule_slot, hosts, to));
	table_kit_publish(b->engine, build);
}

static void
listen_at(struct bed *b, unsigned which)
{
	struct addr a = target_addr(which, b->target_port);
	int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	cr_assert(bind(fd, &a.sa, addr_len(&a)) == 0 && listen(fd, 16) == 0, "%s", strerror(errno));
	b->listeners[which] = fd;
	b->far[which] = -1;
}

static void
bed_start(struct bed *b)
{
	const char *why;

	*b = (struct bed){.port = free_port()};
	b->target_port = free_port();
	names_start(&b->names);
	engine_config_default(&b->config);
	b->config.workers = 1;
	b->config.drain_timeout_ms = 300;
	b->config.connect_timeout_ms = 2000;
	b->config.name_server = local_addr(b->names.port);
	b->config.resolvers[0].sa.sa_family = b->config.resolvers[1].sa.sa_family = AF_UNSPEC;
	for (unsigned i = 0; i < TARGETS; i++)
		listen_at(b, i);
	b->service_slot = slots_take(&b->slots);
	b->rule_slot = slots_take(&b->slots);
	b->forward_slot = slots_take(&b->slots);
	b->group_slot = slots_take(&b->slots);
	b->target_slot = slots_take(&b->slots);
	cr_assert(engine_start(&b->engine, &b->config, &b->slots, &why) == 0, "%s", why);
	publish(b, HOST);
	publish_service(b);
}

static void
bed_stop(struct bed *b)
{
	engine_stop(b->engine);
	slots_fini(&b->slots);
	atomic_store(&b->names.over, true);
	pthread_join(b->names.thread, NULL);
	close(b->names.fd);
	for (unsigned i = 0; i < TARGETS; i++) {
		close(b->listeners[i]);
		if (b->far[i] >= 0)
			close(b->far[i]);
	}
}

static uint32_t
known(struct bed *b, const char **why)
{
	struct addr all[8];
	uint32_t ttl_s;

	return engine_addresses(b->engine, b->target_slot, all, COUNT(all), &ttl_s, why);
}

/* The workers know it too: each has heard when a table is published. */
static void
expect_known(struct bed *b, uint32_t n)
{
	const char *why;

	EVENTUALLY(known(b, &why) == n && why == NULL);
	publish(b, HOST);
	cr_expect(known(b, &why) == n);
}

/* A target has something to read: a request, which it answers, or the end. True: it answered. */
static bool
serve(struct bed *b, unsigned which)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	char p[2048];
	ssize_t n = recv(b->far[which], p, sizeof(p), 0);

	if (n > 0) {
		send_all(b->far[which], answer, sizeof(answer) - 1);
		return true;
	}
	close(b->far[which]);
	b->far[which] = -1;
	return false;
}

/* One request: which target answered it, or minus the status of another answer. */
static int
ask(struct bed *b)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n";
	int client = connect_local(b->port), who = -1;
	char p[512] = "";

	send_all(client, request, sizeof(request) - 1);
	for (;;) {
		struct pollfd wait[1 + 2 * TARGETS] = {{.fd = client, .events = POLLIN}};

		for (unsigned i = 0; i < TARGETS; i++) {
			wait[1 + i] = (struct pollfd){.fd = b->listeners[i], .events = POLLIN};
			wait[1 + TARGETS + i] = (struct pollfd){.fd = b->far[i], .events = POLLIN};
		}
		cr_assert(TEMP_FAILURE_RETRY(poll(wait, COUNT(wait), WAIT_MS)) > 0, "no answer");
		for (unsigned i = 0; i < TARGETS; i++) {
			if (wait[1 + TARGETS + i].revents != 0 && serve(b, i))
				who = (int)i;
			if (wait[1 + i].revents != 0) {
				if (b->far[i] >= 0)
					close(b->far[i]);
				b->far[i] = accept4(b->listeners[i], NULL, NULL, SOCK_CLOEXEC);
			}
		}
		if (wait[0].revents != 0)
			break;
	}
	cr_assert(recv(client, p, sizeof(p) - 1, 0) > 12);
	close(client);
	return strtol(p + 9, NULL, 10) == 200 ? who : -(int)strtol(p + 9, NULL, 10);
}

/* n requests: how many each target had. */
static void
count(struct bed *b, unsigned n, unsigned got[static TARGETS])
{
	memset(got, 0, TARGETS * sizeof(*got));
	for (unsigned i = 0; i < n; i++) {
		int who = ask(b);

		cr_assert(who >= 0, "request %u: %d", i, -who);
		got[who]++;
	}
}

/* ------------------------------------------------------------------ tests */

Test(finder, uses_all_addresses_in_turn, .timeout = 60)
{
	struct bed b;
	unsigned got[TARGETS];

	bed_start(&b);
	names_set(&b.names, A, 0, "127.0.0.3", "127.0.0.2");
	names_set(&b.names, AAAA, 0, "::1", NULL);
	expect_known(&b, 3);
	count(&b, 9, got);
	cr_expect(got[0] == 3 && got[1] == 3 && got[2] == 3, "%u %u %u", got[0], got[1], got[2]);
	cr_expect(engine_requests(b.engine, b.target_slot) == 9);
	/* A connection an address, which is kept. */
	EVENTUALLY(engine_inflight(b.engine, b.target_slot) == 0);
	cr_expect(b.far[0] >= 0 && b.far[1] >= 0 && b.far[2] >= 0);
	bed_stop(&b);
}

Test(finder, has_no_target_before_the_name_is_there_and_then_has, .timeout = 60)
{
	struct bed b;
	const char *why;

	bed_start(&b);
	names_set(&b.names, A, NXDOMAIN, NULL, NULL);
	names_set(&b.names, AAAA, NXDOMAIN, NULL, NULL);
	EVENTUALLY(known(&b, &why) == 0 && why != NULL);
	cr_expect_str_eq(why, "no such name");
	cr_expect(ask(&b) == -503);
	names_set(&b.names, A, 0, "127.0.0.2", NULL);
	expect_known(&b, 1);
	cr_expect(ask(&b) == 0);
	bed_stop(&b);
}

Test(finder, moves_when_the_ttl_is_over_and_leaves_no_connection_behind, .timeout = 60)
{
	struct bed b;
	unsigned got[TARGETS];

	bed_start(&b);
	names_set(&b.names, A, 0, "127.0.0.2", NULL);
	expect_known(&b, 1);
	cr_assert(ask(&b) == 0);
	names_set(&b.names, A, 0, "127.0.0.3", NULL);
	names_pass(&b.names, A);
	cr_assert(b.far[0] >= 0);
	cr_expect(read_end(b.far[0]) == 0, "it is closed by the proxy, long before it is idle for too long");
	count(&b, 4, got);
	cr_expect(got[1] == 4);
	bed_stop(&b);
}

Test(finder, asks_no_sooner_than_the_ttl, .timeout = 60)
{
	struct bed b;
	const char *why;
	struct addr all[4], first = target_addr(0, 0), second = target_addr(2, 0);
	uint32_t ttl_s = 0;

	bed_start(&b);
	names_set(&b.names, A, 0, "127.0.0.2", NULL);
	names_set(&b.names, AAAA, 0, "::1", NULL);
	expect_known(&b, 2);
	pthread_mutex_lock(&b.names.lock);
	b.names.ttl_s = 4000000;
	pthread_mutex_unlock(&b.names.lock);
	EVENTUALLY(engine_addresses(b.engine, b.target_slot, all, 4, &ttl_s, &why) == 2 && ttl_s > 3500);
	cr_expect(ttl_s <= 3600);
	cr_expect(addr_eq(&all[0], &first) && addr_eq(&all[1], &second));
	bed_stop(&b);
}

Test(finder, a_failure_takes_nothing_away, .timeout = 60)
{
	struct bed b;
	const char *why;

	bed_start(&b);
	names_set(&b.names, A, 0, "127.0.0.2", NULL);
	names_set(&b.names, AAAA, 0, "::1", NULL);
	expect_known(&b, 2);
	/* One family fails: it keeps what it had. */
	names_set(&b.names, AAAA, SERVFAIL, NULL, NULL);
	names_pass(&b.names, AAAA);
	cr_expect(known(&b, &why) == 2 && why == NULL);
	/* It is known to be gone, while the other is there: that is a change. */
	names_set(&b.names, AAAA, 0, NULL, NULL);
	expect_known(&b, 1);
	/* All is gone: nobody means that. */
	names_set(&b.names, A, 0, NULL, NULL);
	EVENTUALLY(known(&b, &why) == 1 && why != NULL);
	names_set(&b.names, A, NXDOMAIN, NULL, NULL);
	names_pass(&b.names, A);
	cr_expect(known(&b, &why) == 1 && why != NULL);
	cr_expect(ask(&b) == 0);
	bed_stop(&b);
}

Test(finder, goes_to_another_address_when_one_is_dead, .timeout = 60)
{
	struct bed b;
	unsigned got[TARGETS];

	bed_start(&b);
	close(b.listeners[0]);
	b.listeners[0] = -1;
	names_set(&b.names, A, 0, "127.0.0.2", "127.0.0.3");
	expect_known(&b, 2);
	count(&b, 6, got);
	cr_expect(got[1] == 6);
	bed_stop(&b);
}

Test(finder, another_name_counts_at_once_and_none_is_forgotten, .timeout = 60)
{
	struct bed b;
	const char *why;

	bed_start(&b);
	names_set(&b.names, A, 0, "127.0.0.2", NULL);
	expect_known(&b, 1);
	cr_expect(ask(&b) == 0);
	publish(&b, "other.finder.test");
	cr_expect(ask(&b) == -503, "not to the old one");
	pthread_mutex_lock(&b.names.lock);
	b.names.name = "other.finder.test";
	pthread_mutex_unlock(&b.names.lock);
	EVENTUALLY(known(&b, &why) == 1);
	publish(&b, "other.finder.test");
	cr_expect(ask(&b) == 0);
	publish(&b, NULL);
	cr_expect(known(&b, &why) == 0);
	cr_expect(ask(&b) == -503);
	bed_stop(&b);
}
