/* event.h - changes of targets' states, on their way from the workers to the control thread. */
#ifndef EVENT_H
#define EVENT_H

#include "engine.h"
#include "list.h"

#include <pthread.h>

struct event_queue {
	pthread_mutex_t lock;
	struct list waiting; /* oldest first */
	int fd;		     /* an eventfd: readable while something waits */
};

int event_queue_init(struct event_queue *q);
void event_queue_fini(struct event_queue *q);
/* Any thread. What it says is copied, with the time. */
void event_put(struct event_queue *q, const struct target_event *event);
/* Tells each of those that wait, and forgets them. Control thread. */
void event_each(struct event_queue *q, void (*each)(void *ctx, const struct target_event *event), void *ctx);

#endif
