/* test_h2_abuse.c - what a peer of h2.h may not do, in frames made by hand; and that just less is fine. */
#include "../../engine/http/h2.h"
#include <criterion/criterion.h>
#include <errno.h>

enum {
	DATA,
	HEADERS,
	PRIORITY,
	RST_STREAM,
	SETTINGS,
	PUSH_PROMISE,
	PING,
	GOAWAY,
	WINDOW_UPDATE,
	CONTINUATION
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };

#define ENHANCE_YOUR_CALM 11

struct victim {
	struct h2 *h;
	unsigned nheads, nclosed, nreset; /* told; RST_STREAM that came out */
	int status;			  /* of the last answer that came out */
	int goaway;			  /* its error, -1: none */
	bool abuse, answer;
	int rc;
	uint64_t now_ms;
	struct text in;
};

static void *
on_head(void *ctx, int32_t id, void *stream, struct str block, bool last)
{
	struct victim *v = ctx;
	char out[64];

	v->nheads++;
	if (v->answer)
		h2_answer(v->h, id,
		    (struct str){out, (uint32_t)(block_put(out, STR(":status"), STR("200")) - out)}, false);
	return v;
}

static void
on_data(void *ctx, void *stream, const char *p, size_t n, bool last)
{
}

static void
on_closed(void *ctx, void *stream, uint32_t error, bool unseen)
{
	struct victim *v = ctx;

	v->nclosed++;
}

static void
on_head_sent(void *ctx, void *stream)
{
}

static size_t
on_read(void *ctx, void *stream, char *out, size_t max, bool *last)
{
	return 0;
}

static const struct h2_events events = {on_head, on_data, on_closed, on_head_sent, on_read};

static void
frame(struct victim *v, int type, int flags, uint32_t id, const void *p, size_t n)
{
	const char head[] = {(char)(n >> 16), (char)(n >> 8), (char)n, (char)type, (char)flags,
	    (char)(id >> 24), (char)(id >> 16), (char)(id >> 8), (char)id};

	text_add(&v->in, head, sizeof(head));
	text_add(&v->in, p, n);
}

/* All that waits goes in; what comes out is looked at. */
static void
flush(struct victim *v)
{
	static char out[1 << 20];
	bool abuse;
	size_t n, at = 0;

	v->rc = h2_feed(v->h, v->in.p, v->in.len, v->now_ms, &abuse);
	v->abuse = v->abuse || abuse;
	text_clear(&v->in);
	n = h2_pull(v->h, out, sizeof(out));
	while (at + 9 <= n) {
		const uint8_t *f = (const uint8_t *)out + at;

		if (f[3] == RST_STREAM)
			v->nreset++;
		else if (f[3] == GOAWAY)
			v->goaway = f[9 + 7];
		else if (f[3] == HEADERS)
			v->status = f[9];
		at += 9 + ((size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2]);
	}
}

static void
victim_new(struct victim *v, bool server)
{
	const struct h2_config c = {server, 128, 65535, 1 << 20};

	*v = (struct victim){.goaway = -1};
	v->h = h2_new(&c, &events, v);
	if (server)
		text_str(&v->in, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
	frame(v, SETTINGS, 0, 0, NULL, 0);
	frame(v, SETTINGS, ACK, 0, NULL, 0);
	flush(v);
	cr_assert(v->rc == 0 && v->goaway == -1);
}

static void
victim_fini(struct victim *v)
{
	h2_free(v->h);
	text_fini(&v->in);
}

/* :method GET, :scheme http, :path /, :authority a */
#define GET                    \
	"\x82\x86\x84\x41\x01" \
	"a"
#define HEAD(v, id, flags, hpack) frame(v, HEADERS, flags, id, hpack, sizeof(hpack) - 1)

/* ------------------------------------------------------------------ messages that are malformed */

/* A literal that is not indexed; name and value shorter than 127 bytes. */

static void
literal(struct text *t, const char *name, const char *value, size_t nvalue)
{
	text_char(t, 0);
	text_char(t, (char)strlen(name));
	text_str(t, str_of(name));
	text_char(t, (char)nvalue);
	text_add(t, value, nvalue);
}

static const struct {
	const char *fields[13]; /* name, value... */
	bool fine;
} messages[] = {
#define PSEUDOS ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a"
    {{PSEUDOS}, true},
    {{PSEUDOS, "x", "a b\tc"}, true},
    {{PSEUDOS, "x", ""}, true},
    {{PSEUDOS, "te", "trailers"}, true},
    {{PSEUDOS, "X", "y"}, false},
    {{PSEUDOS, "xY", "y"}, false},
    {{PSEUDOS, "x y", "y"}, false},
    {{PSEUDOS, "x:", "y"}, false},
    {{PSEUDOS, "", "y"}, false},
    {{PSEUDOS, "x", " y"}, false},
    {{PSEUDOS, "x", "y "}, false},
    {{PSEUDOS, "x", "\ty"}, false},
    {{PSEUDOS, "x", "a\rb"}, false},
    {{PSEUDOS, "x", "a\nb"}, false},
    {{PSEUDOS, "x",
	 "a\x01"
	 "b"},
	false},
    {{PSEUDOS, "connection", "close"}, false},
    {{PSEUDOS, "keep-alive", "x"}, false},
    {{PSEUDOS, "proxy-connection", "x"}, false},
    {{PSEUDOS, "transfer-encoding", "chunked"}, false},
    {{PSEUDOS, "upgrade", "h2c"}, false},
    {{PSEUDOS, "te", "gzip"}, false},
    {{PSEUDOS, ":x", "y"}, false},
    {{PSEUDOS, ":path", "/"}, false},
    {{PSEUDOS, "content-length", "x"}, false},
    {{PSEUDOS, "content-length", "5"}, false},
    {{"x", "y", PSEUDOS}, false},
    {{":method", "GET", ":scheme", "http", ":authority", "a"}, false},
    {{":method", "GET", ":scheme", "http", ":path", "", ":authority", "a"}, false},
    {{":method", "GET", ":path", "/", ":authority", "a"}, false},
    {{":scheme", "http", ":path", "/", ":authority", "a"}, false},
    {{":method", "GET", ":scheme", "http", ":path", "/"}, false},
    {{":method", "GET", ":scheme", "http", ":path", "x", ":authority", "a"}, false},
    {{":status", "200"}, false},
};

Test(h2_abuse, what_is_malformed_is_reset_before_anybody_is_told)
{
	for (size_t i = 0; i < COUNT(messages); i++) {
		struct text t = {0};
		struct victim v;

		victim_new(&v, true);
		for (size_t k = 0; messages[i].fields[k] != NULL; k += 2)
			literal(&t, messages[i].fields[k], messages[i].fields[k + 1],
			    strlen(messages[i].fields[k + 1]));
		frame(&v, HEADERS, END_STREAM | END_HEADERS, 1, t.p, t.len);
		flush(&v);
		cr_expect(v.rc == 0 && v.goaway == -1, "row %zu", i);
		cr_expect(v.nheads == messages[i].fine && v.nreset == !messages[i].fine, "row %zu: %u, %u", i,
		    v.nheads, v.nreset);
		victim_fini(&v);
		text_fini(&t);
	}
}

Test(h2_abuse, a_nul_in_a_value_is_malformed)
{
	struct text t = {0};
	struct victim v;

	victim_new(&v, true);
	text_add(&t, GET, sizeof(GET) - 1);
	literal(&t, "x", "a\0b", 3);
	frame(&v, HEADERS, END_STREAM | END_HEADERS, 1, t.p, t.len);
	flush(&v);
	cr_expect(v.nheads == 0 && v.nreset == 1);
	victim_fini(&v);
	text_fini(&t);
}

/* ------------------------------------------------------------------ floods */

static void
stream_begin(struct victim *v, uint32_t i, int flags)
{
	HEAD(v, 2 * i + 1, flags | END_HEADERS, GET);
}

static void
flood_rapid_reset(struct victim *v, uint32_t i)
{
	stream_begin(v, i, END_STREAM);
	frame(v, RST_STREAM, 0, 2 * i + 1, "\0\0\0\x8", 4);
}

/* What the client does makes us reset: the window overflows, the length is not that of the body. */
static void
flood_window_overflow(struct victim *v, uint32_t i)
{
	stream_begin(v, i, 0);
	frame(v, WINDOW_UPDATE, 0, 2 * i + 1, "\x7f\xff\xff\xff", 4);
}

static void
flood_wrong_length(struct victim *v, uint32_t i)
{
	static const char hpack[] = GET "\x0f\x0d\x01"
					"5";

	frame(v, HEADERS, END_HEADERS, 2 * i + 1, hpack, sizeof(hpack) - 1);
	frame(v, DATA, END_STREAM, 2 * i + 1, "x", 1);
}

static void
flood_malformed(struct victim *v, uint32_t i)
{
	HEAD(v, 2 * i + 1, END_HEADERS | END_STREAM, "\x82");
}

static void
flood_settings(struct victim *v, uint32_t i)
{
	frame(v, SETTINGS, 0, 0, NULL, 0);
}

static void
flood_ping(struct victim *v, uint32_t i)
{
	frame(v, PING, 0, 0, "12345678", 8);
}

static void
flood_ping_ack(struct victim *v, uint32_t i)
{
	frame(v, PING, ACK, 0, "12345678", 8);
}

static void
flood_priority(struct victim *v, uint32_t i)
{
	frame(v, PRIORITY, 0, 1, "\0\0\0\0\x10", 5);
}

static void
flood_window_update(struct victim *v, uint32_t i)
{
	frame(v, WINDOW_UPDATE, 0, 0, "\0\0\0\x1", 4);
}

static void
flood_empty_data(struct victim *v, uint32_t i)
{
	if (i == 0)
		stream_begin(v, 0, 0);
	frame(v, DATA, 0, 1, NULL, 0);
}

static void
flood_padding(struct victim *v, uint32_t i)
{
	if (i == 0)
		stream_begin(v, 0, 0);
	frame(v, DATA, PADDED, 1, "\0", 1);
}

static void
flood_continuation(struct victim *v, uint32_t i)
{
	if (i == 0)
		HEAD(v, 1, 0, GET);
	frame(v, CONTINUATION, 0, 1, NULL, 0);
}

static void
flood_interim(struct victim *v, uint32_t i)
{
	/* 100; the client has one stream */
	HEAD(v, 1, END_HEADERS,
	    "\x08\x03"
	    "100");
}

static const struct {
	const char *name;
	void (*one)(struct victim *v, uint32_t i);
	unsigned fine;	/* so many are */
	unsigned much;	/* and so many are not */
	bool client;	/* our end */
	unsigned batch; /* that come at once */
} floods[] = {
    {"rapid reset", flood_rapid_reset, H2_RESETS_BURST, H2_RESETS_BURST + 1, false, 100},
    {"window overflow", flood_window_overflow, H2_RESETS_BURST, H2_RESETS_BURST + 1, false, 50},
    {"wrong length", flood_wrong_length, H2_RESETS_BURST, H2_RESETS_BURST + 100, false, 50},
    {"malformed", flood_malformed, H2_RESETS_BURST, H2_RESETS_BURST + 1, false, 50},
    {"SETTINGS", flood_settings, H2_FRAMES_BURST - 3, H2_FRAMES_BURST, false, 100},
    {"SETTINGS at once", flood_settings, H2_FRAMES_BURST - 3, H2_FRAMES_BURST, false, 10000},
    {"PING", flood_ping, H2_FRAMES_BURST - 3, H2_FRAMES_BURST, false, 100},
    {"PING at once", flood_ping, H2_FRAMES_BURST - 3, H2_FRAMES_BURST, false, 10000},
    {"PING ack", flood_ping_ack, H2_FRAMES_BURST - 3, H2_FRAMES_BURST, false, 100},
    {"PRIORITY", flood_priority, H2_FRAMES_BURST - 3, H2_FRAMES_BURST, false, 100},
    {"WINDOW_UPDATE", flood_window_update, H2_FRAMES_BURST - 3, H2_FRAMES_BURST, false, 100},
    {"empty DATA", flood_empty_data, H2_FRAMES_BURST - 3, H2_FRAMES_BURST + 10, false, 100},
    {"padding", flood_padding, H2_FRAMES_BURST - 3, H2_FRAMES_BURST + 10, false, 100},
    {"empty CONTINUATION", flood_continuation, H2_CONTINUATIONS_MAX, H2_CONTINUATIONS_MAX + 1, false, 100},
    {"a target's SETTINGS", flood_settings, H2_FRAMES_BURST - 3, H2_FRAMES_BURST, true, 100},
    {"a target's PING", flood_ping, H2_FRAMES_BURST - 3, H2_FRAMES_BURST, true, 100},
    {"a target's interim answers", flood_interim, H2_FRAMES_BURST - 3, H2_FRAMES_BURST + 10, true, 100},
};

static void
flood_begin(struct victim *v, bool client)
{
	char out[256], *p = out;

	victim_new(v, !client);
	if (!client)
		return;
	p = block_put(p, STR(":method"), STR("GET"));
	p = block_put(p, STR(":scheme"), STR("http"));
	p = block_put(p, STR(":authority"), STR("a"));
	p = block_put(p, STR(":path"), STR("/"));
	cr_assert(h2_request(v->h, (struct str){out, (uint32_t)(p - out)}, false, v) == 1);
	flush(v);
}

static void
flood_run(struct victim *v, size_t row, unsigned n)
{
	for (unsigned i = 0; i < n && v->goaway == -1; i++) {
		floods[row].one(v, i);
		if ((i + 1) % floods[row].batch == 0 || i + 1 == n)
			flush(v);
	}
	/* What we had to reset is judged when more comes. */
	if (v->goaway == -1 && floods[row].one != flood_continuation) {
		frame(v, WINDOW_UPDATE, 0, 0, "\0\0\0\x1", 4);
		flush(v);
	}
}

Test(h2_abuse, a_flood_ends_the_connection_and_just_less_does_not)
{
	for (size_t i = 0; i < COUNT(floods); i++) {
		struct victim v;

		flood_begin(&v, floods[i].client);
		flood_run(&v, i, floods[i].fine);
		cr_expect(v.goaway == -1 && !v.abuse && v.rc == 0, "%s: GOAWAY %d of what is fine",
		    floods[i].name, v.goaway);
		victim_fini(&v);

		flood_begin(&v, floods[i].client);
		flood_run(&v, i, floods[i].much);
		cr_expect(v.goaway == ENHANCE_YOUR_CALM && v.abuse && v.rc == -EPROTO,
		    "%s: GOAWAY %d, abuse %d", floods[i].name, v.goaway, v.abuse);
		cr_expect(h2_is_over(v.h) && h2_is_leaving(v.h), "%s", floods[i].name);
		victim_fini(&v);
	}
}

Test(h2_abuse, time_makes_good)
{
	struct victim v;

	victim_new(&v, true);
	v.now_ms = 1000;
	for (unsigned i = 0; i < 10 * H2_FRAMES_BURST; i++) {
		flood_ping(&v, i);
		v.now_ms += 1000 / H2_FRAMES_RATE;
		flush(&v);
	}
	cr_expect(v.goaway == -1 && !v.abuse);
	victim_fini(&v);
}

Test(h2_abuse, a_reset_of_what_was_answered_costs_nothing)
{
	struct victim v;

	victim_new(&v, true);
	v.answer = true;
	for (unsigned i = 0; i < 3 * H2_RESETS_BURST; i++) {
		stream_begin(&v, i, i % 2 == 0 ? END_STREAM : 0);
		flush(&v);
		frame(&v, RST_STREAM, 0, 2 * i + 1, "\0\0\0\x8", 4);
		flush(&v);
	}
	cr_expect(v.goaway == -1 && v.nclosed == 3 * H2_RESETS_BURST && v.nreset == 0);
	victim_fini(&v);
}

/* ------------------------------------------------------------------ heads that are too large */

Test(h2_abuse, a_head_that_is_too_large_is_answered_431)
{
	/* bytes of a value that is sent so often under a new name, and then what must come */
	static const struct {
		unsigned n, size;
		bool told;
	} rows[] = {{1, 16000, true}, {3, 16000, true}, {4, 16000, false}, {FIELDS_MAX, 10, true},
	    {FIELDS_MAX + 1, 10, false}};
	static char value[16384];

	memset(value, 'v', sizeof(value));
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct victim v;

		victim_new(&v, true);
		HEAD(&v, 1, END_STREAM, GET);
		for (unsigned k = 0; k < rows[i].n; k++) {
			struct text t = {0};

			/* the length of the value: a prefix of 7 bits, then two bytes more */
			text_add(&t, "\0\1x", 3);
			if (rows[i].size < 127) {
				text_char(&t, (char)rows[i].size);
			} else {
				text_char(&t, 127);
				text_char(&t, (char)((rows[i].size - 127) | 0x80));
				text_char(&t, (char)((rows[i].size - 127) >> 7));
			}
			text_add(&t, value, rows[i].size);
			if (rows[i].n > 10) {
				/* as many as fit one frame */
				while (k + 1 < rows[i].n) {
					literal(&t, "x", value, rows[i].size);
					k++;
				}
			}
			frame(&v, CONTINUATION, k + 1 == rows[i].n ? END_HEADERS : 0, 1, t.p, t.len);
			text_fini(&t);
		}
		flush(&v);
		cr_expect(v.rc == 0 && v.goaway == -1, "row %zu", i);
		cr_expect(v.nheads == rows[i].told && (rows[i].told || v.status != 0), "row %zu: %u, %d", i,
		    v.nheads, v.status);
		victim_fini(&v);
	}
}

/* A table's entry of 3,000 bytes, told again by one byte each. */
static void
bomb(struct victim *v, unsigned n)
{
	static char value[3000];
	struct text t = {0};

	memset(value, 'v', sizeof(value));
	text_add(&t, GET "\x40\1x\x7f\xb9\x16", sizeof(GET) - 1 + 6);
	text_add(&t, value, 3000);
	for (unsigned i = 0; i < n; i++)
		text_char(&t, (char)0xbe);
	frame(v, HEADERS, END_STREAM | END_HEADERS, 1, t.p, t.len);
	flush(v);
	text_fini(&t);
}

Test(h2_abuse, a_head_that_unpacks_to_too_much_ends_the_connection)
{
	struct victim v;

	victim_new(&v, true);
	bomb(&v, 70);
	cr_expect(v.goaway == -1 && v.nheads == 0 && v.status != 0, "GOAWAY %d", v.goaway);
	victim_fini(&v);
	victim_new(&v, true);
	bomb(&v, 90);
	cr_expect(v.goaway == ENHANCE_YOUR_CALM && v.abuse && v.nheads == 0);
	victim_fini(&v);
}

/* The stream is reset by its first field, so what follows is told to nobody; it is counted all the same. */
Test(h2_abuse, a_header_block_without_end_ends_the_connection)
{
	static char piece[16384];
	struct victim v;

	/* 6 bytes, then a value of the 16,378 that are left: 127 + 123 + 127 * 128 - 5 */
	memset(piece, 'v', sizeof(piece));
	memcpy(piece, "\0\1x\x7f\xfb\x7e", 6);
	victim_new(&v, true);
	HEAD(&v, 1, 0, GET "\0\1X\1y");
	for (unsigned i = 0; i < H2_CONTINUATIONS_MAX; i++)
		frame(&v, CONTINUATION, 0, 1, piece, sizeof(piece));
	flush(&v);
	cr_expect(v.rc == 0 && v.goaway == -1 && v.nreset == 1, "%d", v.goaway);
	frame(&v, CONTINUATION, 0, 1, piece, sizeof(piece));
	flush(&v);
	cr_expect(v.goaway == ENHANCE_YOUR_CALM && v.abuse && v.nheads == 0, "%d", v.goaway);
	victim_fini(&v);
}

/* A network may take a block to pieces as it likes. */
Test(h2_abuse, a_header_block_byte_by_byte_is_no_flood)
{
	struct victim v;
	bool abuse;

	victim_new(&v, true);
	HEAD(&v, 1, 0, GET);
	for (unsigned i = 0; i < 15; i++)
		frame(&v, CONTINUATION, 0, 1, "\0\1x\1y", 5);
	frame(&v, CONTINUATION, END_HEADERS, 1, "\0\1x\1y", 5);
	for (size_t i = 0; i < v.in.len && v.rc == 0; i++)
		v.rc = h2_feed(v.h, v.in.p + i, 1, v.now_ms, &abuse);
	cr_expect(v.rc == 0 && v.nheads == 1);
	text_clear(&v.in);
	flush(&v);
	cr_expect(v.rc == 0 && v.goaway == -1, "%d", v.goaway);
	victim_fini(&v);
}

Test(h2_abuse, trailers_that_are_too_large_reset_the_stream)
{
	static char value[TRAILER_BYTES_MAX];
	struct text t = {0};
	struct victim v;

	memset(value, 'v', sizeof(value));
	victim_new(&v, true);
	stream_begin(&v, 0, 0);
	text_add(&t, "\0\1x\x7f\x81\x3f", 6); /* 127 + 1 + 63 * 128 = 8,192 */
	text_add(&t, value, 8192);
	frame(&v, HEADERS, END_STREAM | END_HEADERS, 1, t.p, t.len);
	flush(&v);
	cr_expect(v.rc == 0 && v.goaway == -1 && v.nheads == 1 && v.nreset == 1 && v.nclosed == 1);
	victim_fini(&v);
	text_fini(&t);
}

Test(h2_abuse, a_push_or_garbage_is_a_protocol_error)
{
	struct victim v;
	bool abuse;

	flood_begin(&v, true);
	frame(&v, PUSH_PROMISE, END_HEADERS, 1, "\0\0\0\2\x82", 5);
	flush(&v);
	cr_expect(v.goaway == H2_PROTOCOL_ERROR && h2_is_over(v.h) && !v.abuse);
	cr_expect(h2_feed(v.h, "x", 1, 0, &abuse) == -EPROTO && !abuse);
	victim_fini(&v);

	v = (struct victim){.goaway = -1};
	v.h = h2_new(&(struct h2_config){true, 1, 65535, 65535}, &events, &v);
	text_str(&v.in, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
	flush(&v);
	cr_expect(v.rc == -EPROTO && v.goaway == H2_PROTOCOL_ERROR && h2_is_over(v.h));
	victim_fini(&v);
}

Test(h2_abuse, one_frame_of_too_many_settings)
{
	static char entries[6 * (H2_SETTINGS_MAX + 1)];
	struct victim v;

	for (size_t i = 0; i < sizeof(entries); i += 6)
		entries[i + 1] = 0x77;
	victim_new(&v, true);
	frame(&v, SETTINGS, 0, 0, entries, sizeof(entries) - 6);
	flush(&v);
	cr_expect(v.rc == 0 && v.goaway == -1);
	frame(&v, SETTINGS, 0, 0, entries, sizeof(entries));
	flush(&v);
	cr_expect(v.rc == -EPROTO && v.goaway == ENHANCE_YOUR_CALM && v.abuse);
	victim_fini(&v);
}
