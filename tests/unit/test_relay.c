/* test_relay.c - bodies keep their bytes through every framing, wherever the receives cut them. */
#include "../../engine/proxy/relay.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

/* Feeds `wire` in pieces of `step` bytes and collects what would be sent. 0, or the relay's error. */
static int
relay_all(struct relay *r, const char *wire, size_t n, size_t step, struct text *out, struct text *behind)
{
	for (size_t at = 0; at < n && !r->done; at += step) {
		size_t len = MIN(step, n - at);
		struct buf *b = buf_heap((uint32_t)len), *rest;
		int rc;

		memcpy(buf_data(b), wire + at, len);
		b->len = (uint32_t)len;
		rc = relay_feed(r, b, false, &rest);
		if (rc == 0)
			text_add(out, buf_data(b), b->len);
		if (r->after != NULL) {
			text_add(out, buf_data(r->after), r->after->len);
			buf_put(NULL, r->after);
			r->after = NULL;
		}
		if (rest != NULL) {
			text_add(behind, buf_data(rest), rest->len);
			buf_put(NULL, rest);
		}
		buf_put(NULL, b);
		if (rc != 0) {
			relay_fini(r, NULL);
			return rc;
		}
		if (r->done && rest == NULL && at + len < n)
			text_add(behind, wire + at + len, n - at - len);
	}
	return 0;
}

/* The data of a chunked body, for comparing. */
static void
unchunk(const char *wire, struct text *data)
{
	struct chunk c = {0};
	char *copy = strdup(wire);
	size_t n, used;

	cr_assert(chunk_decode(&c, copy, strlen(copy), &n, &used) == CHUNK_LAST, "%s", wire);
	text_add(data, copy, n);
	free(copy);
}

Test(relay, a_length_body_ends_where_it_says)
{
	for (size_t step = 1; step < 12; step++) {
		struct relay r;
		struct text out = {0}, behind = {0};

		relay_init(&r, BODY_LENGTH, 5, FRAME_RAW);
		cr_expect(relay_all(&r, "helloGET /", 10, step, &out, &behind) == 0);
		cr_expect_str_eq(out.p, "hello");
		cr_expect(r.done && r.left == 0);
		if (behind.p != NULL)
			cr_expect(
			    strncmp(behind.p, "GET /", behind.len) == 0, "step %zu: %s", step, behind.p);
		text_fini(&out);
		text_fini(&behind);
	}
}

Test(relay, chunks_keep_their_data_and_trailers_at_every_cut)
{
	static const char wire[] =
	    "5;x=y\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-Sum: 7\r\nY:z\r\n\r\nNEXT";

	for (size_t step = 1; step < sizeof(wire); step++) {
		struct relay r;
		struct text out = {0}, behind = {0}, data = {0};

		relay_init(&r, BODY_CHUNKED, 0, FRAME_CHUNKED);
		cr_expect(relay_all(&r, wire, sizeof(wire) - 1, step, &out, &behind) == 0, "step %zu", step);
		cr_expect(r.done, "step %zu", step);
		unchunk(out.p, &data);
		cr_expect_str_eq(data.p, "hello world", "step %zu", step);
		cr_expect(strstr(out.p, "X-Sum: 7\r\n") != NULL && strstr(out.p, "\r\n\r\n") != NULL,
		    "step %zu: %s", step, out.p);
		cr_expect(strstr(out.p, "x=y") == NULL, "the extension was passed on");
		if (behind.p != NULL)
			cr_expect(strncmp(behind.p, "NEXT", behind.len) == 0, "step %zu: %s", step, behind.p);
		text_fini(&out);
		text_fini(&behind);
		text_fini(&data);
		relay_fini(&r, NULL);
	}
}

Test(relay, chunks_become_bare_bytes_for_an_old_client)
{
	static const char wire[] = "3\r\nabc\r\n0\r\nx: y\r\n\r\n";

	for (size_t step = 1; step < sizeof(wire); step++) {
		struct relay r;
		struct text out = {0}, behind = {0};

		relay_init(&r, BODY_CHUNKED, 0, FRAME_RAW);
		cr_expect(relay_all(&r, wire, sizeof(wire) - 1, step, &out, &behind) == 0);
		cr_expect(r.done);
		cr_expect_str_eq(out.p, "abc", "step %zu", step);
		text_fini(&out);
		text_fini(&behind);
	}
}

Test(relay, a_body_until_close_is_chunked_and_ended)
{
	struct relay r;
	struct text out = {0}, behind = {0}, data = {0};

	relay_init(&r, BODY_EOF, 0, FRAME_CHUNKED);
	cr_expect(relay_all(&r, "some bytes", 10, 4, &out, &behind) == 0);
	cr_expect(!r.done);
	cr_expect(relay_end(&r) == 0 && r.done && r.after != NULL);
	text_add(&out, buf_data(r.after), r.after->len);
	unchunk(out.p, &data);
	cr_expect_str_eq(data.p, "some bytes");
	text_fini(&out);
	text_fini(&data);
	relay_fini(&r, NULL);
}

Test(relay, refuses_what_is_cut_off_or_malformed)
{
	static const struct {
		const char *wire;
		int want;
	} rows[] = {
	    {"5\r\nhelloX", -EBADMSG},
	    {"zz\r\n", -EBADMSG},
	    {"-1\r\n", -EBADMSG},
	    {"ffffffffffffffffff\r\n", -EBADMSG},
	    {"0\r\nbad trailer\r\n\r\n", -EBADMSG},
	    {"5\nhello", -EBADMSG},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t step = 1; step <= strlen(rows[i].wire); step++) {
			struct relay r;
			struct text out = {0}, behind = {0};

			relay_init(&r, BODY_CHUNKED, 0, FRAME_CHUNKED);
			cr_expect(relay_all(&r, rows[i].wire, strlen(rows[i].wire), step, &out, &behind) ==
				      rows[i].want,
			    "row %zu step %zu", i, step);
			text_fini(&out);
			text_fini(&behind);
		}
	}
	for (enum body body = BODY_LENGTH; body <= BODY_CHUNKED; body++) {
		struct relay r;

		relay_init(&r, body, 10, FRAME_CHUNKED);
		cr_expect(relay_end(&r) == -EPIPE, "an end in the middle of body kind %d", body);
	}
}

Test(relay, bounds_a_trailer_section)
{
	struct text wire = {0}, out = {0}, behind = {0};
	struct relay r;

	text_printf(&wire, "0\r\nx: ");
	for (unsigned i = 0; i < TRAILER_BYTES_MAX + 10; i++)
		text_char(&wire, 'a');
	relay_init(&r, BODY_CHUNKED, 0, FRAME_CHUNKED);
	cr_expect(relay_all(&r, wire.p, wire.len, 1000, &out, &behind) == -EBADMSG);
	text_fini(&wire);
	text_fini(&out);
	text_fini(&behind);
}
