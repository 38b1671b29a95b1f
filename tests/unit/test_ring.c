/* test_ring.c - consistent hashing: shares, and who moves when something changes. */
#include "balancekit.h"

#define KEYS 100000u

static struct group *
ring_group(uint32_t ntargets)
{
	struct group *g = kit_group(0, ntargets);

	g->algorithm = ALGORITHM_CONSISTENT_HASH;
	return g;
}

static void
serve(struct kit *k, struct group *g)
{
	group_ring_build(g);
	cr_assert(g->ring != NULL);
	kit_publish(k, &g, 1);
}

static uint64_t
key(uint32_t i)
{
	return str_hash((struct str){(const char *)&i, sizeof(i)}, 0) | 1;
}

static void
pick_all(struct kit *k, uint16_t *of)
{
	for (uint32_t i = 0; i < KEYS; i++)
		of[i] = (uint16_t)kit_target(k, 0, key(i), SLOT_NONE);
}

static unsigned
moved(const uint16_t *a, const uint16_t *b)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < KEYS; i++)
		n += a[i] != b[i];
	return n;
}

static uint16_t a[KEYS], b[KEYS];

Test(ring, gives_targets_keys_by_weight)
{
	static const uint32_t sizes[] = {1, 2, 10, 100};
	struct kit *k = kit_new((uint32_t[]){0, 0, 0}, (uint16_t[]){1, 0, 0});

	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct group *g = ring_group(sizes[i]);
		unsigned got[100] = {0}, sum = 0;

		for (uint32_t n = 0; n < sizes[i]; n++)
			sum += g->targets[n].weight = (uint16_t)(1 + n % 5);
		serve(k, g);
		pick_all(k, a);
		for (uint32_t n = 0; n < KEYS; n++)
			got[a[n]]++;
		for (uint32_t n = 0; n < sizes[i]; n++) {
			double want = (double)KEYS * g->targets[n].weight / sum, off = got[n] - want;

			cr_expect(off * off <= 25 * want, "%u targets: %u got %u", sizes[i], n, got[n]);
		}
		pick_all(k, b);
		cr_expect(moved(a, b) == 0);
	}
	kit_free(k);
}

Test(ring, moves_only_the_keys_of_a_target_that_goes_down)
{
	struct kit *k = kit_new((uint32_t[]){0, 0, 0}, (uint16_t[]){1, 0, 0});
	unsigned got[10] = {0}, theirs = 0;

	serve(k, ring_group(10));
	pick_all(k, a);
	kit_down(k, 0, 3, DOWN_UNHEALTHY);
	pick_all(k, b);
	for (uint32_t i = 0; i < KEYS; i++) {
		cr_assert(a[i] == 3 ? b[i] != 3 : b[i] == a[i]);
		theirs += a[i] == 3;
		got[b[i]] += a[i] == 3;
	}
	for (unsigned i = 0; i < 10; i++)
		cr_expect(i == 3 || (got[i] > theirs / 9 * 7 / 10 && got[i] < theirs / 9 * 13 / 10),
		    "%u took %u of %u", i, got[i], theirs);
	/* All but one: everything is its. And back. */
	for (uint32_t i = 0; i < 10; i++)
		if (i != 7)
			kit_down(k, 0, i, DOWN_UNHEALTHY);
	pick_all(k, b);
	for (uint32_t i = 0; i < KEYS; i++)
		cr_assert(b[i] == 7);
	for (uint32_t i = 0; i < 10; i++)
		kit_down(k, 0, i, 0);
	pick_all(k, b);
	cr_expect(moved(a, b) == 0);
	kit_free(k);
}

/* Removed ones' keys must move, a tenth; Maglev moves a few others. */
Test(ring, moves_few_keys_when_targets_come_and_go)
{
	struct kit *k = kit_new((uint32_t[]){0, 0, 0}, (uint16_t[]){1, 0, 0});
	struct group *g;
	unsigned n;

	serve(k, ring_group(10));
	pick_all(k, a);
	serve(k, ring_group(9));
	pick_all(k, b);
	n = moved(a, b);
	cr_expect(n < KEYS / 10 * 13 / 10, "one of ten removed: %u moved", n);
	g = ring_group(10);
	g->targets[4].weight = 2;
	for (uint32_t i = 0; i < 10; i++)
		g->targets[i].weight = i == 4 ? 2 : 1;
	serve(k, g);
	pick_all(k, b);
	n = moved(a, b);
	/* from 1/10 to 2/11 */
	cr_expect(n < KEYS * 82 / 1000 * 2, "one weighs twice: %u moved", n);
	/* The order they stand in is nobody's business. */
	g = ring_group(10);
	for (uint32_t i = 0; i < 5; i++) {
		struct target t = g->targets[i];

		g->targets[i] = g->targets[9 - i];
		g->targets[9 - i] = t;
	}
	serve(k, g);
	pick_all(k, b);
	cr_expect(moved(a, b) == 0);
	kit_free(k);
}

Test(ring, takes_turns_for_requests_without_a_key)
{
	struct kit *k = kit_new((uint32_t[]){0, 0, 0}, (uint16_t[]){1, 0, 0});

	serve(k, ring_group(3));
	for (uint32_t i = 0; i < 9; i++)
		cr_expect(kit_target(k, 0, 0, SLOT_NONE) == i % 3);
	for (uint32_t i = 0; i < 99; i++)
		cr_expect(kit_target(k, 0, key(i), TARGET_SLOT(0) + 1) != 1);
	kit_free(k);
}

Test(ring, lets_the_same_keys_come_over_to_a_new_target_one_by_one)
{
	struct kit *k = kit_new((uint32_t[]){0, 0, 0}, (uint16_t[]){1, 0, 0});
	unsigned has = 0, had = 0;

	for (uint32_t n = 4; n <= 5; n++) {
		struct group *g = ring_group(n);

		g->slow_start_ms = 10000;
		serve(k, g);
		kit_target(k, 0, 1, SLOT_NONE);
	}
	pick_all(k, a);
	for (unsigned step = 0; step <= 10; step++) {
		k->now_ms = 1000000 + step * 1000;
		pick_all(k, b);
		has = 0;
		for (uint32_t i = 0; i < KEYS; i++) {
			cr_assert(a[i] == b[i] || b[i] == 4);
			has += b[i] == 4;
		}
		cr_expect(
		    has >= KEYS / 5 * (10 + 9 * step) / 100 * 9 / 10 && has >= had, "step %u: %u", step, has);
		had = has;
		memcpy(a, b, sizeof(a));
	}
	kit_free(k);
}
