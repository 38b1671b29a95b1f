/* test_invoke.c - a real engine whose target is a function; the test is the client, and the Invoke API. */
#include "passkit.h"

/* ------------------------------------------------------------------ an engine */

static uint32_t timeout_ms; /* the rule's; a test sets it before start */

static void
publish(struct site *s)
{
	struct build *b = build_new(engine_table(s->engine));
	struct group *g = group_make(s, BLUE);
	struct service *v = service_make(s, 0);
	struct place *p = table_kit_place(s->port, PROTOCOL_HTTP);

	g->protocol = GROUP_HTTP;
	g->type = GROUP_LAMBDA;
	g->lambda_v2 = true;
	g->arn = STR("arn:group");
	g->targets[0].host = STR("functions:9001");
	g->targets[0].path = STR("/2015-03-31/functions/f/invocations");
	v->arn = STR("arn:service");
	v->region = STR("mars-1");
	v->scopes[0].arn = STR("arn:network");
	v->listeners[0].protocol = PROTOCOL_HTTP;
	v->listeners[0].fallback.action.resilience.timeout_ms = timeout_ms;
	p->vpc_arn = xstrdup("arn:vpc");
	build_place(b, p);
	build_group(b, BLUE, g);
	build_group(b, GREEN, group_make(s, GREEN));
	build_service(b, 0, v);
	table_kit_publish(s->engine, b);
}

static void
start(struct site *s)
{
	const char *why;

	cr_assert(engine_start(&s->engine, &s->config, &s->slots, &why) == 0, "%s", why);
	publish(s);
}

/* ------------------------------------------------------------------ messages */

#define ROOM (20u << 20)

static char *room;

/* One message: its head and as much as its content-length says, in room; false: it ended before. */
static bool
read_message(int fd)
{
	size_t n = 0, want = SIZE_MAX;
	char *end;

	if (room == NULL)
		room = xcalloc(1, ROOM);
	while (n < want) {
		/* A head is read byte by byte: what comes behind is the next message. */
		ssize_t got = TEMP_FAILURE_RETRY(recv(fd, room + n, want == SIZE_MAX ? 1 : want - n, 0));

		if (got <= 0)
			return false;
		n += (size_t)got;
		room[n] = '\0';
		if (want == SIZE_MAX && n > 3 && memcmp(room + n - 4, "\r\n\r\n", 4) == 0) {
			end = strstr(room, "content-length: ");
			want = n + (end != NULL ? strtoul(end + 16, NULL, 10) : 0);
			cr_assert(want < ROOM);
		}
	}
	return true;
}

static void
send_text(int fd, const char *p)
{
	send_all(fd, p, strlen(p));
}

/* What is more than a socket takes at once. */
static void
send_large(int fd, const char *p, size_t n)
{
	ssize_t sent = 0;

	for (size_t at = 0; at < n; at += (size_t)sent) {
		sent = TEMP_FAILURE_RETRY(send(fd, p + at, n - at, MSG_NOSIGNAL));
		cr_assert(sent > 0, "%s", strerror(errno));
	}
}

/* The Invoke API's answer. */
static void
send_answer(int fd, const char *json)
{
	char *p = xasprintf("HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n\r\n%s", strlen(json), json);

	send_text(fd, p);
	free(p);
}

static void
expect_status(int fd, const char *status)
{
	cr_assert(read_message(fd));
	cr_expect(strncmp(room + 9, status, 3) == 0, "%s", room);
}

#define HAS(part) cr_expect(strstr(room, part) != NULL, "%s\nis not in\n%s", part, room)
#define HAS_NOT(part) cr_expect(strstr(room, part) == NULL, "%s\nis in\n%s", part, room)

#define GET "GET /x?a=b HTTP/1.1\r\nHost: shop.test\r\n\r\n"
#define OK "{\"statusCode\":200,\"headers\":{\"x-f\":\"1\"},\"body\":\"done\"}"

/* A client that sent this, and the function's side of it, which has read the event. */
static void
invoked(struct site *s, const char *request, int *client, int *function)
{
	*client = connect_local(s->port);
	send_text(*client, request);
	*function = target_accept(s, BLUE, WAIT_MS);
	cr_assert(*function >= 0 && read_message(*function));
}

/* ------------------------------------------------------------------ tests */

Test(invoke, there_and_back_on_kept_connections, .timeout = 60)
{
	struct site s;
	int client, function;

	site_init(&s);
	start(&s);
	invoked(&s,
	    "POST /x?a=b HTTP/1.1\r\nHost: shop.test\r\nContent-Type: text/plain\r\nTransfer-Encoding: "
	    "chunked\r\n\r\n"
	    "3\r\nab\"\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n" GET,
	    &client, &function);
	cr_expect(
	    strncmp(room, "POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nhost: functions:9001\r\n",
		70) == 0);
	HAS("{\"version\":\"2.0\",\"path\":\"/"
	    "x?a=b\",\"method\":\"POST\",\"headers\":{\"host\":[\"shop.test\"],");
	HAS("\"x-forwarded-for\":[\"127.0.0.1\"],\"x-forwarded-proto\":[\"http\"],");
	HAS("\"queryStringParameters\":{\"a\":[\"b\"]},\"requestContext\":{\"serviceNetworkArn\":\"arn:"
	    "network\","
	    "\"serviceArn\":\"arn:service\",\"targetGroupArn\":\"arn:group\","
	    "\"identity\":{\"sourceVpcArn\":\"arn:vpc\"},\"region\":\"mars-1\",\"timeEpoch\":\"");
	HAS("\"body\":\"ab\\\"de\",\"isBase64Encoded\":false}");
	HAS_NOT("railer");
	send_answer(function, OK);
	expect_status(client, "200");
	HAS("x-f: 1\r\n");
	HAS("x-amzn-requestid: ");
	HAS("\r\n\r\ndone");
	/* The next one was pipelined. */
	cr_assert(read_message(function));
	HAS("\"method\":\"GET\"");
	HAS("\"body\":\"\",\"isBase64Encoded\":false}");
	send_answer(function, "{\"statusCode\":201,\"isBase64Encoded\":true,\"body\":\"AP8=\"}");
	expect_status(client, "201");
	cr_expect(memcmp(strstr(room, "\r\n\r\n") + 4, "\0\xff", 2) == 0);
	cr_expect(metric(&s, "answers_2xx_total") == 2);
	cr_expect(metric(&s, "bytes_received_total") == 5);
	EVENTUALLY(metric(&s, "bytes_sent_total") == 6);
	cr_expect(engine_requests(s.engine, s.target_slots[BLUE]) == 2);
	close(client);
	close(function);
	site_stop(&s);
}

Test(invoke, a_body_in_parts_is_awaited, .timeout = 60)
{
	struct site s;
	int client, function;

	site_init(&s);
	start(&s);
	client = connect_local(s.port);
	send_text(client,
	    "PUT / HTTP/1.1\r\nHost: shop.test\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n"
	    "Expect: 100-continue\r\n\r\n");
	expect_status(client, "100");
	for (unsigned i = 0; i < 3; i++) {
		cr_expect(target_accept(&s, BLUE, 20) == -1);
		send_text(client, "12");
	}
	function = target_accept(&s, BLUE, WAIT_MS);
	cr_assert(function >= 0 && read_message(function));
	HAS("\"body\":\"121212\"");
	HAS_NOT("\"expect\"");
	send_answer(function, OK);
	expect_status(client, "200");
	close(client);
	close(function);
	site_stop(&s);
}

Test(invoke, head_gets_the_length_alone, .timeout = 60)
{
	struct site s;
	int client, function;

	site_init(&s);
	start(&s);
	invoked(&s, "HEAD / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n", &client, &function);
	HAS("\"method\":\"HEAD\"");
	/* An answer in parts, with a 100 before it that is of no interest. */
	send_text(
	    function, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	send_text(function, "10\r\n{\"statusCode\":20\r\n");
	poll(NULL, 0, 20);
	send_text(function, "e\r\n0,\"body\":\"hi\"}\r\n0\r\n\r\n");
	cr_expect(!read_message(client), "there is no body, and the connection is closed");
	cr_expect(strncmp(room, "HTTP/1.1 200 OK\r\n", 17) == 0);
	HAS("content-length: 2\r\n");
	HAS("connection: close\r\n\r\n");
	cr_expect(strcmp(strstr(room, "\r\n\r\n"), "\r\n\r\n") == 0);
	close(client);
	close(function);
	site_stop(&s);
}

Test(invoke, what_is_no_answer_is_502, .timeout = 60)
{
	static const char *const answers[] = {
	    "HTTP/1.1 200 OK\r\nX-Amz-Function-Error: Unhandled\r\nContent-Length: 54\r\n\r\n"
	    "{\"statusCode\":200,\"headers\":{\"x-f\":\"1\"},\"body\":\"done\"}",
	    "HTTP/1.1 500 Oops\r\nContent-Length: 54\r\n\r\n"
	    "{\"statusCode\":200,\"headers\":{\"x-f\":\"1\"},\"body\":\"done\"}",
	    "HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{\"statusCode\":200]",
	    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	    "HTTP/1.1 204 No Content\r\n\r\n",
	    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 6291457\r\n\r\n",
	    "no HTTP\r\n\r\n",
	};
	struct site s;
	int client, function;

	site_init(&s);
	start(&s);
	for (size_t i = 0; i < COUNT(answers); i++) {
		invoked(&s, "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
		    &client, &function);
		send_text(function, answers[i]);
		/* What is cut off as well. */
		shutdown(function, SHUT_WR);
		expect_status(client, "502");
		HAS_NOT("done");
		close(client);
		close(function);
	}
	cr_expect(metric(&s, "target_bad_answers_total") == COUNT(answers));
	site_stop(&s);
}

Test(invoke, a_body_over_six_megabytes_is_413, .timeout = 60)
{
	struct site s;
	char *chunk = xcalloc(1, 1 << 20);
	int client;

	memset(chunk, 'x', 1 << 20);
	site_init(&s);
	start(&s);
	client = connect_local(s.port);
	send_text(client, "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 6291457\r\n\r\n");
	expect_status(client, "413");
	close(client);
	client = connect_local(s.port);
	send_text(client, "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (unsigned i = 0; i < 6; i++) {
		send_text(client, "100000\r\n");
		send_large(client, chunk, 1 << 20);
		send_text(client, "\r\n");
	}
	send_text(client, "1\r\nx\r\n");
	expect_status(client, "413");
	close(client);
	cr_expect(target_accept(&s, BLUE, 20) == -1);
	free(chunk);
	site_stop(&s);
}

Test(invoke, six_megabytes_there_and_back, .timeout = 60)
{
	static const char before[] = "{\"statusCode\":200,\"body\":\"", after[] = "\"}";
	size_t size = 6 << 20, n = size - strlen(before) - strlen(after);
	char *body = xcalloc(1, size);
	struct site s;
	int client, function;

	memset(body, 'x', size);
	site_init(&s);
	start(&s);
	for (unsigned extra = 0; extra < 2; extra++) {
		client = connect_local(s.port);
		send_text(client, "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 6291456\r\n\r\n");
		send_large(client, body, size);
		function = target_accept(&s, BLUE, WAIT_MS);
		cr_assert(function >= 0 && read_message(function));
		cr_expect(strlen(strstr(room, "\"body\":\"")) ==
			  8 + size / 3 * 4 + strlen("\",\"isBase64Encoded\":true}"));
		send_text(function, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
		send_text(function, before);
		send_large(function, body, n + extra);
		send_text(function, after);
		shutdown(function, SHUT_WR);
		expect_status(client, extra == 0 ? "200" : "502");
		cr_expect((strlen(strstr(room, "\r\n\r\n")) == 4 + n) == (extra == 0));
		close(client);
		close(function);
	}
	free(body);
	site_stop(&s);
}

Test(invoke, deadlines, .timeout = 60)
{
	struct site s;
	int client, function;

	site_init(&s);
	s.idle_s = 1;
	s.config.response_timeout_ms = 300;
	start(&s);
	invoked(&s, GET, &client, &function);
	expect_status(client, "504");
	close(client);
	close(function);
	invoked(&s, GET, &client, &function);
	send_text(function, "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{");
	expect_status(client, "504");
	close(client);
	close(function);
	client = connect_local(s.port);
	send_text(client, "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 2\r\n\r\nx");
	expect_status(client, "408");
	close(client);
	cr_expect(metric(&s, "target_timeouts_total") == 2);
	cr_expect(metric(&s, "client_timeouts_total") == 1);
	site_stop(&s);
}

/* It counts from the request's head until there is a response, whatever comes meanwhile. */
Test(invoke, the_rules_timeout_is_for_all_of_it, .timeout = 60)
{
	struct site s;
	int client, function;
	uint64_t start_ms;

	site_init(&s);
	timeout_ms = 300;
	start(&s);
	client = connect_local(s.port);
	start_ms = clock_ms();
	send_text(client, "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 2\r\n\r\nx");
	expect_status(client, "504");
	cr_expect(clock_ms() - start_ms < 3000);
	close(client);
	invoked(&s, GET, &client, &function);
	send_text(function, "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{");
	expect_status(client, "504");
	close(client);
	close(function);
	cr_expect(metric(&s, "target_timeouts_total") == 1);
	cr_expect(metric(&s, "client_timeouts_total") == 0);
	site_stop(&s);
}

Test(invoke, nobody_there_is_503, .timeout = 60)
{
	struct site s;
	int client;

	site_init(&s);
	start(&s);
	close(s.targets[BLUE]);
	client = connect_local(s.port);
	send_text(client, GET);
	expect_status(client, "503");
	/* And the connection goes on. */
	send_text(client, GET);
	expect_status(client, "503");
	close(client);
	s.targets[BLUE] = -1;
	site_stop(&s);
}

Test(invoke, a_client_that_leaves_takes_its_body_along, .timeout = 60)
{
	struct site s;
	int client, function;

	site_init(&s);
	start(&s);
	client = connect_local(s.port);
	send_text(client, "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 2\r\n\r\nx");
	poll(NULL, 0, 20);
	close(client);
	EVENTUALLY(metric(&s, "client_aborts_total") == 1);
	cr_expect(target_accept(&s, BLUE, 20) == -1);
	/* A kept connection that the function's side closed: once more, on a new one. */
	invoked(&s, GET, &client, &function);
	send_answer(function, OK);
	expect_status(client, "200");
	close(function);
	poll(NULL, 0, 20);
	send_text(client, GET);
	function = target_accept(&s, BLUE, WAIT_MS);
	cr_assert(function >= 0 && read_message(function));
	send_answer(function, OK);
	expect_status(client, "200");
	close(client);
	close(function);
	site_stop(&s);
}
