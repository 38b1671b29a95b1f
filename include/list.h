/* list.h - an intrusive doubly linked list with a head that is a node. */
#ifndef LIST_H
#define LIST_H

#include "base.h"

struct list {
	struct list *prev, *next;
};

static inline void
list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool
list_empty(const struct list *l)
{
	return l->next == l;
}

/* Adds n behind l: at the front when l is the head, at the end when l is head->prev. */
static inline void
list_add(struct list *l, struct list *n)
{
	n->prev = l;
	n->next = l->next;
	l->next->prev = n;
	l->next = n;
}

static inline void
list_append(struct list *head, struct list *n)
{
	list_add(head->prev, n);
}

/* Takes n out and leaves it an empty list, so that a second del is harmless. */
static inline void
list_del(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

#define list_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
#define list_each_safe(it, head)                                                  \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head); \
	     it = it##_next, it##_next = it->next)

#endif
