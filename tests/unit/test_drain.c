/* test_drain.c - a target leaves: nothing new goes there, what runs has its time, and is cut off then. */
#include "webkit.h"

/* A request that the target has. */
static void
begin(const struct web *w, const char *request, int *client, int *far, unsigned which)
{
	do {
		unsigned got;

		*client = web_client(w, request);
		*far = web_accept(w, WEB_TARGETS, &got);
		web_read(*far, "\r\n\r\n");
		if (got == which)
			return;
		close(*client);
		close(*far);
	} while (true);
}

static void
leave(struct web *w, unsigned which, enum admin admin)
{
	if (admin == ADMIN_UP) {
		web_remove(w, which);
	} else {
		w->admin[which] = admin;
		web_publish(w);
	}
}

Test(drain, a_running_request_ends_at_a_removed_target, .timeout = 60)
{
	struct web w;
	struct draining d;
	uint32_t at = 0, slot;
	int client, far;

	web_init(&w, 2);
	web_start(&w);
	begin(&w, GET, &client, &far, 0);
	slot = w.slots[0];
	web_remove(&w, 0);
	cr_assert(engine_removed(w.s.engine, w.group_slot, &at, &d));
	cr_expect(str_eq(d.name, STR("target")) && d.slot == slot && d.removed);
	cr_expect(d.inflight == 1 && d.requests >= 1 && d.ends_in_ms > 50000 && d.ends_in_ms <= 60000);
	cr_expect(!engine_removed(w.s.engine, w.group_slot, &at, &d));
	at = 0;
	cr_expect(!engine_removed(w.s.engine, w.rule_slot, &at, &d));
	for (unsigned i = 0; i < 4; i++) {
		int other = web_client(&w, GET);
		int there = web_accept(&w, 1, NULL);

		web_read(there, "\r\n\r\n");
		web_answer(there, OK);
		cr_expect(web_status(other) == 200);
		close(there);
		close(other);
	}
	web_answer(far, OK);
	cr_expect(web_status(client) == 200);
	/* A kept connection to it is of no use. */
	cr_expect(read_end(far) == 0);
	at = 0;
	cr_expect(!engine_removed(w.s.engine, w.group_slot, &at, &d));
	cr_expect(metric(&w.s, "drain_cut_total") == 0);
	close(client);
	close(far);
	web_stop(&w);
}

Test(drain, cuts_off_what_runs_for_too_long, .timeout = 60)
{
	static const enum admin ways[] = {ADMIN_UP, ADMIN_DRAIN, ADMIN_DOWN};

	for (size_t i = 0; i < COUNT(ways); i++) {
		struct web w;
		struct draining d;
		uint64_t start;
		int waiting, begun, upgraded, far[3];

		web_init(&w, 1);
		w.drain_ms = 400;
		web_start(&w);
		begin(&w, GET, &waiting, &far[0], 0);
		begin(&w, GET, &begun, &far[1], 0);
		web_answer(far[1], "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
		cr_expect(web_status(begun) == 200);
		begin(&w, "GET / HTTP/1.1\r\nhost: shop.test\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
		    &upgraded, &far[2], 0);
		web_answer(far[2], "HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
		cr_expect(web_status(upgraded) == 101);
		start = clock_ms();
		leave(&w, 0, ways[i]);
		cr_expect(engine_draining(w.s.engine, w.slots[0], &d) == (ways[i] != ADMIN_UP));
		/* Not at once, and not the ones before the others. */
		send_all(upgraded, "up", 2);
		expect_bytes(far[2], "up", 2);
		cr_expect(web_status(waiting) == 503);
		cr_expect(clock_ms() - start >= 400 && clock_ms() - start < 3000);
		cr_expect(read_end(begun) == -ECONNRESET);
		cr_expect(read_end(upgraded) == -ECONNRESET);
		EVENTUALLY(metric(&w.s, "drain_cut_total") == 3);
		for (unsigned k = 0; k < 3; k++)
			close(far[k]);
		close(waiting);
		close(begun);
		close(upgraded);
		web_stop(&w);
	}
}

Test(drain, cuts_off_what_is_passed_through, .timeout = 60)
{
	struct web w;
	int client, far;

	web_init(&w, 1);
	w.protocol = PROTOCOL_TLS_PASSTHROUGH;
	w.drain_ms = 200;
	hello_make(&shop, TLS1_3_VERSION, "shop.test", 0);
	web_start(&w);
	client = client_open(&w.s, &shop);
	far = web_accept(&w, 0, NULL);
	expect_bytes(far, shop.p, shop.n);
	web_remove(&w, 0);
	send_all(far, "still", 5);
	expect_bytes(client, "still", 5);
	cr_expect(read_end(client) == -ECONNRESET);
	cr_expect(read_end(far) == -ECONNRESET);
	cr_expect(metric(&w.s, "drain_cut_total") == 1);
	close(client);
	close(far);
	web_stop(&w);
}

Test(drain, is_over_when_the_target_is_up_again, .timeout = 60)
{
	struct web w;
	struct draining d;
	int client, far;

	web_init(&w, 1);
	w.drain_ms = 300;
	web_start(&w);
	begin(&w, GET, &client, &far, 0);
	leave(&w, 0, ADMIN_DRAIN);
	cr_assert(engine_draining(w.s.engine, w.slots[0], &d));
	cr_expect(!d.removed && d.inflight == 1 && d.ends_in_ms <= 300);
	w.admin[0] = ADMIN_UP;
	web_publish(&w);
	cr_expect(!engine_draining(w.s.engine, w.slots[0], &d));
	poll(NULL, 0, 800);
	web_answer(far, OK);
	cr_expect(web_status(client) == 200);
	cr_expect(metric(&w.s, "drain_cut_total") == 0);
	close(client);
	close(far);
	web_stop(&w);
}

/* What is published meanwhile neither moves the time nor forgets it. */
Test(drain, does_not_wait_for_the_changes_to_stop, .timeout = 60)
{
	struct web w;
	struct pollfd p;
	uint64_t start;
	int client, far;

	web_init(&w, 1);
	w.drain_ms = 300;
	web_start(&w);
	begin(&w, GET, &client, &far, 0);
	leave(&w, 0, ADMIN_DRAIN);
	start = clock_ms();
	p = (struct pollfd){.fd = client, .events = POLLIN};
	while (poll(&p, 1, 20) == 0 && clock_ms() - start < 5000) {
		w.there[1] = !w.there[1];
		if (!w.there[1])
			w.retired[w.nretired++] = w.slots[1];
		web_publish(&w);
		if (!w.there[1])
			w.slots[1] = slots_take(&w.s.slots);
	}
	cr_expect(web_status(client) == 503);
	cr_expect(clock_ms() - start >= 300 && clock_ms() - start < 3000);
	close(client);
	close(far);
	web_stop(&w);
}

/* Its number is not another's while a request is there, nor before the worker has taken it off its list. */
Test(drain, a_target_that_comes_again_starts_anew, .timeout = 60)
{
	struct web w;
	uint32_t old, at = 0;
	struct draining d;
	int client, far, next, there;

	web_init(&w, 1);
	w.drain_ms = 1000;
	web_start(&w);
	begin(&w, GET, &client, &far, 0);
	old = w.slots[0];
	web_remove(&w, 0);
	w.there[0] = true;
	web_publish(&w);
	cr_expect(w.slots[0] != old);
	cr_expect(engine_requests(w.s.engine, w.slots[0]) == 0);
	cr_expect(engine_removed(w.s.engine, w.group_slot, &at, &d) && d.slot == old);
	begin(&w, GET, &next, &there, 0);
	cr_expect(web_status(client) == 503);
	cr_expect(engine_requests(w.s.engine, w.slots[0]) == 1);
	/* And what it got is not cut off with the rest. */
	web_answer(there, OK);
	cr_expect(web_status(next) == 200);
	for (unsigned i = 0; i < 100 && slots_take(&w.s.slots) != old; i++) {
		poll(NULL, 0, 20);
		engine_reclaim(w.s.engine);
		cr_assert(i < 99, "the number of the old one did not come back");
	}
	close(client);
	close(far);
	close(next);
	close(there);
	web_stop(&w);
}

Test(drain, who_was_removed_is_not_tried_again, .timeout = 60)
{
	for (unsigned others = 0; others < 2; others++) {
		struct web w;
		int client, far;

		web_init(&w, 1 + others);
		w.resilience = (struct resilience){.retries = 3, .retry_on = RETRY_CONNECT};
		web_start(&w);
		begin(&w, GET, &client, &far, 0);
		web_remove(&w, 0);
		close(far);
		if (others > 0) {
			far = web_accept(&w, 1, NULL);
			web_read(far, "\r\n\r\n");
			web_answer(far, OK);
			close(far);
		}
		cr_expect(web_status(client) == (others > 0 ? 200 : 502));
		cr_expect(metric(&w.s, "retries_total") == others);
		close(client);
		web_stop(&w);
	}
}

/* A request that began before looks for another target in the table of now. */
Test(drain, who_was_removed_is_not_another_target, .timeout = 60)
{
	struct web w;
	int client, far;
	unsigned which;

	web_init(&w, 2);
	w.resilience = (struct resilience){.retries = 1, .retry_on = RETRY_CONNECT};
	web_start(&w);
	begin(&w, GET, &client, &far, 0);
	web_remove(&w, 1);
	close(far);
	far = web_accept(&w, WEB_TARGETS, &which);
	cr_expect(which == 0);
	web_read(far, "\r\n\r\n");
	web_answer(far, OK);
	cr_expect(web_status(client) == 200);
	close(far);
	close(client);
	web_stop(&w);
}

Test(drain, tables_tell_which_groups_differ, .timeout = 60)
{
	static const uint32_t at[] = {0, 63, 64, 5000, 300000};
	struct build *b = build_new(NULL);
	struct table *one, *two;
	struct clash clash;
	uint32_t i = 0;

	for (unsigned n = 0; n < 4; n++) {
		struct group *g = group_new();

		g->index = at[n];
		build_group(b, at[n], g);
	}
	cr_assert(build_seal(b, &one, &clash) == 0);
	b = build_new(one);
	cr_assert(build_seal(b, &two, &clash) == 0);
	cr_expect(table_group_differs(one, two, 0) == UINT32_MAX);
	table_free(two);
	b = build_new(one);
	for (unsigned n = 1; n < COUNT(at); n++) {
		struct group *g = group_new();

		g->index = at[n];
		build_group(b, at[n], g);
	}
	build_group(b, 0, NULL);
	cr_assert(build_seal(b, &two, &clash) == 0);
	for (unsigned n = 0; n < COUNT(at); n++) {
		i = table_group_differs(one, two, i);
		cr_expect(i == at[n], "%u: %u", n, i);
		cr_expect(table_group_differs(two, one, i) == at[n]);
		i++;
	}
	cr_expect(table_group_differs(one, two, i) == UINT32_MAX);
	table_free(one);
	table_free(two);
}
