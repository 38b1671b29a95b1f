/* test_match.c - rules against requests; the index against the plain scan. */
#include "../../engine/http/h1.h"
#include "../../engine/route/route.h"
#include <criterion/criterion.h>
#include <stdio.h>

static void
parse(struct msg *m, const char *head)
{
	const struct fault *fault;
	size_t scanned = 0;

	cr_assert(h1_parse_request(m, head, strlen(head), &scanned, &fault) > 0, "%s", head);
}

/* A request for a path alone, without its bytes. */
static void
request_of(struct msg *m, struct str method, struct str path)
{
	m->method = method;
	m->target = m->path = path;
	m->nfields = 0;
}

Test(match, compares_method_and_path)
{
	static const struct {
		const char *method, *path;
		enum match_op op;
		bool sensitive;
		const char *head;
		bool want;
	} rows[] = {
	    {"", "", MATCH_ANY, 0, "GET /x", 1},
	    {"GET", "", MATCH_ANY, 0, "GET /x", 1},
	    {"GET", "", MATCH_ANY, 0, "get /x", 0},
	    {"GET", "", MATCH_ANY, 0, "GETS /x", 0},
	    {"", "/login", MATCH_EXACT, 0, "GET /login", 1},
	    {"", "/login", MATCH_EXACT, 0, "GET /LogIn", 1},
	    {"", "/login", MATCH_EXACT, 1, "GET /LogIn", 0},
	    {"", "/Login", MATCH_EXACT, 0, "GET /login", 1},
	    {"", "/login", MATCH_EXACT, 0, "GET /login?next=/x", 1},
	    {"", "/login", MATCH_EXACT, 0, "GET /login/", 0},
	    {"", "/login", MATCH_EXACT, 0, "GET /logi", 0},
	    {"", "/api", MATCH_PREFIX, 0, "GET /api", 1},
	    {"", "/api", MATCH_PREFIX, 0, "GET /api/x", 1},
	    {"", "/api", MATCH_PREFIX, 0, "GET /apix", 1},
	    {"", "/api", MATCH_PREFIX, 0, "GET /API?q", 1},
	    {"", "/api", MATCH_PREFIX, 1, "GET /API", 0},
	    {"", "/api", MATCH_PREFIX, 0, "GET /ap?i", 0},
	    {"", "/", MATCH_PREFIX, 0, "OPTIONS *", 0},
	    {"POST", "/api", MATCH_PREFIX, 0, "GET /api", 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct match want = {.method = str_of(rows[i].method),
		    .path = str_of(rows[i].path),
		    .path_op = rows[i].op,
		    .path_case = rows[i].sensitive};
		char head[200];
		struct msg m;

		snprintf(head, sizeof(head), "%s HTTP/1.1\r\nHost: a\r\n\r\n", rows[i].head);
		parse(&m, head);
		cr_expect(match_holds(&want, &m) == rows[i].want, "row %zu", i);
	}
}

Test(match, compares_headers_any_instance_of_them)
{
	static const char head[] = "GET / HTTP/1.1\r\nHost: shop:80\r\nX-Canary: no\r\nx-canary: Yes\r\n"
				   "Cookie: a=1; BETA=1; c=2\r\nUser-Agent: curl/8\r\nEmpty:\r\n\r\n";
	static const struct {
		const char *name, *value;
		enum match_op op;
		bool sensitive, want;
	} rows[] = {
	    {"x-canary", "yes", MATCH_EXACT, 0, 1},
	    {"x-canary", "yes", MATCH_EXACT, 1, 0},
	    {"x-canary", "Yes", MATCH_EXACT, 1, 1},
	    {"x-canary", "no", MATCH_EXACT, 1, 1},
	    {"x-canary", "ye", MATCH_EXACT, 0, 0},
	    {"x-canar", "yes", MATCH_EXACT, 0, 0},
	    {"user-agent", "CURL/", MATCH_PREFIX, 0, 1},
	    {"user-agent", "CURL/", MATCH_PREFIX, 1, 0},
	    {"user-agent", "url/", MATCH_PREFIX, 0, 0},
	    {"cookie", "beta=1", MATCH_CONTAINS, 0, 1},
	    {"cookie", "beta=1", MATCH_CONTAINS, 1, 0},
	    {"cookie", "c=2", MATCH_CONTAINS, 1, 1},
	    {"cookie", "c=22", MATCH_CONTAINS, 0, 0},
	    {"empty", "x", MATCH_CONTAINS, 0, 0},
	    {"host", "shop", MATCH_PREFIX, 0, 1},
	    {"absent", "", MATCH_PREFIX, 0, 0},
	};
	struct msg m;

	parse(&m, head);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct header_match h[2] = {{STR("host"), STR("shop:80"), MATCH_EXACT},
		    {str_of(rows[i].name), str_of(rows[i].value), rows[i].op}};
		struct match want = {.header_case = rows[i].sensitive, .nheaders = 2, .headers = h};

		cr_expect(match_holds(&want, &m) == rows[i].want, "row %zu", i);
	}
}

Test(match, takes_the_first_rule_and_the_fallback_without_one)
{
	struct rule rules[3] = {
	    {.name = STR("a"), .match = {.path = STR("/a"), .path_op = MATCH_PREFIX}},
	    {.name = STR("ab"), .match = {.path = STR("/ab"), .path_op = MATCH_PREFIX}},
	    {.name = STR("b"), .match = {.path = STR("/b"), .path_op = MATCH_EXACT}},
	};
	struct listener l = {.nrules = 3, .rules = rules};
	struct msg m;

	request_of(&m, STR("GET"), STR("/abc"));
	cr_expect(match_rule(&l, &m) == &rules[0]);
	request_of(&m, STR("GET"), STR("/b"));
	cr_expect(match_rule(&l, &m) == &rules[2]);
	request_of(&m, STR("GET"), STR("/bc"));
	cr_expect(match_rule(&l, &m) == &l.fallback);
}

static unsigned
roll(unsigned *seed, unsigned n)
{
	*seed = *seed * 1103515245u + 12345u;
	return (*seed >> 16) % n;
}

/* A path out of few letters, so that paths are often equal or prefixes of each other. */
static struct str
random_path(unsigned *seed, struct arena *a)
{
	uint32_t len = roll(seed, 7);
	char *p = arena_alloc(a, 8);

	for (uint32_t i = 0; i < len; i++)
		p[i] = "/aAbB"[roll(seed, 5)];
	return (struct str){p, len};
}

Test(match, finds_the_same_with_the_index_as_without)
{
	static const char *const methods[] = {"", "", "GET", "POST"};
	unsigned seed = 7, indexed = 0;

	for (unsigned round = 0; round < 300; round++) {
		struct arena a = {0};
		struct listener l = {.nrules = roll(&seed, 60)}, plain;

		l.rules = arena_alloc(&a, sizeof(*l.rules) * l.nrules);
		for (uint32_t i = 0; i < l.nrules; i++) {
			struct match *m = &l.rules[i].match;

			m->method = str_of(methods[roll(&seed, COUNT(methods))]);
			m->path_op = roll(&seed, 12) == 0 ? MATCH_ANY : MATCH_EXACT + roll(&seed, 2);
			m->path_case = roll(&seed, 2);
			m->path = random_path(&seed, &a);
		}
		plain = l;
		match_index_build(&l, &a);
		indexed += l.index != NULL;
		for (unsigned k = 0; k < 300; k++) {
			const struct rule *got, *want;
			struct msg m;

			request_of(&m, str_of(roll(&seed, 2) ? "GET" : "POST"), random_path(&seed, &a));
			got = match_rule(&l, &m);
			want = match_rule(&plain, &m);
			cr_assert(got == want || (got == &l.fallback && want == &plain.fallback),
			    "round %u: '" STR_FMT "' got %zd, want %zd", round, STR_ARG(m.path),
			    got - l.rules, want - l.rules);
		}
		arena_fini(&a);
	}
	cr_expect(indexed > 200, "only %u were indexed", indexed);
}

Test(match, needs_no_index_for_few_rules_or_few_paths)
{
	struct rule rules[20] = {0};
	struct listener l = {.nrules = 8, .rules = rules};
	struct arena a = {0};

	for (uint32_t i = 0; i < 8; i++)
		rules[i].match = (struct match){.path = STR("/a"), .path_op = MATCH_EXACT};
	match_index_build(&l, &a);
	cr_expect(l.index == NULL);
	l.nrules = 20;
	match_index_build(&l, &a);
	cr_expect(l.index == NULL);
	rules[8].match = rules[0].match;
	match_index_build(&l, &a);
	cr_expect(l.index != NULL);
	arena_fini(&a);
}
