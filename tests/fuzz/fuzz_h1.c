/* fuzz_h1.c - heads and trailers of h1.h: never trips an assert or a sanitizer, and what is printed is clean.
 *
 * The first byte chooses what is parsed and how the input is cut; the rest are the bytes of the wire.
 */
#include "../../engine/http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Parses the bytes as they come in two pieces, each in a block of its own so that no byte behind is read. */
static int
parse(struct msg *m, char *p, size_t n, size_t first, int kind, const struct fault **fault)
{
	enum method method = kind & 2 ? METHOD_HEAD : METHOD_GET;
	size_t scanned = 0;
	char *early = xcalloc(1, first);
	int rc;

	memcpy(early, p, first);
	if (kind & 1)
		rc = h1_parse_response(m, early, first, &scanned, method, fault);
	else
		rc = h1_parse_request(m, early, first, &scanned, fault);
	free(early);
	if (rc < 0)
		return rc;
	/* What was complete early is so whole. */
	if (rc > 0)
		scanned = 0;
	if (kind & 1)
		return h1_parse_response(m, p, n, &scanned, method, fault);
	return h1_parse_request(m, p, n, &scanned, fault);
}

/* The bounds on size and number of fields may refuse what was added; nothing else may. */
static bool
is_bound(const struct fault *fault)
{
	return strcmp(fault->name, "head_too_large") == 0 || strcmp(fault->name, "too_many_fields") == 0;
}

static void
check_request(struct msg *m, int length)
{
	const struct msg_forward f = {STR("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"), STR("https"),
	    STR("65535"), STR("01234567-89ab-cdef-0123-456789abcdef"), STR(""), m->body == BODY_CHUNKED,
	    STR("")};
	const struct fault *fault;
	char *out = xcalloc(1, (size_t)length + MSG_GROWTH_MAX);
	struct msg again;
	size_t scanned = 0, n;
	int rc;

	if (m->authority.len == 0)
		m->authority = STR("a");
	n = h1_print_request(out, m, &f);
	rc = h1_parse_request(&again, out, n, &scanned, &fault);
	assert(rc == (int)n || (rc == -1 && is_bound(fault)));
	if (rc > 0) {
		assert(again.body == m->body && again.length == m->length && again.upgrade == m->upgrade);
		assert(str_eq(again.method, m->method) && str_eq(again.target, m->target));
		assert(str_eq(again.authority, m->authority));
	}
	free(out);
}

static void
check_response(const struct msg *m, int length)
{
	const struct msg_reply r = {
	    STR("01234567-89ab-cdef-0123-456789abcdef"), false, false, m->body == BODY_CHUNKED};
	const struct fault *fault;
	char *out = xcalloc(1, (size_t)length + MSG_GROWTH_MAX);
	struct msg again;
	size_t scanned = 0, n = h1_print_response(out, m, &r);
	int rc = h1_parse_response(&again, out, n, &scanned, METHOD_GET, &fault);

	assert(rc == (int)n || (rc == -1 && is_bound(fault)));
	assert(rc < 0 || again.status == m->status);
	assert(rc < 0 || m->body == BODY_NONE || (again.body == m->body && again.length == m->length));
	free(out);
}

static void
check_trailers(const char *p, size_t n)
{
	const struct fault *fault;
	struct msg m, again;
	int rc = h1_parse_trailers(&m, p, n, &fault);
	char *out;
	size_t len;

	if (rc <= 0)
		return;
	out = xcalloc(1, (size_t)rc + MSG_GROWTH_MAX);
	len = h1_print_trailers(out, &m);
	rc = h1_parse_trailers(&again, out + 3, len - 3, &fault);
	assert(rc == (int)len - 3);
	for (uint32_t i = 0; i < again.nfields; i++)
		assert(!again.fields[i].drop);
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct fault *fault;
	struct msg m;
	size_t n;
	char *p;
	int kind, rc;

	if (size < 3)
		return 0;
	kind = data[0] & 7;
	n = size - 2;
	p = xcalloc(1, n);
	memcpy(p, data + 2, n);
	if (kind == 7) {
		check_trailers(p, n);
	} else {
		rc = parse(&m, p, n, data[1] % (n + 1), kind, &fault);
		assert(rc <= (int)n && rc >= -1);
		if (rc > 0 && kind & 1)
			check_response(&m, rc);
		else if (rc > 0)
			check_request(&m, rc);
	}
	free(p);
	return 0;
}
