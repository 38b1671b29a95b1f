/* test_subject.c - groups that ask the same of the same machine ask once, and each makes of it what it wants.
 *
 * "Once" is seen with an interval that no test lives to see: only what is in a hurry is asked.
 */
#include "healthkit.h"

#define NEVER UINT32_MAX

/* blue and green with the same one target and the same check. */
static void
both_init(struct bed *b, const struct server *s, uint32_t interval_ms)
{
	bed_init(b, s, 1);
	b->check.interval_ms = interval_ms;
	b->check.timeout_ms = 30000;
	b->both = true;
	b->green_check = b->check;
}

#define EXPECT_GREEN(b, want) EVENTUALLY(strcmp(bed_state_in(b, BED_GREEN, 0), want) == 0)

Test(subject, two_groups_ask_once, .timeout = 60)
{
	struct server s;
	struct bed b;

	server_start(&s, WIRE_HTTP1, 200);
	both_init(&b, &s, NEVER);
	bed_start(&b);
	EXPECT_STATE(&b, 0, "HEALTHY");
	EXPECT_GREEN(&b, "HEALTHY");
	cr_expect(bed_metric(&b, "health_checks_total") == 1);
	expect_told(&b, "blue/a INITIAL -> HEALTHY \ngreen/a INITIAL -> HEALTHY \n");
	bed_stop(&b);
	server_stop(&s);
	cr_expect(s.seen == 1, "%d", s.seen);
}

/* Asks what both groups say, and expects so many connections for it. */
static void
expect_asked(struct bed *b, struct server *s, int want, const char *what)
{
	int before = s->seen;

	bed_start(b);
	EXPECT_STATE(b, 0, "HEALTHY");
	EXPECT_GREEN(b, "HEALTHY");
	EVENTUALLY(s->seen - before >= want);
	cr_expect(bed_metric(b, "health_checks_total") == (unsigned long)want, "%s", what);
	bed_stop(b);
	cr_expect(s->seen - before == want, "%s: %d", what, s->seen - before);
}

Test(subject, whatever_is_asked_otherwise_is_another, .timeout = 60)
{
	static struct code_range more[] = {{200, 299}};
	struct server s;
	struct bed b;

	server_start(&s, WIRE_HTTP1, 200);
	both_init(&b, &s, NEVER);
	b.green_check.path = STR("/other");
	expect_asked(&b, &s, 2, "path");
	both_init(&b, &s, NEVER);
	b.green_check.timeout_ms++;
	expect_asked(&b, &s, 2, "timeout");
	both_init(&b, &s, NEVER);
	b.green_check.interval_ms--;
	expect_asked(&b, &s, 2, "interval");
	both_init(&b, &s, NEVER);
	b.green_check.codes = more;
	expect_asked(&b, &s, 2, "matcher");
	both_init(&b, &s, NEVER);
	b.green_check.protocol = CHECK_TCP;
	expect_asked(&b, &s, 2, "protocol");
	server_stop(&s);
}

Test(subject, what_is_not_asked_for_makes_no_difference, .timeout = 60)
{
	struct server s;
	struct bed b;

	server_start(&s, WIRE_HTTP1, 200);
	both_init(&b, &s, NEVER);
	b.green_check.healthy = b.green_check.unhealthy = 7;
	expect_asked(&b, &s, 1, "thresholds");
	/* The same port, once as the target's and once as the check's. */
	both_init(&b, &s, NEVER);
	b.green_check.port = s.port;
	expect_asked(&b, &s, 1, "port");
	both_init(&b, &s, NEVER);
	b.check.protocol = b.green_check.protocol = CHECK_TCP;
	b.green_check.path = STR("/other");
	expect_asked(&b, &s, 1, "path of TCP");
	server_stop(&s);
}

Test(subject, thresholds_are_each_groups_own, .timeout = 60)
{
	struct server s;
	struct bed b;

	server_start(&s, WIRE_HTTP1, 200);
	both_init(&b, &s, 100);
	b.check.unhealthy = 5;
	b.check.healthy = 2;
	b.green_check.unhealthy = 2;
	b.green_check.healthy = 5;
	bed_start(&b);
	expect_told(&b, "blue/a INITIAL -> HEALTHY \ngreen/a INITIAL -> HEALTHY \n");
	s.status = 500;
	expect_told(
	    &b, "green/a HEALTHY -> UNHEALTHY CodeMismatch\nblue/a HEALTHY -> UNHEALTHY CodeMismatch\n");
	s.status = 200;
	expect_told(&b, "blue/a UNHEALTHY -> HEALTHY \ngreen/a UNHEALTHY -> HEALTHY \n");
	bed_stop(&b);
	server_stop(&s);
}

/* It is asked at once for who joins, and that is no turn of the other's. */
Test(subject, who_joins_hurries_it_for_itself, .timeout = 60)
{
	struct server s;
	struct bed b;

	server_start(&s, WIRE_HTTP1, 200);
	both_init(&b, &s, NEVER);
	b.check.unhealthy = b.green_check.unhealthy = 1;
	b.both = false;
	bed_start(&b);
	EXPECT_STATE(&b, 0, "HEALTHY");
	s.status = 500;
	b.both = true;
	bed_publish(&b);
	expect_told(&b, "blue/a INITIAL -> HEALTHY \ngreen/a INITIAL -> UNHEALTHY CodeMismatch\n");
	cr_expect_str_eq(bed_state(&b, 0), "HEALTHY");
	cr_expect(bed_metric(&b, "health_checks_total") == 2);
	bed_stop(&b);
	server_stop(&s);
}

/* But when the turn comes before the answer, the answer is everybody's. */
Test(subject, a_turn_during_the_hurry_counts_for_all, .timeout = 60)
{
	struct server s;
	struct bed b;
	int before;

	server_start(&s, WIRE_HTTP1, 200);
	both_init(&b, &s, 500);
	b.check.unhealthy = b.green_check.unhealthy = 1;
	b.check.timeout_ms = b.green_check.timeout_ms = 1200;
	b.both = false;
	bed_start(&b);
	EXPECT_STATE(&b, 0, "HEALTHY");
	before = s.seen;
	s.manner = SILENT;
	b.both = true;
	bed_publish(&b);
	/* One question alone is not answered. */
	EVENTUALLY(s.seen > before);
	s.manner = SAY;
	expect_told(&b, "blue/a INITIAL -> HEALTHY \n"
			"blue/a HEALTHY -> UNHEALTHY HealthCheckTimeout\n"
			"green/a INITIAL -> UNHEALTHY HealthCheckTimeout\n"
			"blue/a UNHEALTHY -> HEALTHY \ngreen/a UNHEALTHY -> HEALTHY \n");
	bed_stop(&b);
	server_stop(&s);
}

Test(subject, goes_on_for_who_stays, .timeout = 60)
{
	struct server s;
	struct bed b;
	int before;

	server_start(&s, WIRE_HTTP1, 200);
	both_init(&b, &s, 100);
	b.check.timeout_ms = b.green_check.timeout_ms = 300;
	bed_start(&b);
	EXPECT_STATE(&b, 0, "HEALTHY");
	EXPECT_GREEN(&b, "HEALTHY");
	/* green leaves while a probe is under way, whose result is blue's. */
	s.manner = SILENT;
	before = s.seen;
	EVENTUALLY(s.seen > before);
	b.both = false;
	bed_publish(&b);
	EXPECT_STATE(&b, 0, "UNHEALTHY HealthCheckTimeout");
	s.manner = SAY;
	EXPECT_STATE(&b, 0, "HEALTHY");
	/* It comes back; then blue stops asking, and last nobody asks. */
	b.both = true;
	bed_publish(&b);
	EXPECT_GREEN(&b, "HEALTHY");
	b.check.enabled = false;
	bed_publish(&b);
	cr_expect_str_eq(bed_state(&b, 0), "UNAVAILABLE HealthCheckDisabled");
	s.status = 500;
	EXPECT_GREEN(&b, "UNHEALTHY CodeMismatch");
	cr_expect_str_eq(bed_state(&b, 0), "UNAVAILABLE HealthCheckDisabled");
	s.manner = SILENT;
	before = s.seen;
	EVENTUALLY(s.seen > before);
	b.idle = true;
	bed_publish(&b);
	cr_expect_str_eq(bed_state_in(&b, BED_GREEN, 0), "UNUSED TargetGroupNotInUse");
	bed_stop(&b);
	server_stop(&s);
}

/* Two failures of one question make it unhealthy, and here none is asked twice. */
Test(subject, a_changed_question_counts_anew, .timeout = 60)
{
	static const char *const paths[] = {"/a", "/b", "/c", "/d"};
	struct server s;
	struct bed b;

	server_start(&s, WIRE_HTTP1, 500);
	bed_init(&b, &s, 1);
	b.check.interval_ms = NEVER;
	b.check.path = str_of(paths[0]);
	bed_start(&b);
	for (unsigned i = 1; i < COUNT(paths); i++) {
		EVENTUALLY(bed_metric(&b, "health_check_failures_total") == i);
		b.check.path = str_of(paths[i]);
		bed_publish(&b);
	}
	EVENTUALLY(bed_metric(&b, "health_check_failures_total") == COUNT(paths));
	cr_expect_str_eq(bed_state(&b, 0), "INITIAL InitialHealthChecking");
	s.status = 200;
	b.check.path = str_of("/e");
	bed_publish(&b);
	EXPECT_STATE(&b, 0, "HEALTHY");
	bed_stop(&b);
	server_stop(&s);
}
