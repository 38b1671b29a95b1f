/* test_block.c - header lists of block.h: what is refused, what is understood, and both ways to HTTP/1. */
#include "../../engine/http/block.h"
#include "../../engine/http/h1.h"
#include <criterion/criterion.h>

static const struct msg_forward forward = {
    .client = {"10.1.2.3", 8},
    .proto = {"https", 5},
    .port = {"443", 3},
    .request_id = {"id", 2},
    .key = {"AAAAAAAAAAAAAAAAAAAAAA==", 24},
};

/* `name=value` lines to a block; the name may begin with a colon. */
static struct str
block_of(char *out, const char *lines)
{
	char *p = out;

	while (*lines != '\0') {
		const char *eq = strchr(lines, '='), *end = strchr(eq, '\n');

		p = block_put(p, (struct str){lines, (uint32_t)(eq - lines)},
		    (struct str){eq + 1, (uint32_t)(end - eq - 1)});
		lines = end + 1;
	}
	return (struct str){out, (uint32_t)(p - out)};
}

static void
expect_block(size_t row, const char *out, size_t n, const char *want)
{
	struct str block = {out, (uint32_t)n}, name, value;
	struct text t = {0};

	text_str(&t, STR(""));
	while (block_next(&block, &name, &value))
		text_printf(&t, STR_FMT "=" STR_FMT "\n", STR_ARG(name), STR_ARG(value));
	cr_expect(t.len == strlen(want) && memcmp(t.p, want, t.len) == 0, "row %zu: got\n%s\nwant\n%s", row,
	    t.p, want);
	text_fini(&t);
}

static void
expect_text(size_t row, const char *got, size_t n, const char *want)
{
	cr_expect(n == strlen(want) && memcmp(got, want, n) == 0, "row %zu: got\n%.*s\nwant\n%s", row, (int)n,
	    got, want);
}

#define REQ ":method=GET\n:scheme=https\n:authority=a\n:path=/\n"
#define POST ":method=POST\n:scheme=https\n:authority=a\n:path=/\n"

static const struct {
	const char *in;
	unsigned status;
	const char *name;
	bool last;
} refused[] = {
    {":scheme=http\n:authority=a\n:path=/\n", 400, "method", true},
    {":method=\n:scheme=http\n:authority=a\n:path=/\n", 400, "method", true},
    {":method=G T\n:scheme=http\n:authority=a\n:path=/\n", 400, "method", true},
    {":method=GET\n:authority=a\n:path=/\n", 400, "pseudo_field", true},
    {":method=GET\n:scheme=http\n:authority=a\n", 400, "pseudo_field", true},
    {":method=GET\n:method=GET\n:scheme=http\n:authority=a\n:path=/\n", 400, "pseudo_field", true},
    {REQ ":status=200\n", 400, "pseudo_field", true},
    {REQ ":x=y\n", 400, "pseudo_field", true},
    {REQ "x=y\n:protocol=z\n", 400, "pseudo_field", true},
    {":method=GET\n:scheme=ftp\n:authority=a\n:path=/\n", 400, "scheme", true},
    {":method=GET\n:scheme=http\n:authority=a\n:path=\n", 400, "target", true},
    {":method=GET\n:scheme=http\n:authority=a\n:path=a\n", 400, "target", true},
    {":method=GET\n:scheme=http\n:authority=a\n:path=*\n", 400, "target", true},
    {":method=GET\n:scheme=http\n:authority=a\n:path=/a b\n", 400, "target", true},
    {":method=GET\n:scheme=http\n:authority=a\n:path=/\303\244\n", 400, "target", true},
    {":method=GET\n:scheme=http\n:authority=a\n:path=http://a/\n", 400, "target", true},
    {":method=GET\n:scheme=http\n:path=/\n", 400, "host_missing", true},
    {":method=GET\n:scheme=http\n:authority=\n:path=/\n", 400, "host_malformed", true},
    {":method=GET\n:scheme=http\n:authority=u@a\n:path=/\n", 400, "host_malformed", true},
    {":method=GET\n:scheme=http\n:authority=a:x\n:path=/\n", 400, "host_malformed", true},
    {REQ "host=b\n", 400, "host_differs", true},
    {REQ "host=a\nhost=a\n", 400, "host_repeated", true},
    {":method=CONNECT\n:authority=a:443\n", 501, "connect", true},
    {":method=CONNECT\n:protocol=connect-udp\n:scheme=https\n:authority=a\n:path=/\n", 501, "protocol",
	false},
    {":method=GET\n:protocol=websocket\n:scheme=https\n:authority=a\n:path=/\n", 400, "pseudo_field", false},
    {":method=CONNECT\n:protocol=websocket\n:scheme=https\n:authority=a\n:path=/\n", 400, "pseudo_field",
	true},
    {REQ "X=y\n", 400, "field_name", true},
    {REQ "x y=y\n", 400, "field_name", true},
    {REQ "=y\n", 400, "field_name", true},
    {REQ "x= y\n", 400, "field_value", true},
    {REQ "x=y\t\n", 400, "field_value", true},
    {REQ "x=a\rb\n", 400, "field_value", true},
    {REQ "x=0123456789abcdef\001\n", 400, "field_value", true},
    {REQ "connection=close\n", 400, "connection_field", true},
    {REQ "keep-alive=x\n", 400, "connection_field", true},
    {REQ "proxy-connection=x\n", 400, "connection_field", true},
    {REQ "transfer-encoding=chunked\n", 400, "connection_field", true},
    {REQ "upgrade=websocket\n", 400, "connection_field", true},
    {REQ "te=gzip\n", 400, "connection_field", true},
    {REQ "content_length=1\n", 400, "framing_lookalike", true},
    {POST "content-length=1\ncontent-length=1\n", 400, "length_repeated", false},
    {POST "content-length=+1\n", 400, "length_malformed", false},
    {POST "content-length=99999999999999999999\n", 413, "length_too_large", false},
    {POST "content-length=1\n", 400, "length_but_no_body", true},
    {REQ "expect=x\n", 417, "expect", true},
};

Test(block, refuses_as_http_1_would)
{
	for (size_t i = 0; i < COUNT(refused); i++) {
		const struct fault *fault = NULL;
		char buf[1024];
		struct msg m;
		int rc = block_parse_request(&m, block_of(buf, refused[i].in), refused[i].last, &fault);

		cr_assert(rc == -1, "row %zu", i);
		cr_expect(fault->status == refused[i].status && strcmp(fault->name, refused[i].name) == 0,
		    "row %zu: %u %s", i, fault->status, fault->name);
	}
}

/* In HTTP/1's words, and in HTTP/2's. */
static const struct {
	const char *in;
	bool last, chunked;
	const char *h1, *h2;
} requests[] = {
#define XFF1 "x-forwarded-for: 10.1.2.3\r\nx-forwarded-proto: https\r\nx-forwarded-port: 443\r\n"
#define XFF2 "x-forwarded-for=10.1.2.3\nx-forwarded-proto=https\nx-forwarded-port=443\n"
#define ID1 "x-amzn-requestid: id\r\n"
#define ID2 "x-amzn-requestid=id\n"
    {REQ, true, false, "GET / HTTP/1.1\r\nhost: a\r\n" XFF1 ID1 "\r\n", REQ XFF2 ID2},
    {":method=GET\n:scheme=http\n:path=/x?y\nhost=A:80\n", true, false,
	"GET /x?y HTTP/1.1\r\nhost: A:80\r\n" XFF1 ID1 "\r\n",
	":method=GET\n:scheme=https\n:authority=A:80\n:path=/x?y\n" XFF2 ID2},
    {":method=OPTIONS\n:scheme=http\n:authority=a\n:path=*\nhost=A\n", true, false,
	"OPTIONS * HTTP/1.1\r\nhost: a\r\n" XFF1 ID1 "\r\n",
	":method=OPTIONS\n:scheme=https\n:authority=a\n:path=*\n" XFF2 ID2},
    {POST "content-length=5\nx=y\n", false, false,
	"POST / HTTP/1.1\r\ncontent-length: 5\r\nx: y\r\nhost: a\r\n" XFF1 ID1 "\r\n",
	POST "content-length=5\nx=y\n" XFF2 ID2},
    {POST "te=trailers\n", false, true,
	"POST / HTTP/1.1\r\nte: trailers\r\nhost: a\r\n" XFF1 ID1
	"transfer-encoding: chunked\r\nconnection: te\r\n\r\n",
	POST "te=trailers\n" XFF2 ID2},
    {REQ "x-forwarded-for=1.1.1.1\nx-forwarded-for=2.2.2.2\nx-forwarded-proto=gopher\nx-amzn-requestid=mine\n"
	 "x-amzn-lattice-identity=me\n",
	true, false,
	"GET / HTTP/1.1\r\nx-amzn-requestid: mine\r\nhost: a\r\nx-forwarded-for: 1.1.1.1, 2.2.2.2, "
	"10.1.2.3\r\nx-forwarded-proto: https\r\nx-forwarded-port: 443\r\n\r\n",
	REQ "x-amzn-requestid=mine\nx-forwarded-for=1.1.1.1, 2.2.2.2, 10.1.2.3\nx-forwarded-proto=https\n"
	    "x-forwarded-port=443\n"},
    {":method=CONNECT\n:protocol=websocket\n:scheme=https\n:authority=a\n:path=/chat\n"
     "sec-websocket-version=13\n",
	false, false,
	"GET /chat HTTP/1.1\r\nsec-websocket-version: 13\r\nupgrade: websocket\r\nhost: a\r\n" XFF1 ID1
	"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nconnection: upgrade\r\n\r\n",
	":method=CONNECT\n:protocol=websocket\n:scheme=https\n:authority=a\n:path=/chat\n"
	"sec-websocket-version=13\n" XFF2 ID2},
};

Test(block, a_request_goes_on_in_either_version)
{
	for (size_t i = 0; i < COUNT(requests); i++) {
		struct msg_forward f = forward;
		const struct fault *fault = NULL;
		char buf[1024], out[2048];
		struct str in = block_of(buf, requests[i].in);
		struct msg m, again;
		size_t n, scanned = 0;

		cr_assert(block_parse_request(&m, in, requests[i].last, &fault) == 0, "row %zu: %s", i,
		    fault->name);
		cr_expect(m.minor == 1 && m.keep_alive);
		n = block_print_request(out, &m, &f);
		expect_block(i, out, n, requests[i].h2);
		f.chunked = requests[i].chunked;
		n = h1_print_request(out, &m, &f);
		expect_text(i, out, n, requests[i].h1);
		cr_expect(n <= in.len + MSG_GROWTH_MAX);
		cr_expect(h1_parse_request(&again, out, n, &scanned, &fault) == (int)n, "row %zu", i);
		cr_expect(again.upgrade == m.upgrade && str_eq(again.authority, m.authority), "row %zu", i);
	}
}

Test(block, knows_how_a_body_ends)
{
	static const struct {
		const char *in;
		bool last;
		enum body body;
	} rows[] = {{REQ, true, BODY_NONE}, {POST, false, BODY_EOF},
	    {POST "content-length=7\n", false, BODY_LENGTH}, {POST "content-length=0\n", false, BODY_NONE},
	    {POST "content-length=0\n", true, BODY_NONE}};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct fault *fault;
		char buf[1024];
		struct msg m;

		cr_assert(block_parse_request(&m, block_of(buf, rows[i].in), rows[i].last, &fault) == 0);
		cr_expect(m.body == rows[i].body, "row %zu: %d", i, m.body);
	}
}

Test(block, a_request_of_http_1_goes_on_in_http_2)
{
	static const struct {
		const char *in, *want;
	} rows[] = {
	    {"GET /a?b HTTP/1.1\r\nHost: A.b:80\r\nUser-Agent:x\r\nConnection: keep-alive, Foo\r\nFoo: 1\r\n"
	     "Keep-Alive: 1\r\nTE: gzip, trailers\r\n\r\n",
		":method=GET\n:scheme=https\n:authority=A.b:80\n:path=/a?b\nuser-agent=x\nte=trailers\n" XFF2
		    ID2},
	    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", POST XFF2 ID2},
	    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
		POST "content-length=3\nexpect=100-continue\n" XFF2 ID2},
	    {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", REQ XFF2 ID2},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct fault *fault;
		char out[2048];
		struct msg m;
		size_t scanned = 0, n;

		cr_assert(h1_parse_request(&m, rows[i].in, strlen(rows[i].in), &scanned, &fault) > 0);
		n = block_print_request(out, &m, &forward);
		expect_block(i, out, n, rows[i].want);
		cr_expect(n <= strlen(rows[i].in) + MSG_GROWTH_MAX);
	}
}

Test(block, an_answer_goes_on_in_either_version)
{
	static const struct {
		const char *in;
		bool last;
		enum method method;
		enum body body;
		const char *h1, *h2;
	} rows[] = {
	    {":status=200\ncontent-length=2\nx-forwarded-for=x\n", false, METHOD_GET, BODY_LENGTH,
		"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-forwarded-for: x\r\n" ID1 "\r\n",
		":status=200\ncontent-length=2\nx-forwarded-for=x\n" ID2},
	    {":status=200\ncontent-length=2\n", true, METHOD_HEAD, BODY_NONE,
		"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" ID1 "\r\n", ":status=200\ncontent-length=2\n" ID2},
	    {":status=204\n", true, METHOD_GET, BODY_NONE, "HTTP/1.1 204 No Content\r\n" ID1 "\r\n",
		":status=204\n" ID2},
	    {":status=103\nlink=x\n", false, METHOD_GET, BODY_NONE,
		"HTTP/1.1 103 Early Hints\r\nlink: x\r\n" ID1 "\r\n", ":status=103\nlink=x\n" ID2},
	    {":status=299\nx-amzn-requestid=z\n", false, METHOD_GET, BODY_EOF,
		"HTTP/1.1 299 \r\nx-amzn-requestid: z\r\n\r\n", ":status=299\nx-amzn-requestid=z\n"},
	};
	const struct msg_reply r = {STR("id"), false, false, false};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct fault *fault = NULL;
		char buf[1024], out[2048];
		struct msg m;

		cr_assert(block_parse_response(
			      &m, block_of(buf, rows[i].in), rows[i].last, rows[i].method, &fault) == 0,
		    "row %zu: %s", i, fault->name);
		cr_expect(m.body == rows[i].body, "row %zu: %d", i, m.body);
		expect_text(i, out, h1_print_response(out, &m, &r), rows[i].h1);
		expect_block(i, out, block_print_response(out, &m, &r), rows[i].h2);
	}
}

Test(block, an_answer_of_http_1_goes_on_in_http_2)
{
	static const struct {
		const char *in, *want;
	} rows[] = {
	    {"HTTP/1.1 200 OK\r\nServer: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
		":status=200\nserver=x\n"},
	    {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", ":status=204\n"},
	    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nX: y\r\n\r\n",
		":status=200\nx=y\n"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct fault *fault;
		char out[1024];
		struct msg m;
		size_t scanned = 0;

		cr_assert(
		    h1_parse_response(&m, rows[i].in, strlen(rows[i].in), &scanned, METHOD_GET, &fault) > 0);
		expect_block(i, out, block_print_response(out, &m, &(struct msg_reply){0}), rows[i].want);
	}
}

Test(block, refuses_a_malformed_answer_with_502)
{
	static const struct {
		const char *in, *name;
		bool last;
	} rows[] = {{"x=y\n", "status", true}, {":status=20\n", "status", true},
	    {":status=099\n", "status", true}, {":status=600\n", "status", true},
	    {":status=101\n", "status", false}, {":status=100\n", "status", true},
	    {":status=200\n:status=200\n", "pseudo_field", true}, {":path=/\n", "pseudo_field", true},
	    {":status=200\ntransfer-encoding=chunked\n", "connection_field", false},
	    {":status=200\ncontent-length=1\n", "length_but_no_body", true}};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct fault *fault = NULL;
		char buf[256];
		struct msg m;

		cr_assert(block_parse_response(
			      &m, block_of(buf, rows[i].in), rows[i].last, METHOD_GET, &fault) == -1);
		cr_expect(fault->status == 502 && strcmp(fault->name, rows[i].name) == 0, "row %zu: %s", i,
		    fault->name);
	}
}

Test(block, trailers_lose_what_would_change_the_message)
{
	const struct fault *fault;
	char buf[256], out[256];
	struct msg m;

	cr_assert(block_parse_trailers(&m,
		      block_of(buf, "grpc-status=0\nhost=x\ncontent-length=1\nauthorization=x\nx-sum=1\n"),
		      &fault) == 0);
	expect_block(0, out, block_print_trailers(out, &m), "grpc-status=0\nx-sum=1\n");
	expect_text(0, out, h1_print_trailers(out, &m), "0\r\ngrpc-status: 0\r\nx-sum: 1\r\n\r\n");
	cr_expect(block_parse_trailers(&m, block_of(buf, ":status=200\n"), &fault) == -1);
	cr_expect(block_parse_trailers(&m, block_of(buf, "X=200\n"), &fault) == -1);
}

Test(block, answers_of_our_own)
{
	static const struct {
		unsigned status;
		bool head_only;
		const char *head, *body;
	} rows[] = {
	    {404, false, ":status=404\ncontent-type=text/plain\ncontent-length=10\n" ID2, "Not Found\n"},
	    {404, true, ":status=404\ncontent-type=text/plain\ncontent-length=10\n" ID2, ""},
	    {299, false, ":status=299\ncontent-type=text/plain\ncontent-length=4\n" ID2, "299\n"},
	    {204, false, ":status=204\n" ID2, ""},
	    {205, false, ":status=205\ncontent-length=0\n" ID2, ""},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char out[1024];
		size_t head, n = block_print_own(out, rows[i].status, STR("id"), rows[i].head_only, &head);

		expect_block(i, out, head, rows[i].head);
		expect_text(i, out + head, n - head, rows[i].body);
	}
}

Test(block, errors_of_grpc_are_trailers_only)
{
	static const struct {
		unsigned status, grpc;
		const char *want;
	} rows[] = {
#define GRPC(n, why) \
	":status=200\ncontent-type=application/grpc\ngrpc-status=" n "\ngrpc-message=" why "\n" ID2
	    {400, 0, GRPC("13", "Bad Request")},
	    {401, 0, GRPC("16", "Unauthorized")},
	    {403, 0, GRPC("7", "Forbidden")},
	    {404, 0, GRPC("12", "Not Found")},
	    {429, 0, GRPC("14", "Too Many Requests")},
	    {502, 0, GRPC("14", "Bad Gateway")},
	    {503, 0, GRPC("14", "Service Unavailable")},
	    {504, 0, GRPC("14", "Gateway Timeout")},
	    {504, 4, GRPC("4", "Gateway Timeout")},
	    {418, 0, GRPC("2", "I'm a teapot")},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char out[1024];

		expect_block(
		    i, out, block_print_grpc(out, rows[i].status, rows[i].grpc, STR("id")), rows[i].want);
	}
}

Test(block, knows_grpc_and_its_deadlines)
{
	static const struct {
		const char *fields;
		bool grpc;
		uint32_t ms;
	} rows[] = {
	    {"content-type=application/grpc\n", true, 0},
	    {"content-type=application/grpc+proto\ngrpc-timeout=1S\n", true, 1000},
	    {"content-type=application/grpc;charset=utf-8\ngrpc-timeout=100m\n", true, 100},
	    {"content-type=application/grpc-web\ngrpc-timeout=2M\n", false, 120000},
	    {"content-type=text/plain\ngrpc-timeout=1u\n", false, 1},
	    {"grpc-timeout=1500001n\n", false, 2},
	    {"grpc-timeout=0S\n", false, 1},
	    {"grpc-timeout=1H\n", false, 3600000},
	    {"grpc-timeout=99999999H\n", false, 86400000},
	    {"grpc-timeout=100000000m\n", false, 0},
	    {"grpc-timeout=5\n", false, 0},
	    {"grpc-timeout=S\n", false, 0},
	    {"grpc-timeout=-5S\n", false, 0},
	    {"grpc-timeout=5x\n", false, 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct fault *fault;
		char buf[512];
		struct str in = block_of(buf, REQ);
		struct msg m;

		in.len += block_of(buf + in.len, rows[i].fields).len;
		cr_assert(block_parse_request(&m, in, true, &fault) == 0);
		cr_expect(msg_is_grpc(&m) == rows[i].grpc, "row %zu", i);
		cr_expect(msg_grpc_timeout_ms(&m) == rows[i].ms, "row %zu: %u", i, msg_grpc_timeout_ms(&m));
	}
}

Test(block, errors_of_grpc_have_a_status_in_http)
{
	static const struct {
		const char *fields;
		bool last;
		unsigned status;
	} rows[] = {
	    {":status=200\ngrpc-status=14\n", true, 503},
	    {":status=200\ngrpc-status=2\n", true, 500},
	    {":status=200\ngrpc-status=4\n", true, 504},
	    {":status=200\ngrpc-status=5\n", true, 404},
	    {":status=200\ngrpc-status=16\n", true, 401},
	    {":status=200\ngrpc-status=0\n", true, 200},
	    {":status=200\ngrpc-status=17\n", true, 500},
	    {":status=200\ngrpc-status=99999999999999999999\n", true, 200},
	    {":status=200\ngrpc-status=x\n", true, 200},
	    {":status=200\n", true, 200},
	    {":status=200\ngrpc-status=14\n", false, 200}, /* with messages behind it */
	    {":status=502\ngrpc-status=0\n", true, 502},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct fault *fault;
		char buf[512];
		struct msg m;

		cr_assert(block_parse_response(
			      &m, block_of(buf, rows[i].fields), rows[i].last, METHOD_POST, &fault) == 0);
		cr_expect(msg_grpc_error(&m) == rows[i].status, "row %zu: %u", i, msg_grpc_error(&m));
	}
}
