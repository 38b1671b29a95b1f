/* slots.c - small dense numbers, handed out again only once nobody can see their last use. */
#include "slots.h"

uint32_t
slots_take(struct slots *s)
{
	if (s->nspare > 0)
		return s->spare[--s->nspare];
	assert(s->next < SLOT_NONE);
	return s->next++;
}

void
slots_recycle(struct slots *s, uint32_t slot)
{
	assert(slot < s->next && s->nspare < s->next);
	if (s->nspare == s->size) {
		s->size = MAX(s->size * 2, 64);
		s->spare = xrealloc(s->spare, s->size * sizeof(*s->spare));
	}
	s->spare[s->nspare++] = slot;
}

void
slots_fini(struct slots *s)
{
	free(s->spare);
	*s = (struct slots){0};
}
