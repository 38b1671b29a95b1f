/* fuzz_exchange.c - any bytes of a client, and any of its target, through the whole request path: HTTP/1 and
 * HTTP/2 on either side. No assert, no sanitizer; and when both have left, everything is given back.
 *
 * The first byte: 1 the client begins with HTTP/2's preface and settings, 2 a target answers HTTP/2 with
 * settings first, 4 a target closes behind its bytes, 8 the client ends before targets answer. The second:
 * how many bytes come at a time, 0 all. The next two: so many of the rest are the client's, what is left is
 * said by every connection of a target. Paths that begin with /2 go to HTTP/2, /f is answered here, and what
 * begins with /r or /2r is tried again for every reason there is.
 */
#include "../../engine/proxy/client.h"
#include "../../engine/proxy/trunk.h"
#include "../../engine/proxy/upstream.h"
#include "bare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SCOPE 7u
#define GUESTS_MAX 32u
#define TURNS_MAX 4000u

enum { FLAG_H2 = 1, FLAG_SETTINGS = 2, FLAG_CLOSES = 4, FLAG_HASTY = 8 };
enum {
	SLOT_SERVICE,
	SLOT_RULE,
	SLOT_FORWARD = SLOT_RULE + 5,
	SLOT_GROUP = SLOT_FORWARD + 2,
	SLOT_TARGET = SLOT_GROUP + 2,
	NSLOTS = SLOT_TARGET + 2
};

struct span {
	const uint8_t *p;
	size_t n;
};

/* A target's connection. */
struct guest {
	int fd;
	bool heard;
	size_t said;
};

static struct worker w;
static struct table_ref table_ref;
static int door, target; /* listening: for clients, and for what the proxy connects to */
static struct guest guests[GUESTS_MAX];
static unsigned nguests;

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
static const char settings[] = "\0\0\0\4\0\0\0\0\0";

/* ------------------------------------------------------------------ the table */

static struct group *
group_make(uint32_t index, const struct addr *a)
{
	struct group *g = group_new();

	g->index = index;
	g->slot = SLOT_GROUP + index;
	g->name = STR("group");
	g->version = index == 0 ? GROUP_HTTP1 : GROUP_HTTP2;
	g->ntargets = 1;
	g->targets = arena_alloc(&g->arena, sizeof(*g->targets));
	g->targets[0] = (struct target){.name = STR("t"), .addr = *a, .slot = SLOT_TARGET + index};
	return g;
}

static void
forward(struct action *a, struct arena *arena, uint32_t group)
{
	a->kind = ACTION_FORWARD;
	a->nforwards = 1;
	a->forwards = arena_alloc(arena, sizeof(*a->forwards));
	a->forwards[0] =
	    (struct forward){.group = group, .slot = SLOT_FORWARD + group, .weight = 1, .name = STR("group")};
	action_spread(a, arena);
}

static void
rule_make(struct rule *r, uint32_t number, struct str path)
{
	*r = (struct rule){.name = STR("rule"), .priority = number, .slot = SLOT_RULE + number};
	r->match.path = path;
	r->match.path_op = MATCH_PREFIX;
	r->match.path_case = true;
}

static struct service *
service_make(const struct addr *a)
{
	static const struct resilience resilience = {.timeout_ms = 5000,
	    .retries = 3,
	    .retry_on = RETRY_CONNECT | RETRY_TIMEOUT | RETRY_5XX | RETRY_GATEWAY,
	    .max_requests = 4};
	struct service *v = service_new();
	struct listener *l = arena_alloc(&v->arena, sizeof(*l));

	v->slot = SLOT_SERVICE;
	v->name = STR("shop");
	v->idle_timeout_s = 60;
	v->nlisteners = v->nhosts = v->nscopes = v->nplaces = 1;
	v->listeners = l;
	*l = (struct listener){.name = STR("web"), .port = addr_port(a), .nrules = 4};
	l->rules = arena_alloc(&v->arena, 4 * sizeof(*l->rules));
	rule_make(&l->rules[0], 1, STR("/2r"));
	forward(&l->rules[0].action, &v->arena, 1);
	rule_make(&l->rules[1], 2, STR("/r"));
	forward(&l->rules[1].action, &v->arena, 0);
	for (unsigned i = 0; i < 2; i++)
		l->rules[i].action.resilience = resilience;
	rule_make(&l->rules[2], 3, STR("/2"));
	forward(&l->rules[2].action, &v->arena, 1);
	rule_make(&l->rules[3], 4, STR("/f"));
	l->rules[3].action = (struct action){.kind = ACTION_FIXED, .status = 404};
	l->fallback = (struct rule){.name = STR("default"), .slot = SLOT_RULE};
	forward(&l->fallback.action, &v->arena, 0);
	v->hosts = arena_alloc(&v->arena, sizeof(*v->hosts));
	v->hosts[0] = (struct host_name){SCOPE, STR("shop")};
	v->scopes = arena_alloc(&v->arena, sizeof(*v->scopes));
	v->scopes[0] = (struct scope_name){.scope = SCOPE, .name = STR("net")};
	v->places = arena_alloc(&v->arena, sizeof(*v->places));
	v->places[0] = 0;
	return v;
}

static struct place *
place_make(const struct addr *a)
{
	struct place *p = place_new();

	p->serial = 1;
	p->addr = *a;
	p->open = true;
	p->nscopes = 1;
	p->scopes = xcalloc(1, sizeof(*p->scopes));
	p->scopes[0] = SCOPE;
	return p;
}

static struct table *
table_make(const struct addr *at, const struct addr *to)
{
	struct build *b = build_new(NULL);
	struct table *t;
	struct clash clash;

	for (uint32_t i = 0; i < 2; i++)
		build_group(b, i, group_make(i, to));
	build_place(b, place_make(at));
	build_service(b, 0, service_make(at));
	assert(build_seal(b, &t, &clash) == 0);
	return t;
}

/* ------------------------------------------------------------------ the worker, without its thread */

static void
set_up(void)
{
	struct addr at, to;

	door = bare_listen(&at);
	target = bare_listen(&to);
	bare_init(&w);
	w.slots[0] = xcalloc(SLOT_CHUNK, sizeof(struct slot));
	table_ref.table = table_make(&at, &to);
	list_append(&w.tables, &table_ref.link);
	w.current = &table_ref;
}

/* ------------------------------------------------------------------ both ends */

static void
say(struct guest *g, struct span script, uint8_t flags, size_t step)
{
	size_t n = MIN(step, script.n - g->said);

	if (n > 0 && send(g->fd, script.p + g->said, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n)
		g->said += n;
	else
		g->said = script.n;
	if (g->said == script.n && (flags & FLAG_CLOSES) != 0)
		shutdown(g->fd, SHUT_WR);
}

static void
targets_turn(struct span script, uint8_t flags, size_t step)
{
	int fd = nguests < GUESTS_MAX ? accept4(target, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;

	if (fd >= 0) {
		bare_hurry(fd);
		guests[nguests++] = (struct guest){.fd = fd};
	}
	for (unsigned i = 0; i < nguests; i++) {
		struct guest *g = &guests[i];
		char first = '\0';

		bare_drain(g->fd, &first);
		if (!g->heard && first == 'P' && (flags & FLAG_SETTINGS) != 0)
			send(g->fd, settings, sizeof(settings) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		g->heard = g->heard || first != '\0';
		if (g->heard && g->said < script.n)
			say(g, script, flags, step);
	}
}

static void
targets_leave(void)
{
	while (nguests > 0)
		bare_drop(guests[--nguests].fd);
}

static int
client_come(void)
{
	struct addr a;
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), mine;

	assert(getsockname(door, &a.sa, &len) == 0);
	assert(connect(fd, &a.sa, sizeof(a.in)) == 0);
	bare_hurry(fd);
	mine = accept4(door, NULL, NULL, SOCK_CLOEXEC);
	assert(mine >= 0);
	client_accepted(&w, mine, table_place(table_ref.table, 0));
	return fd;
}

/* Everybody has said what there was: nobody waits for ever, and all is given back. */
static void
check_end(void)
{
	for (unsigned i = 0; i < TURNS_MAX && !list_empty(&w.clients); i++)
		bare_turn(&w, i < 100 ? 1 : 1000);
	assert(list_empty(&w.clients) && w.nclients == 0 && table_ref.pins == 0);
	while (upstream_shed(&w) || trunk_shed(&w))
		continue;
	for (unsigned i = 0; i < TURNS_MAX && w.net.nopen > 0; i++)
		bare_turn(&w, 1);
	bare_check_idle(&w);
	for (unsigned i = 0; i < NSLOTS; i++)
		assert(worker_slot(&w, i)->inflight == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span mine, theirs;
	uint8_t flags;
	size_t step, ours;
	char first = '\0';
	int fd;

	if (w.config == NULL)
		set_up();
	if (size < 5)
		return 0;
	flags = data[0];
	step = data[1] == 0 ? size : data[1];
	ours = MIN((size_t)data[2] << 8 | data[3], size - 4);
	mine = (struct span){data + 4, ours};
	theirs = (struct span){data + 4 + ours, size - 4 - ours};
	fd = client_come();
	if ((flags & FLAG_H2) != 0)
		send(fd, preface, sizeof(preface) - 1, MSG_NOSIGNAL);
	for (size_t at = 0, n; at < mine.n; at += n) {
		n = MIN(step, mine.n - at);
		if (send(fd, mine.p + at, n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n)
			break;
		bare_turn(&w, 1);
		targets_turn(theirs, flags, step);
		bare_drain(fd, &first);
	}
	if ((flags & FLAG_HASTY) != 0)
		shutdown(fd, SHUT_WR);
	for (size_t i = 0; i < 16 + theirs.n / step; i++) {
		bare_turn(&w, 1);
		targets_turn(theirs, flags, step);
		bare_drain(fd, &first);
	}
	shutdown(fd, SHUT_WR);
	bare_turn(&w, 1);
	targets_leave();
	bare_turn(&w, 1);
	bare_drop(fd);
	check_end();
	return 0;
}
