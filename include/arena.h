/* arena.h - many small allocations with one lifetime and one free. */
#ifndef ARENA_H
#define ARENA_H

#include "str.h"

struct arena {
	struct arena_block *head;
	char *at, *end;
	size_t bytes; /* given out, for accounts */
};

/* {0} is an empty arena. Memory is zeroed and aligned to 16; never NULL (see xcalloc). */
void *arena_alloc(struct arena *a, size_t n);
void *arena_copy(struct arena *a, const void *p, size_t n);
struct str arena_str(struct arena *a, struct str s); /* copied, NUL-terminated behind its end */
void arena_fini(struct arena *a);

#endif
