/* test_balance.c - exact shares of groups, turns of targets. */
#include "../../engine/route/route.h"
#include <criterion/criterion.h>

/* After every turn of the cycle each count is within 1 of its share; after all of them it is the share. */
static void
expect_exact(const uint16_t *weights, uint32_t n)
{
	struct forward forwards[FORWARD_GROUPS_MAX] = {0};
	struct action a = {.nforwards = n, .forwards = forwards};
	int64_t given[FORWARD_GROUPS_MAX] = {0}, sum = 0;
	struct arena arena = {0};

	for (uint32_t i = 0; i < n; i++)
		sum += forwards[i].weight = weights[i];
	action_spread(&a, &arena);
	cr_assert(sum > 0 ? a.nturns > 0 && sum % a.nturns == 0 : a.nturns == 0);
	for (uint32_t t = 0; t < a.nturns; t++) {
		cr_assert(a.turns[t] < n);
		given[a.turns[t]]++;
		for (uint32_t i = 0; i < n; i++) {
			int64_t off = given[i] * sum - (int64_t)(t + 1) * weights[i];

			cr_assert(off < sum && off > -sum, "%u groups, turn %u, group %u", n, t, i);
		}
	}
	for (uint32_t i = 0; i < n && a.nturns > 0; i++)
		cr_assert(given[i] * sum == (int64_t)a.nturns * weights[i]);
	arena_fini(&arena);
}

Test(balance, spreads_every_small_weight_vector_exactly)
{
	for (uint16_t x = 0; x <= 12; x++)
		for (uint16_t y = 0; y <= 12; y++) {
			expect_exact((uint16_t[]){x, y}, 2);
			for (uint16_t z = 0; z <= 12; z++) {
				expect_exact((uint16_t[]){x, y, z}, 3);
				expect_exact((uint16_t[]){x, 1, y, z}, 4);
			}
		}
}

Test(balance, spreads_large_weight_vectors_exactly)
{
	unsigned seed = 3;

	expect_exact((uint16_t[]){999}, 1);
	expect_exact((uint16_t[]){0}, 1);
	expect_exact((uint16_t[]){90, 10}, 2);
	expect_exact((uint16_t[]){999, 1}, 2);
	/* Where the turn goes by what is owed, whatever the weight, these come out wrong. */
	expect_exact((uint16_t[]){1, 1, 10, 10, 1, 1, 1}, 7);
	expect_exact((uint16_t[]){12, 1, 1, 3, 3, 3, 1, 3}, 8);
	expect_exact((uint16_t[]){999, 998, 997, 991, 1, 2, 3, 5, 7, 11}, 10);
	for (unsigned round = 0; round < 60; round++) {
		uint16_t weights[FORWARD_GROUPS_MAX];
		uint32_t n = 2 + round % 9;

		for (uint32_t i = 0; i < n; i++) {
			seed = seed * 1103515245u + 12345u;
			weights[i] = (uint16_t)((seed >> 16) % (round % 2 ? 1000 : 30));
		}
		expect_exact(weights, n);
	}
}

Test(balance, makes_the_shortest_cycle)
{
	static const struct {
		uint16_t weights[3];
		uint32_t nturns;
	} rows[] = {
	    {{100, 100, 0}, 2}, {{90, 10, 0}, 10}, {{50, 50, 100}, 4}, {{7, 0, 0}, 1}, {{0, 0, 0}, 0}};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct forward forwards[3] = {0};
		struct action a = {.nforwards = 3, .forwards = forwards};
		struct arena arena = {0};

		for (size_t k = 0; k < 3; k++)
			forwards[k].weight = rows[i].weights[k];
		action_spread(&a, &arena);
		cr_expect(a.nturns == rows[i].nturns, "row %zu: %u", i, a.nturns);
		arena_fini(&arena);
	}
}

/* ------------------------------------------------------------------ with a table */

struct fixture {
	struct table *table;
	struct arena arena;
	struct forward forwards[3];
	struct action action;
};

/* Groups 0, 1 and 2 with so many targets each, shared by weights. */
static void
fixture_init(struct fixture *f, const uint32_t ntargets[3], const uint16_t weights[3])
{
	struct build *b = build_new(NULL);
	struct clash clash;

	*f = (struct fixture){.action = {.kind = ACTION_FORWARD, .nforwards = 3, .edition = 5}};
	f->action.forwards = f->forwards;
	for (uint32_t i = 0; i < 3; i++) {
		struct group *g = group_new();

		g->index = i;
		g->ntargets = ntargets[i];
		g->targets = arena_alloc(&g->arena, sizeof(*g->targets) * (ntargets[i] + 1));
		for (uint32_t k = 0; k < ntargets[i]; k++)
			g->targets[k].slot = 10 * i + k;
		build_group(b, i, g);
		f->forwards[i] = (struct forward){.group = i, .weight = weights[i]};
	}
	cr_assert(build_seal(b, &f->table, &clash) == 0);
	action_spread(&f->action, &f->arena);
}

static void
fixture_fini(struct fixture *f)
{
	table_free(f->table);
	arena_fini(&f->arena);
}

Test(balance, gives_each_group_its_share_of_requests)
{
	static const struct {
		uint32_t ntargets[3];
		uint16_t weights[3];
		unsigned want[3]; /* of 600 requests */
	} rows[] = {
	    {{1, 1, 1}, {90, 10, 0}, {540, 60, 0}},
	    {{1, 1, 1}, {1, 2, 3}, {100, 200, 300}},
	    {{0, 1, 1}, {1, 1, 0}, {0, 600, 0}},
	    {{0, 0, 2}, {999, 0, 1}, {0, 0, 600}},
	    {{1, 1, 1}, {0, 0, 0}, {0, 0, 0}},
	    {{0, 0, 0}, {1, 1, 1}, {0, 0, 0}},
	    {{0, 0, 1}, {1, 1, 0}, {0, 0, 0}},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct slot s = {0};
		unsigned got[3] = {0};
		struct fixture f;

		fixture_init(&f, rows[i].ntargets, rows[i].weights);
		for (unsigned k = 0; k < 600; k++) {
			const struct forward *to = balance_forward(f.table, &f.action, &s);

			if (to != NULL)
				got[to->group]++;
		}
		for (unsigned k = 0; k < 3; k++)
			cr_expect(got[k] == rows[i].want[k], "row %zu: group %u got %u", i, k, got[k]);
		fixture_fini(&f);
	}
}

Test(balance, starts_the_cycle_again_when_the_action_has_changed)
{
	struct fixture f;
	struct slot s = {.turn = 4711, .edition = 4};
	const struct forward *first;

	fixture_init(&f, (uint32_t[]){1, 1, 1}, (uint16_t[]){3, 2, 1});
	first = balance_forward(f.table, &f.action, &s);
	cr_expect(first == &f.forwards[f.action.turns[0]]);
	cr_expect(s.edition == 5 && s.turn == 1);
	balance_forward(f.table, &f.action, &s);
	f.action.edition = 6;
	cr_expect(balance_forward(f.table, &f.action, &s) == first && s.turn == 1);
	fixture_fini(&f);
}

Test(balance, gives_targets_their_turns_but_not_to_the_one_to_avoid)
{
	struct target targets[3] = {{.slot = 7}, {.slot = 8}, {.slot = 9}};
	struct group g = {.magic = GROUP_MAGIC, .ntargets = 3, .targets = targets};
	struct slot s = {0};

	for (uint32_t i = 0; i < 7; i++)
		cr_expect(balance_target(&g, &s, SLOT_NONE)->slot == 7 + i % 3);
	for (uint32_t i = 0; i < 9; i++)
		cr_expect(balance_target(&g, &s, 8)->slot != 8);
	s.turn = 2;
	g.ntargets = 1;
	cr_expect(balance_target(&g, &s, SLOT_NONE)->slot == 7);
	cr_expect(balance_target(&g, &s, 7)->slot == 7, "there is no other");
	g.ntargets = 0;
	cr_expect(balance_target(&g, &s, SLOT_NONE) == NULL);
}
