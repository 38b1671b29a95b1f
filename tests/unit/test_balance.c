/* test_balance.c - exact shares of groups, turns of targets. */
#include "balancekit.h"

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

/* ------------------------------------------------------------------ groups */

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
	    {{0, 1, 1}, {7, 1, 2}, {0, 200, 400}},
	    {{0, 0, 2}, {999, 0, 1}, {0, 0, 600}},
	    {{1, 1, 1}, {0, 0, 0}, {0, 0, 0}},
	    {{0, 0, 0}, {1, 1, 1}, {0, 0, 0}},
	    {{0, 0, 1}, {1, 1, 0}, {0, 0, 0}},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct kit *k = kit_new(rows[i].ntargets, rows[i].weights);
		unsigned got[4] = {0};

		for (unsigned n = 0; n < 600; n++)
			got[kit_forward(k, &k->nobody)]++;
		for (unsigned n = 0; n < 3; n++)
			cr_expect(got[n] == rows[i].want[n], "row %zu: group %u got %u", i, n, got[n]);
		kit_free(k);
	}
}

Test(balance, starts_the_cycle_again_when_the_action_has_changed)
{
	struct kit *k = kit_new((uint32_t[]){1, 1, 1}, (uint16_t[]){3, 2, 1});
	struct slot *s = &k->slots[RULE_SLOT];
	uint32_t first = k->action.turns[0];

	s->turn = 4711;
	s->edition = 4;
	cr_expect(kit_forward(k, &k->nobody) == first);
	cr_expect(s->edition == 5 && s->turn == 1);
	kit_forward(k, &k->nobody);
	k->action.edition = 6;
	cr_expect(kit_forward(k, &k->nobody) == first && s->turn == 1);
	kit_free(k);
}

/* After every request the others are within 1 of their shares among themselves. */
Test(balance, shares_the_turns_of_a_group_without_a_usable_target_out_exactly)
{
	static const uint16_t weights[][3] = {
	    {50, 30, 20}, {1, 2, 3}, {999, 1, 7}, {10, 90, 0}, {5, 333, 17}};

	for (size_t i = 0; i < COUNT(weights); i++) {
		const uint16_t *w = weights[i];
		struct kit *k = kit_new((uint32_t[]){2, 1, 1}, w);
		int64_t got[4] = {0}, sum = w[1] + w[2];

		for (int n = 0; n < 7; n++)
			kit_forward(k, &k->nobody);
		kit_down(k, 0, 0, DOWN_UNHEALTHY);
		kit_down(k, 0, 1, DOWN_EJECTED);
		for (int64_t n = 1; n <= 3 * sum; n++) {
			got[kit_forward(k, &k->nobody)]++;
			for (int g = 1; g < 3; g++) {
				int64_t off = got[g] * sum - n * w[g];

				cr_assert(
				    off < sum && off > -sum, "row %zu, request %d, group %d", i, (int)n, g);
			}
		}
		cr_expect(got[0] == 0 && got[3] == 0);
		kit_down(k, 0, 1, 0);
		got[0] = got[1] = got[2] = 0;
		for (uint32_t n = 0; n < k->action.nturns; n++)
			got[kit_forward(k, &k->nobody)]++;
		for (int g = 0; g < 3; g++)
			cr_expect(got[g] * (sum + w[0]) == (int64_t)k->action.nturns * w[g], "row %zu", i);
		kit_free(k);
	}
}

Test(balance, goes_on_with_unhealthy_targets_when_no_group_has_another)
{
	struct kit *k = kit_new((uint32_t[]){1, 2, 1}, (uint16_t[]){1, 1, 1});
	unsigned got[4] = {0};

	kit_down(k, 0, 0, DOWN_UNHEALTHY);
	kit_down(k, 1, 0, DOWN_UNRESOLVED | DOWN_UNHEALTHY);
	kit_down(k, 1, 1, DOWN_EJECTED);
	kit_down(k, 2, 0, DOWN_UNRESOLVED);
	for (unsigned n = 0; n < 60; n++)
		got[kit_forward(k, &k->nobody)]++;
	cr_expect(got[0] == 30 && got[1] == 30, "%u %u %u %u", got[0], got[1], got[2], got[3]);
	for (unsigned n = 0; n < 4; n++)
		cr_expect(kit_target(k, 1, 0, SLOT_NONE) == 1, "no address, no request");
	cr_expect(kit_target(k, 2, 0, SLOT_NONE) == UINT32_MAX);
	/* One that is well anywhere is enough to end that. */
	kit_down(k, 1, 0, 0);
	for (unsigned n = 0; n < 60; n++)
		cr_assert(kit_forward(k, &k->nobody) == 1);
	cr_expect(kit_target(k, 1, 0, SLOT_NONE) == 0 && kit_target(k, 1, 0, SLOT_NONE) == 0);
	kit_free(k);
}

Test(balance, keeps_the_share_of_an_empty_group_when_that_is_to_fail)
{
	struct kit *k = kit_new((uint32_t[]){1, 1, 1}, (uint16_t[]){6, 3, 1});
	unsigned got[4] = {0};

	k->action.on_empty_fail = true;
	kit_down(k, 0, 0, DOWN_UNHEALTHY);
	for (unsigned n = 0; n < 100; n++)
		got[kit_forward(k, &k->nobody)]++;
	cr_expect(got[0] == 0 && got[1] == 30 && got[2] == 10 && got[3] == 60);
	kit_free(k);
}

Test(balance, leaves_out_who_is_down_by_order)
{
	struct kit *k = kit_new((uint32_t[]){3, 1, 0}, (uint16_t[]){1, 1, 0});
	struct group *g = kit_group_of(k, 0);

	g->targets[0].admin = ADMIN_DRAIN;
	g->targets[1].admin = ADMIN_DOWN;
	for (unsigned n = 0; n < 4; n++)
		cr_expect(kit_target(k, 0, 0, SLOT_NONE) == 2);
	kit_down(k, 0, 2, DOWN_UNHEALTHY);
	cr_expect(kit_target(k, 0, 0, SLOT_NONE) == 2, "by need, but none of the others");
	g->targets[2].admin = ADMIN_DOWN;
	k->slots[0].epoch++;
	cr_expect(kit_target(k, 0, 0, SLOT_NONE) == UINT32_MAX);
	cr_expect(kit_forward(k, &k->nobody) == 1);
	kit_free(k);
}

/* ------------------------------------------------------------------ sticky split */

#define CALLERS 100000u

static void
sticky_all(struct kit *k, const uint16_t weights[3], uint8_t *of)
{
	struct msg m = {.nfields = 1};
	struct caller c = {.msg = &m};
	char name[16];

	k->action.sticky = (struct caller_key){CALLER_HEADER, STR("x-user")};
	for (unsigned i = 0; i < 3; i++)
		k->forwards[i].weight = weights[i];
	for (unsigned i = 0; i < CALLERS; i++) {
		snprintf(name, sizeof(name), "user-%u", i);
		m.fields[0] = (struct field){.name = STR("X-User"), .value = str_of(name)};
		of[i] = (uint8_t)kit_forward(k, &c);
	}
}

static unsigned
count_of(const uint8_t *of, unsigned group)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CALLERS; i++)
		n += of[i] == group;
	return n;
}

/* Whoever moves goes to a group whose weight has grown more than that of the one he leaves. */
static void
expect_monotone(struct kit *k, const uint16_t before[3], const uint16_t after[3], uint8_t *a, uint8_t *b)
{
	unsigned sum = after[0] + after[1] + after[2], wrong = 0;

	sticky_all(k, before, a);
	sticky_all(k, after, b);
	for (unsigned i = 0; i < CALLERS; i++)
		wrong += a[i] != b[i] &&
			 (uint32_t)after[b[i]] * before[a[i]] <= (uint32_t)after[a[i]] * before[b[i]];
	cr_expect(wrong == 0, "%u:%u:%u to %u:%u:%u: %u moved", before[0], before[1], before[2], after[0],
	    after[1], after[2], wrong);
	for (unsigned g = 0; g < 3; g++) {
		double want = (double)CALLERS * after[g] / sum, off = count_of(b, g) - want;

		cr_expect(off * off <= 25 * want, "%u:%u:%u: group %u has %u", after[0], after[1], after[2],
		    g, count_of(b, g));
	}
}

Test(balance, keeps_callers_where_they_are_when_a_weight_grows)
{
	static const uint16_t pairs[][2][3] = {
	    {{95, 5, 0}, {90, 10, 0}},
	    {{90, 10, 0}, {50, 50, 0}},
	    {{50, 50, 0}, {0, 100, 0}},
	    {{100, 0, 0}, {99, 1, 0}},
	    {{95, 5, 0}, {95, 10, 0}},
	    {{80, 15, 5}, {75, 15, 10}},
	    {{50, 5, 45}, {30, 10, 60}},
	    {{999, 1, 1}, {999, 2, 999}},
	};
	uint8_t *a = xcalloc(1, CALLERS), *b = xcalloc(1, CALLERS);
	struct kit *k = kit_new((uint32_t[]){1, 1, 1}, (uint16_t[]){1, 1, 1});

	for (size_t i = 0; i < COUNT(pairs); i++)
		expect_monotone(k, pairs[i][0], pairs[i][1], a, b);
	for (uint16_t w = 0; w < 100; w += 7)
		expect_monotone(k, (uint16_t[]){100 - w, w, 0}, (uint16_t[]){99 - w, w + 1, 0}, a, b);
	/* Without a usable target: its callers go elsewhere, the others stay; and all come back. */
	sticky_all(k, (uint16_t[]){50, 30, 20}, a);
	kit_down(k, 1, 0, DOWN_UNHEALTHY);
	sticky_all(k, (uint16_t[]){50, 30, 20}, b);
	cr_expect(count_of(b, 1) == 0 && count_of(b, KIT_GROUPS) == 0);
	for (unsigned i = 0; i < CALLERS; i++)
		cr_assert(a[i] == 1 || a[i] == b[i]);
	kit_down(k, 1, 0, 0);
	sticky_all(k, (uint16_t[]){50, 30, 20}, b);
	cr_expect(memcmp(a, b, CALLERS) == 0);
	free(a);
	free(b);
	kit_free(k);
}

Test(balance, takes_turns_for_callers_that_show_no_key)
{
	struct kit *k = kit_new((uint32_t[]){1, 1, 1}, (uint16_t[]){6, 3, 1});
	unsigned got[4] = {0};

	k->action.sticky = (struct caller_key){CALLER_COOKIE, STR("session")};
	for (unsigned n = 0; n < 100; n++)
		got[kit_forward(k, &k->nobody)]++;
	cr_expect(got[0] == 60 && got[1] == 30 && got[2] == 10);
	kit_free(k);
}

/* ------------------------------------------------------------------ targets */

Test(balance, gives_targets_their_turns_but_not_to_the_one_to_avoid)
{
	struct kit *k = kit_new((uint32_t[]){3, 1, 0}, (uint16_t[]){1, 1, 1});

	for (uint32_t i = 0; i < 7; i++)
		cr_expect(kit_target(k, 0, 0, SLOT_NONE) == i % 3);
	for (uint32_t i = 0; i < 9; i++)
		cr_expect(kit_target(k, 0, 0, TARGET_SLOT(0) + 1) != 1);
	cr_expect(kit_target(k, 1, 0, SLOT_NONE) == 0);
	cr_expect(kit_target(k, 1, 0, TARGET_SLOT(1)) == 0, "there is no other");
	cr_expect(kit_target(k, 2, 0, SLOT_NONE) == UINT32_MAX);
	kit_free(k);
}

/* Within 1 of the share after every request, for the targets that are usable. */
static void
expect_exact_targets(struct kit *k, uint32_t n, uint32_t requests)
{
	const struct group *g = table_group(k->table, 0);
	int64_t *got = xcalloc(n, sizeof(*got)), sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += k->slots[TARGET_SLOT(0) + i].down == 0 ? g->targets[i].weight : 0;
	for (int64_t r = 1; r <= requests; r++) {
		got[kit_target(k, 0, 0, SLOT_NONE)]++;
		for (uint32_t i = 0; i < n; i++) {
			bool up = k->slots[TARGET_SLOT(0) + i].down == 0;
			int64_t off = got[i] * sum - (up ? r * g->targets[i].weight : 0);

			cr_assert(off < sum && off > -sum && (up || got[i] == 0),
			    "%u targets, request %d: %u", n, (int)r, i);
		}
	}
	free(got);
}

Test(balance, gives_weighty_targets_exact_shares)
{
	static const uint32_t sizes[] = {1, 2, 3, 10, 100, 1000};

	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct kit *k = kit_new((uint32_t[]){sizes[i], 1, 1}, (uint16_t[]){1, 1, 1});
		struct group *g = kit_group_of(k, 0);

		for (uint32_t n = 0; n < sizes[i]; n++)
			g->targets[n].weight = (uint16_t)(1 + n * 7919 % 999);
		expect_exact_targets(k, sizes[i], 5000);
		for (uint32_t n = 1; n < sizes[i]; n += 3)
			kit_down(k, 0, n, DOWN_UNHEALTHY);
		expect_exact_targets(k, sizes[i], 5000);
		kit_free(k);
	}
}

Test(balance, looks_again_when_the_group_or_its_health_has_changed)
{
	struct kit *k = kit_new((uint32_t[]){2, 1, 0}, (uint16_t[]){1, 1, 0});
	struct group *g;

	cr_expect(kit_target(k, 0, 0, SLOT_NONE) == 0 && kit_target(k, 0, 0, SLOT_NONE) == 1);
	k->slots[TARGET_SLOT(0)].down = DOWN_UNHEALTHY;
	cr_expect(kit_target(k, 0, 0, SLOT_NONE) == 0, "nobody has told");
	k->slots[0].epoch++;
	cr_expect(kit_target(k, 0, 0, SLOT_NONE) == 1 && kit_target(k, 0, 0, SLOT_NONE) == 1);
	g = kit_group(0, 5);
	g->targets[1].admin = ADMIN_DRAIN;
	kit_publish(k, &g, 1);
	for (unsigned n = 0; n < 20; n++)
		cr_expect(kit_target(k, 0, 0, SLOT_NONE) >= 2);
	kit_free(k);
}

Test(balance, sends_to_the_less_busy_of_two)
{
	struct kit *k = kit_new((uint32_t[]){10, 2, 0}, (uint16_t[]){1, 1, 0});
	struct group *g = kit_group_of(k, 0), *two = kit_group_of(k, 1);
	unsigned got[10] = {0}, most = 0, least = UINT32_MAX;

	g->algorithm = two->algorithm = ALGORITHM_LEAST_REQUESTS;
	for (unsigned n = 0; n < 20000; n++)
		got[kit_target(k, 0, 0, SLOT_NONE)]++;
	for (unsigned i = 0; i < 10; i++)
		cr_expect(got[i] > 1700 && got[i] < 2300, "idle: %u got %u", i, got[i]);
	/* None of them ends: two choices keep them level. */
	for (unsigned n = 0; n < 2000; n++)
		k->slots[TARGET_SLOT(0) + kit_target(k, 0, 0, SLOT_NONE)].inflight++;
	for (unsigned i = 0; i < 10; i++) {
		most = MAX(most, k->slots[TARGET_SLOT(0) + i].inflight);
		least = MIN(least, k->slots[TARGET_SLOT(0) + i].inflight);
	}
	cr_expect(most - least <= 8, "%u to %u", least, most);
	/* Weight 3 has three times as many, idle or busy. */
	two->targets[0].weight = 3;
	memset(got, 0, sizeof(got));
	for (unsigned n = 0; n < 8000; n++)
		got[kit_target(k, 1, 0, SLOT_NONE)]++;
	cr_expect(got[0] > 5800 && got[0] < 6200, "%u", got[0]);
	for (unsigned n = 0; n < 400; n++)
		k->slots[TARGET_SLOT(1) + kit_target(k, 1, 0, SLOT_NONE)].inflight++;
	cr_expect(k->slots[TARGET_SLOT(1)].inflight >= 297 && k->slots[TARGET_SLOT(1)].inflight <= 303);
	for (unsigned n = 0; n < 100; n++)
		cr_expect(kit_target(k, 1, 0, TARGET_SLOT(1)) == 1);
	kit_free(k);
}

/* ------------------------------------------------------------------ slow start */

static unsigned
share_of_last(struct kit *k, unsigned ntargets)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 40000; i++)
		n += kit_target(k, 0, 0, SLOT_NONE) == ntargets - 1;
	return n;
}

static void
expect_slow_start(enum algorithm algorithm)
{
	struct kit *k = kit_new((uint32_t[]){3, 0, 0}, (uint16_t[]){1, 0, 0});
	struct group *g = kit_group_of(k, 0);
	/* Four alike, the last at so many parts of the time: 40,000 * p / (3 + p). */
	static const struct {
		uint32_t ms;
		unsigned want;
	} rows[] = {{0, 1290}, {5000, 6197}, {9000, 9308}, {10001, 10000}};

	g->slow_start_ms = 10000;
	g->algorithm = algorithm;
	cr_expect(share_of_last(k, 3) > 12900, "the first of a group have no elders");
	g = kit_group(0, 4);
	g->slow_start_ms = 10000;
	g->algorithm = algorithm;
	kit_publish(k, &g, 1);
	kit_target(k, 0, 0, SLOT_NONE);
	for (unsigned i = 0; i < COUNT(rows); i++) {
		unsigned got;

		k->now_ms = 1000000 + rows[i].ms;
		got = share_of_last(k, 4);
		cr_expect(got > rows[i].want * 9 / 10 && got < rows[i].want * 11 / 10, "after %u ms: %u",
		    rows[i].ms, got);
	}
	/* Who was down begins anew. */
	kit_down(k, 0, 3, DOWN_UNHEALTHY);
	cr_expect(share_of_last(k, 4) == 0);
	kit_down(k, 0, 3, 0);
	cr_expect(share_of_last(k, 4) < 1500);
	kit_free(k);
}

Test(balance, lets_a_new_target_begin_slowly)
{
	expect_slow_start(ALGORITHM_ROUND_ROBIN);
	expect_slow_start(ALGORITHM_LEAST_REQUESTS);
}
