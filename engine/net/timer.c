/* timer.c - the wheel. */
#include "timer.h"

void
wheel_init(struct wheel *w, uint64_t now_ms)
{
	for (unsigned i = 0; i < TIMER_SLOTS; i++)
		list_init(&w->slots[i]);
	w->tick = now_ms / TIMER_TICK_MS;
	w->ntimers = 0;
}

static void
put(struct wheel *w, struct timer *t)
{
	uint64_t tick = t->deadline_ms / TIMER_TICK_MS + 1;

	/* Past the horizon: looked at on the last slot's turn and put again. */
	tick = MAX(tick, w->tick + 1);
	tick = MIN(tick, w->tick + TIMER_SLOTS - 1);
	t->tick = tick;
	list_append(&w->slots[tick % TIMER_SLOTS], &t->link);
}

void
timer_set(struct wheel *w, struct timer *t, uint64_t deadline_ms)
{
	t->deadline_ms = deadline_ms;
	if (!list_empty(&t->link)) {
		if (deadline_ms / TIMER_TICK_MS + 1 >= t->tick)
			return;
		list_del(&t->link);
		w->ntimers--;
	}
	put(w, t);
	w->ntimers++;
}

void
timer_stop(struct wheel *w, struct timer *t)
{
	if (list_empty(&t->link))
		return;
	list_del(&t->link);
	w->ntimers--;
}

static void
run_slot(struct wheel *w, struct list *slot, uint64_t now_ms)
{
	struct list due;

	/* Taken over first: what fires may set timers, also into this very slot. */
	list_init(&due);
	if (list_empty(slot))
		return;
	list_add(slot, &due);
	list_del(slot);
	while (!list_empty(&due)) {
		struct timer *t = container_of(due.next, struct timer, link);

		list_del(&t->link);
		if (t->deadline_ms > now_ms) {
			put(w, t);
			continue;
		}
		w->ntimers--;
		t->fire(t);
	}
}

void
wheel_run(struct wheel *w, uint64_t now_ms)
{
	uint64_t now = now_ms / TIMER_TICK_MS;

	if (now - w->tick > TIMER_SLOTS)
		w->tick = now - TIMER_SLOTS;
	while (w->tick < now) {
		w->tick++;
		run_slot(w, &w->slots[w->tick % TIMER_SLOTS], now_ms);
	}
}

int64_t
wheel_wait(const struct wheel *w, uint64_t now_ms)
{
	uint64_t next = (w->tick + 1) * TIMER_TICK_MS;

	if (w->ntimers == 0)
		return -1;
	return next > now_ms ? (int64_t)(next - now_ms) : 0;
}
