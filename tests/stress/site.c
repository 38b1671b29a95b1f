/* site.c - builds a round's table and publishes it. */
#include "site.h"
#include "../unit/port.h"

#include <stdio.h>
#include <unistd.h>

#define SCOPE 7

/* ------------------------------------------------------------------ what changes, and when */

bool
site_is_fixed(const struct site *s)
{
	return s->round % 3 == 2;
}

/* What a service shows changes in every fourth round, and whom it lets in in every eighth. */
static uint32_t
tls_edition(const struct site *s)
{
	return s->round / 4 + 1;
}

bool
site_is_fresh(const struct site *s)
{
	return s->round % 4 == 0;
}

unsigned
site_paper(const struct site *s)
{
	return s->round / 4 % NPAPERS;
}

bool
site_has_client_ca(const struct site *s)
{
	return s->round / 8 % 2 == 1;
}

/* ------------------------------------------------------------------ parts */

static struct place *
place_make(const struct site *s, uint32_t index, enum protocol protocol)
{
	struct place *p = place_new();

	p->index = index;
	p->serial = index + s->round;
	p->addr = local_addr(s->ports[index]);
	p->protocol = protocol;
	p->nscopes = 1;
	p->scopes = xcalloc(1, sizeof(*p->scopes));
	p->scopes[0] = SCOPE;
	return p;
}

/* How targets are watched: by checks that change, and come and go, and by what requests see. */
static void
watch(const struct site *s, struct group *g)
{
	uint32_t turn = s->round / 7 + g->index;

	group_check_default(g, &g->check);
	g->used = true;
	g->check.enabled = turn % 4 != 3;
	g->check.protocol = g->protocol == GROUP_TCP ? CHECK_TCP : g->check.protocol;
	g->check.interval_ms = 150 + turn % 3 * 50;
	g->check.timeout_ms = 2000;
	passive_check_default(&g->passive);
	g->passive.enabled = turn % 6 != 5;
	g->passive.failures = 2;
	g->passive.ejection_ms = 50;
	g->passive.ejection_max_ms = 200;
	g->passive.ejected_percent = 50;
}

static void
targets_make(const struct site *s, struct group *g, uint16_t port)
{
	enum admin admin = (enum admin)(s->round / 3 % 3);
	bool raw = g->protocol == GROUP_TCP; /* is tried twice at most, whatever the action says */

	g->targets = arena_alloc(&g->arena, NTARGETS * sizeof(*g->targets));
	for (unsigned pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < NTARGETS; i++)
			if ((i == TARGET_TURNS && admin != ADMIN_UP) == (pass == 1))
				g->targets[g->ntargets++] = (struct target){.name = STR("t"),
				    .addr = local_addr(i == TARGET_DEAD && !raw ? s->dead_port : port),
				    .admin = i == TARGET_TURNS ? admin : ADMIN_UP,
				    .slot = s->target_slots[g->index][i]};
}

/* Targets with TLS are verified, or not, in turns. */
static struct group *
group_make(const struct site *s, uint32_t which)
{
	static const struct {
		const char *name;
		enum group_protocol protocol;
		enum group_version version;
	} kinds[NGROUPS] = {
	    [ORIGIN_H1] = {"h1", GROUP_HTTP, GROUP_HTTP1},
	    [ORIGIN_H1_TLS] = {"h1-tls", GROUP_HTTPS, GROUP_HTTP1},
	    [ORIGIN_H2] = {"h2", GROUP_HTTP, GROUP_HTTP2},
	    [ORIGIN_H2_TLS] = {"h2-tls", GROUP_HTTPS, GROUP_HTTP2},
	    [NORIGINS] = {"raw", GROUP_TCP, GROUP_HTTP1},
	};
	uint16_t port = s->origins[which < NORIGINS ? which : ORIGIN_H1_TLS];
	struct group *g = group_new();

	g->index = which;
	g->slot = s->group_slots[which];
	g->name = str_of(kinds[which].name);
	g->protocol = kinds[which].protocol;
	g->version = kinds[which].version;
	g->drain_ms = 60000; /* who is in the middle of something when its target leaves may end it */
	g->tls_edition = s->round + 1;
	if (g->protocol == GROUP_HTTPS && s->round % 2 == 0)
		g->ca = arena_str(&g->arena, s->ca);
	g->drain_ms = 60000;
	g->algorithm = s->round / 7 % 2 == 0 ? ALGORITHM_ROUND_ROBIN : ALGORITHM_LEAST_REQUESTS;
	g->slow_start_ms = s->round / 7 % 3 == 0 ? 100 : 0;
	watch(s, g);
	targets_make(s, g, port);
	return g;
}

/* To groups first to last, by weights that change. */
static void
forward(const struct site *s, struct action *a, struct arena *arena, uint32_t first, uint32_t last)
{
	a->kind = ACTION_FORWARD;
	a->nforwards = last - first + 1;
	a->forwards = arena_alloc(arena, a->nforwards * sizeof(*a->forwards));
	for (uint32_t i = 0; i < a->nforwards; i++)
		a->forwards[i] = (struct forward){.group = first + i,
		    .slot = s->forward_slots[first + i],
		    .weight = (uint16_t)(i == 0 ? 1 + s->round % 3 : s->round % (3 + i)),
		    .name = STR("group")};
	action_spread(a, arena);
}

static void
listener_make(const struct site *s, struct listener *l, struct arena *arena, uint32_t place)
{
	static const char *const names[NPLACES] = {"web", "web-2", "secure", "pass"};
	struct action *a = &l->fallback.action;

	l->name = str_of(names[place]);
	l->port = s->ports[place];
	l->protocol = place == PLACE_HTTPS  ? PROTOCOL_HTTPS
		      : place == PLACE_PASS ? PROTOCOL_TLS_PASSTHROUGH
					    : PROTOCOL_HTTP;
	l->fallback.name = STR("default");
	l->fallback.slot = s->rule_slots[place == PLACE_PASS ? PASS : SHOP];
	a->edition = s->round;
	if (place == PLACE_PASS) {
		forward(s, a, arena, NORIGINS, NORIGINS);
	} else if (site_is_fixed(s)) {
		a->kind = ACTION_FIXED;
		a->status = 404;
	} else {
		forward(s, a, arena, 0, NORIGINS - 1);
		/* When these are over their budget, the one try that everybody has stands in. */
		a->resilience = (struct resilience){.retries = 3, .retry_on = RETRY_CONNECT};
	}
	match_index_build(l, arena);
}

static struct service *
service_make(const struct site *s, uint32_t which, const uint32_t *places, uint32_t nplaces)
{
	struct service *v = service_new();
	struct arena *arena = &v->arena;
	const struct paper *paper = &s->papers[site_paper(s)];
	struct str name = which == SHOP ? STR("shop") : STR("pass");

	v->index = which;
	v->slot = s->service_slots[which];
	v->name = name;
	v->idle_timeout_s = 60;
	v->nlisteners = v->nplaces = nplaces;
	v->listeners = arena_alloc(arena, nplaces * sizeof(*v->listeners));
	v->places = arena_alloc(arena, nplaces * sizeof(*v->places));
	for (uint32_t i = 0; i < nplaces; i++) {
		v->places[i] = places[i];
		listener_make(s, &v->listeners[i], arena, places[i]);
	}
	v->nhosts = 1;
	v->hosts = arena_alloc(arena, sizeof(*v->hosts));
	v->hosts[0] = (struct host_name){SCOPE, name};
	v->nscopes = 1;
	v->scopes = arena_alloc(arena, sizeof(*v->scopes));
	v->scopes[0] = (struct scope_name){.scope = SCOPE, .name = STR("net")};
	if (which == PASS)
		return v;
	v->ncertificates = 1;
	v->certificates[0] = (struct certificate){
	    .chain = arena_str(arena, str_of(paper->chain)), .key = arena_str(arena, str_of(paper->key))};
	if (site_has_client_ca(s))
		v->client_ca = arena_str(arena, s->ca);
	v->tls_edition = tls_edition(s);
	return v;
}

/* ------------------------------------------------------------------ tables */

/* A group's settings change, and its targets drain and come back; every other time their numbers are retired,
 * as removed target files do. The dead one keeps its own: nobody who has tried it may take it for another
 * one, and fail. */
static void
groups_change(struct site *s, struct build *b)
{
	uint32_t which = s->round / 7 % NGROUPS;

	for (uint32_t i = 0; s->round == 0 && i < NGROUPS; i++)
		build_group(b, i, group_make(s, i));
	if (s->round == 0 || (s->round % 7 != 0 && s->round % 7 != 3))
		return;
	for (uint32_t i = 0; s->round % 7 == 0 && i < TARGET_DEAD; i++) {
		build_retire(b, s->target_slots[which][i]);
		s->target_slots[which][i] = slots_take(&s->slots);
	}
	build_group(b, which, group_make(s, which));
}

/* In every tenth round another place. */
static void
services_change(struct site *s, struct build *b)
{
	static const uint32_t shop[] = {PLACE_HTTP, PLACE_HTTPS, PLACE_SECOND}, pass[] = {PLACE_PASS};

	s->ports[PLACE_SECOND] = s->round % 10 == 9 ? free_port() : 0;
	if (s->round == 0) {
		build_place(b, place_make(s, PLACE_HTTP, PROTOCOL_HTTP));
		build_place(b, place_make(s, PLACE_HTTPS, PROTOCOL_HTTPS));
		build_place(b, place_make(s, PLACE_PASS, PROTOCOL_TLS_PASSTHROUGH));
	}
	if (s->ports[PLACE_SECOND] != 0)
		build_place(b, place_make(s, PLACE_SECOND, PROTOCOL_HTTP));
	build_service(b, SHOP, service_make(s, SHOP, shop, s->ports[PLACE_SECOND] != 0 ? 3 : 2));
	build_service(b, PASS, service_make(s, PASS, pass, 1));
}

bool
site_publish(struct site *s)
{
	struct build *b = build_new(engine_table(s->engine));
	struct table *next;
	struct clash clash;
	uint32_t place;
	int rc;

	groups_change(s, b);
	services_change(s, b);
	if (build_seal(b, &next, &clash) != 0)
		abort();
	rc = engine_prepare(s->engine, next, &place);
	if (rc != 0) {
		fprintf(stderr, "round %u: %s\n", s->round, strerror(-rc));
		table_free(next);
		return false;
	}
	engine_publish(s->engine, next);
	return true;
}

static void
take(struct site *s, uint32_t *slots, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		slots[i] = slots_take(&s->slots);
}

void
site_start(struct site *s)
{
	struct engine_config config;
	const char *why;

	engine_config_default(&config);
	config.workers = 2;
	for (uint32_t i = 0; i < NPLACES; i++)
		s->ports[i] = free_port();
	take(s, s->service_slots, NSERVICES);
	take(s, s->rule_slots, NSERVICES);
	take(s, s->forward_slots, NGROUPS);
	take(s, s->group_slots, NGROUPS);
	for (uint32_t i = 0; i < NGROUPS; i++)
		take(s, s->target_slots[i], NTARGETS);
	s->dead_fd = wire_occupy(&s->dead_port);
	if (engine_start(&s->engine, &config, &s->slots, &why) != 0) {
		fprintf(stderr, "%s\n", why);
		exit(1);
	}
}

void
site_stop(struct site *s)
{
	engine_stop(s->engine);
	slots_fini(&s->slots);
	close(s->dead_fd);
}
