/* arena.c - many small allocations with one lifetime and one free. */
#include "arena.h"

#define ALIGN 16u
#define BLOCK_FIRST 128u
#define BLOCK_MAX (64u * 1024)

/* 16 bytes, so that what follows is aligned as malloc's own memory is. */
struct arena_block {
	struct arena_block *next;
	size_t size; /* of the memory behind this header */
};

_Static_assert(sizeof(struct arena_block) % ALIGN == 0, "blocks keep the alignment");

/* Blocks double, so that a small part stays small and a large one needs few of them. */
static void
block_add(struct arena *a, size_t need)
{
	size_t size = a->head == NULL ? BLOCK_FIRST : MIN(a->head->size * 2, BLOCK_MAX);
	struct arena_block *b;

	size = MAX(size, need);
	b = xcalloc(1, sizeof(*b) + size);
	b->size = size;
	b->next = a->head;
	a->head = b;
	a->at = (char *)(b + 1);
	a->end = a->at + size;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	size_t need = (MAX(n, 1) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	void *p;

	assert(need >= n);
	if (need > (size_t)(a->end - a->at))
		block_add(a, need);
	p = a->at;
	a->at += need;
	a->bytes += need;
	return p;
}

void *
arena_copy(struct arena *a, const void *p, size_t n)
{
	void *copy = arena_alloc(a, n);

	if (n > 0)
		memcpy(copy, p, n);
	return copy;
}

struct str
arena_str(struct arena *a, struct str s)
{
	char *copy = arena_alloc(a, (size_t)s.len + 1);

	if (s.len > 0)
		memcpy(copy, s.p, s.len);
	return (struct str){copy, s.len};
}

void
arena_fini(struct arena *a)
{
	struct arena_block *next;

	for (struct arena_block *b = a->head; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	*a = (struct arena){0};
}
