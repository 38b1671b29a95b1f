/* test_h1.c - HTTP/1 heads of h1.h: what is refused, what is understood, what is printed. */
#include "../../engine/http/h1.h"
#include <criterion/criterion.h>
#include <stdio.h>

#define R11 "GET / HTTP/1.1\r\nHost: a\r\n"

/* Parses `in` as it grows by `step` bytes. What comes out must not depend on how it came in. */
static int
parse_in_steps(struct msg *m, const char *in, size_t n, size_t step, const struct fault **fault)
{
	size_t scanned = 0;
	int rc = 0;

	*fault = NULL;
	for (size_t have = MIN(step, n); rc == 0; have = MIN(have + step, n)) {
		/* A block of its own, so that ASan sees a read behind what has come. */
		char *copy = xcalloc(1, have);

		memcpy(copy, in, have);
		rc = h1_parse_request(m, copy, have, &scanned, fault);
		free(copy);
		if (have == n)
			break;
	}
	return rc;
}

static int
request(struct msg *m, const char *in, const struct fault **fault)
{
	size_t scanned = 0;

	*fault = NULL;
	return h1_parse_request(m, in, strlen(in), &scanned, fault);
}

static const struct {
	const char *in;
	unsigned status;
	const char *name;
} refused[] = {
    /* lines and bytes */
    {"GET / HTTP/1.1\nHost: a\n\n", 400, "lone_lf"},
    {"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, "lone_lf"},
    {"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400, "lone_cr"},
    {"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400, "lone_cr"},
    {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "lone_lf"},
    {"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "lone_cr"},
    {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "empty_line"},
    {R11 "X: a\001b\r\n\r\n", 400, "control_byte"},
    {R11 "X: a\033[31m\r\n\r\n", 400, "control_byte"},
    {R11 "X: a\177b\r\n\r\n", 400, "control_byte"},
    {R11 "X: 0123456789abcdef0123456789abcdef\013\r\n\r\n", 400, "control_byte"},
    /* the request line */
    {"GET /\r\n\r\n", 400, "start_line"},
    {"GET\r\n\r\n", 400, "method"},
    {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "method"},
    {"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "method"},
    {"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "method"},
    {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
    {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "version"},
    {"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400, "version"},
    {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "version"},
    {"GET #a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
    {"GET http://a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
    {"GET /\303\244 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
    {"GET /a\177 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "control_byte"},
    {"GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
    {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
    {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
    {"OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
    {"GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
    {"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501, "connect"},
    {"GET / http/1.1\r\nHost: a\r\n\r\n", 400, "version"},
    {"GET / HTTP/1\r\nHost: a\r\n\r\n", 400, "version"},
    {"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, "version"},
    {"GET / HTTP/11\r\nHost: a\r\n\r\n", 400, "version"},
    {"GET / HTTP/1.x\r\nHost: a\r\n\r\n", 400, "version"},
    {"GET / ICE/1.0\r\nHost: a\r\n\r\n", 400, "version"},
    {"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505, "version_major"},
    {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version_major"},
    /* fields */
    {R11 "X : y\r\n\r\n", 400, "blank_before_colon"},
    {R11 "X\t: y\r\n\r\n", 400, "blank_before_colon"},
    {R11 "X: y\r\n folded\r\n\r\n", 400, "folded_line"},
    {R11 "X: y\r\n\tfolded\r\n\r\n", 400, "folded_line"},
    {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "folded_line"},
    {R11 ": y\r\n\r\n", 400, "field_name"},
    {R11 "X\r\n\r\n", 400, "field_name"},
    {R11 "X\303\244: y\r\n\r\n", 400, "field_name"},
    {R11 "X(: y\r\n\r\n", 400, "field_name"},
    {R11 "Content_Length: 5\r\n\r\n", 400, "framing_lookalike"},
    {R11 "transfer_encoding: chunked\r\n\r\n", 400, "framing_lookalike"},
    {R11 "TRANSFER_ENCODING: chunked\r\n\r\n", 400, "framing_lookalike"},
    /* Host */
    {"GET / HTTP/1.1\r\n\r\n", 400, "host_missing"},
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "host_repeated"},
    {"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", 400, "host_repeated"},
    {"GET / HTTP/1.1\r\nHost: \r\n\r\n", 400, "host_malformed"},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "host_malformed"},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "host_malformed"},
    {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "host_malformed"},
    {"GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n", 400, "host_malformed"},
    {"GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", 400, "host_malformed"},
    {"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400, "host_malformed"},
    {"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", 400, "host_malformed"},
    {"GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", 400, "host_malformed"},
    {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400, "host_malformed"},
    {"GET / HTTP/1.1\r\nHost: [::1::]\r\n\r\n", 400, "host_malformed"},
    {"GET / HTTP/1.1\r\nHost: [::1]80\r\n\r\n", 400, "host_malformed"},
    {"GET / HTTP/1.1\r\nHost: a\303\244\r\n\r\n", 400, "host_malformed"},
    {"GET / HTTP/1.1\r\nHost: %61\r\n\r\n", 400, "host_malformed"},
    {"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "host_differs"},
    {"GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "host_differs"},
    {"GET http://a/ HTTP/1.1\r\n\r\n", 400, "host_missing"},
    {"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "host_malformed"},
    {"GET http://u@a/ HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "host_malformed"},
    {"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
    {"GET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
    /* framing */
    {R11 "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400, "length_repeated"},
    {R11 "Content-Length: 5\r\ncontent-length: 6\r\n\r\n", 400, "length_repeated"},
    {R11 "Content-Length: 5, 5\r\n\r\n", 400, "length_malformed"},
    {R11 "Content-Length: 5,\r\n\r\n", 400, "length_malformed"},
    {R11 "Content-Length: +5\r\n\r\n", 400, "length_malformed"},
    {R11 "Content-Length: -5\r\n\r\n", 400, "length_malformed"},
    {R11 "Content-Length: 5 5\r\n\r\n", 400, "length_malformed"},
    {R11 "Content-Length: 0x5\r\n\r\n", 400, "length_malformed"},
    {R11 "Content-Length: 5.0\r\n\r\n", 400, "length_malformed"},
    {R11 "Content-Length: \"5\"\r\n\r\n", 400, "length_malformed"},
    {R11 "Content-Length:\r\n\r\n", 400, "length_malformed"},
    {R11 "Content-Length: 18446744073709551617\r\n\r\n", 413, "length_too_large"},
    {R11 "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "length_and_coding"},
    {R11 "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", 400, "length_and_coding"},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "coding_in_http_1_0"},
    {R11 "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "coding_unknown"},
    {R11 "Transfer-Encoding: identity\r\n\r\n", 501, "coding_unknown"},
    {R11 "Transfer-Encoding: xchunked\r\n\r\n", 501, "coding_unknown"},
    {R11 "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", 501, "coding_unknown"},
    {R11 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "coding_malformed"},
    {R11 "Transfer-Encoding: chunked, chunked\r\n\r\n", 400, "coding_malformed"},
    {R11 "Transfer-Encoding: chunked,\r\n\r\n", 400, "coding_malformed"},
    {R11 "Transfer-Encoding: ,chunked\r\n\r\n", 400, "coding_malformed"},
    {R11 "Transfer-Encoding: chunked;q=1\r\n\r\n", 400, "coding_malformed"},
    {R11 "Transfer-Encoding: \"chunked\"\r\n\r\n", 400, "coding_malformed"},
    {R11 "Transfer-Encoding: chun ked\r\n\r\n", 400, "coding_malformed"},
    {R11 "Transfer-Encoding:\r\n\r\n", 400, "coding_malformed"},
    {R11 "Expect: 200-ok\r\n\r\n", 417, "expect"},
    {R11 "Expect: 100-continue, x\r\n\r\n", 417, "expect"},
    {R11 "Connection: a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a\r\n\r\n", 400,
	"connection_options"},
};

Test(h1, refuses_what_two_parsers_could_read_differently)
{
	for (size_t i = 0; i < COUNT(refused); i++) {
		const struct fault *fault;
		struct msg m;
		size_t n = strlen(refused[i].in);

		for (size_t step = 1; step <= n; step = step < 40 ? step + 1 : MAX(step + 1, n)) {
			int rc = parse_in_steps(&m, refused[i].in, n, step, &fault);

			cr_assert(rc == -1, "row %zu step %zu: passed %d", i, step, rc);
			cr_expect(fault->status == refused[i].status, "row %zu step %zu: %d", i, step,
			    fault->status);
			cr_expect(strcmp(fault->name, refused[i].name) == 0, "row %zu step %zu: %s", i, step,
			    fault->name);
		}
	}
}

Test(h1, refuses_nul_everywhere)
{
	static const char in[] = "GET /abc HTTP/1.1\r\nHost: a\r\nX-Name: value of it\r\n\r\n";

	for (size_t at = 0; at + 4 < sizeof(in) - 1; at++) {
		const struct fault *fault;
		char bad[sizeof(in)];
		size_t scanned = 0;
		struct msg m;

		memcpy(bad, in, sizeof(in));
		bad[at] = '\0';
		cr_expect(h1_parse_request(&m, bad, sizeof(in) - 1, &scanned, &fault) == -1, "at %zu", at);
	}
}

static const struct {
	const char *in;
	const char *target, *path, *host, *authority;
	enum body body;
	uint64_t length;
	bool keep_alive, upgrade, expect;
} understood[] = {
    {R11 "\r\n", "/", "/", "a", "a", BODY_NONE, 0, 1, 0, 0},
    {"\r\n" R11 "\r\n", "/", "/", "a", "a", BODY_NONE, 0, 1, 0, 0},
    {"GET /x/y?z=1?2 HTTP/1.1\r\nhOsT:\t Shop.Example:8080 \t\r\n\r\n", "/x/y?z=1?2", "/x/y", "Shop.Example",
	"Shop.Example:8080", BODY_NONE, 0, 1, 0, 0},
    {"GET / HTTP/1.1\r\nHost: [fd00::5]:80\r\n\r\n", "/", "/", "fd00::5", "[fd00::5]:80", BODY_NONE, 0, 1, 0,
	0},
    {"GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "/", "/", "a", "a:", BODY_NONE, 0, 1, 0, 0},
    {"GET / HTTP/1.0\r\n\r\n", "/", "/", "", "", BODY_NONE, 0, 0, 0, 0},
    {"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "/", "/", "a", "a", BODY_NONE, 0, 1, 0,
	0},
    {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "/", "/", "", "", BODY_NONE, 0, 0, 0, 0},
    {"GET / HTTP/1.7\r\nHost: a\r\n\r\n", "/", "/", "a", "a", BODY_NONE, 0, 1, 0, 0},
    {"get / HTTP/1.1\r\nHost: a\r\n\r\n", "/", "/", "a", "a", BODY_NONE, 0, 1, 0, 0},
    {"M-SEARCH /%00\"<>|{}\\^` HTTP/1.1\r\nHost: a_b\r\n\r\n", "/%00\"<>|{}\\^`", "/%00\"<>|{}\\^`", "a_b",
	"a_b", BODY_NONE, 0, 1, 0, 0},
    {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "*", "*", "a", "a", BODY_NONE, 0, 1, 0, 0},
    {"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", "*", "*", "a", "a", BODY_NONE, 0, 1, 0, 0},
    {"GET http://a HTTP/1.1\r\nHost: A\r\n\r\n", "/", "/", "a", "a", BODY_NONE, 0, 1, 0, 0},
    {"GET HTTPS://a:8443/x?y HTTP/1.1\r\nHost: a:8443\r\n\r\n", "/x?y", "/x", "a", "a:8443", BODY_NONE, 0, 1,
	0, 0},
    {"GET http://[::1]/ HTTP/1.0\r\n\r\n", "/", "/", "::1", "[::1]", BODY_NONE, 0, 0, 0, 0},
    {R11 "Connection: close\r\n\r\n", "/", "/", "a", "a", BODY_NONE, 0, 0, 0, 0},
    {R11 "Connection: x, Close ,y\r\n\r\n", "/", "/", "a", "a", BODY_NONE, 0, 0, 0, 0},
    {R11 "Connection: keep-alive\r\nConnection: close\r\n\r\n", "/", "/", "a", "a", BODY_NONE, 0, 0, 0, 0},
    {R11 "Content-Length: 5\r\n\r\nhello", "/", "/", "a", "a", BODY_LENGTH, 5, 1, 0, 0},
    {R11 "Content-Length: \t005 \r\n\r\n", "/", "/", "a", "a", BODY_LENGTH, 5, 1, 0, 0},
    {R11 "Content-Length: 0\r\n\r\n", "/", "/", "a", "a", BODY_NONE, 0, 1, 0, 0},
    {R11 "Content-Length: 4611686018427387904\r\n\r\n", "/", "/", "a", "a", BODY_LENGTH, BODY_BYTES_MAX, 1, 0,
	0},
    {R11 "Transfer-Encoding: Chunked\r\n\r\n", "/", "/", "a", "a", BODY_CHUNKED, 0, 1, 0, 0},
    {R11 "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "/", "/", "a", "a", BODY_NONE, 0, 1, 1, 0},
    {R11 "Upgrade: websocket\r\n\r\n", "/", "/", "a", "a", BODY_NONE, 0, 1, 0, 0},
    {R11 "Connection: upgrade\r\n\r\n", "/", "/", "a", "a", BODY_NONE, 0, 1, 0, 0},
    {R11 "Connection: upgrade\r\nUpgrade: H2C\r\n\r\n", "/", "/", "a", "a", BODY_NONE, 0, 1, 0, 0},
    {R11 "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n", "/", "/", "a", "a", BODY_NONE, 0, 1, 0, 0},
    {R11 "Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\n", "/", "/", "a", "a", BODY_LENGTH, 3,
	1, 0, 0},
    {"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "/", "/", "", "", BODY_NONE, 0, 0,
	0, 0},
    {R11 "Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n", "/", "/", "a", "a", BODY_LENGTH, 5, 1, 0, 1},
    {"GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", "/", "/", "", "", BODY_NONE, 0, 0, 0, 0},
    {R11 "X: caf\303\251 \"\t\" \377\r\n\r\n", "/", "/", "a", "a", BODY_NONE, 0, 1, 0, 0},
};

static void
expect_str(size_t row, const char *what, struct str got, const char *want)
{
	cr_expect(str_eq(got, str_of(want)), "row %zu: %s is '" STR_FMT "'", row, what, STR_ARG(got));
}

Test(h1, understands_a_request)
{
	for (size_t i = 0; i < COUNT(understood); i++) {
		const struct fault *fault;
		struct msg m;
		int rc = request(&m, understood[i].in, &fault);

		cr_assert(rc > 0, "row %zu: %s", i, fault == NULL ? "incomplete" : fault->name);
		cr_expect(
		    (size_t)rc == (size_t)(strstr(understood[i].in + 2, "\r\n\r\n") + 4 - understood[i].in));
		expect_str(i, "target", m.target, understood[i].target);
		expect_str(i, "path", m.path, understood[i].path);
		expect_str(i, "host", m.host, understood[i].host);
		expect_str(i, "authority", m.authority, understood[i].authority);
		cr_expect(m.body == understood[i].body, "row %zu: body %d", i, m.body);
		cr_expect(m.length == understood[i].length, "row %zu", i);
		cr_expect(m.keep_alive == understood[i].keep_alive, "row %zu: keep_alive", i);
		cr_expect(m.upgrade == understood[i].upgrade, "row %zu: upgrade", i);
		cr_expect(m.expect_continue == understood[i].expect, "row %zu: expect", i);
	}
}

Test(h1, waits_for_the_end_of_a_head_whatever_the_pieces)
{
	for (size_t i = 0; i < COUNT(understood); i++) {
		size_t n = (size_t)(strstr(understood[i].in + 2, "\r\n\r\n") + 4 - understood[i].in);
		const struct fault *fault;
		struct msg m;

		for (size_t step = 1; step < n; step++)
			cr_expect(parse_in_steps(&m, understood[i].in, n, step, &fault) == (int)n,
			    "row %zu step %zu", i, step);
		for (size_t have = 1; have < n; have++)
			cr_expect(parse_in_steps(&m, understood[i].in, have, have, &fault) == 0,
			    "row %zu: %zu bytes are not all", i, have);
	}
}

Test(h1, takes_a_head_apart_rightly_when_others_come_between_its_pieces)
{
	static const char between[] = "PUT /other HTTP/1.0\r\nA: bcdefgh\r\nC:d\r\nE:f\r\nG:h\r\n\r\n";

	for (size_t i = 0; i < COUNT(understood); i++) {
		size_t n = (size_t)(strstr(understood[i].in + 2, "\r\n\r\n") + 4 - understood[i].in),
		       scanned = 0;
		const struct fault *fault;
		struct msg m, other, whole;
		size_t other_scanned;
		int rc = 0;

		for (size_t have = 1; have <= n && rc == 0; have++) {
			rc = h1_parse_request(&m, understood[i].in, have, &scanned, &fault);
			/* From the same depth, so that it takes the same stack. */
			other_scanned = 0;
			cr_assert(h1_parse_request(
				      &other, between, sizeof(between) - 1, &other_scanned, &fault) > 0);
		}
		cr_assert(rc == (int)n && request(&whole, understood[i].in, &fault) == rc, "row %zu", i);
		cr_assert(m.nfields == whole.nfields, "row %zu", i);
		cr_expect(str_eq(m.target, whole.target) && str_eq(m.host, whole.host), "row %zu", i);
		for (uint32_t k = 0; k < m.nfields; k++)
			cr_expect(m.fields[k].name.p == whole.fields[k].name.p &&
				      m.fields[k].value.p == whole.fields[k].value.p &&
				      m.fields[k].value.len == whole.fields[k].value.len &&
				      m.fields[k].id == whole.fields[k].id,
			    "row %zu field %u", i, k);
	}
}

Test(h1, knows_methods_and_looks_fields_up)
{
	static const struct {
		const char *name;
		enum method id;
	} rows[] = {{"GET", METHOD_GET}, {"HEAD", METHOD_HEAD}, {"POST", METHOD_POST}, {"PUT", METHOD_PUT},
	    {"DELETE", METHOD_DELETE}, {"OPTIONS", METHOD_OPTIONS}, {"PATCH", METHOD_PATCH},
	    {"TRACE", METHOD_TRACE}, {"get", METHOD_OTHER}, {"PURGE", METHOD_OTHER}};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct fault *fault;
		struct msg m;
		char in[200];

		snprintf(in, sizeof(in), "%s / HTTP/1.1\r\nHost: a\r\nX-Canary: yes\r\nx-canary: no\r\n\r\n",
		    rows[i].name);
		cr_assert(request(&m, in, &fault) > 0);
		cr_expect(m.method_id == rows[i].id, "row %zu", i);
		expect_str(i, "method", m.method, rows[i].name);
		expect_str(i, "field", msg_field(&m, STR("X-CANARY")), "yes");
		cr_expect(msg_field(&m, STR("x-cana")).p == NULL);
	}
}

/* A head of n bytes with one long field. */
static char *
long_head(size_t n)
{
	static const char start[] = R11 "X: ";
	char *p = xcalloc(1, n + 1);

	memset(p, 'a', n);
	memcpy(p, start, sizeof(start) - 1);
	memcpy(p + n - 4, "\r\n\r\n", 4);
	return p;
}

Test(h1, bounds_the_head_also_before_it_is_complete)
{
	const struct fault *fault;
	struct msg m;
	char *p = long_head(HEAD_BYTES_MAX);

	cr_expect(request(&m, p, &fault) == (int)HEAD_BYTES_MAX);
	free(p);
	p = long_head(HEAD_BYTES_MAX + 1);
	for (size_t step = 4000; step <= HEAD_BYTES_MAX + 1; step += 19147) {
		cr_expect(parse_in_steps(&m, p, HEAD_BYTES_MAX + 1, step, &fault) == -1);
		cr_expect(fault->status == 431, "step %zu", step);
	}
	cr_expect(parse_in_steps(&m, p, HEAD_BYTES_MAX - 1, 1000, &fault) == 0);
	cr_expect(parse_in_steps(&m, p, HEAD_BYTES_MAX, 1000, &fault) == -1);
	free(p);
}

Test(h1, bounds_the_number_of_fields_also_before_the_end)
{
	for (unsigned n = FIELDS_MAX - 1; n <= FIELDS_MAX + 1; n++) {
		struct text t = {0};
		const struct fault *fault;
		struct msg m;

		text_printf(&t, R11);
		for (unsigned i = 1; i < n; i++)
			text_printf(&t, "X:%u\r\n", i);
		for (size_t step = 1; step < 300; step += 37) {
			int rc = parse_in_steps(&m, t.p, t.len, step, &fault);

			cr_expect(rc == (n > FIELDS_MAX ? -1 : 0), "%u fields, step %zu: %d", n, step, rc);
			cr_expect(n <= FIELDS_MAX || fault->status == 431);
		}
		text_printf(&t, "\r\n");
		cr_expect(request(&m, t.p, &fault) == (n > FIELDS_MAX ? -1 : (int)t.len));
		cr_expect(n > FIELDS_MAX || m.nfields == n);
		text_fini(&t);
	}
}

/* ------------------------------------------------------------------ printing a request */

#define XFF "x-forwarded-for: 10.1.2.3\r\n"
#define REST "x-forwarded-proto: http\r\nx-forwarded-port: 80\r\n"
#define ID "x-amzn-requestid: id-1\r\n"

static const struct msg_forward forward = {
    .client = {"10.1.2.3", 8},
    .proto = {"http", 4},
    .port = {"80", 2},
    .request_id = {"id-1", 4},
};

static const struct {
	const char *in;
	bool chunked;
	const char *want;
} printed[] = {
    {R11 "Accept: */*\r\n\r\n", 0, R11 "Accept: */*\r\n" XFF REST ID "\r\n"},
    {"GET /x?y HTTP/1.0\r\n\r\n", 0, "GET /x?y HTTP/1.1\r\nhost: \r\n" XFF REST ID "\r\n"},
    {"GET http://a/x HTTP/1.1\r\nA: b\r\nHost: A\r\n\r\n", 0,
	"GET /x HTTP/1.1\r\nA: b\r\nHost: a\r\n" XFF REST ID "\r\n"},
    {"GET http://a/x HTTP/1.0\r\nA: b\r\n\r\n", 0,
	"GET /x HTTP/1.1\r\nA: b\r\nhost: a\r\n" XFF REST ID "\r\n"},
    /* what is dropped */
    {"GET / HTTP/1.1\r\nConnection: x-a, keep-alive, Host, content-length, x-forwarded-for\r\nHost: a\r\n"
     "Keep-Alive: timeout=5\r\nX-A: 1\r\nX-B: 2\r\nProxy-Connection: close\r\nx-a: 3\r\n"
     "HTTP2-Settings: AAA\r\nUpgrade: h2c\r\nContent-Length: 3\r\nX-Forwarded-For: 1.1.1.1\r\n"
     "x-amzn-lattice-identity: admin\r\nX-Amzn-Lattice-Network: n\r\nTE: gzip\r\n\r\n",
	0, R11 "X-B: 2\r\nContent-Length: 3\r\nx-forwarded-for: 1.1.1.1, 10.1.2.3\r\n" REST ID "\r\n"},
    /* what is ours */
    {R11 "x-forwarded-proto: https\r\nX-Forwarded-Port: 1\r\nX-Forwarded-For: 1.1.1.1\r\n"
	 "X-Forwarded-For:\r\nx-forwarded-for: 2.2.2.2, 3.3.3.3\r\nX-Amzn-RequestId: mine\r\n"
	 "x-amzn-requestid: other\r\n\r\n",
	0,
	R11 "X-Amzn-RequestId: mine\r\nx-forwarded-for: 1.1.1.1, 2.2.2.2, 3.3.3.3, 10.1.2.3\r\n" REST "\r\n"},
    {R11 "x-amzn-requestid:\r\n\r\n", 0, R11 XFF REST ID "\r\n"},
    /* end to end */
    {R11
	"Proxy-Authorization: Basic x\r\nTrailer: x\r\nExpect: 100-continue\r\nA:b\r\nB: \t c \r\nD:\r\n\r\n",
	0,
	R11
	"Proxy-Authorization: Basic x\r\nTrailer: x\r\nExpect: 100-continue\r\nA:b\r\nB: c\r\nD:\r\n" XFF REST
	    ID "\r\n"},
    /* framing */
    {R11 "Transfer-Encoding: chunked\r\n\r\n", 1, R11 "Transfer-Encoding: chunked\r\n" XFF REST ID "\r\n"},
    {R11 "Transfer-Encoding: CHUNKED\r\n\r\n", 1, R11 XFF REST ID "transfer-encoding: chunked\r\n\r\n"},
    {R11 "Content-Length: 0\r\nA: b\r\n\r\n", 0, R11 "Content-Length: 0\r\nA: b\r\n" XFF REST ID "\r\n"},
    {R11 "Content-Length: 5\r\nA: b\r\n\r\n", 1,
	R11 "A: b\r\n" XFF REST ID "transfer-encoding: chunked\r\n\r\n"},
    /* tunnels and TE */
    {R11 "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nTE: deflate, trailers;q=1, "
	 "trailers\r\n\r\n",
	0, R11 "Upgrade: websocket\r\nTE: trailers\r\n" XFF REST ID "connection: upgrade, te\r\n\r\n"},
    {R11 "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 0,
	R11 "Upgrade: websocket\r\n" XFF REST ID "connection: upgrade\r\n\r\n"},
    {R11 "TE: trailers\r\n\r\n", 0, R11 "TE: trailers\r\n" XFF REST ID "connection: te\r\n\r\n"},
};

static void
expect_text(size_t row, const char *got, size_t n, const char *want)
{
	cr_expect(n == strlen(want) && memcmp(got, want, n) == 0, "row %zu: got\n%.*s\nwant\n%s", row, (int)n,
	    got, want);
}

Test(h1, prints_a_request_as_it_goes_to_a_target)
{
	for (size_t i = 0; i < COUNT(printed); i++) {
		struct msg_forward f = forward;
		const struct fault *fault;
		struct msg m;
		char out[2048];
		int n = request(&m, printed[i].in, &fault);

		cr_assert(n > 0, "row %zu: %s", i, fault == NULL ? "incomplete" : fault->name);
		f.chunked = printed[i].chunked;
		expect_text(i, out, h1_print_request(out, &m, &f), printed[i].want);
	}
}

Test(h1, prints_what_it_would_itself_accept_and_within_the_room)
{
	const struct msg_forward f = {STR("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"), STR("https"),
	    STR("65535"), STR("01234567-89ab-cdef-0123-456789abcdef"), STR(""), true, STR("")};

	for (size_t i = 0; i < COUNT(understood); i++) {
		const struct fault *fault;
		struct msg m, again;
		size_t scanned = 0;
		char out[2048];
		int n = request(&m, understood[i].in, &fault);
		size_t printed_n = h1_print_request(out, &m, &f);
		int rc = h1_parse_request(&again, out, printed_n, &scanned, &fault);

		cr_expect(printed_n <= (size_t)n + MSG_GROWTH_MAX, "row %zu", i);
		/* Only an HTTP/1.0 request without Host goes out with an empty one. */
		cr_expect(rc == (m.authority.len > 0 ? (int)printed_n : -1), "row %zu: %d", i, rc);
		cr_expect(rc < 0 || again.body == BODY_CHUNKED, "row %zu", i);
	}
}

Test(h1, grows_a_head_of_many_tight_fields_by_little)
{
	const struct msg_forward f = {STR("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"), STR("https"),
	    STR("65535"), STR("01234567-89ab-cdef-0123-456789abcdef"), STR(""), true, STR("")};
	struct text t = {0};
	const struct fault *fault;
	static char out[8192];
	struct msg m;

	text_printf(
	    &t, "GET http://a/ HTTP/1.1\r\nHost:A\r\nTE:trailers\r\nUpgrade:x\r\nConnection:upgrade\r\n");
	for (unsigned i = 4; i < FIELDS_MAX; i++)
		text_printf(&t, i % 2 ? "X:%u\r\n" : "x-forwarded-for:%u\r\n", i);
	text_printf(&t, "\r\n");
	cr_assert(request(&m, t.p, &fault) == (int)t.len);
	cr_expect(h1_print_request(out, &m, &f) <= t.len + MSG_GROWTH_MAX);
	text_fini(&t);
}

Test(h1, cuts_a_request_id_that_is_too_long)
{
	struct text t = {0};
	const struct fault *fault;
	static char out[8192];
	struct msg m;
	size_t n;

	text_printf(&t, R11 "x-amzn-requestid: %0600d\r\nA: b\r\n\r\n", 1);
	cr_assert(request(&m, t.p, &fault) > 0);
	n = h1_print_request(out, &m, &forward);
	out[n] = '\0';
	text_clear(&t);
	text_printf(&t, R11 "x-amzn-requestid: %0512d\r\nA: b\r\n" XFF REST "\r\n", 0);
	expect_text(0, out, n, t.p);
	text_fini(&t);
}

Test(h1, routes_by_what_comes_before_a_query_or_a_fragment)
{
	static const struct {
		const char *target, *path;
	} rows[] = {{"/a#b", "/a"}, {"/a?b#c", "/a"}, {"/#", "/"}, {"/a#b?c", "/a"}};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct fault *fault;
		struct msg m;
		size_t scanned = 0;
		char raw[128];
		int n = snprintf(raw, sizeof(raw), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", rows[i].target);

		cr_assert(h1_parse_request(&m, raw, (size_t)n, &scanned, &fault) == n, "row %zu", i);
		cr_expect(str_eq(m.target, str_of(rows[i].target)), "row %zu", i);
		cr_expect(str_eq(m.path, str_of(rows[i].path)), "row %zu", i);
	}
}
