/* test_caller.c - what tells a caller from others. */
#include "../../engine/route/route.h"
#include <criterion/criterion.h>

/* The hash of `value`, as it stands in a header of its own. */
static uint64_t
hash_of(const char *value)
{
	struct msg m = {.nfields = 1};
	struct caller c = {.msg = &m};
	struct caller_key k = {CALLER_HEADER, STR("x-key")};

	m.fields[0] = (struct field){.name = STR("x-key"), .value = str_of(value)};
	return caller_hash(&k, &c);
}

Test(caller, finds_a_cookie)
{
	static const struct {
		const char *fields[3];
		const char *want; /* NULL: none */
	} rows[] = {
	    {{"id=7"}, "7"},
	    {{"a=1; id=7; b=2"}, "7"},
	    {{"a=1;id=7"}, "7"},
	    {{"a=1;  id=7  ;"}, "7"},
	    {{"a=1", "b=2", "id=7"}, "7"},
	    {{"id=7; id=8"}, "7"},
	    {{"id=\"7\""}, "\"7\""},
	    {{"id=a=b"}, "a=b"},
	    {{"xid=7"}, NULL},
	    {{"idx=7"}, NULL},
	    {{"ID=7"}, NULL},
	    {{"id"}, NULL},
	    {{"id="}, NULL},
	    {{";;; ;"}, NULL},
	    {{""}, NULL},
	};
	struct caller_key k = {CALLER_COOKIE, STR("id")};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct msg m = {0};
		struct caller c = {.msg = &m};

		for (; m.nfields < 3 && rows[i].fields[m.nfields] != NULL; m.nfields++)
			m.fields[m.nfields] =
			    (struct field){.name = STR("Cookie"), .value = str_of(rows[i].fields[m.nfields])};
		cr_expect(
		    caller_hash(&k, &c) == (rows[i].want == NULL ? 0 : hash_of(rows[i].want)), "row %zu", i);
	}
}

Test(caller, is_known_by_a_header_an_address_or_a_path)
{
	struct msg m = {.path = STR("/a"), .target = STR("/a?b"), .nfields = 1};
	struct caller c = {.msg = &m, .source = STR("10.0.0.1")}, bytes = {.source = STR("10.0.0.1")};
	struct caller_key header = {CALLER_HEADER, STR("x-key")}, other = {CALLER_HEADER, STR("x-other")};
	struct caller_key path = {.kind = CALLER_PATH}, source = {.kind = CALLER_SOURCE}, none = {0};

	m.fields[0] = (struct field){.name = STR("X-KEY"), .value = STR("v")};
	cr_expect(caller_hash(&header, &c) == hash_of("v"));
	cr_expect(caller_hash(&other, &c) == 0);
	cr_expect(caller_hash(&path, &c) == hash_of("/a"));
	cr_expect(caller_hash(&source, &c) == hash_of("10.0.0.1"));
	cr_expect(caller_hash(&none, &c) == 0);
	cr_expect(caller_hash(&source, &bytes) == hash_of("10.0.0.1"));
	cr_expect(caller_hash(&header, &bytes) == 0 && caller_hash(&path, &bytes) == 0);
}
