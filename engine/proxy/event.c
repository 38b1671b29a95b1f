/* event.c - changes of targets' states, on their way from the workers to the control thread. */
#include "event.h"

#include "clock.h"
#include <errno.h>
#include <sys/eventfd.h>

struct waiting {
	struct list link;
	struct target_event event;
	char names[];
};

int
event_queue_init(struct event_queue *q)
{
	list_init(&q->waiting);
	pthread_mutex_init(&q->lock, NULL);
	q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return q->fd < 0 ? -errno : 0;
}

static void
drop(struct waiting *e)
{
	list_del(&e->link);
	free(e);
}

void
event_queue_fini(struct event_queue *q)
{
	while (!list_empty(&q->waiting))
		drop(container_of(q->waiting.next, struct waiting, link));
	pthread_mutex_destroy(&q->lock);
	if (q->fd >= 0)
		close(q->fd);
}

void
event_put(struct event_queue *q, const struct target_event *event)
{
	struct waiting *e = malloc(sizeof(*e) + event->group.len + event->target.len);
	uint64_t one = 1;

	assert(e != NULL);
	e->event = *event;
	e->event.unix_ms = clock_unix_ms();
	e->event.group.p = memcpy(e->names, event->group.p, event->group.len);
	e->event.target.p = memcpy(e->names + event->group.len, event->target.p, event->target.len);
	pthread_mutex_lock(&q->lock);
	list_append(&q->waiting, &e->link);
	pthread_mutex_unlock(&q->lock);
	/* It can only fail when the counter is full, and then it is readable. */
	if (write(q->fd, &one, sizeof(one)) < 0)
		return;
}

static struct waiting *
take(struct event_queue *q)
{
	struct waiting *e = NULL;

	pthread_mutex_lock(&q->lock);
	if (!list_empty(&q->waiting)) {
		e = container_of(q->waiting.next, struct waiting, link);
		list_del(&e->link);
	}
	pthread_mutex_unlock(&q->lock);
	return e;
}

void
event_each(struct event_queue *q, void (*each)(void *ctx, const struct target_event *event), void *ctx)
{
	struct waiting *e;
	uint64_t value;

	/* First: what is put from here on makes it readable again. */
	if (read(q->fd, &value, sizeof(value)) < 0)
		return;
	while ((e = take(q)) != NULL) {
		each(ctx, &e->event);
		drop(e);
	}
}
