/* test_pass.c - TLS passthrough: who gets a connection, and who none. */
#include "../../engine/http/hello.h"
#include "passkit.h"

/* ------------------------------------------------------------------ who gets it */

static void
expect_routed(const struct site *s, const struct hello *h, unsigned target)
{
	int client = client_open(s, h), far = target_accept(s, target, WAIT_MS);

	cr_assert(far >= 0);
	expect_bytes(far, h->p, h->n);
	send_all(far, "welcome", 7);
	expect_bytes(client, "welcome", 7);
	send_all(client, "more", 4);
	expect_bytes(far, "more", 4);
	close(client);
	cr_expect(read_end(far) == 0);
	close(far);
}

Test(pass, goes_where_the_name_says_and_changes_nothing, .timeout = 60)
{
	static struct hello wild;
	struct site s;
	uint64_t bytes;

	site_init(&s);
	site_start(&s);
	expect_routed(&s, &shop, BLUE);
	expect_routed(&s, &cart, GREEN);
	hello_make(&wild, TLS1_3_VERSION, "any.wild.test", 0);
	expect_routed(&s, &wild, BLUE);
	bytes = shop.n + cart.n + wild.n + 3 * 4;
	cr_expect(metric(&s, "passthrough_connections_total") == 3);
	cr_expect(metric(&s, "passthrough_bytes_received_total") == bytes);
	cr_expect(metric(&s, "passthrough_bytes_sent_total") == 3 * 7);
	cr_expect(metric(&s, "connections_accepted_total") == 3);
	site_stop(&s);
}

Test(pass, counts_for_service_rule_forward_group_and_target, .timeout = 60)
{
	struct site s;
	struct engine_stats stats;
	int client, far;

	site_init(&s);
	site_start(&s);
	client = client_open(&s, &shop);
	far = target_accept(&s, BLUE, WAIT_MS);
	cr_assert(far >= 0);
	EVENTUALLY(engine_inflight(s.engine, s.target_slots[BLUE]) == 1);
	cr_expect(engine_requests(s.engine, s.service_slots[0]) == 1);
	cr_expect(engine_requests(s.engine, s.rule_slots[0]) == 1);
	cr_expect(engine_requests(s.engine, s.forward_slots[0][BLUE]) == 1);
	cr_expect(engine_requests(s.engine, s.group_slots[BLUE]) == 1);
	cr_expect(engine_requests(s.engine, s.target_slots[BLUE]) == 1);
	cr_expect(engine_requests(s.engine, s.target_slots[GREEN]) == 0);
	/* An open connection is a client's, and holds no table. */
	EVENTUALLY(metric(&s, "passthrough_connections_total") == 1);
	site_publish(&s);
	engine_reclaim(s.engine);
	engine_stats(s.engine, &stats);
	cr_expect(stats.connections == 1 && stats.tables == 1);
	expect_bytes(far, shop.p, shop.n);
	send_all(far, "x", 1);
	expect_bytes(client, "x", 1);
	close(client);
	close(far);
	EVENTUALLY(engine_inflight(s.engine, s.target_slots[BLUE]) == 0);
	EVENTUALLY((engine_stats(s.engine, &stats), stats.connections == 0));
	site_stop(&s);
}

Test(pass, shares_connections_by_weight, .timeout = 60)
{
	struct site s;

	site_init(&s);
	s.weights[0] = 3;
	s.weights[1] = 1;
	site_start(&s);
	for (unsigned i = 0; i < 8; i++) {
		int client = client_open(&s, &shop);

		EVENTUALLY(metric(&s, "passthrough_connections_total") == i + 1);
		close(client);
	}
	cr_expect(engine_requests(s.engine, s.forward_slots[0][0]) == 6);
	cr_expect(engine_requests(s.engine, s.forward_slots[0][1]) == 2);
	site_stop(&s);
}

/* ------------------------------------------------------------------ who gets nothing */

static void
expect_closed(const struct site *s, const struct hello *h, const char *counter)
{
	unsigned long before = metric(s, counter);
	int client = client_open(s, h);

	cr_expect(read_end(client) == 0, "%s", counter);
	cr_expect(metric(s, counter) == before + 1, "%s", counter);
	cr_expect(target_accept(s, BLUE, 0) < 0 && target_accept(s, GREEN, 0) < 0);
	close(client);
}

Test(pass, closes_what_names_nobody, .timeout = 60)
{
	static struct hello h;
	struct site s;

	site_init(&s);
	site_start(&s);
	hello_make(&h, TLS1_3_VERSION, NULL, 0);
	expect_closed(&s, &h, "passthrough_no_name_total");
	hello_make(&h, TLS1_3_VERSION, "other.test", 0);
	expect_closed(&s, &h, "passthrough_unknown_total");
	hello_make(&h, TLS1_3_VERSION, "bare.test", 0);
	expect_closed(&s, &h, "no_target_total");
	h.n = (size_t)snprintf((char *)h.p, WIRE_MAX, "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
	expect_closed(&s, &h, "passthrough_bad_hellos_total");
	cr_expect(metric(&s, "passthrough_connections_total") == 0);
	cr_expect(engine_requests(s.engine, s.service_slots[0]) == 0);
	site_stop(&s);
}

Test(pass, takes_a_hello_in_pieces_and_up_to_its_bound, .timeout = 60)
{
	static struct hello h;
	struct site s;
	int client, far;

	site_init(&s);
	site_start(&s);
	client = connect_local(s.port);
	for (size_t i = 0; i < shop.n; i++)
		send_all(client, shop.p + i, 1);
	far = target_accept(&s, BLUE, WAIT_MS);
	cr_assert(far >= 0);
	expect_bytes(far, shop.p, shop.n);
	close(client);
	close(far);

	hello_make(&h, TLS1_3_VERSION, "shop.test", 12000);
	hello_make(&h, TLS1_3_VERSION, "shop.test", 12000 + (HELLO_BYTES_MAX - h.n));
	cr_assert(h.n == HELLO_BYTES_MAX);
	expect_routed(&s, &h, BLUE);
	/* Early data comes right behind. */
	memset(h.p + h.n, 0x17, 30000);
	h.n += 30000;
	expect_routed(&s, &h, BLUE);
	hello_make(&h, TLS1_3_VERSION, "shop.test", 16300);
	cr_assert(h.n > HELLO_BYTES_MAX);
	client = client_open(&s, &h);
	/* What it sent and nobody read makes it a reset. */
	cr_expect(read_end(client) <= 0);
	cr_expect(metric(&s, "passthrough_bad_hellos_total") == 1);
	close(client);
	site_stop(&s);
}

Test(pass, does_not_wait_for_a_slow_hello, .timeout = 60)
{
	struct site s;
	struct pollfd p;
	int silent, slow;
	uint64_t start;

	site_init(&s);
	s.config.head_timeout_ms = 300;
	site_start(&s);
	start = clock_ms();
	silent = connect_local(s.port);
	slow = connect_local(s.port);
	/* A byte now and then does not move the deadline. */
	p = (struct pollfd){.fd = slow, .events = POLLIN};
	for (unsigned i = 0; i < 100 && poll(&p, 1, 50) <= 0; i++)
		send_all(slow, shop.p + i, 1);
	cr_expect(clock_ms() - start >= 300 && clock_ms() - start < 2000);
	cr_expect(read_end(silent) == 0 && read_end(slow) <= 0);
	cr_expect(metric(&s, "passthrough_timeouts_total") == 2);
	close(silent);
	close(slow);
	site_stop(&s);
}

/* ------------------------------------------------------------------ targets that are not there */

Test(pass, tries_another_target_when_one_refuses, .timeout = 60)
{
	struct site s;

	site_init(&s);
	s.spare = free_port();
	site_start(&s);
	expect_routed(&s, &shop, BLUE);
	cr_expect(metric(&s, "retries_total") == 1);
	cr_expect(metric(&s, "target_connect_errors_total") == 1);
	cr_expect(engine_requests(s.engine, s.target_slots[2]) == 1);
	cr_expect(engine_inflight(s.engine, s.target_slots[2]) == 0);
	cr_expect(engine_requests(s.engine, s.service_slots[0]) == 1);
	site_stop(&s);
}

Test(pass, tries_another_target_when_one_does_not_answer, .timeout = 60)
{
	struct site s;
	int deaf, waiting[4];
	struct addr a;

	site_init(&s);
	/* A listener whose queue is full takes no more. */
	deaf = listen_local(&s.spare, 0);
	a = local_addr(s.spare);
	for (unsigned i = 0; i < COUNT(waiting); i++) {
		waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(waiting[i], &a.sa, sizeof(a.in));
	}
	site_start(&s);
	expect_routed(&s, &shop, BLUE);
	cr_expect(metric(&s, "retries_total") == 1);
	cr_expect(metric(&s, "target_connects_total") == 2);
	EVENTUALLY(engine_inflight(s.engine, s.target_slots[2]) == 0);
	for (unsigned i = 0; i < COUNT(waiting); i++)
		close(waiting[i]);
	close(deaf);
	site_stop(&s);
}

Test(pass, closes_when_no_target_can_be_reached, .timeout = 60)
{
	struct engine_stats stats;
	struct site s;
	int client;

	site_init(&s);
	s.spare = free_port();
	close(s.targets[BLUE]);
	s.targets[BLUE] = -1;
	site_start(&s);
	client = client_open(&s, &shop);
	cr_expect(read_end(client) == 0);
	cr_expect(metric(&s, "target_connect_errors_total") == 2);
	cr_expect(metric(&s, "passthrough_connections_total") == 0);
	EVENTUALLY((engine_stats(s.engine, &stats), stats.connections == 0));
	cr_expect(engine_inflight(s.engine, s.target_slots[BLUE]) == 0);
	close(client);
	site_stop(&s);
}
