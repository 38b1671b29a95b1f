/* vec.h - a persistent vector of parts: a radix tree of reference-counted nodes, private to table.c.
 *
 * Sharing a vector is one reference to its root. The first write to a path copies the nodes on it that
 * somebody else holds, and shares their other children.
 */
#ifndef VEC_H
#define VEC_H

#include "base.h"

/* How every part begins. */
struct part {
	unsigned magic;
	uint32_t refs;
};

void part_put(struct part *p); /* table.c: drops a reference, by the part's kind */

#define FAN_BITS 6u
#define FAN (1u << FAN_BITS)

struct vec_node {
	uint32_t refs;
	void *at[FAN]; /* nodes, or parts in the lowest level */
};

struct vec {
	struct vec_node *root;
	uint32_t shift; /* of the root's index bits: 0 when it is a leaf */
};

static inline void *
vec_at(const struct vec *v, uint32_t i)
{
	const struct vec_node *n = v->root;

	if (((uint64_t)i >> v->shift) >= FAN)
		return NULL;
	for (uint32_t shift = v->shift; shift > 0 && n != NULL; shift -= FAN_BITS)
		n = n->at[(i >> shift) % FAN];
	return n == NULL ? NULL : n->at[i % FAN];
}

static inline void
vec_node_put(struct vec_node *n, uint32_t shift)
{
	if (n == NULL || --n->refs > 0)
		return;
	for (uint32_t i = 0; i < FAN; i++) {
		if (n->at[i] == NULL)
			continue;
		if (shift > 0)
			vec_node_put(n->at[i], shift - FAN_BITS);
		else
			part_put(n->at[i]);
	}
	free(n);
}

static inline void
vec_drop(struct vec *v)
{
	vec_node_put(v->root, v->shift);
	*v = (struct vec){0};
}

static inline struct vec
vec_share(const struct vec *v)
{
	if (v->root != NULL)
		v->root->refs++;
	return *v;
}

/* A node that only this path holds: new, as it is, or a copy that shares the children. */
static inline struct vec_node *
node_own(struct vec_node *n, uint32_t shift)
{
	struct vec_node *own;

	if (n != NULL && n->refs == 1)
		return n;
	own = xcalloc(1, sizeof(*own));
	own->refs = 1;
	if (n == NULL)
		return own;
	n->refs--;
	for (uint32_t i = 0; i < FAN; i++) {
		own->at[i] = n->at[i];
		if (n->at[i] == NULL)
			continue;
		if (shift > 0)
			((struct vec_node *)n->at[i])->refs++;
		else
			((struct part *)n->at[i])->refs++;
	}
	return own;
}

/* The cell of i, to be written: every node on its path belongs to this vector alone. */
static inline void **
vec_cell(struct vec *v, uint32_t i)
{
	struct vec_node *n;

	while (((uint64_t)i >> v->shift) >= FAN) {
		if (v->root != NULL) {
			n = node_own(NULL, 0);
			n->at[0] = v->root;
			v->root = n;
		}
		v->shift += FAN_BITS;
	}
	n = v->root = node_own(v->root, v->shift);
	for (uint32_t shift = v->shift; shift > 0; shift -= FAN_BITS) {
		void **child = &n->at[(i >> shift) % FAN];

		n = *child = node_own(*child, shift - FAN_BITS);
	}
	return &n->at[i % FAN];
}

static inline void
vec_set(struct vec *v, uint32_t i, void *part)
{
	void **cell;

	if (part == NULL && vec_at(v, i) == NULL)
		return;
	cell = vec_cell(v, i);
	if (*cell != NULL)
		part_put(*cell);
	*cell = part;
}

/* The first index from i on where the two differ; UINT32_MAX: there is none. What they share is passed over.
 */
static inline uint32_t
vec_differ(const struct vec *a, const struct vec *b, uint32_t from)
{
	uint64_t end = (uint64_t)FAN << MAX(a->shift, b->shift), i = from;

	while (i < end) {
		const struct vec_node *x = a->root, *y = b->root;
		uint32_t shift = a->shift;

		if (a->shift != b->shift) {
			shift = 0;
			y = NULL;
		}
		for (; x != y && x != NULL && y != NULL && shift > 0; shift -= FAN_BITS) {
			x = x->at[(i >> shift) % FAN];
			y = y->at[(i >> shift) % FAN];
		}
		if (x == y)
			i = ((i >> (shift + FAN_BITS)) + 1) << (shift + FAN_BITS);
		else if (vec_at(a, (uint32_t)i) != vec_at(b, (uint32_t)i))
			return (uint32_t)i;
		else
			i++;
	}
	return UINT32_MAX;
}

/* One more than the largest index in use, which is at most n. */
static inline uint32_t
vec_end(const struct vec *v, uint32_t n)
{
	while (n > 0 && vec_at(v, n - 1) == NULL)
		n--;
	return n;
}

#endif
