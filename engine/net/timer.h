/* timer.h - deadlines of one worker: a wheel of coarse ticks.
 *
 * Moving a deadline later, which every request does, only stores it: the timer is looked at when its old
 * tick comes and moved then. A timer fires at the first tick after its deadline, never before.
 */
#ifndef TIMER_H
#define TIMER_H

#include "list.h"

#define TIMER_TICK_MS 100u
#define TIMER_SLOTS 512u

struct timer;
typedef void timer_fn(struct timer *t);

struct timer {
	struct list link;
	uint64_t deadline_ms;
	uint64_t tick; /* where it is linked */
	timer_fn *fire;
};

struct wheel {
	struct list slots[TIMER_SLOTS];
	uint64_t tick; /* the last one that was run */
	uint64_t ntimers;
};

void wheel_init(struct wheel *w, uint64_t now_ms);
/* Runs what is due. */
void wheel_run(struct wheel *w, uint64_t now_ms);
/* Milliseconds to the next tick that may have work, -1 when there is no timer. */
int64_t wheel_wait(const struct wheel *w, uint64_t now_ms);

static inline void
timer_init(struct timer *t, timer_fn *fire)
{
	list_init(&t->link);
	t->fire = fire;
}
void timer_set(struct wheel *w, struct timer *t, uint64_t deadline_ms);
void timer_stop(struct wheel *w, struct timer *t);

#endif
