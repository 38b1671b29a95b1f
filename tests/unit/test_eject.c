/* test_eject.c - passive checks: who fails requests is left out for a time. */
#include "healthkit.h"

static void
eject_init(struct bed *b, const struct server *s, uint32_t n)
{
	bed_init(b, s, n);
	b->config.workers = 1;
	b->check.enabled = false;
	b->passive = (struct passive_check){.enabled = true,
	    .failures = 3,
	    .errors = 3,
	    .ejection_ms = 300,
	    .ejection_max_ms = 700,
	    .ejected_percent = 50};
}

Test(eject, errors_in_a_row, .timeout = 60)
{
	struct server s;
	struct bed b;

	server_start(&s, WIRE_HTTP1, 500);
	eject_init(&b, &s, 1);
	bed_start(&b);
	cr_expect_str_eq(bed_state(&b, 0), "UNAVAILABLE HealthCheckDisabled");
	for (unsigned i = 0; i < 2; i++)
		cr_expect(bed_get(&b) == 500);
	s.status = 404; /* in between */
	cr_expect(bed_get(&b) == 404);
	s.status = 503;
	for (unsigned i = 0; i < 2; i++)
		cr_expect(bed_get(&b) == 503);
	cr_expect(bed_down(&b, 0) == 0);
	cr_expect(bed_get(&b) == 503);
	EXPECT_STATE(&b, 0, "UNHEALTHY Ejected");
	cr_expect(bed_metric(&b, "target_ejections_total") == 1);
	EXPECT_STATE(&b, 0, "UNAVAILABLE HealthCheckDisabled");
	expect_told(&b, "blue/a UNAVAILABLE -> UNHEALTHY Ejected\n"
			"blue/a UNHEALTHY -> UNAVAILABLE HealthCheckDisabled\n");
	bed_stop(&b);
	server_stop(&s);
}

Test(eject, failures_and_silence, .timeout = 60)
{
	struct server s;
	struct bed b;

	server_start(&s, WIRE_HTTP1, 200);
	eject_init(&b, &s, 1);
	b.passive.failures = 2;
	b.passive.errors = 2;
	b.passive.ejection_ms = 60000;
	b.passive.ejection_max_ms = 60000;
	bed_start(&b);
	s.manner = SILENT;
	for (unsigned i = 0; i < 2; i++)
		cr_expect(bed_get(&b) == 504);
	EXPECT_STATE(&b, 0, "UNHEALTHY Ejected");
	/* Settings that allow none end it. */
	b.passive.enabled = false;
	bed_publish(&b);
	cr_expect_str_eq(bed_state(&b, 0), "UNAVAILABLE HealthCheckDisabled");
	cr_expect(bed_down(&b, 0) == 0);
	b.passive.enabled = true;
	server_stop(&s);
	bed_publish(&b);
	for (unsigned i = 0; i < 2; i++)
		cr_expect(bed_get(&b) == 503);
	EXPECT_STATE(&b, 0, "UNHEALTHY Ejected");
	bed_stop(&b);
}

Test(eject, each_is_longer_than_the_one_before, .timeout = 60)
{
	struct server s;
	struct bed b;
	uint64_t began, first, second, third;

	server_start(&s, WIRE_HTTP1, 500);
	eject_init(&b, &s, 1);
	b.passive.errors = 1;
	bed_start(&b);
#define EJECTED_MS()                                         \
	({                                                   \
		bed_get(&b);                                 \
		began = clock_ms();                          \
		EVENTUALLY(bed_down(&b, 0) == DOWN_EJECTED); \
		EVENTUALLY(bed_down(&b, 0) == 0);            \
		clock_ms() - began;                          \
	})
	first = EJECTED_MS();
	second = EJECTED_MS();
	third = EJECTED_MS();
	cr_expect(first >= 290 && first < 550, "%lu", (unsigned long)first);
	cr_expect(second >= 590 && second < 850, "%lu", (unsigned long)second);
	cr_expect(third >= 690 && third < 950, "%lu", (unsigned long)third);
	/* Three stretches without one, and it begins anew. */
	poll(NULL, 0, 1500);
	first = EJECTED_MS();
	cr_expect(first < 550, "%lu", (unsigned long)first);
	bed_stop(&b);
	server_stop(&s);
}

Test(eject, part_of_the_group_stays, .timeout = 60)
{
	struct server s[4];
	struct bed b;
	unsigned out = 0;

	for (unsigned i = 0; i < 4; i++)
		server_start(&s[i], WIRE_HTTP1, 500);
	eject_init(&b, s, 4);
	b.passive.errors = 1;
	b.passive.ejection_ms = b.passive.ejection_max_ms = 60000;
	bed_start(&b);
	for (unsigned i = 0; i < 16; i++)
		cr_expect(bed_get(&b) == 500);
	for (unsigned i = 0; i < 4; i++)
		out += strcmp(bed_state(&b, i), "UNHEALTHY Ejected") == 0;
	cr_expect(out == 2, "%u", out);
	bed_stop(&b);
	for (unsigned i = 0; i < 4; i++)
		server_stop(&s[i]);
}

/* The worker that saw the errors is not always the one that decides. */
Test(eject, all_workers_know, .timeout = 60)
{
	struct server s;
	struct bed b;

	server_start(&s, WIRE_HTTP1, 500);
	eject_init(&b, &s, 1);
	b.config.workers = 4;
	b.passive.errors = 1;
	bed_start(&b);
	for (unsigned i = 0; i < 8; i++) {
		cr_expect(bed_get(&b) == 500);
		EVENTUALLY(bed_down(&b, 0) == DOWN_EJECTED);
		EVENTUALLY(bed_down(&b, 0) == 0);
	}
	bed_stop(&b);
	server_stop(&s);
}

/* While one worker lets its requests end, the others are gone, and what it finds out reaches nobody. */
Test(eject, in_the_last_request_of_all, .timeout = 60)
{
	static const char get[] = "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n";
	char answer[512] = "";
	struct server s;
	struct bed b;
	int fd;

	server_start(&s, WIRE_HTTP1, 200);
	s.manner = SILENT;
	eject_init(&b, &s, 1);
	b.config.workers = 4;
	b.config.drain_timeout_ms = 5000;
	b.passive.errors = 1;
	bed_start(&b);
	fd = connect_local(b.port);
	send_all(fd, get, sizeof(get) - 1);
	EVENTUALLY(s.seen == 1);
	bed_stop(&b);
	cr_expect(recv(fd, answer, sizeof(answer) - 1, MSG_WAITALL) > 0);
	cr_expect(strstr(answer, " 504 ") != NULL, "%s", answer);
	close(fd);
	server_stop(&s);
}
