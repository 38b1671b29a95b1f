/* test_h1_vectors.c - what other projects test their HTTP/1 parsers with: tests/data/http1.txt. */
#include "../../engine/http/h1.h"
#include <criterion/criterion.h>
#include <stdio.h>

#define VECTORS "tests/data/http1.txt"

static const struct msg_forward forward = {
    .client = {"10.1.2.3", 8},
    .proto = {"http", 4},
    .port = {"80", 2},
    .request_id = {"id", 2},
};

/* Undoes \r \n \t \\ \xHH, in place. */
static uint32_t
unescape(char *p)
{
	char *out = p, *start = p, hex[3] = {0};

	for (; *p != '\0'; p++) {
		if (*p != '\\') {
			*out++ = *p;
			continue;
		}
		p++;
		if (*p == 'x') {
			memcpy(hex, p + 1, 2);
			*out++ = (char)strtoul(hex, NULL, 16);
			p += 2;
		} else {
			*out++ = *p == 'r' ? '\r' : *p == 'n' ? '\n' : *p == 't' ? '\t' : *p;
		}
	}
	return (uint32_t)(out - start);
}

/* The body at p. Its length, 0 with *more when it is not all there, -1 when it is malformed. */
static int
body_pass(const struct msg *m, char *p, size_t n, bool *more, const char **why)
{
	struct chunk c = {0};
	const struct fault *fault;
	struct msg trailers;
	size_t data, used;
	int rc;

	*more = m->body == BODY_LENGTH && m->length > n;
	if (m->body != BODY_CHUNKED)
		return *more || m->body == BODY_NONE ? 0 : (int)m->length;
	rc = chunk_decode(&c, p, n, &data, &used);
	*more = rc == CHUNK_MORE;
	*why = "chunk";
	if (rc != CHUNK_LAST)
		return rc;
	rc = h1_parse_trailers(&trailers, p + used, n - used, &fault);
	*more = rc == 0;
	*why = rc < 0 ? fault->name : "";
	return rc > 0 ? (int)used + rc : rc;
}

/* What is printed must read as the same request to a strict reader. */
static void
expect_clean(const struct msg *m, const char *id)
{
	static char out[HEAD_BYTES_MAX + MSG_GROWTH_MAX];
	struct msg_forward f = forward;
	const struct fault *fault;
	struct msg with_host = *m, again;
	size_t scanned = 0, n;

	f.chunked = m->body == BODY_CHUNKED;
	if (m->authority.len == 0)
		with_host.authority = STR("shop");
	n = h1_print_request(out, &with_host, &f);
	cr_expect(h1_parse_request(&again, out, n, &scanned, &fault) == (int)n, "%s", id);
	cr_expect(again.body == m->body && again.length == m->length, "%s", id);
	cr_expect(str_eq(again.target, m->target) && str_eq(again.method, m->method), "%s", id);
	cr_expect(str_eq(again.authority, with_host.authority) && again.upgrade == m->upgrade, "%s", id);
}

/* One word for each request on the connection: pass, more, or the fault that ends it. */
static void
connection_run(char *p, size_t n, const char *id, struct text *got)
{
	bool more = false;

	while (n > 0) {
		const struct fault *fault;
		const char *why = "";
		struct msg m;
		size_t scanned = 0;
		int rc = h1_parse_request(&m, p, n, &scanned, &fault), body;

		if (rc < 0)
			text_printf(got, "%s%s", got->len > 0 ? " " : "", fault->name);
		else if (rc == 0)
			text_printf(got, "%smore", got->len > 0 ? " " : "");
		if (rc <= 0)
			return;
		expect_clean(&m, id);
		body = body_pass(&m, p + rc, n - (size_t)rc, &more, &why);
		text_printf(got, "%s%s", got->len > 0 ? " " : "", body < 0 ? why : more ? "more" : "pass");
		if (body < 0 || more || m.upgrade || !m.keep_alive)
			return;
		p += rc + body;
		n -= (size_t)(rc + body);
	}
}

Test(h1_vectors, are_judged_as_written)
{
	FILE *f = fopen(VECTORS, "r");
	char *line = NULL;
	size_t size = 0;
	unsigned n = 0;

	cr_assert(f != NULL, "no %s: run from the top directory", VECTORS);
	while (getline(&line, &size, f) > 0) {
		struct text got = {0};
		char *want = line, *id, *raw = NULL;

		if (line[0] == '#' || line[0] == '\n')
			continue;
		id = strchr(line, '\t');
		cr_assert(id != NULL && (raw = strchr(id + 1, '\t')) != NULL, "%s", line);
		*id++ = *raw++ = '\0';
		raw[strcspn(raw, "\n")] = '\0';
		connection_run(raw, unescape(raw), id, &got);
		cr_expect(strcmp(got.p, want) == 0, "%s: got '%s', want '%s'", id, got.p, want);
		text_fini(&got);
		n++;
	}
	cr_expect(n > 300, "only %u vectors", n);
	free(line);
	fclose(f);
}
