/* test_health.c - active checks: what is asked, what the answers mean, and who knows of it. */
#include "healthkit.h"

Test(health, new_target_is_healthy_after_one_success, .timeout = 60)
{
	struct server s;
	struct bed b;

	server_start(&s, WIRE_HTTP1, 200);
	s.manner = SILENT;
	bed_init(&b, &s, 1);
	b.check.unhealthy = 100;
	b.check.healthy = 100;
	b.check.timeout_ms = 100;
	bed_start(&b);
	EVENTUALLY(bed_metric(&b, "health_check_failures_total") >= 1);
	cr_expect_str_eq(bed_state(&b, 0), "INITIAL InitialHealthChecking");
	cr_expect(bed_down(&b, 0) == DOWN_NEW);
	s.manner = SAY;
	EXPECT_STATE(&b, 0, "HEALTHY");
	EVENTUALLY(bed_down(&b, 0) == 0);
	expect_told(&b, "blue/a INITIAL -> HEALTHY \n");
	bed_stop(&b);
	server_stop(&s);
}

Test(health, question_names_the_target_and_us, .timeout = 60)
{
	struct server s;
	struct bed b;
	char host[64];

	server_start(&s, WIRE_HTTP1, 200);
	bed_init(&b, &s, 1);
	/* Its own port, not the target's. */
	b.check.port = s.port;
	b.ports[0] = 1;
	bed_start(&b);
	EXPECT_STATE(&b, 0, "HEALTHY");
	bed_stop(&b);
	server_stop(&s);
	snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%u\r\n", s.port);
	cr_expect(strncmp(s.head, "GET /healthy?deep=1 HTTP/1.1\r\n", 30) == 0, "%s", s.head);
	cr_expect(strstr(s.head, host) != NULL, "%s", s.head);
	cr_expect(strstr(s.head, "\r\nUser-Agent: latticefs-health\r\n") != NULL);
	cr_expect(strstr(s.head, "\r\nConnection: close\r\n") != NULL);
}

Test(health, thresholds_count_results_in_a_row, .timeout = 60)
{
	struct server s;
	struct bed b;
	int before;

	server_start(&s, WIRE_HTTP1, 200);
	bed_init(&b, &s, 1);
	b.check.unhealthy = 3;
	b.check.healthy = 4;
	bed_start(&b);
	EXPECT_STATE(&b, 0, "HEALTHY");
	before = s.seen;
	s.status = 500;
	EXPECT_STATE(&b, 0, "UNHEALTHY CodeMismatch");
	cr_expect(s.seen - before >= 3, "after %d", s.seen - before);
	EVENTUALLY(bed_down(&b, 0) == DOWN_UNHEALTHY);
	before = s.seen;
	s.status = 200;
	EXPECT_STATE(&b, 0, "HEALTHY");
	cr_expect(s.seen - before >= 4, "after %d", s.seen - before);
	EVENTUALLY(bed_down(&b, 0) == 0);
	expect_told(&b, "blue/a INITIAL -> HEALTHY \nblue/a HEALTHY -> UNHEALTHY CodeMismatch\n"
			"blue/a UNHEALTHY -> HEALTHY \n");
	bed_stop(&b);
	server_stop(&s);
}

Test(health, reasons, .timeout = 60)
{
	struct server s[3];
	struct bed b;

	for (unsigned i = 0; i < 3; i++)
		server_start(&s[i], WIRE_HTTP1, 200);
	s[0].manner = SILENT;
	s[1].manner = GARBAGE;
	s[2].manner = HANG_UP;
	bed_init(&b, s, 3);
	b.ntargets = 4; /* nobody listens at the fourth */
	b.check.timeout_ms = 100;
	bed_start(&b);
	EXPECT_STATE(&b, 0, "UNHEALTHY HealthCheckTimeout");
	EXPECT_STATE(&b, 1, "UNHEALTHY HealthCheckFailed");
	EXPECT_STATE(&b, 2, "UNHEALTHY HealthCheckFailed");
	EXPECT_STATE(&b, 3, "UNHEALTHY ConnectionFailed");
	/* Another reason is no other state. */
	s[1].manner = SILENT;
	EXPECT_STATE(&b, 1, "UNHEALTHY HealthCheckTimeout");
	bed_stop(&b);
	for (unsigned i = 0; i < 3; i++)
		server_stop(&s[i]);
}

Test(health, matcher_is_a_list_of_ranges, .timeout = 60)
{
	struct server s[3];
	struct bed b;
	static const int statuses[] = {204, 399, 404};

	bed_codes[0] = (struct code_range){200, 299};
	bed_codes[1] = (struct code_range){404, 404};
	for (unsigned i = 0; i < 3; i++)
		server_start(&s[i], WIRE_HTTP1, statuses[i]);
	bed_init(&b, s, 3);
	b.check.ncodes = 2;
	bed_start(&b);
	EXPECT_STATE(&b, 0, "HEALTHY");
	EXPECT_STATE(&b, 1, "UNHEALTHY CodeMismatch");
	EXPECT_STATE(&b, 2, "HEALTHY");
	bed_stop(&b);
	for (unsigned i = 0; i < 3; i++)
		server_stop(&s[i]);
}

Test(health, tcp_asks_for_a_connection_alone, .timeout = 60)
{
	struct server s;
	struct bed b;

	server_start(&s, WIRE_HTTP1, 200);
	s.manner = HANG_UP;
	bed_init(&b, &s, 1);
	b.ntargets = 2;
	b.check.protocol = CHECK_TCP;
	bed_start(&b);
	EXPECT_STATE(&b, 0, "HEALTHY");
	EXPECT_STATE(&b, 1, "UNHEALTHY ConnectionFailed");
	bed_stop(&b);
	server_stop(&s);
}

Test(health, http2, .timeout = 60)
{
	struct server s[2];
	struct bed b;

	server_start(&s[0], WIRE_H2, 200);
	server_start(&s[1], WIRE_H2, 404);
	bed_init(&b, s, 2);
	b.check.http2 = true;
	bed_start(&b);
	EXPECT_STATE(&b, 0, "HEALTHY");
	EXPECT_STATE(&b, 1, "UNHEALTHY CodeMismatch");
	s[1].manner = HANG_UP;
	EXPECT_STATE(&b, 1, "UNHEALTHY HealthCheckFailed");
	bed_stop(&b);
	server_stop(&s[0]);
	server_stop(&s[1]);
	cr_expect(strstr(s[0].head, ":path: /healthy?deep=1\n") != NULL, "%s", s[0].head);
	cr_expect(strstr(s[0].head, "user-agent: latticefs-health\n") != NULL);
}

Test(health, grpc_is_good_when_serving, .timeout = 60)
{
	static const char asked[] = {0, 0, 0, 0, 10, 1 << 3 | 2, 8, 's', 'h', 'o', 'p', '.', 'A', 'p', 'i'};
	struct server s[2];
	struct bed b;

	server_start(&s[0], WIRE_GRPC, 1);
	server_start(&s[1], WIRE_GRPC, 2); /* NOT_SERVING */
	bed_init(&b, s, 2);
	b.check.protocol = CHECK_GRPC;
	b.check.service = STR("shop.Api");
	bed_start(&b);
	EXPECT_STATE(&b, 0, "HEALTHY");
	EXPECT_STATE(&b, 1, "UNHEALTHY HealthCheckFailed");
	bed_stop(&b);
	server_stop(&s[0]);
	server_stop(&s[1]);
	cr_expect(strstr(s[0].head, ":path: /grpc.health.v1.Health/Check\n") != NULL, "%s", s[0].head);
	cr_expect(strstr(s[0].head, "content-type: application/grpc\n") != NULL);
	cr_expect(s[0].body_len == sizeof(asked) && memcmp(s[0].body, asked, sizeof(asked)) == 0);
}

Test(health, https_does_not_look_at_the_certificate, .timeout = 60)
{
	struct server s;
	struct bed b;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct wanted w = {.name = "somebody.else", .key = key};
	X509 *x = keys_certificate(&w);

	server_start(&s, WIRE_HTTP1, 200);
	s.manner = HANG_UP;
	s.tls = SSL_CTX_new(TLS_server_method());
	cr_assert(SSL_CTX_use_certificate(s.tls, x) == 1 && SSL_CTX_use_PrivateKey(s.tls, key) == 1);
	s.manner = SAY;
	bed_init(&b, &s, 1);
	b.check.protocol = CHECK_HTTPS;
	bed_start(&b);
	EXPECT_STATE(&b, 0, "HEALTHY");
	cr_expect(strncmp(s.head, "GET /healthy", 12) == 0);
	bed_stop(&b);
	server_stop(&s);
	X509_free(x);
	EVP_PKEY_free(key);
}

Test(health, state_stays_with_the_target_and_ends_with_the_checks, .timeout = 60)
{
	struct server s;
	struct bed b;

	server_start(&s, WIRE_HTTP1, 200);
	bed_init(&b, &s, 1);
	b.check.interval_ms = 3600 * 1000; /* the first check alone */
	bed_start(&b);
	EXPECT_STATE(&b, 0, "HEALTHY");
	s.manner = SILENT;
	bed_publish(&b);
	cr_expect_str_eq(bed_state(&b, 0), "HEALTHY");
	b.check.enabled = false;
	bed_publish(&b);
	cr_expect_str_eq(bed_state(&b, 0), "UNAVAILABLE HealthCheckDisabled");
	b.check.enabled = true;
	bed_publish(&b);
	cr_expect_str_eq(bed_state(&b, 0), "INITIAL InitialHealthChecking");
	cr_expect(bed_down(&b, 0) == DOWN_NEW);
	b.type = GROUP_LAMBDA;
	bed_publish(&b);
	cr_expect_str_eq(bed_state(&b, 0), "UNAVAILABLE HealthCheckNotSupported");
	cr_expect(bed_down(&b, 0) == 0);
	b.type = GROUP_IP;
	b.admin = ADMIN_DRAIN;
	bed_publish(&b);
	cr_expect_str_eq(bed_state(&b, 0), "DRAINING Draining");
	b.idle = true;
	bed_publish(&b);
	cr_expect_str_eq(bed_state(&b, 0), "UNUSED TargetGroupNotInUse");
	expect_told(&b, "blue/a INITIAL -> HEALTHY \nblue/a HEALTHY -> UNAVAILABLE HealthCheckDisabled\n"
			"blue/a UNAVAILABLE -> INITIAL InitialHealthChecking\n"
			"blue/a INITIAL -> UNAVAILABLE HealthCheckNotSupported\n"
			"blue/a UNAVAILABLE -> DRAINING Draining\n"
			"blue/a DRAINING -> UNUSED TargetGroupNotInUse\n");
	bed_stop(&b);
	server_stop(&s);
}

Test(health, nobody_asks_what_is_not_checked, .timeout = 60)
{
	struct server s;
	struct bed b;
	int before;

	server_start(&s, WIRE_HTTP1, 200);
	bed_init(&b, &s, 1);
	bed_start(&b);
	EVENTUALLY(s.seen >= 2);
	b.idle = true;
	bed_publish(&b);
	poll(NULL, 0, 150); /* one that was under way */
	before = s.seen;
	poll(NULL, 0, 500);
	cr_expect(s.seen == before);
	b.idle = false;
	b.ntargets = 0;
	bed_publish(&b);
	poll(NULL, 0, 300);
	cr_expect(s.seen == before);
	bed_stop(&b);
	server_stop(&s);
}

Test(health, all_workers_know_and_the_group_tells_that_it_changed, .timeout = 60)
{
	struct server s;
	struct bed b;
	uint32_t epochs[4];

	server_start(&s, WIRE_HTTP1, 200);
	bed_init(&b, &s, 1);
	b.config.workers = 4;
	bed_start(&b);
	EVENTUALLY(bed_down(&b, 0) == 0);
	for (unsigned i = 0; i < 4; i++)
		epochs[i] = worker_slot(engine_worker(b.engine, i), b.group)->epoch;
	s.status = 500;
	EVENTUALLY(bed_down(&b, 0) == DOWN_UNHEALTHY);
	for (unsigned i = 0; i < 4; i++)
		cr_expect(worker_slot(engine_worker(b.engine, i), b.group)->epoch == epochs[i] + 1);
	bed_stop(&b);
	server_stop(&s);
}

/* One timer of 100 ms is the wheel's tick, so an interval of a second is seen well. */
Test(health, interval_does_not_wait_for_the_answer, .timeout = 60)
{
	struct server s;
	struct bed b;

	server_start(&s, WIRE_HTTP1, 200);
	s.manner = SILENT;
	bed_init(&b, &s, 1);
	b.check.interval_ms = 1000;
	b.check.timeout_ms = 700;
	bed_start(&b);
	EVENTUALLY(s.seen == 1);
	poll(NULL, 0, 3000);
	cr_expect(s.seen >= 3 && s.seen <= 5, "%d", s.seen);
	bed_stop(&b);
	server_stop(&s);
}
