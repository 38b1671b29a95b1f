/* events.c - /.events: lines, the readers that they wait for, and the reads that wait for them. */
#include "events.h"

#include "clock.h"
#include "limits.h"
#include <errno.h>

#define SIZE_MIN (1u << 20) /* more than any buffer in which tail reads backwards */

struct event_reader {
	struct list link;
	struct events *events;
	struct text kept; /* lines: those that were read last, and those that were not yet */
	uint64_t start;	  /* where `kept` begins in all that this reader was ever told */
	uint64_t told;	  /* and where what it has not read begins */
	uint64_t shift;	  /* an offset of the file is that and so much */
	uint64_t lost;	  /* lines, behind `kept` */
	struct list waits;
	void *poll; /* or NULL */
};

struct wait {
	struct list link;
	void *request;
	uint64_t off;
	size_t size;
};

void
events_init(struct events *e, const struct event_owner *owner)
{
	*e = (struct events){.owner = owner};
	list_init(&e->readers);
}

uint64_t
events_size(const struct events *e)
{
	return SIZE_MIN + e->bytes;
}

/* ------------------------------------------------------------------ reading */

struct event_reader *
event_open(struct events *e)
{
	struct event_reader *r = xcalloc(1, sizeof(*r));

	r->events = e;
	list_init(&r->waits);
	list_append(&e->readers, &r->link);
	return r;
}

static void
wait_free(struct wait *w)
{
	list_del(&w->link);
	free(w);
}

static void
end_waits(struct event_reader *r)
{
	while (!list_empty(&r->waits)) {
		struct wait *w = container_of(r->waits.next, struct wait, link);

		r->events->owner->answer(w->request, STR(""));
		wait_free(w);
	}
}

void
event_close(struct event_reader *r)
{
	end_waits(r);
	event_poll(r, NULL);
	list_del(&r->link);
	text_fini(&r->kept);
	free(r);
}

void
events_end(struct events *e)
{
	list_each(it, &e->readers) end_waits(container_of(it, struct event_reader, link));
}

bool
event_is_ready(const struct event_reader *r)
{
	return r->told < r->start + r->kept.len || r->lost > 0;
}

/* Forgets what was read long enough ago. */
static void
trim(struct event_reader *r)
{
	uint64_t old = r->told - r->start;

	if (old < 2 * EVENTS_AGAIN_MAX)
		return;
	old -= EVENTS_AGAIN_MAX;
	memmove(r->kept.p, r->kept.p + old, r->kept.len - old);
	r->kept.len -= old;
	r->start += old;
}

int
event_read(struct event_reader *r, uint64_t off, size_t size, struct str *s)
{
	uint64_t at = off - r->shift, end;

	trim(r);
	if (r->told == r->start + r->kept.len && r->lost > 0) {
		text_printf(&r->kept, "lost %llu\n", (unsigned long long)r->lost);
		r->lost = 0;
	}
	end = r->start + r->kept.len;
	*s = STR("");
	if (at < r->start || at > end) {
		r->shift = off - r->told;
		return 0;
	}
	if (at == end)
		return -EAGAIN;
	*s = (struct str){r->kept.p + (at - r->start), (uint32_t)MIN(size, end - at)};
	r->told = MAX(r->told, at + s->len);
	return 0;
}

void
event_wait(struct event_reader *r, void *request, uint64_t off, size_t size)
{
	struct wait *w = xcalloc(1, sizeof(*w));

	*w = (struct wait){.request = request, .off = off, .size = size};
	list_append(&r->waits, &w->link);
}

bool
event_cancel(struct event_reader *r, void *request)
{
	list_each(it, &r->waits)
	{
		struct wait *w = container_of(it, struct wait, link);

		if (w->request != request)
			continue;
		wait_free(w);
		return true;
	}
	return false;
}

void
event_poll(struct event_reader *r, void *poll)
{
	if (r->poll != NULL)
		r->events->owner->forget(r->poll);
	r->poll = poll;
}

/* ------------------------------------------------------------------ telling */

static void
answer_waits(struct event_reader *r)
{
	list_each_safe(it, &r->waits)
	{
		struct wait *w = container_of(it, struct wait, link);
		struct str s;

		if (event_read(r, w->off, w->size, &s) != 0)
			continue;
		r->events->owner->answer(w->request, s);
		wait_free(w);
	}
}

static void
add(struct event_reader *r, const struct text *line)
{
	uint64_t unread = r->start + r->kept.len - r->told;

	if (r->lost > 0 || unread + line->len > EVENTS_UNREAD_MAX)
		r->lost++;
	else
		text_add(&r->kept, line->p, line->len);
	answer_waits(r);
	if (r->poll != NULL && event_is_ready(r))
		r->events->owner->wake(r->poll);
}

void
events_tell(void *events, const struct target_event *event)
{
	struct events *e = events;
	struct text line = {0};
	const char *reason = target_reason_word(event->reason);
	char time[25], addr[ADDR_TEXT_MAX];

	clock_iso(time, event->unix_ms);
	text_printf(&line, "%s target-groups/" STR_FMT "/targets/" STR_FMT " %s -> %s%s%s", time,
	    STR_ARG(event->group), STR_ARG(event->target), target_state_word(event->from),
	    target_state_word(event->to), reason[0] != '\0' ? " " : "", reason);
	if (event->address.sa.sa_family != AF_UNSPEC) {
		addr_print_host(&event->address, addr);
		text_printf(&line, " address %s", addr);
	}
	text_char(&line, '\n');
	e->bytes += line.len;
	e->unix_ms = event->unix_ms;
	list_each(it, &e->readers) add(container_of(it, struct event_reader, link), &line);
	text_fini(&line);
}
