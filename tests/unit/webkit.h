/* webkit.h - a real engine with an HTTP listener and one group, whose targets the test plays itself. */
#ifndef WEBKIT_H
#define WEBKIT_H

#include "passkit.h"

#define WEB_TARGETS 3u

struct web {
	struct site s; /* engine, slots, configuration and port */
	int targets[WEB_TARGETS];
	uint16_t ports[WEB_TARGETS];
	uint32_t slots[WEB_TARGETS];
	bool there[WEB_TARGETS];
	enum admin admin[WEB_TARGETS];
	uint32_t drain_ms;
	enum protocol protocol;
	struct resilience resilience;
	uint32_t service_slot, rule_slot, forward_slot, group_slot;
	uint32_t retired[WEB_TARGETS], nretired;
};

/* What a test sets before web_start. */
static inline void
web_init(struct web *w, unsigned ntargets)
{
	*w = (struct web){.drain_ms = 60000};
	engine_config_default(&w->s.config);
	w->s.config.workers = 1;
	w->s.config.drain_timeout_ms = 300;
	w->s.config.resolvers[0].sa.sa_family = w->s.config.resolvers[1].sa.sa_family = AF_UNSPEC;
	w->s.port = free_port();
	for (unsigned i = 0; i < WEB_TARGETS; i++) {
		w->targets[i] = listen_local(&w->ports[i], 64);
		w->slots[i] = slots_take(&w->s.slots);
		w->there[i] = i < ntargets;
	}
	w->service_slot = slots_take(&w->s.slots);
	w->rule_slot = slots_take(&w->s.slots);
	w->forward_slot = slots_take(&w->s.slots);
	w->group_slot = slots_take(&w->s.slots);
}

static inline struct group *
web_group(const struct web *w)
{
	struct group *g = group_new();

	g->slot = w->group_slot;
	g->name = STR("group");
	g->protocol = w->protocol == PROTOCOL_HTTP ? GROUP_HTTP : GROUP_TCP;
	g->drain_ms = w->drain_ms;
	g->targets = arena_alloc(&g->arena, WEB_TARGETS * sizeof(*g->targets));
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < WEB_TARGETS; i++) {
			if (!w->there[i] || (w->admin[i] != ADMIN_UP) != (pass == 1))
				continue;
			g->targets[g->ntargets++] = (struct target){.name = STR("target"),
			    .addr = local_addr(w->ports[i]),
			    .weight = 1,
			    .admin = w->admin[i],
			    .slot = w->slots[i]};
		}
	}
	return g;
}

static inline struct service *
web_service(const struct web *w)
{
	static const char *const hosts[] = {"shop.test", NULL};
	const struct forward to[] = {{.slot = w->forward_slot, .weight = 1, .name = STR("group")}, {0}};
	struct service *v =
	    table_kit_service(w->s.port, w->protocol, w->service_slot, w->rule_slot, hosts, to);

	v->listeners[0].fallback.action.resilience = w->resilience;
	return v;
}

static inline void
web_publish(struct web *w)
{
	struct build *b = build_new(engine_table(w->s.engine));

	build_place(b, table_kit_place(w->s.port, w->protocol));
	build_group(b, 0, web_group(w));
	build_service(b, 0, web_service(w));
	while (w->nretired > 0)
		build_retire(b, w->retired[--w->nretired]);
	table_kit_publish(w->s.engine, b);
}

static inline void
web_start(struct web *w)
{
	const char *why;

	cr_assert(engine_start(&w->s.engine, &w->s.config, &w->s.slots, &why) == 0, "%s", why);
	web_publish(w);
}

static inline void
web_stop(struct web *w)
{
	engine_stop(w->s.engine);
	slots_fini(&w->s.slots);
	for (unsigned i = 0; i < WEB_TARGETS; i++) {
		if (w->targets[i] >= 0)
			close(w->targets[i]);
	}
}

/* Nobody listens there any more. */
static inline void
web_kill(struct web *w, unsigned which)
{
	close(w->targets[which]);
	w->targets[which] = -1;
}

/* Out of the table, its number given back; a new one for when it comes again. */
static inline void
web_remove(struct web *w, unsigned which)
{
	w->there[which] = false;
	w->retired[w->nretired++] = w->slots[which];
	web_publish(w);
	w->slots[which] = slots_take(&w->s.slots);
}

/* ------------------------------------------------------------------ both ends */

static inline int
web_client(const struct web *w, const char *request)
{
	int fd = connect_local(w->s.port);

	send_all(fd, request, strlen(request));
	return fd;
}

/* The next connection to any target, or to `only` (WEB_TARGETS: any); *which: whose. */
static inline int
web_accept(const struct web *w, unsigned only, unsigned *which)
{
	struct timeval limit = {.tv_sec = WAIT_MS / 1000};
	struct pollfd p[WEB_TARGETS];
	int fd;

	for (unsigned i = 0; i < WEB_TARGETS; i++)
		p[i] = (struct pollfd){
		    .fd = only == WEB_TARGETS || only == i ? w->targets[i] : -1, .events = POLLIN};
	cr_assert(TEMP_FAILURE_RETRY(poll(p, WEB_TARGETS, WAIT_MS)) > 0, "no connection to a target");
	for (unsigned i = 0; i < WEB_TARGETS; i++) {
		if (!(p[i].revents & POLLIN))
			continue;
		fd = accept4(w->targets[i], NULL, NULL, SOCK_CLOEXEC);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		if (which != NULL)
			*which = i;
		return fd;
	}
	return -1;
}

/* Reads until what came ends with `tail`. */
static inline void
web_read(int fd, const char *tail)
{
	char got[256 * 1024];
	size_t n = 0, len = strlen(tail);

	while (n < len || memcmp(got + n - len, tail, len) != 0) {
		ssize_t more = TEMP_FAILURE_RETRY(recv(fd, got + n, sizeof(got) - n, 0));

		cr_assert(
		    more > 0, "%zu bytes without '%s': %s", n, tail, more < 0 ? strerror(errno) : "closed");
		n += (size_t)more;
	}
}

static inline void
web_answer(int fd, const char *text)
{
	send_all(fd, text, strlen(text));
}

/* The status of the answer that comes; its body is `length` bytes of ours or a target's, not looked at. */
static inline unsigned
web_status(int fd)
{
	char got[8192];
	size_t n = 0;

	while (n < 4 || memmem(got, n, "\r\n\r\n", 4) == NULL) {
		ssize_t more = TEMP_FAILURE_RETRY(recv(fd, got + n, sizeof(got) - 1 - n, 0));

		if (more <= 0)
			return 0;
		n += (size_t)more;
	}
	got[n] = '\0';
	return (unsigned)atoi(got + sizeof("HTTP/1.1"));
}

#define GET "GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 4\r\n\r\nbody"
#define OK "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
#define UNAVAILABLE "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno"

#endif
