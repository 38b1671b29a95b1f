/* test_map.c - map.h */
#include "map.h"
#include <criterion/criterion.h>
#include <stdio.h>

static struct str
key_of(char *buf, size_t size, unsigned i)
{
	return (struct str){buf, (uint32_t)snprintf(buf, size, "service-%u", i)};
}

Test(map, finds_what_was_put_through_growth_and_deletion)
{
	enum { N = 3000 };
	static int values[N];
	struct map m = {0};
	char buf[32];

	for (unsigned i = 0; i < N; i++)
		cr_assert(map_put(&m, key_of(buf, sizeof(buf), i), &values[i]) == NULL);
	for (unsigned i = 0; i < N; i += 3)
		cr_assert(map_del(&m, key_of(buf, sizeof(buf), i)) == &values[i]);
	cr_expect(m.n == N - N / 3);
	for (unsigned i = 0; i < N; i++) {
		void *want = i % 3 == 0 ? NULL : &values[i];

		cr_assert(map_find(&m, key_of(buf, sizeof(buf), i)) == want, "%u", i);
	}
	map_fini(&m);
}

Test(map, agrees_with_a_plain_array_over_random_steps)
{
	enum { KEYS = 60, STEPS = 50000 };
	void *want[KEYS] = {0};
	struct map m = {0};
	unsigned seed = 1, n = 0;
	char buf[32];

	for (int step = 0; step < STEPS; step++) {
		unsigned r = seed = seed * 1103515245u + 12345u, key = (r >> 16) % KEYS;
		struct str s = key_of(buf, sizeof(buf), key);
		void *value = (r >> 8) % 2 ? &want[(r >> 9) % KEYS] : NULL;

		if (value != NULL)
			cr_assert(map_put(&m, s, value) == want[key], "step %d", step);
		else
			cr_assert(map_del(&m, s) == want[key], "step %d", step);
		n += (value != NULL) - (want[key] != NULL);
		want[key] = value;
		cr_assert(m.n == n);
	}
	for (unsigned i = 0; i < KEYS; i++)
		cr_expect(map_find(&m, key_of(buf, sizeof(buf), i)) == want[i]);
	map_fini(&m);
}

Test(map, replaces_a_value_and_copies_the_key)
{
	struct map m = {0};
	char key[] = "blue";
	int a, b;

	cr_expect(map_find(&m, STR("blue")) == NULL);
	cr_expect(map_del(&m, STR("blue")) == NULL);
	map_put(&m, str_of(key), &a);
	cr_expect(map_put(&m, STR("blue"), &b) == &a);
	key[0] = 'g';
	cr_expect(map_find(&m, STR("blue")) == &b);
	cr_expect(map_find(&m, STR("Blue")) == NULL);
	cr_expect(map_find(&m, STR("")) == NULL);
	cr_expect(m.n == 1);
	map_fini(&m);
	cr_expect(m.entries == NULL && m.n == 0);
}

Test(map, walks_every_entry_once)
{
	struct map m = {0};
	struct map_entry *e;
	bool seen[100] = {0};
	char buf[32];
	unsigned n = 0;

	for (uintptr_t i = 0; i < 100; i++)
		map_put(&m, key_of(buf, sizeof(buf), (unsigned)i), (void *)(i + 1));
	for (uint32_t i = 0; (e = map_next(&m, &i)) != NULL; n++) {
		uintptr_t which = (uintptr_t)e->value - 1;

		cr_assert(!seen[which]);
		seen[which] = true;
		cr_expect(str_eq((struct str){e->key, e->keylen}, key_of(buf, sizeof(buf), (unsigned)which)));
	}
	cr_expect(n == 100);
	map_fini(&m);
}
