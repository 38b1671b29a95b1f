/* test_retry.c - what an action does when a target does not do well: once more, elsewhere, or not at all. */
#include "webkit.h"

/* A target gets the request, and does `what` with it: an answer, or NULL: it closes. Which one it was. */
static unsigned
serve(const struct web *w, const char *tail, const char *what)
{
	unsigned which;
	int fd = web_accept(w, WEB_TARGETS, &which);

	web_read(fd, tail);
	if (what != NULL)
		web_answer(fd, what);
	close(fd);
	return which;
}

Test(retry, takes_another_target_for_answers_that_the_rule_names, .timeout = 60)
{
	static const struct {
		uint8_t on;
		const char *answer;
		const char *request;
		bool again;
	} rows[] = {
	    {RETRY_5XX, UNAVAILABLE, GET, true},
	    {RETRY_GATEWAY, UNAVAILABLE, GET, true},
	    {RETRY_5XX, "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", POST, true},
	    {RETRY_GATEWAY, "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", GET, false},
	    {RETRY_5XX, "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", GET, false},
	    {RETRY_CONNECT, UNAVAILABLE, GET, false},
	    {RETRY_CONNECT, NULL, GET, true},
	    {RETRY_CONNECT, NULL, POST, false},
	    {RETRY_GATEWAY, NULL, POST, true},
	    {0, NULL, GET, false},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *tail = rows[i].request + strlen(rows[i].request) - 4;
		struct web w;
		unsigned first, status;
		int client;

		web_init(&w, 2);
		w.resilience = (struct resilience){.retries = 1, .retry_on = rows[i].on};
		web_start(&w);
		client = web_client(&w, rows[i].request);
		first = serve(&w, tail, rows[i].answer);
		if (rows[i].again)
			cr_expect(serve(&w, tail, OK) != first, "row %zu", i);
		status = web_status(client);
		cr_expect((status == 200) == rows[i].again, "row %zu: %u", i, status);
		cr_expect(metric(&w.s, "retries_total") == rows[i].again, "row %zu", i);
		cr_expect(metric(&w.s, "answers_5xx_total") <= !rows[i].again, "row %zu", i);
		close(client);
		web_stop(&w);
	}
}

Test(retry, ends_after_its_number_with_the_last_answer, .timeout = 60)
{
	struct web w;
	int client;

	web_init(&w, 1);
	w.resilience = (struct resilience){.retries = 2, .retry_on = RETRY_5XX};
	web_start(&w);
	client = web_client(&w, GET);
	for (unsigned i = 0; i < 3; i++)
		serve(&w, "\r\n\r\n", UNAVAILABLE);
	cr_expect(web_status(client) == 503);
	cr_expect(metric(&w.s, "retries_total") == 2);
	close(client);
	web_stop(&w);
}

Test(retry, finds_the_one_that_listens, .timeout = 60)
{
	struct web w;
	int client;

	web_init(&w, 3);
	w.resilience = (struct resilience){.retries = 2, .retry_on = RETRY_CONNECT};
	web_start(&w);
	web_kill(&w, 0);
	web_kill(&w, 1);
	for (unsigned i = 0; i < 6; i++) {
		client = web_client(&w, POST);
		cr_expect(serve(&w, "body", OK) == 2);
		cr_expect(web_status(client) == 200);
		close(client);
	}
	web_stop(&w);
}

/* In pieces, the last of them after the target has answered. */
Test(retry, sends_a_body_that_came_in_pieces_again, .timeout = 60)
{
	static const char *const heads[] = {
	    "PUT / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 9\r\n\r\none",
	    "PUT / HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n"};
	static const char *const mores[][2] = {{"two", "end"}, {"3\r\ntwo\r\n", "3\r\nend\r\n0\r\n\r\n"}};
	static const char *const tails[][3] = {{"one", "onetwo", "onetwoend"},
	    {"3\r\none\r\n", "3\r\none\r\n3\r\ntwo\r\n", "3\r\none\r\n3\r\ntwo\r\n3\r\nend\r\n0\r\n\r\n"}};

	for (size_t i = 0; i < COUNT(heads); i++) {
		struct web w;
		unsigned first, second;
		int client, far;

		web_init(&w, 2);
		w.resilience = (struct resilience){.retries = 1, .retry_on = RETRY_5XX};
		web_start(&w);
		client = web_client(&w, heads[i]);
		far = web_accept(&w, WEB_TARGETS, &first);
		web_read(far, tails[i][0]);
		send_all(client, mores[i][0], strlen(mores[i][0]));
		web_read(far, mores[i][0]);
		web_answer(far, UNAVAILABLE);
		close(far);
		far = web_accept(&w, WEB_TARGETS, &second);
		cr_expect(first != second);
		web_read(far, tails[i][1]);
		send_all(client, mores[i][1], strlen(mores[i][1]));
		web_read(far, mores[i][1]);
		web_answer(far, OK);
		cr_expect(web_status(client) == 200);
		close(far);
		close(client);
		web_stop(&w);
	}
}

Test(retry, keeps_no_body_that_is_too_long, .timeout = 60)
{
	static char body[RETRY_BODY_MAX + 1];
	struct web w;
	char head[128];
	int client, far;

	memset(body, 'x', sizeof(body));
	body[sizeof(body) - 1] = '!';
	for (unsigned over = 0; over < 2; over++) {
		size_t n = sizeof(body) - 1 + over;

		web_init(&w, 1);
		w.resilience = (struct resilience){.retries = 1, .retry_on = RETRY_5XX};
		web_start(&w);
		snprintf(head, sizeof(head),
		    "POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: %zu\r\n\r\n", n);
		client = web_client(&w, head);
		send_all(client, body + sizeof(body) - n, n);
		far = web_accept(&w, 0, NULL);
		web_read(far, "x!");
		web_answer(far, UNAVAILABLE);
		close(far);
		if (over == 0) {
			far = web_accept(&w, 0, NULL);
			web_read(far, "x!");
			web_answer(far, OK);
			close(far);
		}
		cr_expect(web_status(client) == (over == 0 ? 200 : 503));
		close(client);
		web_stop(&w);
	}
}

Test(retry, never_after_a_byte_of_an_answer, .timeout = 60)
{
	struct web w;
	int client, far;

	web_init(&w, 2);
	w.resilience =
	    (struct resilience){.retries = 3, .retry_on = RETRY_5XX | RETRY_CONNECT | RETRY_GATEWAY};
	web_start(&w);
	client = web_client(&w, GET);
	far = web_accept(&w, WEB_TARGETS, NULL);
	web_read(far, "\r\n\r\n");
	web_answer(far, "HTTP/1.1 103 Early Hints\r\n\r\n");
	cr_expect(web_status(client) == 103);
	web_answer(far, UNAVAILABLE);
	cr_expect(web_status(client) == 503);
	cr_expect(metric(&w.s, "retries_total") == 0);
	close(far);
	close(client);
	web_stop(&w);
}

Test(retry, has_a_budget, .timeout = 60)
{
	enum { N = 10 };
	struct web w;
	int clients[N], far[N];
	unsigned again = 0;
	struct pollfd p;

	web_init(&w, 1);
	w.resilience = (struct resilience){.retries = 1, .retry_on = RETRY_5XX};
	web_start(&w);
	for (unsigned i = 0; i < N; i++) {
		clients[i] = web_client(&w, GET);
		far[i] = web_accept(&w, 0, NULL);
		web_read(far[i], "\r\n\r\n");
	}
	for (unsigned i = 0; i < N; i++)
		web_answer(far[i], UNAVAILABLE);
	EVENTUALLY(metric(&w.s, "retries_total") + metric(&w.s, "retries_over_budget_total") == N);
	/* A fifth of ten is less than the three that there always are. */
	cr_expect(metric(&w.s, "retries_total") == RETRIES_MIN);
	p = (struct pollfd){.fd = w.targets[0], .events = POLLIN};
	for (; again < N && poll(&p, 1, 200) > 0; again++)
		serve(&w, "\r\n\r\n", OK);
	cr_expect(again == RETRIES_MIN);
	again = 0;
	for (unsigned i = 0; i < N; i++) {
		again += web_status(clients[i]) == 200;
		close(clients[i]);
		close(far[i]);
	}
	cr_expect(again == RETRIES_MIN);
	web_stop(&w);
}

/* ------------------------------------------------------------------ timeout */

Test(retry, a_timeout_ends_the_wait_for_an_answer, .timeout = 60)
{
	struct web w;
	uint64_t start;
	int client, far;

	web_init(&w, 1);
	w.resilience = (struct resilience){.timeout_ms = 300};
	web_start(&w);
	start = clock_ms();
	client = web_client(&w, GET);
	far = web_accept(&w, 0, NULL);
	cr_expect(web_status(client) == 504);
	cr_expect(clock_ms() - start >= 300 && clock_ms() - start < 2000);
	cr_expect(metric(&w.s, "target_timeouts_total") == 1);
	close(far);
	close(client);
	/* Once it has begun the answer may take as long as it likes. */
	client = web_client(&w, GET);
	far = web_accept(&w, 0, NULL);
	web_read(far, "\r\n\r\n");
	web_answer(far, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
	cr_expect(web_status(client) == 200);
	poll(NULL, 0, 700);
	web_answer(far, "ok");
	expect_bytes(client, "ok", 2);
	close(far);
	close(client);
	web_stop(&w);
}

Test(retry, the_tries_share_a_timeout, .timeout = 60)
{
	struct web w;
	uint64_t start, took;
	int client, far[2];

	web_init(&w, 2);
	w.resilience = (struct resilience){.timeout_ms = 1200, .retries = 1, .retry_on = RETRY_TIMEOUT};
	web_start(&w);
	start = clock_ms();
	client = web_client(&w, GET);
	far[0] = web_accept(&w, WEB_TARGETS, NULL);
	web_read(far[0], "\r\n\r\n");
	far[1] = web_accept(&w, WEB_TARGETS, NULL);
	took = clock_ms() - start;
	cr_expect(took >= 600 && took < 1200, "%lu", took);
	web_read(far[1], "\r\n\r\n");
	cr_expect(read_end(far[0]) <= 0);
	cr_expect(web_status(client) == 504);
	took = clock_ms() - start;
	cr_expect(took >= 1200 && took < 3000, "%lu", took);
	close(far[0]);
	close(far[1]);
	close(client);
	web_stop(&w);
}

/* ------------------------------------------------------------------ max-requests */

Test(retry, a_full_target_gets_no_more, .timeout = 60)
{
	struct web w;
	int clients[3], far[2], late;
	unsigned which[2];

	web_init(&w, 2);
	w.resilience = (struct resilience){.max_requests = 1};
	web_start(&w);
	for (unsigned i = 0; i < 2; i++) {
		clients[i] = web_client(&w, GET);
		far[i] = web_accept(&w, WEB_TARGETS, &which[i]);
		web_read(far[i], "\r\n\r\n");
	}
	cr_expect(which[0] != which[1]);
	clients[2] = web_client(&w, GET);
	cr_expect(web_status(clients[2]) == 503);
	cr_expect(metric(&w.s, "target_full_total") == 1);
	cr_expect(metric(&w.s, "no_target_total") == 0);
	/* The one that is free gets the next, wherever the round robin stands. */
	web_answer(far[1], OK);
	cr_expect(web_status(clients[1]) == 200);
	close(far[1]);
	late = web_client(&w, GET);
	serve(&w, "\r\n\r\n", OK);
	cr_expect(web_status(late) == 200);
	close(late);
	close(far[0]);
	for (unsigned i = 0; i < 3; i++)
		close(clients[i]);
	web_stop(&w);
}
