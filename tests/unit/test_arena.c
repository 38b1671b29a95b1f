/* test_arena.c - arena.h */
#include "arena.h"
#include <criterion/criterion.h>

Test(arena, gives_zeroed_aligned_memory_that_does_not_overlap)
{
	struct arena a = {0};
	unsigned char *all[400];
	size_t sizes[COUNT(all)];

	for (size_t i = 0; i < COUNT(all); i++) {
		sizes[i] = i % 97 * (i % 5) + (i % 40 == 0 ? 70000 : 0);
		all[i] = arena_alloc(&a, sizes[i]);
		cr_assert((uintptr_t)all[i] % 16 == 0, "block %zu", i);
		for (size_t k = 0; k < sizes[i]; k++)
			cr_assert(all[i][k] == 0, "block %zu byte %zu", i, k);
		memset(all[i], (int)(i % 251) + 1, sizes[i]);
	}
	for (size_t i = 0; i < COUNT(all); i++)
		for (size_t k = 0; k < sizes[i]; k++)
			cr_assert(all[i][k] == i % 251 + 1, "block %zu was overwritten", i);
	arena_fini(&a);
	cr_expect(a.head == NULL && a.bytes == 0);
}

Test(arena, counts_what_it_gave_out)
{
	struct arena a = {0};

	arena_alloc(&a, 1);
	arena_alloc(&a, 16);
	arena_alloc(&a, 17);
	cr_expect(a.bytes == 16 + 16 + 32, "%zu", a.bytes);
	arena_fini(&a);
}

Test(arena, copies_a_str_with_a_nul_behind_it)
{
	struct arena a = {0};
	char text[] = "carts-v2";
	struct str copy = arena_str(&a, (struct str){text, 5}), none = arena_str(&a, (struct str){0});

	memset(text, 'x', 5);
	cr_expect(str_eq(copy, STR("carts")));
	cr_expect(copy.p[5] == '\0');
	cr_expect(none.len == 0 && none.p[0] == '\0');
	cr_expect(strcmp(arena_copy(&a, "abc", 4), "abc") == 0);
	arena_fini(&a);
}
