/* test_h1_response.c - answers, trailers and answers of our own, of h1.h. */
#include "../../engine/http/h1.h"
#include <criterion/criterion.h>

#define OK "HTTP/1.1 200 OK\r\n"

static int
response(struct msg *m, const char *in, enum method method, const struct fault **fault)
{
	size_t scanned = 0;

	*fault = NULL;
	return h1_parse_response(m, in, strlen(in), &scanned, method, fault);
}

static void
expect_text(size_t row, const char *got, size_t n, const char *want)
{
	cr_expect(n == strlen(want) && memcmp(got, want, n) == 0, "row %zu: got\n%.*s\nwant\n%s", row, (int)n,
	    got, want);
}

Test(h1_response, refuses_an_ambiguous_answer_with_502)
{
	static const struct {
		const char *in, *name;
	} rows[] = {
	    {"HTTP/1.1 200 OK\n\n", "lone_lf"},
	    {"\r\nHTTP/1.1 200 OK\r\n\r\n", "empty_line"},
	    {"HTTP/1.1  200 OK\r\n\r\n", "start_line"},
	    {"HTTP/1.1 20 OK\r\n\r\n", "start_line"},
	    {"HTTP/1.1 2000 OK\r\n\r\n", "start_line"},
	    {"HTTP/1.1 099 OK\r\n\r\n", "status"},
	    {"HTTP/1.1 600 OK\r\n\r\n", "status"},
	    {"HTTP/1.1 2x0 OK\r\n\r\n", "status"},
	    {"HTTP/1.1\r\n\r\n", "start_line"},
	    {"HTTP/2.0 200 OK\r\n\r\n", "version_major"},
	    {"ICY/1.1 200 OK\r\n\r\n", "start_line"},
	    {"HTTX/1.1 200 OK\r\n\r\n", "version"},
	    {"<html></html>\r\n\r\n", "start_line"},
	    {OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "length_repeated"},
	    {OK "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", "length_repeated"},
	    {OK "Content-Length: 1,1\r\n\r\n", "length_malformed"},
	    {OK "Content-Length: -1\r\n\r\n", "length_malformed"},
	    {OK "Content-Length: 99999999999999999999\r\n\r\n", "length_too_large"},
	    {OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "length_and_coding"},
	    {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "coding_in_http_1_0"},
	    {OK "Transfer-Encoding: gzip\r\n\r\n", "coding_unknown"},
	    {OK "Transfer-Encoding: chunked, chunked\r\n\r\n", "coding_malformed"},
	    {OK "A: b\r\n c\r\n\r\n", "folded_line"},
	    {OK "A : b\r\n\r\n", "blank_before_colon"},
	    {OK "A: b\rc\r\n\r\n", "lone_cr"},
	    {OK "A: \001\r\n\r\n", "control_byte"},
	    {OK "A\r\n\r\n", "field_name"},
	    {OK "Content_Length: 1\r\n\r\n", "framing_lookalike"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct fault *fault;
		struct msg m;
		int rc = response(&m, rows[i].in, METHOD_GET, &fault);

		cr_assert(rc == -1, "row %zu: %d", i, rc);
		cr_expect(fault->status == 502, "row %zu: %d", i, fault->status);
		cr_expect(strcmp(fault->name, rows[i].name) == 0, "row %zu: %s", i, fault->name);
	}
}

Test(h1_response, knows_how_the_body_ends)
{
	static const struct {
		const char *in;
		enum method method;
		unsigned status;
		const char *reason;
		enum body body;
		uint64_t length;
		bool keep_alive, upgrade;
	} rows[] = {
	    {OK "Content-Length: 5\r\n\r\n", METHOD_GET, 200, "OK", BODY_LENGTH, 5, 1, 0},
	    {OK "Content-Length: 0\r\n\r\n", METHOD_GET, 200, "OK", BODY_NONE, 0, 1, 0},
	    {OK "Content-Length: 5\r\n\r\n", METHOD_HEAD, 200, "OK", BODY_NONE, 5, 1, 0},
	    {OK "\r\n", METHOD_HEAD, 200, "OK", BODY_NONE, 0, 1, 0},
	    {OK "\r\n", METHOD_GET, 200, "OK", BODY_EOF, 0, 0, 0},
	    {OK "Connection: keep-alive\r\n\r\n", METHOD_GET, 200, "OK", BODY_EOF, 0, 0, 0},
	    {OK "Transfer-Encoding: chunked\r\n\r\n", METHOD_GET, 200, "OK", BODY_CHUNKED, 0, 1, 0},
	    {OK "Transfer-Encoding: chunked\r\n\r\n", METHOD_HEAD, 200, "OK", BODY_NONE, 0, 1, 0},
	    {OK "Content-Length: 5\r\nConnection: close\r\n\r\n", METHOD_GET, 200, "OK", BODY_LENGTH, 5, 0,
		0},
	    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", METHOD_GET, 200, "OK", BODY_LENGTH, 5, 0, 0},
	    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\n", METHOD_GET, 200, "OK",
		BODY_LENGTH, 5, 1, 0},
	    {"HTTP/1.1 204 No Content\r\n\r\n", METHOD_GET, 204, "No Content", BODY_NONE, 0, 1, 0},
	    {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", METHOD_GET, 204, "No Content", BODY_NONE,
		0, 1, 0},
	    /* It announces what must not come: the connection is not used again. */
	    {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", METHOD_GET, 204, "No Content", BODY_NONE,
		5, 0, 0},
	    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", METHOD_GET, 304, "Not Modified",
		BODY_NONE, 5, 1, 0},
	    {"HTTP/1.1 100 Continue\r\n\r\n", METHOD_POST, 100, "Continue", BODY_NONE, 0, 1, 0},
	    {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		METHOD_GET, 101, "Switching Protocols", BODY_NONE, 0, 1, 1},
	    {"HTTP/1.1 101 Switching Protocols\r\n\r\n", METHOD_GET, 101, "Switching Protocols", BODY_NONE, 0,
		1, 0},
	    {"HTTP/1.1 404\r\nContent-Length: 1\r\n\r\n", METHOD_GET, 404, "", BODY_LENGTH, 1, 1, 0},
	    {"HTTP/1.1 404 \r\nContent-Length: 1\r\n\r\n", METHOD_GET, 404, "", BODY_LENGTH, 1, 1, 0},
	    {"HTTP/1.1 404 N\303\266 \t\r\nContent-Length: 1\r\n\r\n", METHOD_GET, 404, "N\303\266 \t",
		BODY_LENGTH, 1, 1, 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct fault *fault;
		struct msg m;
		int rc = response(&m, rows[i].in, rows[i].method, &fault);

		cr_assert(
		    rc == (int)strlen(rows[i].in), "row %zu: %s", i, fault == NULL ? "length" : fault->name);
		cr_expect(m.status == rows[i].status, "row %zu", i);
		cr_expect(str_eq(m.reason, str_of(rows[i].reason)), "row %zu", i);
		cr_expect(m.body == rows[i].body, "row %zu: body %d", i, m.body);
		cr_expect(m.length == rows[i].length, "row %zu", i);
		cr_expect(m.keep_alive == rows[i].keep_alive, "row %zu: keep_alive", i);
		cr_expect(m.upgrade == rows[i].upgrade, "row %zu: upgrade", i);
	}
}

Test(h1_response, is_printed_as_it_goes_to_the_client)
{
	static const struct {
		const char *in;
		enum method method;
		struct msg_reply reply;
		const char *want;
	} rows[] = {
	    {OK "Server: x\r\nContent-Length: 5\r\n\r\n", METHOD_GET, {.close = false},
		OK "Server: x\r\nContent-Length: 5\r\n\r\n"},
	    {"HTTP/1.0 200\r\nContent-Length: 5\r\n\r\n", METHOD_GET, {.close = true},
		"HTTP/1.1 200 \r\nContent-Length: 5\r\nconnection: close\r\n\r\n"},
	    {OK "Connection: close, x-a\r\nX-A: b\r\nKeep-Alive: x\r\nProxy-Authenticate: y\r\nUpgrade: "
		"h2\r\n"
		"Content-Length:5\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n",
		METHOD_GET, {.keep_alive = true},
		OK "Proxy-Authenticate: y\r\nContent-Length:5\r\nSet-Cookie: a\r\nset-cookie: b\r\n"
		   "connection: keep-alive\r\n\r\n"},
	    {OK "\r\n", METHOD_GET, {.chunked = true}, OK "transfer-encoding: chunked\r\n\r\n"},
	    {OK "Transfer-Encoding: chunked\r\nA: b\r\n\r\n", METHOD_GET, {.chunked = true},
		OK "Transfer-Encoding: chunked\r\nA: b\r\n\r\n"},
	    {OK "Transfer-Encoding: chunked\r\nA: b\r\n\r\n", METHOD_GET, {.close = true},
		OK "A: b\r\nconnection: close\r\n\r\n"},
	    {OK "Content-Length: 5\r\n\r\n", METHOD_HEAD, {.close = false}, OK "Content-Length: 5\r\n\r\n"},
	    {OK "Transfer-Encoding: chunked\r\n\r\n", METHOD_HEAD, {.close = false}, OK "\r\n"},
	    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", METHOD_GET, {.close = false},
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
	    {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nA: b\r\n\r\n", METHOD_GET, {.close = false},
		"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n"},
	    {"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\nLink: x\r\n\r\n", METHOD_GET,
		{.close = false}, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"},
	    {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		METHOD_GET, {.close = true},
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nconnection: upgrade\r\n\r\n"},
	    {OK "Content-Length: 1\r\n\r\n", METHOD_GET, {.request_id = {"id-1", 4}},
		OK "Content-Length: 1\r\nx-amzn-requestid: id-1\r\n\r\n"},
	    {OK "X-Amzn-RequestId: its\r\nContent-Length: 1\r\n\r\n", METHOD_GET, {.request_id = {"id-1", 4}},
		OK "X-Amzn-RequestId: its\r\nContent-Length: 1\r\n\r\n"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct fault *fault;
		struct msg m;
		char out[1024];

		cr_assert(response(&m, rows[i].in, rows[i].method, &fault) > 0, "row %zu", i);
		expect_text(i, out, h1_print_response(out, &m, &rows[i].reply), rows[i].want);
	}
}

Test(h1_response, of_our_own_is_complete)
{
	static const struct {
		unsigned status;
		bool close, head_only;
		const char *want;
	} rows[] = {
	    {404, false, false,
		"HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ncontent-length: 10\r\n"
		"x-amzn-requestid: id-1\r\n\r\nNot Found\n"},
	    {404, true, true,
		"HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ncontent-length: 10\r\n"
		"x-amzn-requestid: id-1\r\nconnection: close\r\n\r\n"},
	    {299, false, false,
		"HTTP/1.1 299 \r\ncontent-type: text/plain\r\ncontent-length: 4\r\nx-amzn-requestid: "
		"id-1\r\n\r\n"
		"299\n"},
	    {204, false, false, "HTTP/1.1 204 No Content\r\nx-amzn-requestid: id-1\r\n\r\n"},
	    {304, false, false, "HTTP/1.1 304 Not Modified\r\nx-amzn-requestid: id-1\r\n\r\n"},
	    {205, false, false,
		"HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\nx-amzn-requestid: id-1\r\n\r\n"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char out[512];

		expect_text(i, out,
		    h1_print_own(out, rows[i].status, STR("id-1"), rows[i].close, rows[i].head_only),
		    rows[i].want);
	}
}

Test(h1_response, of_our_own_fits_512_bytes_with_any_status_and_id)
{
	char id[600], out[1024];
	const struct fault *fault;
	struct msg m;

	memset(id, 'i', sizeof(id));
	for (unsigned status = 200; status < 600; status++) {
		size_t scanned = 0, n = h1_print_own(out, status, (struct str){id, sizeof(id)}, true, false);
		int rc = h1_parse_response(&m, out, n, &scanned, METHOD_GET, &fault);

		cr_expect(n <= 512, "%u: %zu", status, n);
		cr_expect(rc > 0 && m.status == status && m.length == n - (size_t)rc, "%u", status);
	}
}

Test(h1_response, trailers_pass_but_for_those_that_change_the_message)
{
	static const struct {
		const char *in;
		int rc;
		const char *want;
	} rows[] = {
	    {"\r\n", 2, "0\r\n\r\n"},
	    {"\r\nGET / HTTP/1.1\r\n", 2, "0\r\n\r\n"},
	    {"X-Sum: 1\r\nB:  2\r\n\r\n", 19, "0\r\nX-Sum: 1\r\nB: 2\r\n\r\n"},
	    {"Host: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nAuthorization: a\r\nX: y\r\n"
	     "Set-Cookie: a\r\nX-Forwarded-For: 1\r\nX-Amzn-Lattice-Identity: q\r\nx-amzn-oidc-data: "
	     "z\r\n\r\n",
		166, "0\r\nX: y\r\n\r\n"},
	    {"", 0, NULL},
	    {"\r", 0, NULL},
	    {"X: y\r\n", 0, NULL},
	    {"X: y\r\n\r", 0, NULL},
	    {"X: y\n\n", -1, "lone_lf"},
	    {"X : y\r\n\r\n", -1, "blank_before_colon"},
	    {"X: y\r\n z\r\n\r\n", -1, "folded_line"},
	    {": y\r\n\r\n", -1, "field_name"},
	    {"GET / HTTP/1.1\r\n\r\n", -1, "blank_before_colon"},
	    {"X: \001\r\n\r\n", -1, "control_byte"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct fault *fault = NULL;
		struct msg m;
		char out[1024];
		int rc = h1_parse_trailers(&m, rows[i].in, strlen(rows[i].in), &fault);

		cr_expect(rc == rows[i].rc, "row %zu: %d", i, rc);
		if (rc > 0)
			expect_text(i, out, h1_print_trailers(out, &m), rows[i].want);
		if (rc < 0)
			cr_expect(strcmp(fault->name, rows[i].want) == 0, "row %zu: %s", i, fault->name);
	}
}

Test(h1_response, trailers_are_bounded)
{
	static char in[TRAILER_BYTES_MAX + 1];
	const struct fault *fault;
	struct text t = {0};
	struct msg m;

	memset(in, 'a', sizeof(in));
	in[1] = ':';
	cr_expect(h1_parse_trailers(&m, in, TRAILER_BYTES_MAX - 1, &fault) == 0);
	cr_expect(h1_parse_trailers(&m, in, sizeof(in), &fault) == -1 && fault->status == 431);
	for (unsigned i = 0; i <= FIELDS_MAX; i++)
		text_printf(&t, "a:b\r\n");
	cr_expect(h1_parse_trailers(&m, t.p, t.len, &fault) == -1 && fault->status == 431);
	text_fini(&t);
}
