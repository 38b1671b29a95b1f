/* spare.h - memory of one size that is used again, by one thread, most recently used first: of connections
 * that closed, of requests that ended. It grows to what was in use at one time.
 *
 * The address sanitizer is given all back instead, so that it sees who uses what is gone.
 */
#ifndef SPARE_H
#define SPARE_H

#include "base.h"

/* gcc has a macro for it, clang (the fuzzers') a question. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define SPARE_NONE
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SPARE_NONE
#endif

struct spare {
	struct spare *next;
};

/* {0} has none. Always of the same size, at least a pointer's. */
struct spares {
	struct spare *first;
};

/* Not zeroed; NULL: no memory. */
static inline void *
spare_take(struct spares *s, size_t size)
{
	struct spare *p = s->first;

	if (p == NULL)
		return malloc(size);
	s->first = p->next;
	return p;
}

static inline void
spare_give(struct spares *s, void *memory)
{
#ifdef SPARE_NONE
	free(memory);
#else
	struct spare *p = memory;

	p->next = s->first;
	s->first = p;
#endif
}

static inline void
spares_fini(struct spares *s)
{
	struct spare *p;

	while ((p = s->first) != NULL) {
		s->first = p->next;
		free(p);
	}
}

#endif
