/* healthkit.h - a real engine with a group whose targets are small servers that answer as they are told. */
#ifndef HEALTHKIT_H
#define HEALTHKIT_H

#include "../../engine/http/h2.h"
#include "../../engine/proxy/worker.h"
#include "keys.h"
#include "passkit.h"
#include <openssl/ssl.h>

enum manner {
	SAY,	 /* `status`, by HTTP/1, HTTP/2 or gRPC as the server is */
	SILENT,	 /* takes the connection and says nothing */
	GARBAGE, /* what is no HTTP */
	HANG_UP, /* closes */
};

enum wire { WIRE_HTTP1, WIRE_H2, WIRE_GRPC };

#define KEPT_MAX 512

struct server {
	int fd;
	uint16_t port;
	enum wire wire;
	SSL_CTX *tls; /* or NULL */
	_Atomic int manner, status;
	_Atomic int seen; /* connections */
	_Atomic bool stop;
	char head[4096]; /* of the last request of HTTP/1; of HTTP/2 its header list, a line an entry */
	pthread_t thread;
	int kept[KEPT_MAX]; /* connections of the silent one */
	unsigned nkept;
	/* the one being served, HTTP/2 */
	struct h2 *h2;
	char body[64];
	size_t body_len;
	bool asked, trailed;
	int32_t stream;
};

/* ------------------------------------------------------------------ HTTP/2 */

static inline void *
server_head(void *ctx, int32_t id, void *stream, struct str block, bool last)
{
	struct server *s = ctx;
	struct str name, value;
	size_t n = 0;

	while (block_next(&block, &name, &value))
		n += (size_t)snprintf(s->head + n, sizeof(s->head) - n, STR_FMT ": " STR_FMT "\n",
		    STR_ARG(name), STR_ARG(value));
	s->asked = last;
	s->stream = id;
	return s;
}

static inline void
server_data(void *ctx, void *stream, const char *p, size_t n, bool last)
{
	struct server *s = ctx;

	if (n > 0 && s->body_len + n <= sizeof(s->body))
		memcpy(s->body + s->body_len, p, n);
	s->body_len += n;
	s->asked = s->asked || last;
}

static inline void
server_closed(void *ctx, void *stream, uint32_t error, bool unseen)
{
}

/* HealthCheckResponse with the status, a field that nobody knows before it. */
static inline size_t
server_read(void *ctx, void *stream, char *out, size_t max, bool *last)
{
	struct server *s = ctx;
	const char message[] = {0, 0, 0, 0, 6, 5 << 3 | 2, 2, 'h', 'i', 1 << 3, (char)s->status};
	char trailers[64], *end = block_put(trailers, STR("grpc-status"), STR("0"));

	memcpy(out, message, sizeof(message));
	*last = false;
	cr_assert(h2_trailers(s->h2, s->stream, (struct str){trailers, (uint32_t)(end - trailers)}) == 0);
	return sizeof(message);
}

static inline void
server_answer(struct server *s)
{
	char head[256], status[8], *end;

	snprintf(status, sizeof(status), "%d", s->wire == WIRE_GRPC ? 200 : s->status);
	end = block_put(head, STR(":status"), str_of(status));
	if (s->wire == WIRE_GRPC)
		end = block_put(end, STR("content-type"), STR("application/grpc"));
	h2_answer(s->h2, s->stream, (struct str){head, (uint32_t)(end - head)}, s->wire == WIRE_GRPC);
	s->asked = false;
}

static inline ssize_t
server_recv(int fd, SSL *ssl, char *p, size_t n)
{
	return ssl != NULL ? SSL_read(ssl, p, (int)n) : TEMP_FAILURE_RETRY(recv(fd, p, n, 0));
}

static inline void
server_send(int fd, SSL *ssl, const char *p, size_t n)
{
	if (n == 0)
		return;
	if (ssl != NULL)
		SSL_write(ssl, p, (int)n);
	else
		send(fd, p, n, MSG_NOSIGNAL);
}

static inline void
server_head_sent(void *ctx, void *stream)
{
}

static inline void
server_h2(struct server *s, int fd, SSL *ssl)
{
	static const struct h2_events events = {.head = server_head,
	    .data = server_data,
	    .closed = server_closed,
	    .head_sent = server_head_sent,
	    .read = server_read};
	static const struct h2_config config = {
	    .server = true, .streams_max = 10, .stream_window = 65535, .window = 65535};
	char block[16384];
	ssize_t n = 1;
	bool abuse;

	s->h2 = h2_new(&config, &events, s);
	s->asked = false;
	s->body_len = 0;
	while (n > 0) {
		n = (ssize_t)h2_pull(s->h2, block, sizeof(block));
		server_send(fd, ssl, block, (size_t)n);
		if (n > 0)
			continue;
		n = server_recv(fd, ssl, block, sizeof(block));
		if (n <= 0 || h2_feed(s->h2, block, (size_t)n, 0, &abuse) != 0)
			break;
		if (s->asked)
			server_answer(s);
	}
	h2_free(s->h2);
}

/* ------------------------------------------------------------------ a server */

static inline void
server_h1(struct server *s, int fd, SSL *ssl)
{
	char answer[128];
	size_t len = 0;
	ssize_t n;
	int size;

	memset(s->head, 0, sizeof(s->head));
	while (strstr(s->head, "\r\n\r\n") == NULL) {
		n = server_recv(fd, ssl, s->head + len, sizeof(s->head) - 1 - len);
		if (n <= 0)
			return;
		len += (size_t)n;
	}
	size = snprintf(answer, sizeof(answer),
	    "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 %d Fine\r\nContent-Length: 1\r\n\r\nx", s->status);
	if (s->manner == GARBAGE)
		size = snprintf(answer, sizeof(answer), "220 mail.example ESMTP\r\n\r\n");
	server_send(fd, ssl, answer, (size_t)size);
}

static inline void
server_serve(struct server *s, int fd)
{
	struct timeval limit = {.tv_sec = 2};
	SSL *ssl = NULL;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (s->manner == SILENT && s->nkept < KEPT_MAX) {
		s->kept[s->nkept++] = fd;
		return;
	}
	if (s->tls != NULL && s->manner != HANG_UP) {
		ssl = SSL_new(s->tls);
		SSL_set_fd(ssl, fd);
		if (SSL_accept(ssl) == 1 && s->wire == WIRE_HTTP1)
			server_h1(s, fd, ssl);
		SSL_free(ssl);
	} else if (s->manner != HANG_UP && s->wire == WIRE_HTTP1) {
		server_h1(s, fd, NULL);
	} else if (s->manner != HANG_UP) {
		server_h2(s, fd, NULL);
	}
	close(fd);
}

static inline void *
server_run(void *arg)
{
	struct server *s = arg;
	struct pollfd p = {.fd = s->fd, .events = POLLIN};
	int fd;

	while (!s->stop) {
		if (poll(&p, 1, 20) <= 0 || (fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) < 0)
			continue;
		server_serve(s, fd);
		s->seen++; /* last: who waits for it may look at the head */
	}
	for (unsigned i = 0; i < s->nkept; i++)
		close(s->kept[i]);
	return NULL;
}

static inline void
server_start(struct server *s, enum wire wire, int status)
{
	*s = (struct server){.wire = wire, .status = status};
	s->fd = listen_local(&s->port, 64);
	cr_assert(pthread_create(&s->thread, NULL, server_run, s) == 0);
}

static inline void
server_stop(struct server *s)
{
	s->stop = true;
	pthread_join(s->thread, NULL);
	close(s->fd);
	SSL_CTX_free(s->tls);
}

/* ------------------------------------------------------------------ the engine and its table */

#define TARGETS_MAX 4u

struct bed {
	struct engine *engine;
	struct engine_config config;
	struct slots slots;
	uint16_t port; /* of a service that forwards to the group */
	uint16_t ports[TARGETS_MAX];
	uint32_t ntargets, service, rule, forward, group, targets[TARGETS_MAX];
	/* Of the group: */
	bool idle;
	enum group_type type;
	enum admin admin;
	struct health_check check;
	struct passive_check passive;
	/* A second group, of the same targets by slots of its own. */
	bool both;
	struct health_check green_check;
	uint32_t green, green_targets[TARGETS_MAX];
};

enum { BED_BLUE, BED_GREEN };

static const char *const bed_names[TARGETS_MAX] = {"a", "b", "c", "d"};
static struct code_range bed_codes[2] = {{200, 200}, {0, 0}};

static inline struct group *
bed_group(const struct bed *b, uint32_t which)
{
	struct group *g = group_new();

	g->index = which;
	g->slot = which == BED_BLUE ? b->group : b->green;
	g->name = which == BED_BLUE ? STR("blue") : STR("green");
	g->used = !b->idle;
	g->type = b->type;
	g->check = which == BED_BLUE ? b->check : b->green_check;
	g->passive = b->passive;
	g->ntargets = b->ntargets;
	g->targets = arena_alloc(&g->arena, TARGETS_MAX * sizeof(*g->targets));
	for (uint32_t i = 0; i < b->ntargets; i++)
		g->targets[i] = (struct target){.name = str_of(bed_names[i]),
		    .addr = local_addr(b->ports[i]),
		    .slot = which == BED_BLUE ? b->targets[i] : b->green_targets[i],
		    .weight = 1,
		    .admin = b->admin};
	return g;
}

static inline void
bed_publish(struct bed *b)
{
	static const char *const hosts[] = {"shop.test", NULL};
	const struct forward to[] = {{.slot = b->forward, .weight = 1, .name = STR("blue")}, {0}};
	struct build *build = build_new(engine_table(b->engine));

	build_place(build, table_kit_place(b->port, PROTOCOL_HTTP));
	build_group(build, BED_BLUE, bed_group(b, BED_BLUE));
	if (b->both || table_group(engine_table(b->engine), BED_GREEN) != NULL)
		build_group(build, BED_GREEN, b->both ? bed_group(b, BED_GREEN) : NULL);
	build_service(build, 0, table_kit_service(b->port, PROTOCOL_HTTP, b->service, b->rule, hosts, to));
	table_kit_publish(b->engine, build);
}

/* What a test sets before bed_start. */
static inline void
bed_init(struct bed *b, const struct server *servers, uint32_t n)
{
	*b = (struct bed){.ntargets = n,
	    .check = {.enabled = true,
		.path = STR("/healthy?deep=1"),
		.interval_ms = 100,
		.timeout_ms = 1000,
		.healthy = 2,
		.unhealthy = 2,
		.ncodes = 1,
		.codes = bed_codes}};
	engine_config_default(&b->config);
	b->config.workers = 2;
	b->config.drain_timeout_ms = 300;
	b->config.connect_timeout_ms = 300;
	b->config.response_timeout_ms = 300;
	b->config.resolvers[0].sa.sa_family = b->config.resolvers[1].sa.sa_family = AF_UNSPEC;
	b->port = free_port();
	b->service = slots_take(&b->slots);
	b->rule = slots_take(&b->slots);
	b->forward = slots_take(&b->slots);
	b->group = slots_take(&b->slots);
	b->green = slots_take(&b->slots);
	for (uint32_t i = 0; i < TARGETS_MAX; i++) {
		b->targets[i] = slots_take(&b->slots);
		b->green_targets[i] = slots_take(&b->slots);
		b->ports[i] = i < n ? servers[i].port : free_port();
	}
}

static inline void
bed_start(struct bed *b)
{
	const char *why;

	cr_assert(engine_start(&b->engine, &b->config, &b->slots, &why) == 0, "%s", why);
	bed_publish(b);
}

static inline void
bed_stop(struct bed *b)
{
	engine_stop(b->engine);
	slots_fini(&b->slots);
}

/* `UNHEALTHY CodeMismatch` */
static inline const char *
bed_state_in(const struct bed *b, uint32_t group, uint32_t target)
{
	static char text[64];
	const struct target *t = &table_group(engine_table(b->engine), group)->targets[target];
	enum target_reason reason;
	enum target_state state = engine_target(b->engine, t, &reason);

	snprintf(text, sizeof(text), "%s%s%s", target_state_word(state), reason == REASON_NONE ? "" : " ",
	    target_reason_word(reason));
	return text;
}

static inline const char *
bed_state(const struct bed *b, uint32_t target)
{
	return bed_state_in(b, BED_BLUE, target);
}

#define EXPECT_STATE(b, target, want)                                                  \
	({                                                                             \
		uint64_t until_ = clock_ms() + WAIT_MS;                                \
		while (strcmp(bed_state(b, target), want) != 0 && clock_ms() < until_) \
			poll(NULL, 0, 5);                                              \
		cr_expect_str_eq(bed_state(b, target), want);                          \
	})

/* What every worker takes a target for: enum down; they agree after a moment. -1: they do not. */
static inline int
bed_down(struct bed *b, uint32_t target)
{
	int down = worker_slot(engine_worker(b->engine, 0), b->targets[target])->down;

	for (unsigned i = 1; i < b->config.workers; i++)
		if (worker_slot(engine_worker(b->engine, i), b->targets[target])->down != down)
			return -1;
	return down;
}

static inline unsigned long
bed_metric(const struct bed *b, const char *name)
{
	const struct site s = {.engine = b->engine};

	return metric(&s, name);
}

/* The status of one request to the service. */
static inline int
bed_get(const struct bed *b)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n";
	char answer[512] = "";
	size_t len = 0;
	ssize_t n;
	int fd = connect_local(b->port);

	send_all(fd, request, sizeof(request) - 1);
	while (len < sizeof(answer) - 1 &&
	       (n = TEMP_FAILURE_RETRY(recv(fd, answer + len, sizeof(answer) - 1 - len, 0))) > 0)
		len += (size_t)n;
	close(fd);
	/* Behind the early hints. */
	for (char *at = answer; (at = strstr(at, "HTTP/1.1 ")) != NULL; at++)
		if (atoi(at + 9) >= 200)
			return atoi(at + 9);
	return 0;
}

/* ------------------------------------------------------------------ events */

struct told {
	char text[1024];
	size_t len;
};

static inline void
told_add(void *ctx, const struct target_event *e)
{
	struct told *t = ctx;

	t->len += (size_t)snprintf(t->text + t->len, sizeof(t->text) - t->len,
	    STR_FMT "/" STR_FMT " %s -> %s %s\n", STR_ARG(e->group), STR_ARG(e->target),
	    target_state_word(e->from), target_state_word(e->to), target_reason_word(e->reason));
	cr_expect(e->unix_ms <= clock_unix_ms() && e->unix_ms + 60000 > clock_unix_ms());
}

/* Waits until `want` was told. */
static inline void
expect_told(struct bed *b, const char *want)
{
	struct pollfd p = {.fd = engine_events_fd(b->engine), .events = POLLIN};
	struct told told = {0};

	while (told.len < strlen(want) && TEMP_FAILURE_RETRY(poll(&p, 1, WAIT_MS)) > 0)
		engine_events(b->engine, told_add, &told);
	cr_expect_str_eq(told.text, want);
}

#endif
