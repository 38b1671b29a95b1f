/* test_timer.c - the wheel fires what is due, never early, however long the wait. */
#include "../../engine/net/timer.h"

#include <criterion/criterion.h>

struct probe {
	struct timer timer;
	unsigned fired;
};

static struct wheel wheel;

static void
on_fire(struct timer *t)
{
	container_of(t, struct probe, timer)->fired++;
}

static void
run_until(uint64_t from_ms, uint64_t to_ms)
{
	for (uint64_t now = from_ms; now <= to_ms; now += 50)
		wheel_run(&wheel, now);
}

Test(timer, fires_once_and_never_before_its_deadline)
{
	static const uint64_t waits[] = {0, 1, 99, 100, 101, 1000, 51199, 51200, 60000, 86400000};

	for (size_t i = 0; i < COUNT(waits); i++) {
		struct probe p = {0};
		uint64_t start = 1000000 + 37, due = start + waits[i];

		wheel_init(&wheel, start);
		timer_init(&p.timer, on_fire);
		timer_set(&wheel, &p.timer, due);
		run_until(start, due - 1 > start ? due - 1 : start);
		cr_expect(p.fired == 0 || waits[i] == 0, "row %zu: fired early", i);
		run_until(due, due + 2 * TIMER_TICK_MS);
		cr_expect(p.fired == 1, "row %zu: fired %u times", i, p.fired);
		cr_expect(wheel.ntimers == 0, "row %zu", i);
	}
}

Test(timer, a_later_deadline_moves_it_and_an_earlier_one_too)
{
	struct probe p = {0};

	wheel_init(&wheel, 0);
	timer_init(&p.timer, on_fire);
	timer_set(&wheel, &p.timer, 500);
	timer_set(&wheel, &p.timer, 5000);
	run_until(0, 4950);
	cr_expect(p.fired == 0, "the old deadline fired");
	timer_set(&wheel, &p.timer, 60000);
	timer_set(&wheel, &p.timer, 6000);
	run_until(5000, 6300);
	cr_expect(p.fired == 1, "the earlier deadline did not fire in time");
}

Test(timer, stopped_does_not_fire_and_the_wait_is_endless)
{
	struct probe p = {0};

	wheel_init(&wheel, 0);
	timer_init(&p.timer, on_fire);
	cr_expect(wheel_wait(&wheel, 0) == -1);
	timer_set(&wheel, &p.timer, 300);
	cr_expect(wheel_wait(&wheel, 0) >= 0);
	timer_stop(&wheel, &p.timer);
	timer_stop(&wheel, &p.timer);
	run_until(0, 1000);
	cr_expect(p.fired == 0);
	cr_expect(wheel_wait(&wheel, 1000) == -1);
}

Test(timer, catches_up_after_a_long_pause)
{
	struct probe p[3] = {0};

	wheel_init(&wheel, 0);
	for (size_t i = 0; i < COUNT(p); i++) {
		timer_init(&p[i].timer, on_fire);
		timer_set(&wheel, &p[i].timer, 1000 * (i + 1));
	}
	wheel_run(&wheel, 3600 * 1000);
	wheel_run(&wheel, 3600 * 1000 + TIMER_TICK_MS * 2);
	for (size_t i = 0; i < COUNT(p); i++)
		cr_expect(p[i].fired == 1, "timer %zu fired %u times", i, p[i].fired);
}
