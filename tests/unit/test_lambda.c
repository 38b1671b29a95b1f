/* test_lambda.c - events of requests, and responses of functions' answers. */
#include "../../engine/http/block.h"
#include "../../engine/http/h1.h"
#include "../../engine/http/json.h"
#include "../../engine/http/lambda.h"
#include <criterion/criterion.h>
#include <glob.h>
#include <stdio.h>

/* ------------------------------------------------------------------ events */

/* One line a value: its path, `=`, the value; the elements of an array have its path, keys are in lower case.
 */
struct lines {
	uint32_t n;
	char *all[128];
};

static void
flatten(struct json *j, struct lines *l, const char *path, enum json_kind kind, struct str text)
{
	struct str key;

	if (kind == JSON_OBJECT) {
		while (json_member(j, &key)) {
			char *inner = xasprintf("%s." STR_FMT, path, STR_ARG(key));

			for (char *p = inner; *p != '\0'; p++)
				*p = ascii_lower(*p);
			kind = json_value(j, &text);
			flatten(j, l, inner, kind, text);
			free(inner);
		}
	} else if (kind == JSON_ARRAY) {
		while (json_element(j)) {
			kind = json_value(j, &text);
			flatten(j, l, path, kind, text);
		}
	} else {
		cr_assert(kind != JSON_BAD && l->n < COUNT(l->all), "%s", path);
		l->all[l->n++] = xasprintf("%s=" STR_FMT, path, STR_ARG(text));
	}
}

static void
lines_of(struct lines *l, struct str json)
{
	char *copy = xstrndup(json.p, json.len);
	struct json j = {.p = copy, .end = copy + json.len};
	struct str text;
	enum json_kind kind = json_value(&j, &text);

	l->n = 0;
	flatten(&j, l, "", kind, text);
	cr_assert(json_is_over(&j), STR_FMT, STR_ARG(json));
	free(copy);
}

static bool
lines_take(struct lines *l, const char *line)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (strcmp(l->all[i], line) != 0)
			continue;
		free(l->all[i]);
		l->all[i] = l->all[--l->n];
		return true;
	}
	return false;
}

static const char *
lines_value(const struct lines *l, const char *path)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (strncmp(l->all[i], path, strlen(path)) == 0 && l->all[i][strlen(path)] == '=')
			return l->all[i] + strlen(path) + 1;
	return "";
}

static void
lines_fini(struct lines *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		free(l->all[i]);
}

static const struct msg_forward forward = {
    .client = {"10.0.0.9", 8}, .proto = {"https", 5}, .port = {"443", 3}, .request_id = {"made-here", 9}};

/* The event of a request as it comes by HTTP/1, whatever its length says; the caller frees. */
static char *
event_of(const char *head, struct str body, const struct msg_forward *f, const struct lambda_context *c)
{
	static const struct lambda_function fn = {{"fn:9001", 7}, {"/invoke", 7}, {"id-1", 4}};
	static struct msg m;
	const struct fault *fault;
	struct lambda_event e;
	size_t scanned = 0, n;
	char *out, *at;

	cr_assert(h1_parse_request(&m, head, strlen(head), &scanned, &fault) > 0, "%s", head);
	cr_assert(lambda_event_init(&e, &m, f, c) == 0);
	n = lambda_print_request(NULL, &e, &fn, body);
	out = xcalloc(1, n + 1);
	cr_expect(lambda_print_request(out, &e, &fn, body) == n);
	lambda_event_fini(&e);
	at = strstr(out, "\r\n\r\n");
	cr_assert(at != NULL && strncmp(out, "POST /invoke HTTP/1.1\r\nhost: fn:9001\r\n", 38) == 0);
	cr_expect(strstr(out, "x-amzn-requestid: id-1\r\n") != NULL);
	at = xasprintf("%s", at + 4);
	cr_expect(strtoul(strstr(out, "content-length: ") + 16, NULL, 10) == strlen(at));
	free(out);
	return at;
}

static void
expect_event(const char *head, struct str body, const struct lambda_context *c, const char *want)
{
	char *got = event_of(head, body, &forward, c);

	cr_expect(strcmp(got, want) == 0, "\n%s\nis not\n%s", got, want);
	free(got);
}

#define OURS(open, close)                                                                             \
	"\"x-forwarded-proto\":" open "\"https\"" close ",\"x-forwarded-port\":" open "\"443\"" close \
	",\"x-amzn-requestid\":" open "\"made-here\"" close

static const char request[] =
    "POST /a/b?x=1&y=%26&x=2 HTTP/1.1\r\nHost: Shop.Test:8080\r\nX-One: 1\r\n"
    "Cookie: a=1\r\nx-one: 2\r\nContent-Type: text/plain\r\nTE: trailers\r\n"
    "Connection: x-hop, te\r\nX-Hop: 1\r\nX-Amzn-Lattice-Identity: forged\r\ncookie: b=2\r\n"
    "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: ftp\r\nExpect: 100-continue\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";

Test(lambda, event_v1)
{
	struct lambda_context c = {.service_arn = {"unseen", 6}};

	expect_event(request, STR("say \"hi\"\n"), &c,
	    "{\"raw_path\":\"/a/"
	    "b?x=1&y=%26&x=2\",\"method\":\"POST\",\"headers\":{\"host\":\"Shop.Test:8080\","
	    "\"x-one\":\"1, 2\",\"cookie\":\"a=1; b=2\",\"content-type\":\"text/plain\","
	    "\"x-forwarded-for\":\"1.2.3.4, 10.0.0.9\"," OURS(
		"", "") "},"
			"\"query_string_parameters\":{\"x\":\"2\",\"y\":\"&\"},"
			"\"body\":\"say \\\"hi\\\"\\n\",\"is_base64_encoded\":false}");
}

Test(lambda, event_v2)
{
	struct lambda_context c = {.v2 = true,
	    .network_arn = {"arn:net", 7},
	    .service_arn = {"arn:svc", 7},
	    .group_arn = {"arn:tg", 6},
	    .vpc_arn = {"arn:vpc", 7},
	    .region = {"eu-central-1", 12},
	    .now_us = 1696331543569073};

	expect_event(request, STR("x"), &c,
	    "{\"version\":\"2.0\",\"path\":\"/a/b?x=1&y=%26&x=2\",\"method\":\"POST\",\"headers\":{"
	    "\"host\":[\"Shop.Test:8080\"],\"x-one\":[\"1\",\"2\"],\"cookie\":[\"a=1; b=2\"],"
	    "\"content-type\":[\"text/plain\"],\"x-forwarded-for\":[\"1.2.3.4, 10.0.0.9\"]," OURS(
		"[", "]") "},"
			  "\"queryStringParameters\":{\"x\":[\"1\",\"2\"],\"y\":[\"&\"]},"
			  "\"requestContext\":{\"serviceNetworkArn\":\"arn:net\",\"serviceArn\":\"arn:svc\","
			  "\"targetGroupArn\":\"arn:tg\",\"identity\":{\"sourceVpcArn\":\"arn:vpc\"},"
			  "\"region\":\"eu-central-1\",\"timeEpoch\":\"1696331543569073\"},"
			  "\"body\":\"x\",\"isBase64Encoded\":false}");
}

Test(lambda, what_is_not_known_is_left_out)
{
	struct lambda_context c = {.v2 = true, .now_us = 7};

	expect_event("GET / HTTP/1.1\r\nHost: h\r\nx-amzn-requestid: theirs\r\n\r\n", STR(""), &c,
	    "{\"version\":\"2.0\",\"path\":\"/\",\"method\":\"GET\",\"headers\":{\"host\":[\"h\"],"
	    "\"x-amzn-requestid\":[\"theirs\"],\"x-forwarded-for\":[\"10.0.0.9\"],"
	    "\"x-forwarded-proto\":[\"https\"],\"x-forwarded-port\":[\"443\"]},\"queryStringParameters\":{},"
	    "\"requestContext\":{\"identity\":{},\"timeEpoch\":\"7\"},\"body\":\"\",\"isBase64Encoded\":"
	    "false}");
}

Test(lambda, the_query_is_decoded_and_grouped)
{
	static const struct {
		const char *query, *v1, *v2;
	} cases[] = {
	    {"", "{}", "{}"},
	    {"?", "{}", "{}"},
	    {"?&&", "{}", "{}"},
	    {"?a", "{\"a\":\"\"}", "{\"a\":[\"\"]}"},
	    {"?=v", "{\"\":\"v\"}", "{\"\":[\"v\"]}"},
	    {"?a=b=c", "{\"a\":\"b=c\"}", "{\"a\":[\"b=c\"]}"},
	    {"?a=1&b=2&a=3&a=2", "{\"a\":\"2\",\"b\":\"2\"}", "{\"a\":[\"1\",\"3\",\"2\"],\"b\":[\"2\"]}"},
	    {"?%61b=1&ab=2", "{\"ab\":\"2\"}", "{\"ab\":[\"1\",\"2\"]}"},
	    {"?s=a+b%2Bc%20d", "{\"s\":\"a b+c d\"}", "{\"s\":[\"a b+c d\"]}"},
	    {"?u=%C3%A9&l=%E9&z=%00", "{\"l\":\"\xc3\xa9\",\"u\":\"\xc3\xa9\",\"z\":\"\\u0000\"}",
		"{\"l\":[\"\xc3\xa9\"],\"u\":[\"\xc3\xa9\"],\"z\":[\"\\u0000\"]}"},
	    {"?a?b=/&c=%22", "{\"a?b\":\"/\",\"c\":\"\\\"\"}", "{\"a?b\":[\"/\"],\"c\":[\"\\\"\"]}"},
	};

	for (size_t i = 0; i < COUNT(cases) * 2; i++) {
		bool v2 = i % 2 == 1;
		char *head = xasprintf("GET /p%s HTTP/1.1\r\nHost: h\r\n\r\n", cases[i / 2].query);
		char *want =
		    xasprintf("\"%s\":%s,\"", v2 ? "queryStringParameters" : "query_string_parameters",
			v2 ? cases[i / 2].v2 : cases[i / 2].v1);
		char *got = event_of(head, STR(""), &forward, &(struct lambda_context){.v2 = v2});

		cr_expect(strstr(got, want) != NULL, "%s\nis not in\n%s", want, got);
		free(head);
		free(want);
		free(got);
	}
}

/* Reference 3.8. */
Test(lambda, the_base64_rule)
{
	static const struct {
		const char *fields;
		struct str body;
		const char *want;
	} cases[] = {
	    {"", {"hi", 2}, "\"aGk=\",\"isBase64Encoded\":true}"},
	    {"", {"", 0}, "\"\",\"isBase64Encoded\":false}"},
	    {"content-type: text/html; charset=utf-8\r\n", {"hi", 2}, "\"hi\",\"isBase64Encoded\":false}"},
	    {"content-type: TEXT/csv\r\n", {"hi", 2}, "\"hi\",\"isBase64Encoded\":false}"},
	    {"content-type: application/json\r\n", {"{}", 2}, "\"{}\",\"isBase64Encoded\":false}"},
	    {"content-type: application/xml ;a=b\r\n", {"<a/>", 4}, "\"<a/>\",\"isBase64Encoded\":false}"},
	    {"content-type: application/javascript\r\n", {"1", 1}, "\"1\",\"isBase64Encoded\":false}"},
	    {"content-type: application/jsonp\r\n", {"hi", 2}, "\"aGk=\",\"isBase64Encoded\":true}"},
	    {"content-type: application/octet-stream\r\n", {"hi", 2}, "\"aGk=\",\"isBase64Encoded\":true}"},
	    {"content-type: image/png\r\ncontent-encoding: gzip\r\n", {"hi", 2},
		"\"aGk=\",\"isBase64Encoded\":true}"},
	    {"content-type: text/plain\r\ncontent-encoding: identity\r\n", {"hi", 2},
		"\"hi\",\"isBase64Encoded\":false}"},
	    {"content-type: text/plain\r\ncontent-encoding: gzip\r\n", {"\x1f\x8b", 2},
		"\"H4s=\",\"isBase64Encoded\":true}"},
	    {"content-type: text/plain\r\n", {"\xe9", 1}, "\"6Q==\",\"isBase64Encoded\":true}"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *head = xasprintf("PUT / HTTP/1.1\r\nHost: h\r\n%s\r\n", cases[i].fields);
		char *got = event_of(head, cases[i].body, &forward, &(struct lambda_context){.v2 = true});
		const char *at = strstr(got, ",\"body\":");

		cr_expect(strcmp(at + 8, cases[i].want) == 0, "%s: %s", cases[i].fields, at);
		free(head);
		free(got);
	}
}

Test(lambda, who_the_client_is)
{
	static const char head[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
	struct msg_forward f = forward;
	char *got;

	f.identity =
	    STR("X509Issuer/OU=a%3Bb; X509SAN/DNS=one.test; X509SAN/DNS=two.test; X509SAN/URI=spiffe://x; "
		"X509Subject/CN=\"c\"; Type=X509; Fingerprint=sha256:00");
	got = event_of(head, STR(""), &f, &(struct lambda_context){.v2 = true});
	cr_expect(strstr(got,
		      "\"identity\":{\"type\":\"X509\",\"x509IssuerOu\":\"a;b\",\"x509SanDns\":\"one.test\","
		      "\"x509SanUri\":\"spiffe://x\",\"x509SubjectCn\":\"\\\"c\\\"\"},") != NULL,
	    "%s", got);
	cr_expect(strstr(got, "x-amzn-lattice") == NULL);
	free(got);
	got = event_of(head, STR(""), &f, &(struct lambda_context){.v2 = false});
	cr_expect(
	    strstr(got, "\"x-amzn-lattice-identity\":\"X509Issuer/OU=a%3Bb; X509SAN/DNS=one.test;") != NULL);
	free(got);
}

Test(lambda, as_many_fields_as_a_head_may_have)
{
	struct text t = {0};
	char *got;
	struct lines l;

	text_printf(&t, "GET / HTTP/1.1\r\nHost: h\r\n");
	for (unsigned i = 1; i < FIELDS_MAX; i++)
		text_printf(&t, "X-%u: \xe9\r\n", i);
	text_printf(&t, "\r\n");
	got = event_of(t.p, STR(""), &forward, &(struct lambda_context){.v2 = true});
	lines_of(&l, str_of(got));
	cr_expect_str_eq(lines_value(&l, ".headers.x-99"), "\xc3\xa9");
	cr_expect_str_eq(lines_value(&l, ".headers.x-amzn-requestid"), "made-here");
	lines_fini(&l);
	free(got);
	text_fini(&t);
}

/* ------------------------------------------------------------------ what Powertools for AWS Lambda tests
 * with */

static char *
file_read(const char *path)
{
	FILE *f = fopen(path, "r");
	char *p = xcalloc(1, 1 << 16);

	cr_assert(f != NULL, "%s", path);
	cr_assert(fread(p, 1, (1 << 16) - 1, f) > 0);
	fclose(f);
	return p;
}

/* The request that the sample tells of. */
static char *
request_of(const struct lines *sample, bool v2)
{
	static const char prefix[] = ".headers.";
	struct text t = {0};

	text_printf(&t, "%s %s HTTP/1.1\r\n", lines_value(sample, ".method"),
	    lines_value(sample, v2 ? ".path" : ".raw_path"));
	/* The samples' targets lack their queries. */
	t.len -= strlen(" HTTP/1.1\r\n");
	for (uint32_t i = 0, n = 0; i < sample->n; i++) {
		const char *at = strchr(sample->all[i] + 1, '.');

		if (strncmp(sample->all[i], ".query", 6) == 0)
			text_printf(&t, "%c%s", n++ == 0 ? '?' : '&', at + 1);
	}
	text_printf(&t, " HTTP/1.1\r\n");
	for (uint32_t i = 0; i < sample->n; i++) {
		const char *name = sample->all[i] + strlen(prefix), *equals = strchr(name, '=');

		if (strncmp(sample->all[i], prefix, strlen(prefix)) != 0 ||
		    strncmp(name, "x-forwarded", 11) == 0)
			continue;
		text_printf(&t, "%.*s: %s\r\n", (int)(equals - name), name, equals + 1);
	}
	/* And their content a type, without which V2 would be encoded. */
	text_printf(&t, "%s\r\n", v2 ? "Content-Type: application/json\r\n" : "");
	return text_take(&t);
}

static void
expect_sample(const char *path)
{
	char *text = file_read(path), *head, *got, *identity;
	struct lines sample, ours;
	struct msg_forward f = forward;
	struct lambda_context c = {0};
	struct str body = STR("{\"test\": \"event\"}");

	lines_of(&sample, str_of(text));
#define CONTEXT(name) str_of(lines_value(&sample, ".requestcontext." name))
	c = (struct lambda_context){.v2 = strcmp(lines_value(&sample, ".version"), "2.0") == 0,
	    .network_arn = CONTEXT("servicenetworkarn"),
	    .service_arn = CONTEXT("servicearn"),
	    .group_arn = CONTEXT("targetgrouparn"),
	    .vpc_arn = CONTEXT("identity.sourcevpcarn"),
	    .region = CONTEXT("region"),
	    .now_us = strtoull(lines_value(&sample, ".requestcontext.timeepoch"), NULL, 10)};
	identity =
	    xasprintf("Principal=" STR_FMT "; Type=AWS_IAM; SessionName=" STR_FMT "; X509SAN/DNS=example.com",
		STR_ARG(CONTEXT("identity.principal")), STR_ARG(CONTEXT("identity.sessionname")));
	if (c.v2) {
		f.identity = str_of(identity);
		body = str_of(lines_value(&sample, ".body"));
	}
	f.client = str_of(lines_value(&sample, ".headers.x-forwarded-for"));
	head = request_of(&sample, c.v2);
	got = event_of(head, body, &f, &c);
	lines_of(&ours, str_of(got));
	/* A V2 sample that says it in V1's way. */
	if (c.v2 && lines_take(&sample, ".query_string_parameters.order-id=1"))
		sample.all[sample.n++] = xstrdup(".querystringparameters.order-id=1");
	for (uint32_t i = ours.n; i-- > 0;) {
		const char *line = ours.all[i];
		bool extra = strncmp(line, ".headers.x-forwarded-p", 22) == 0 ||
			     strncmp(line, ".headers.x-amzn-requestid", 25) == 0 ||
			     strncmp(line, ".headers.content-type", 21) == 0;

		if (strncmp(line, ".path=", 6) == 0 || strncmp(line, ".raw_path=", 10) == 0)
			ours.all[i][strcspn(line, "?")] = '\0';
		cr_expect(lines_take(&sample, line) || extra, "%s: not in the sample: %s", path, line);
	}
	for (uint32_t i = 0; i < sample.n; i++)
		cr_expect(false, "%s: missing: %s", path, sample.all[i]);
	lines_fini(&sample);
	lines_fini(&ours);
	free(text);
	free(head);
	free(got);
	free(identity);
}

Test(lambda, samples)
{
	glob_t g;

	cr_assert(glob("tests/data/lambda/*.json", 0, NULL, &g) == 0 && g.gl_pathc == 5);
	for (size_t i = 0; i < g.gl_pathc; i++)
		expect_sample(g.gl_pathv[i]);
	globfree(&g);
}

/* ------------------------------------------------------------------ responses */

/* As HTTP/1 has it, of a function's answer; NULL: it is none. The caller frees. */
static char *
response_of(const char *json, enum method method)
{
	static struct msg m;
	struct msg_reply reply = {.close = false};
	char *copy = xstrdup(json), *out = xcalloc(1, 1 << 17);
	struct str body;
	size_t n;

	if (lambda_parse_response(&m, copy, strlen(copy), method, &body) != 0) {
		free(out);
		out = NULL;
	} else {
		n = h1_print_response(out, &m, &reply);
		memcpy(out + n, body.p, body.len);
	}
	free(copy);
	return out;
}

static void
expect_response(const char *json, enum method method, const char *want)
{
	char *got = response_of(json, method);

	cr_expect(got != NULL && strcmp(got, want) == 0, "%s:\n%s\nis not\n%s", json,
	    got != NULL ? got : "refused", want);
	free(got);
}

Test(lambda, responses)
{
	expect_response(
	    "{\"isBase64Encoded\":false,\"statusCode\":200,\"headers\":{\"Content-Type\":\"text/plain\"},"
	    "\"body\":\"hi\\n\"}",
	    METHOD_GET, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length: 3\r\n\r\nhi\n");
	expect_response("{\"statusCode\":200,\"body\":\"aGkA/w==\",\"isBase64Encoded\":true}", METHOD_POST,
	    "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhi");
	expect_response(
	    "{\"statusCode\":404}", METHOD_GET, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
	expect_response("{\"statusCode\":200,\"body\":null,\"headers\":null,\"isBase64Encoded\":null,"
			"\"multiValueHeaders\":null,\"statusDescription\":\"200 OK\",\"more\":[{\"x\":[1]}]}",
	    METHOD_GET, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
	expect_response("{\"statusCode\":599,\"body\":\"\xc3\xa9\\u00e9\"}", METHOD_GET,
	    "HTTP/1.1 599 \r\ncontent-length: 4\r\n\r\n\xc3\xa9\xc3\xa9");
}

Test(lambda, responses_by_http_2)
{
	static struct msg m;
	struct msg_reply reply = {.close = false};
	char json[] = "{\"statusCode\":200,\"headers\":{\"X-One\":\"1\",\"Upgrade\":\"x\"},\"body\":\"hi\"}",
	     out[512];
	static const char *const want[][2] = {{":status", "200"}, {"x-one", "1"}, {"content-length", "2"}};
	struct str body, block, name, value;

	cr_assert(lambda_parse_response(&m, json, strlen(json), METHOD_GET, &body) == 0);
	block = (struct str){out, (uint32_t)block_print_response(out, &m, &reply)};
	for (size_t i = 0; i < COUNT(want); i++)
		cr_expect(block_next(&block, &name, &value) && str_eq(name, str_of(want[i][0])) &&
			      str_eq(value, str_of(want[i][1])),
		    "%s", want[i][0]);
	cr_expect(!block_next(&block, &name, &value));
}

Test(lambda, responses_without_content)
{
	expect_response("{\"statusCode\":200,\"body\":\"hello\"}", METHOD_HEAD,
	    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
	expect_response(
	    "{\"statusCode\":204,\"body\":\"hello\"}", METHOD_GET, "HTTP/1.1 204 No Content\r\n\r\n");
	expect_response("{\"statusCode\":304,\"headers\":{\"etag\":\"x\"},\"body\":\"hello\"}", METHOD_GET,
	    "HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n");
}

Test(lambda, response_headers)
{
	expect_response(
	    "{\"statusCode\":200,\"headers\":{\"X-N\":12,\"X-B\":true,\"x-nothing\":null,\"x-sp\":\" a \","
	    "\"x-many\":[\"1\",\"2\"]}}",
	    METHOD_HEAD,
	    "HTTP/1.1 200 OK\r\nX-N: 12\r\nX-B: true\r\nx-sp: a\r\nx-many: 1\r\nx-many: 2\r\ncontent-length: "
	    "0\r\n\r\n");
	/* Those of the connection, and the length, are not the function's to say. */
	expect_response(
	    "{\"statusCode\":200,\"headers\":{\"Connection\":\"close\",\"Transfer-Encoding\":\"chunked\","
	    "\"Content-Length\":\"99\",\"content_length\":\"1\",\"keep-alive\":\"x\",\"Upgrade\":\"h2c\","
	    "\"te\":\"x\",\"trailer\":\"x\"},\"body\":\"1\"}",
	    METHOD_GET, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1");
	/* Who says it twice means the second way. */
	expect_response(
	    "{\"multiValueHeaders\":{\"Set-Cookie\":[\"a=1\",\"b=2\"],\"X-One\":\"1\"},\"statusCode\":200,"
	    "\"headers\":{\"set-cookie\":\"c=3\",\"x-two\":\"2\"}}",
	    METHOD_GET,
	    "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-One: 1\r\nx-two: "
	    "2\r\ncontent-length: 0\r\n\r\n");
}

Test(lambda, malformed_responses)
{
	static const char *const cases[] = {"", "null", "\"hi\"", "[]", "{}", "{\"statusCode\":200",
	    "{\"statusCode\":200}x", "{\"statusCode\":\"200\"}", "{\"statusCode\":200.0}",
	    "{\"statusCode\":199}", "{\"statusCode\":100}", "{\"statusCode\":600}", "{\"statusCode\":-1}",
	    "{\"statusCode\":null}", "{\"body\":\"hi\"}", "{\"errorMessage\":\"x\",\"errorType\":\"Error\"}",
	    "{\"statusCode\":200,\"body\":1}", "{\"statusCode\":200,\"body\":{}}",
	    "{\"statusCode\":200,\"headers\":[]}", "{\"statusCode\":200,\"headers\":{\"a\":{}}}",
	    "{\"statusCode\":200,\"headers\":{\"a\":[[]]}}",
	    "{\"statusCode\":200,\"headers\":{\"a b\":\"1\"}}",
	    "{\"statusCode\":200,\"headers\":{\"\":\"1\"}}",
	    "{\"statusCode\":200,\"headers\":{\"a\":\"1\\r\\nb: 2\"}}",
	    "{\"statusCode\":200,\"headers\":{\"a\":\"\\u0000\"}}",
	    "{\"statusCode\":200,\"isBase64Encoded\":\"true\"}",
	    "{\"statusCode\":200,\"isBase64Encoded\":true,\"body\":\"*\"}",
	    "{\"statusCode\":200,\"body\":\"\xff\"}"};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *got = response_of(cases[i], METHOD_GET);

		cr_expect(got == NULL, "%s:\n%s", cases[i], got);
		free(got);
	}
}

Test(lambda, a_head_has_its_limits)
{
	for (unsigned extra = 0; extra < 2; extra++) {
		struct text t = {0};
		char *got;

		text_printf(&t, "{\"statusCode\":200,\"headers\":{");
		for (unsigned i = 0; i < FIELDS_MAX + extra; i++)
			text_printf(&t, "%s\"x-%u\":\"\"", i > 0 ? "," : "", i);
		text_printf(&t, "}}");
		got = response_of(t.p, METHOD_GET);
		cr_expect((got != NULL) == (extra == 0));
		free(got);
		text_clear(&t);
		text_printf(&t, "{\"statusCode\":200,\"headers\":{\"a\":\"%*s\"}}",
		    (int)(HEAD_BYTES_MAX - 5 + extra), "x");
		memset(strstr(t.p, "\"a\":\"") + 5, 'x', HEAD_BYTES_MAX - 5 + extra);
		got = response_of(t.p, METHOD_GET);
		cr_expect((got != NULL) == (extra == 0), "%u", extra);
		free(got);
		text_fini(&t);
	}
}

Test(lambda, function_errors)
{
	static const struct {
		const char *head;
		bool answer;
	} cases[] = {
	    {"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true},
	    {"HTTP/1.1 200 OK\r\nX-Amz-Function-Error: Unhandled\r\ncontent-length: 0\r\n\r\n", false},
	    {"HTTP/1.1 200 OK\r\nx-amz-function-error:\r\ncontent-length: 0\r\n\r\n", false},
	    {"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false},
	    {"HTTP/1.1 429 Busy\r\ncontent-length: 0\r\n\r\n", false},
	    {"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n", false},
	};
	static struct msg m;
	const struct fault *fault;

	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t scanned = 0;

		cr_assert(h1_parse_response(
			      &m, cases[i].head, strlen(cases[i].head), &scanned, METHOD_POST, &fault) > 0);
		cr_expect(lambda_is_answer(&m) == cases[i].answer, "%s", cases[i].head);
	}
}
