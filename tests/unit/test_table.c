/* test_table.c - building, sharing and reading tables. */
#include "limits.h"
#include "table.h"
#include "clock.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

static struct service *
make_service(uint32_t index, const char *name, uint32_t scope, const char *const *hosts)
{
	struct service *s = service_new();

	s->index = index;
	s->slot = index;
	s->name = arena_str(&s->arena, str_of(name));
	s->idle_timeout_s = 60;
	s->hosts = arena_alloc(&s->arena, 8 * sizeof(*s->hosts));
	for (; hosts != NULL && *hosts != NULL; hosts++)
		s->hosts[s->nhosts++] = (struct host_name){scope, arena_str(&s->arena, str_of(*hosts))};
	return s;
}

static struct place *
make_place(uint32_t index, uint32_t serial, const char *addr)
{
	struct place *p = place_new();

	p->index = index;
	p->serial = serial;
	addr_parse(str_of(addr), &p->addr);
	p->scopes = xcalloc(1, sizeof(*p->scopes));
	p->nscopes = 1;
	return p;
}

static struct table *
seal(struct build *b)
{
	struct table *t = NULL;
	struct clash clash;

	cr_assert(build_seal(b, &t, &clash) == 0);
	return t;
}

#define HOSTS(...) ((const char *const[]){__VA_ARGS__, NULL})

Test(table, starts_empty_at_generation_0)
{
	struct table *t = seal(build_new(NULL)), *next = seal(build_new(t));

	cr_expect(table_generation(t) == 0);
	cr_expect(table_generation(next) == 1);
	cr_expect(table_service(t, 0) == NULL && table_service(t, UINT32_MAX) == NULL);
	cr_expect(table_host(t, 0, STR("shop")) == NULL);
	cr_expect(table_nplaces(t) == 0);
	table_free(t);
	table_free(next);
}

Test(table, finds_hosts_exactly_then_by_the_longest_wildcard)
{
	static const struct {
		uint32_t scope;
		const char *host;
		const char *want;
	} rows[] = {
	    {1, "shop.example", "shop"},
	    {1, "SHOP.Example", "shop"},
	    {1, "shop.example.", "shop"},
	    {2, "shop.example", NULL},
	    {1, "a.example", "any"},
	    {1, "a.b.example", "any"},
	    {1, "x.shop.example", "deep"},
	    {1, "y.x.shop.example", "deep"},
	    {1, "example", NULL},
	    {1, "*.example", "any"},
	    {1, ".example", NULL},
	    {1, "", NULL},
	    {1, ".", NULL},
	    {1, "aexample", NULL},
	};
	struct build *b = build_new(NULL);
	struct table *t;
	char longest[300];

	build_service(b, 0, make_service(0, "shop", 1, HOSTS("shop.example")));
	build_service(b, 1, make_service(1, "any", 1, HOSTS("*.example")));
	build_service(b, 2, make_service(2, "deep", 1, HOSTS("*.shop.example")));
	t = seal(b);
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct service *s = table_host(t, rows[i].scope, str_of(rows[i].host));

		cr_expect((s == NULL) == (rows[i].want == NULL) &&
			      (s == NULL || str_eq(s->name, str_of(rows[i].want))),
		    "row %zu", i);
	}
	cr_expect(table_host_exact(t, 1, STR("a.example")) == NULL);
	memset(longest, 'a', sizeof(longest));
	cr_expect(table_host(t, 1, (struct str){longest, 256}) == NULL);
	table_free(t);
}

Test(table, leaves_the_table_before_it_as_it_was)
{
	struct build *b = build_new(NULL);
	struct table *one, *two, *three;

	build_service(b, 5, make_service(5, "shop", 1, HOSTS("old.example", "shop")));
	one = seal(b);
	b = build_new(one);
	build_service(b, 5, make_service(5, "shop", 1, HOSTS("new.example", "shop")));
	build_service(b, 70000, make_service(70000, "far", 1, HOSTS("far")));
	two = seal(b);
	b = build_new(two);
	build_service(b, 5, NULL);
	three = seal(b);
	cr_expect(
	    table_host(one, 1, STR("old.example")) != NULL && table_host(one, 1, STR("new.example")) == NULL);
	cr_expect(
	    table_host(two, 1, STR("old.example")) == NULL && table_host(two, 1, STR("new.example")) != NULL);
	cr_expect(table_host(one, 1, STR("shop")) != table_host(two, 1, STR("shop")));
	cr_expect(table_host(three, 1, STR("shop")) == NULL && table_service(three, 5) == NULL);
	cr_expect(table_service(one, 70000) == NULL && table_service(three, 70000) != NULL);
	cr_expect(table_nservices(one) == 6 && table_nservices(three) == 70001);
	/* Whoever dies last must still be whole. */
	table_free(two);
	cr_expect(table_host(one, 1, STR("old.example")) != NULL);
	table_free(one);
	cr_expect(table_host(three, 1, STR("far")) != NULL);
	table_free(three);
}

Test(table, swaps_names_within_one_build)
{
	struct build *b = build_new(NULL);
	struct table *one, *two;

	build_service(b, 0, make_service(0, "a", 1, HOSTS("x")));
	build_service(b, 1, make_service(1, "b", 1, HOSTS("y")));
	one = seal(b);
	b = build_new(one);
	build_service(b, 0, make_service(0, "a", 1, HOSTS("y")));
	build_service(b, 1, make_service(1, "b", 1, HOSTS("x")));
	two = seal(b);
	cr_expect(table_host(two, 1, STR("x"))->index == 1 && table_host(two, 1, STR("y"))->index == 0);
	cr_expect(table_host(one, 1, STR("x"))->index == 0);
	table_free(one);
	table_free(two);
}

Test(table, refuses_a_taken_name_and_can_be_amended)
{
	struct build *b = build_new(NULL);
	struct table *t = NULL;
	struct clash clash = {0};

	build_service(b, 0, make_service(0, "a", 7, HOSTS("a", "x")));
	build_service(b, 1, make_service(1, "b", 7, HOSTS("b", "x")));
	cr_assert(build_seal(b, &t, &clash) == -EEXIST);
	cr_expect(clash.scope == 7 && str_eq(clash.name, STR("x")) && clash.mine->index == 1 &&
		  clash.theirs->index == 0);
	cr_assert(build_seal(b, &t, &clash) == -EEXIST, "it stays refused");
	build_service(b, 1, make_service(1, "b", 8, HOSTS("b", "x")));
	cr_assert(build_seal(b, &t, &clash) == 0);
	cr_expect(table_host(t, 7, STR("x"))->index == 0 && table_host(t, 8, STR("x"))->index == 1);
	table_free(t);
	/* An abandoned build leaves nothing behind. */
	b = build_new(NULL);
	build_service(b, 0, make_service(0, "a", 7, HOSTS("a")));
	build_abort(b);
}

Test(table, counts_the_users_of_places)
{
	struct build *b = build_new(NULL);
	struct service *s;
	struct table *one, *two, *three;
	static uint32_t both[] = {3, 4}, first[] = {3};

	for (uint32_t i = 0; i < 2; i++) {
		s = make_service(i, i == 0 ? "a" : "b", 1, NULL);
		s->places = arena_copy(&s->arena, both, sizeof(both));
		s->nplaces = i == 0 ? 2 : 1;
		build_service(b, i, s);
	}
	build_place(b, make_place(3, 1, "127.0.0.1:80"));
	build_place(b, make_place(4, 2, "127.0.0.1:81"));
	build_place(b, make_place(9, 3, "127.0.0.1:82"));
	one = seal(b);
	cr_expect(table_place(one, 3)->nusers == 2 && table_place(one, 4)->nusers == 1);
	cr_expect(table_place(one, 9) == NULL, "nobody uses it");
	cr_expect(table_nplaces(one) == 5);
	b = build_new(one);
	s = make_service(0, "a", 1, NULL);
	s->places = arena_copy(&s->arena, first, sizeof(first));
	s->nplaces = 1;
	build_service(b, 0, s);
	/* The same socket, valid for other networks. */
	build_place(b, make_place(3, 1, "127.0.0.1:80"));
	two = seal(b);
	cr_expect(table_place(two, 3)->nusers == 2 && table_place(two, 4) == NULL && table_nplaces(two) == 4);
	cr_expect(table_place(one, 4)->nusers == 1, "the old table is untouched");
	b = build_new(two);
	build_service(b, 0, NULL);
	build_service(b, 1, NULL);
	three = seal(b);
	cr_expect(table_nplaces(three) == 0);
	table_free(one);
	table_free(two);
	table_free(three);
}

Test(table, tells_what_was_retired)
{
	struct build *b = build_new(NULL);
	struct table *t;
	const uint32_t *slots;
	uint32_t n;

	build_retire(b, 11);
	build_retire(b, 12);
	t = seal(b);
	slots = table_retired(t, &n);
	cr_expect(n == 2 && slots[0] == 11 && slots[1] == 12);
	table_free(t);
}

/* Against a plain array of which service has which name. */
Test(table, agrees_with_a_plain_array_over_random_edits)
{
	enum { SERVICES = 200, NAMES = 300, STEPS = 20000, KEPT = 8 };
	static int owner[NAMES];
	static int wants[SERVICES][2];
	struct table *kept[KEPT] = {0}, *t = seal(build_new(NULL));
	unsigned seed = 7;

	for (int i = 0; i < NAMES; i++)
		owner[i] = -1;
	for (int i = 0; i < SERVICES; i++)
		wants[i][0] = wants[i][1] = -1;
	for (int step = 0; step < STEPS; step++) {
		uint32_t i = (uint32_t)rand_r(&seed) % SERVICES;
		int want[2] = {rand_r(&seed) % NAMES, rand_r(&seed) % NAMES};
		bool remove = rand_r(&seed) % 4 == 0, clashes = want[0] == want[1];
		char names[2][16];
		struct build *b = build_new(t);
		struct table *next = NULL;
		struct clash clash;
		int rc;

		for (int k = 0; k < 2; k++) {
			snprintf(names[k], sizeof(names[k]), "n%d", want[k]);
			clashes = clashes || (owner[want[k]] >= 0 && owner[want[k]] != (int)i);
		}
		build_service(b, i, remove ? NULL : make_service(i, "s", 0, HOSTS(names[0], names[1])));
		rc = build_seal(b, &next, &clash);
		cr_assert((rc == -EEXIST) == (clashes && !remove), "step %d", step);
		if (rc != 0) {
			build_abort(b);
			continue;
		}
		for (int k = 0; k < 2; k++) {
			if (wants[i][k] >= 0)
				owner[wants[i][k]] = -1;
			wants[i][k] = -1;
		}
		for (int k = 0; k < 2 && !remove; k++) {
			owner[want[k]] = (int)i;
			wants[i][k] = want[k];
		}
		table_free(kept[step % KEPT]);
		kept[step % KEPT] = t;
		t = next;
		if (step % 100 != 0)
			continue;
		for (int k = 0; k < NAMES; k++) {
			char name[16];
			const struct service *s;

			snprintf(name, sizeof(name), "n%d", k);
			s = table_host(t, 0, str_of(name));
			cr_assert((s == NULL ? -1 : (int)s->index) == owner[k], "step %d, name %d", step, k);
		}
	}
	table_free(t);
	for (int i = 0; i < KEPT; i++)
		table_free(kept[i]);
}

/* Ten thousand services: an edit copies a path, not the store. Generous, for machines under load. */
Test(table, edits_one_of_many_at_a_small_cost)
{
	enum { SERVICES = 10000, EDITS = 1000 };
	struct build *b = build_new(NULL);
	struct table *t, *next;
	uint64_t start, best = UINT64_MAX;
	char name[16];

	for (uint32_t i = 0; i < SERVICES; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		build_service(b, i, make_service(i, name, 0, HOSTS(name)));
	}
	t = seal(b);
	for (uint32_t i = 0; i < EDITS; i++) {
		uint32_t at = i * 7919 % SERVICES;

		snprintf(name, sizeof(name), "s%u", at);
		start = clock_ns();
		b = build_new(t);
		build_service(b, at, make_service(at, name, 0, HOSTS(name)));
		next = seal(b);
		best = MIN(best, clock_ns() - start);
		table_free(t);
		t = next;
	}
	cr_expect(best < 100000, "%lu ns", (unsigned long)best);
	cr_expect(table_host(t, 0, STR("s9999"))->index == 9999);
	table_free(t);
}

Test(table, prints_routes_in_match_order)
{
	struct build *b = build_new(NULL);
	struct group *g = group_new();
	struct service *s = make_service(0, "shop", 1, HOSTS("shop.example", "shop"));
	struct listener *l = arena_alloc(&s->arena, sizeof(*l));
	struct forward *f = arena_alloc(&s->arena, sizeof(*f));
	struct header_match *h = arena_alloc(&s->arena, sizeof(*h));
	struct text out = {0};
	struct table *t;

	g->targets = arena_alloc(&g->arena, 2 * sizeof(*g->targets));
	addr_parse(STR("10.0.0.5:80"), &g->targets[0].addr);
	addr_parse(STR("[fd00::5]:8080"), &g->targets[1].addr);
	g->ntargets = 2;
	g->protocol = GROUP_HTTPS;
	g->version = GROUP_GRPC;
	g->drain_ms = DRAIN_DEFAULT * 1000;
	g->ca = STR("-----BEGIN CERTIFICATE-----");
	g->ca_mark = STR("0a1b2c3d");
	build_group(b, 0, g);
	build_place(b, make_place(0, 1, "127.0.0.1:8080"));
	*f = (struct forward){0, 1, 90, STR("blue")};
	*h = (struct header_match){STR("x-a"), STR("b \"c\"\x01"), MATCH_CONTAINS};
	*l = (struct listener){.name = STR("web"), .port = 8080, .nrules = 1};
	l->rules = arena_alloc(&s->arena, sizeof(*l->rules));
	l->rules[0].name = STR("cart");
	l->rules[0].priority = 10;
	l->rules[0].match = (struct match){.method = STR("GET"),
	    .path = STR("/cart"),
	    .path_op = MATCH_PREFIX,
	    .path_case = true,
	    .nheaders = 1,
	    .headers = h};
	l->rules[0].action = (struct action){.kind = ACTION_FORWARD, .nforwards = 1, .forwards = f};
	l->fallback.name = STR("default");
	l->fallback.action = (struct action){.kind = ACTION_FIXED, .status = 404};
	s->listeners = l;
	s->nlisteners = 1;
	s->places = arena_alloc(&s->arena, sizeof(*s->places));
	s->nplaces = 1;
	s->scopes = arena_alloc(&s->arena, sizeof(*s->scopes));
	s->scopes[0] = (struct scope_name){.name = STR("main")};
	s->hosts[0].scope = s->hosts[1].scope = 0;
	s->nscopes = 1;
	s->idle_timeout_s = 30;
	build_service(b, 0, s);
	t = seal(b);
	table_print(t, &out);
	cr_expect(
	    strcmp(out.p,
		"main shop/web 10 cart HTTP 127.0.0.1:8080 shop.example,shop idle-timeout=30 method=GET "
		"path-prefix=/cart path-case-sensitive header-contains=x-a:\"b \\\"c\\\"\\x01\" -> forward "
		"blue:90{10.0.0.5:80,[fd00::5]:8080}/HTTPS/GRPC/verified:0a1b2c3d\n"
		"main shop/web default default HTTP 127.0.0.1:8080 shop.example,shop idle-timeout=30 -> "
		"fixed-response 404\n") == 0,
	    "%s", out.p);
	text_fini(&out);
	table_free(t);
}
