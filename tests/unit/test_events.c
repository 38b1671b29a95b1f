/* test_events.c - /.events: what a reader gets, when it waits, and what it loses. */
#include "../../fs/events.h"
#include "limits.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

static char answered[4096];
static int nanswers, nwakes, nforgets;

static void
answer(void *request, struct str s)
{
	nanswers++;
	snprintf(answered, sizeof(answered), "%s:" STR_FMT, (const char *)request, STR_ARG(s));
}

static void
wake(void *poll)
{
	nwakes++;
}

static void
forget(void *poll)
{
	nforgets++;
}

static const struct event_owner owner = {answer, wake, forget};

#define LINE                                                                                    \
	"1970-01-01T00:00:01.000Z target-groups/blue/targets/10.0.0.5:80 HEALTHY -> UNHEALTHY " \
	"HealthCheckTimeout\n"

static void
happen(struct events *e)
{
	const struct target_event event = {.unix_ms = 1000,
	    .group = STR("blue"),
	    .target = STR("10.0.0.5:80"),
	    .from = TARGET_HEALTHY,
	    .to = TARGET_UNHEALTHY,
	    .reason = REASON_TIMEOUT};

	events_tell(e, &event);
}

static void
happen_to_an_instance(struct events *e)
{
	struct target_event event = {
	    .unix_ms = 1000, .group = STR("m"), .target = STR("i-01234567"), .to = TARGET_HEALTHY};

	event.from = TARGET_INITIAL;
	cr_assert(addr_parse(STR("10.0.0.5:80"), &event.address) == 0);
	events_tell(e, &event);
}

static void
expect_read(struct event_reader *r, uint64_t off, size_t size, const char *want)
{
	struct str s;

	cr_expect(event_read(r, off, size, &s) == 0);
	cr_expect(str_eq(s, str_of(want)), "'" STR_FMT "'", STR_ARG(s));
}

Test(events, reader_has_what_happens_from_its_open_on)
{
	struct events e;
	struct event_reader *r;
	struct str s;

	events_init(&e, &owner);
	happen(&e);
	r = event_open(&e);
	cr_expect(event_read(r, 0, 4096, &s) == -EAGAIN && !event_is_ready(r));
	happen(&e);
	cr_expect(event_is_ready(r));
	expect_read(r, 0, 4096, LINE);
	cr_expect(!event_is_ready(r));
	cr_expect(event_read(r, strlen(LINE), 4096, &s) == -EAGAIN);
	/* A shell that read too far goes back. */
	expect_read(r, 4, 6, "-01-01");
	happen_to_an_instance(&e);
	expect_read(r, strlen(LINE), 4096,
	    "1970-01-01T00:00:01.000Z target-groups/m/targets/i-01234567 INITIAL -> HEALTHY address "
	    "10.0.0.5\n");
	event_close(r);
}

Test(events, read_waits_until_something_happens_or_it_is_cancelled)
{
	static char one[] = "one", two[] = "two", three[] = "three";
	struct events e;
	struct event_reader *r;

	events_init(&e, &owner);
	r = event_open(&e);
	event_wait(r, one, 0, 10);
	event_wait(r, two, 10, 4096);
	cr_expect(event_cancel(r, one) && !event_cancel(r, one));
	happen(&e);
	cr_expect(nanswers == 0 || strncmp(answered, "two:", 4) == 0, "%s", answered);
	event_wait(r, three, strlen(LINE), 4096);
	events_end(&e);
	cr_expect_str_eq(answered, "three:");
	event_close(r);
}

Test(events, wait_is_answered_with_the_line)
{
	static char one[] = "one";
	struct events e;
	struct event_reader *r;

	events_init(&e, &owner);
	r = event_open(&e);
	event_wait(r, one, 0, 4096);
	happen(&e);
	cr_expect(nanswers == 1);
	cr_expect_str_eq(answered, "one:" LINE);
	happen(&e);
	cr_expect(nanswers == 1);
	event_close(r);
}

Test(events, poll_is_woken_and_forgotten_once)
{
	struct events e;
	struct event_reader *r;

	events_init(&e, &owner);
	r = event_open(&e);
	event_poll(r, &e);
	happen(&e);
	cr_expect(nwakes == 1 && nforgets == 0);
	event_poll(r, r);
	cr_expect(nforgets == 1);
	event_close(r);
	cr_expect(nforgets == 2);
}

Test(events, slow_reader_is_told_what_it_lost)
{
	struct events e;
	struct event_reader *r;
	struct str s;
	unsigned n = EVENTS_UNREAD_MAX / (sizeof(LINE) - 1), lines = 0;
	uint64_t off = 0;
	char lost[32] = "";

	events_init(&e, &owner);
	r = event_open(&e);
	for (unsigned i = 0; i < n + 7; i++)
		happen(&e);
	while (event_read(r, off, sizeof(LINE) - 1, &s) == 0) {
		off += s.len;
		if (str_eq(s, STR(LINE)))
			lines++;
		else
			snprintf(lost, sizeof(lost), STR_FMT, STR_ARG(s));
	}
	cr_expect(lines == n, "%u", lines);
	cr_expect_str_eq(lost, "lost 7\n");
	happen(&e);
	expect_read(r, off, 4096, LINE);
	event_close(r);
}

/* As tail does it: from the end backwards, and on from wherever that left it. */
Test(events, seeking_finds_the_end_and_goes_on_there)
{
	struct events e;
	struct event_reader *r;
	struct str s;
	uint64_t at;

	events_init(&e, &owner);
	r = event_open(&e);
	at = events_size(&e) - 100;
	expect_read(r, at, 100, "");
	at -= 8192;
	expect_read(r, at, 8192, "");
	cr_expect(event_read(r, at, 8192, &s) == -EAGAIN);
	happen(&e);
	expect_read(r, at, 8192, LINE);
	cr_expect(events_size(&e) > at + strlen(LINE));
	event_close(r);
}
