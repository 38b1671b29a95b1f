/* fuzz_block.c - header lists of block.h: what is understood can be said in HTTP/1 and in HTTP/2, within the
 * room, and means the same when it is read again.
 *
 * The first byte chooses what is parsed; the rest are lines `name=value`.
 */
#include "../../engine/http/block.h"
#include "../../engine/http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str
block_of(char *out, const char *p, size_t n)
{
	char *to = out;

	while (n > 0) {
		const char *end = memchr(p, '\n', n);
		size_t len = end == NULL ? n : (size_t)(end - p);
		const char *eq = memchr(p + 1, '=', len > 0 ? len - 1 : 0);
		size_t name = eq == NULL ? len : (size_t)(eq - p);
		struct str value = {eq == NULL ? p : eq + 1, (uint32_t)(eq == NULL ? 0 : len - name - 1)};

		to = block_put(to, (struct str){p, (uint32_t)name}, value);
		p += MIN(len + 1, n);
		n -= MIN(len + 1, n);
	}
	return (struct str){out, (uint32_t)(to - out)};
}

/* The bounds on size and number of fields may refuse what was added; nothing else may. */
static bool
is_bound(const struct fault *fault)
{
	return strcmp(fault->name, "head_too_large") == 0 || strcmp(fault->name, "too_many_fields") == 0;
}

static void
check_request(const struct msg *m, size_t length, bool last)
{
	const struct msg_forward f = {STR("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"), STR("https"),
	    STR("65535"), STR("01234567-89ab-cdef-0123-456789abcdef"), STR(""), m->body == BODY_EOF,
	    STR("AAAAAAAAAAAAAAAAAAAAAA==")};
	char *out = xcalloc(1, length + MSG_GROWTH_MAX);
	const struct fault *fault;
	struct msg again;
	size_t scanned = 0, n = h1_print_request(out, m, &f);
	int rc;

	assert(n <= length + MSG_GROWTH_MAX);
	rc = h1_parse_request(&again, out, n, &scanned, &fault);
	assert(rc == (int)n || (rc == -1 && is_bound(fault)));
	if (rc > 0) {
		assert(again.upgrade == m->upgrade && str_eq(again.method, m->method));
		assert(str_eq(again.target, m->target) && str_eq(again.authority, m->authority));
		assert(again.body == (m->body == BODY_EOF ? BODY_CHUNKED : m->body) &&
		       again.length == m->length);
	}
	n = block_print_request(out, m, &f);
	assert(n <= length + MSG_GROWTH_MAX);
	rc = block_parse_request(&again, (struct str){out, (uint32_t)n}, last, &fault);
	assert(rc == 0 || is_bound(fault));
	if (rc == 0) {
		assert(again.tunnel == m->tunnel && str_eq(again.method, m->method));
		assert(str_eq(again.target, m->target) && str_eq(again.authority, m->authority));
		assert(again.body == m->body && again.length == m->length);
	}
	free(out);
}

static void
check_response(const struct msg *m, size_t length, bool last)
{
	const struct msg_reply r = {
	    STR("01234567-89ab-cdef-0123-456789abcdef"), false, false, m->body == BODY_EOF};
	char *out = xcalloc(1, length + MSG_GROWTH_MAX);
	const struct fault *fault;
	struct msg again;
	size_t scanned = 0, n = h1_print_response(out, m, &r);
	int rc = h1_parse_response(&again, out, n, &scanned, METHOD_GET, &fault);

	assert(n <= length + MSG_GROWTH_MAX);
	assert(rc == (int)n || (rc == -1 && is_bound(fault)));
	assert(rc < 0 || again.status == m->status);
	n = block_print_response(out, m, &r);
	assert(n <= length + MSG_GROWTH_MAX);
	rc = block_parse_response(&again, (struct str){out, (uint32_t)n}, last, METHOD_GET, &fault);
	assert(rc == 0 || is_bound(fault));
	assert(rc < 0 || (again.status == m->status && again.body == m->body));
	free(out);
}

static void
check_trailers(struct str block)
{
	char *out = xcalloc(1, block.len + MSG_GROWTH_MAX);
	const struct fault *fault;
	struct msg m, again;

	if (block_parse_trailers(&m, block, &fault) == 0) {
		size_t n = block_print_trailers(out, &m);

		assert(block_parse_trailers(&again, (struct str){out, (uint32_t)n}, &fault) == 0);
		for (uint32_t i = 0; i < again.nfields; i++)
			assert(!again.fields[i].drop);
		n = h1_print_trailers(out, &m);
		assert(
		    n > TRAILER_BYTES_MAX || h1_parse_trailers(&again, out + 3, n - 3, &fault) == (int)n - 3);
	}
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct fault *fault;
	struct str block;
	struct msg m;
	bool last;
	char *p;

	if (size < 2 || size > HEAD_BYTES_MAX / 8)
		return 0;
	last = (data[0] & 1) != 0;
	p = xcalloc(5, size);
	block = block_of(p, (const char *)data + 1, size - 1);
	p = xrealloc(p, block.len);
	block.p = p;
	if ((data[0] & 2) == 0 && block_parse_request(&m, block, last, &fault) == 0)
		check_request(&m, block.len, last);
	else if ((data[0] & 6) == 2 && block_parse_response(&m, block, last, METHOD_GET, &fault) == 0)
		check_response(&m, block.len, last);
	else if ((data[0] & 6) == 6)
		check_trailers(block);
	free(p);
	return 0;
}
