/* turns.c - whose turn it is, by weight.
 *
 * Tijdeman's chairman assignment: among those whose claim has grown to 1 / (2n - 2) of a turn, the one whose
 * claim would first exceed 1 less that. Then no count is ever a whole turn off its share. Either time is
 * known when a turn is given, so that two heaps find the next in O(log n).
 */
#include "turns.h"

static uint32_t
gcd(uint32_t a, uint32_t b)
{
	while (b != 0) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* ------------------------------------------------------------------ heaps of rows, least first */

typedef bool before_fn(const struct turns *t, uint32_t a, uint32_t b);

/* claim of k + 1 turns less the bound, over weight: who comes to it first */
static bool
is_urgent(const struct turns *t, uint32_t a, uint32_t b)
{
	const struct turn *x = &t->rows[a], *y = &t->rows[b];
	uint64_t scale = 2 * (uint64_t)t->nweighty - 2;
	uint64_t p = ((uint64_t)x->given * scale + scale - 1) * y->weight;
	uint64_t q = ((uint64_t)y->given * scale + scale - 1) * x->weight;

	return p != q ? p < q : a < b;
}

static bool
is_due_first(const struct turns *t, uint32_t a, uint32_t b)
{
	return t->rows[a].due < t->rows[b].due;
}

static void
heap_push(const struct turns *t, uint32_t *heap, uint32_t *n, uint32_t row, before_fn *before)
{
	uint32_t i = (*n)++;

	for (; i > 0 && before(t, row, heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = row;
}

static uint32_t
heap_pop(const struct turns *t, uint32_t *heap, uint32_t *n, before_fn *before)
{
	uint32_t top = heap[0], last = heap[--*n], i = 0;

	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child >= *n)
			break;
		if (child + 1 < *n && before(t, heap[child + 1], heap[child]))
			child++;
		if (!before(t, heap[child], last))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = last;
	return top;
}

/* ------------------------------------------------------------------ turns */

static void
await(struct turns *t, uint32_t row)
{
	struct turn *r = &t->rows[row];
	uint64_t scale = 2 * (uint64_t)t->nweighty - 2, weight = scale * r->weight;

	r->due = (((uint64_t)r->given * scale + 1) * t->sum + weight - 1) / weight;
	heap_push(t, t->waiting, &t->nwaiting, row, is_due_first);
}

static void
begin_cycle(struct turns *t)
{
	t->at = 0;
	for (uint32_t i = 0; i < t->n; i++) {
		t->rows[i].given = 0;
		if (t->rows[i].weight > 0 && t->sum > t->nweighty)
			await(t, i);
	}
}

size_t
turns_size(uint32_t n)
{
	return sizeof(struct turns) + n * (sizeof(struct turn) + 2 * sizeof(uint32_t));
}

void
turns_init(struct turns *t, const uint32_t *weights, uint32_t n)
{
	uint32_t unit = 0;

	*t = (struct turns){.n = n, .rows = (struct turn *)(t + 1)};
	t->ready = (uint32_t *)(t->rows + n);
	t->waiting = t->ready + n;
	for (uint32_t i = 0; i < n; i++)
		unit = gcd(unit, weights[i]);
	assert(unit > 0);
	for (uint32_t i = 0; i < n; i++) {
		t->rows[i] = (struct turn){.weight = weights[i] / unit};
		t->sum += t->rows[i].weight;
		t->nweighty += weights[i] > 0;
	}
	begin_cycle(t);
}

/* All weigh the same. */
static uint32_t
next_in_order(struct turns *t)
{
	uint32_t row = t->at;

	while (t->rows[row].weight == 0)
		row = row + 1 < t->n ? row + 1 : 0;
	t->at = row + 1 < t->n ? row + 1 : 0;
	return row;
}

uint32_t
turns_next(struct turns *t)
{
	uint32_t row;

	if (t->sum == t->nweighty)
		return next_in_order(t);
	if (t->at == t->sum)
		begin_cycle(t);
	t->at++;
	while (t->nwaiting > 0 && t->rows[t->waiting[0]].due <= t->at) {
		row = heap_pop(t, t->waiting, &t->nwaiting, is_due_first);
		heap_push(t, t->ready, &t->nready, row, is_urgent);
	}
	assert(t->nready > 0);
	row = heap_pop(t, t->ready, &t->nready, is_urgent);
	if (++t->rows[row].given < t->rows[row].weight)
		await(t, row);
	return row;
}
