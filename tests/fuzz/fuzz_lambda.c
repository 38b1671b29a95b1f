/* fuzz_lambda.c - lambda.h: never trips a sanitizer; what a function's answer becomes can be sent, and what
 * goes into an event comes out of it. */
#include "../../engine/http/h1.h"
#include "../../engine/http/json.h"
#include "../../engine/http/lambda.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct msg m, back;

/* The response is one that we would take from any target. */
static void
fuzz_response(const uint8_t *data, size_t size)
{
	static char out[HEAD_BYTES_MAX + 4096];
	struct msg_reply reply = {.request_id = {"id", 2}};
	char *p = xcalloc(1, size > 0 ? size : 1);
	const struct fault *fault;
	size_t n, scanned = 0;
	struct str body;

	memcpy(p, data, size);
	if (lambda_parse_response(&m, p, size, METHOD_GET, &body) == 0) {
		assert(body.len == 0 || (body.p >= p && body.p + body.len <= p + size));
		assert(m.body == BODY_NONE ? body.len == 0 : m.length == body.len);
		n = h1_print_response(out, &m, &reply);
		assert(n <= sizeof(out));
		if (n < HEAD_BYTES_MAX && m.nfields < FIELDS_MAX - 2) {
			assert(h1_parse_response(&back, out, n, &scanned, METHOD_GET, &fault) == (int)n);
			assert(back.status == m.status && back.length == body.len);
		}
	}
	free(p);
}

/* Is the event JSON, with this body when it went as it is? */
static void
check_event(char *p, size_t n, struct str body)
{
	struct json j = {.p = p, .end = p + n};
	struct str key, text, got = {0};
	bool encoded = false;

	assert(json_value(&j, &text) == JSON_OBJECT);
	while (json_member(&j, &key)) {
		enum json_kind kind = json_value(&j, &text);

		if (str_eq(key, STR("body")))
			got = text;
		if (str_starts(key, STR("is")))
			encoded = kind == JSON_TRUE;
		json_skip(&j, kind);
	}
	assert(json_is_over(&j));
	assert(encoded ? got.len == (body.len + 2) / 3 * 4 : str_eq(got, body));
}

/* A head and what is behind it. */
static void
fuzz_event(const char *p, size_t size, bool v2)
{
	struct msg_forward f = {.client = {"::1", 3}, .identity = {p, (uint32_t)MIN(size, 200u)}};
	struct lambda_context c = {.v2 = v2, .region = {p, (uint32_t)MIN(size, 20u)}};
	struct lambda_function fn = {{"h", 1}, {"/", 1}, {"id", 2}};
	struct lambda_event e;
	const struct fault *fault;
	size_t scanned = 0, len;
	int n = h1_parse_request(&m, p, size, &scanned, &fault);
	struct str body = {p + n, (uint32_t)size - (uint32_t)n};
	char *out, *json;

	if (n <= 0)
		return;
	assert(lambda_event_init(&e, &m, &f, &c) == 0);
	len = lambda_print_request(NULL, &e, &fn, body);
	out = xcalloc(1, len);
	assert(lambda_print_request(out, &e, &fn, body) == len);
	json = memmem(out, len, "\r\n\r\n", 4);
	assert(json != NULL);
	check_event(json + 4, len - (size_t)(json + 4 - out), body);
	lambda_event_fini(&e);
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] % 3 == 0) {
		fuzz_response(data + 1, size - 1);
	} else {
		char *p = xcalloc(1, size);

		memcpy(p, data + 1, size - 1);
		fuzz_event(p, size - 1, data[0] % 3 == 1);
		free(p);
	}
	return 0;
}
