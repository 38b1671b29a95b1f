/* test_h2.c - two ends of h2.h back to back: what one says the other is told, however the bytes are cut. */
#include "../../engine/http/h2.h"
#include <criterion/criterion.h>
#include <errno.h>

#define STREAMS 64
#define WINDOW 65535u

/* A stream as its owner sees it. */
struct side {
	int32_t id;
	bool used, closed, unseen, last;
	unsigned heads;
	uint32_t error;
	struct text head, trailers, body; /* what came; blocks as name=value lines */
	size_t unconsumed;
	/* what goes out */
	struct str send;
	size_t given, ready; /* of send; as far as read may go */
	bool send_last, send_trailers;
	unsigned heads_sent;
};

struct end {
	struct h2 *h;
	bool server, refuse, hold; /* hold: what comes is not consumed */
	struct side sides[STREAMS];
	unsigned nsides, nclosed;
};

static void
text_block(struct text *t, struct str block)
{
	struct str name, value;

	while (block_next(&block, &name, &value))
		text_printf(t, STR_FMT "=" STR_FMT "\n", STR_ARG(name), STR_ARG(value));
}

static struct str
block_of(char *out, const char *const *pairs)
{
	char *p = out;

	for (; pairs[0] != NULL; pairs += 2)
		p = block_put(p, str_of(pairs[0]), str_of(pairs[1]));
	return (struct str){out, (uint32_t)(p - out)};
}

#define BLOCK(...) block_of((char[4096]){0}, (const char *const[]){__VA_ARGS__, NULL})
#define GET BLOCK(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/")
#define POST BLOCK(":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/")
#define OK BLOCK(":status", "200", "x", "y")

static void *
on_head(void *ctx, int32_t id, void *stream, struct str block, bool last)
{
	struct end *e = ctx;
	struct side *s = stream;

	if (s == NULL) {
		cr_assert(e->server && e->nsides < STREAMS);
		if (e->refuse)
			return NULL;
		s = &e->sides[e->nsides++];
		s->used = true;
		s->id = id;
	}
	cr_expect(!s->last && !s->closed, "head of %d behind its end", id);
	text_block(s->heads++ == 0 ? &s->head : &s->trailers, block);
	s->last = last;
	return s;
}

static void
on_data(void *ctx, void *stream, const char *p, size_t n, bool last)
{
	struct end *e = ctx;
	struct side *s = stream;

	cr_expect(s->heads > 0 && !s->last && !s->closed, "data of %d out of turn", s->id);
	cr_expect(n > 0 || last);
	text_add(&s->body, p, n);
	s->last = last;
	if (e->hold)
		s->unconsumed += n;
	else
		h2_consume(e->h, s->id, n);
}

static void
on_closed(void *ctx, void *stream, uint32_t error, bool unseen)
{
	struct end *e = ctx;
	struct side *s = stream;

	cr_expect(!s->closed, "%d closed twice", s->id);
	s->closed = true;
	s->error = error;
	s->unseen = unseen;
	e->nclosed++;
}

static void
on_head_sent(void *ctx, void *stream)
{
	struct side *s = stream;

	cr_expect(!s->closed, "head of %d behind its end", s->id);
	s->heads_sent++;
}

static size_t
on_read(void *ctx, void *stream, char *out, size_t max, bool *last)
{
	struct end *e = ctx;
	struct side *s = stream;
	size_t n = MIN(max, s->ready - s->given);

	cr_expect(!s->closed, "read of %d after its end", s->id);
	if (n > 0)
		memcpy(out, s->send.p + s->given, n);
	s->given += n;
	if (s->given < s->send.len)
		return n;
	if (s->send_trailers)
		cr_expect(h2_trailers(e->h, s->id, BLOCK("grpc-status", "0")) == 0);
	s->send_trailers = false;
	*last = s->send_last;
	return n;
}

static const struct h2_events events = {on_head, on_data, on_closed, on_head_sent, on_read};

struct pair {
	struct end client, server;
	size_t pull, feed; /* bytes at a time */
	uint64_t now_ms;
};

static struct pair *
pair_new(size_t pull, size_t feed)
{
	const struct h2_config client = {false, 0, WINDOW, WINDOW}, server = {true, 16, WINDOW, WINDOW};
	struct pair *p = xcalloc(1, sizeof(*p));

	p->pull = pull;
	p->feed = feed;
	p->server.server = true;
	p->client.h = h2_new(&client, &events, &p->client);
	p->server.h = h2_new(&server, &events, &p->server);
	cr_assert(p->client.h != NULL && p->server.h != NULL);
	return p;
}

static void
end_fini(struct end *e)
{
	h2_free(e->h);
	for (unsigned i = 0; i < e->nsides; i++) {
		text_fini(&e->sides[i].head);
		text_fini(&e->sides[i].trailers);
		text_fini(&e->sides[i].body);
	}
}

static void
pair_free(struct pair *p)
{
	end_fini(&p->client);
	end_fini(&p->server);
	free(p);
}

/* What one end has goes to the other. How many bytes. */
static size_t
carry(struct pair *p, struct end *from, struct end *to)
{
	size_t n = 0, total = 0;
	char *buf = xcalloc(1, p->pull);
	bool abuse;

	while ((n = h2_pull(from->h, buf, p->pull)) > 0) {
		cr_assert(n <= p->pull);
		total += n;
		for (size_t at = 0; at < n; at += p->feed) {
			size_t part = MIN(p->feed, n - at);
			/* Memory of its own, so that ASan sees a look behind it. */
			char *piece = xcalloc(1, part);

			memcpy(piece, buf + at, part);
			cr_expect(h2_feed(to->h, piece, part, p->now_ms, &abuse) == 0 && !abuse);
			free(piece);
		}
	}
	free(buf);
	return total;
}

static size_t
settle(struct pair *p)
{
	size_t total = 0, n;

	do {
		n = carry(p, &p->client, &p->server);
		n += carry(p, &p->server, &p->client);
		total += n;
	} while (n > 0);
	return total;
}

static struct side *
ask(struct pair *p, struct str block, struct str body)
{
	struct side *s = &p->client.sides[p->client.nsides++];

	s->used = true;
	s->send = body;
	s->ready = body.len;
	s->send_last = true;
	s->id = h2_request(p->client.h, block, body.len > 0, s);
	cr_assert(s->id > 0, "%d", s->id);
	return s;
}

static struct side *
asked(struct pair *p, const struct side *s)
{
	for (unsigned i = 0; i < p->server.nsides; i++)
		if (p->server.sides[i].id == s->id)
			return &p->server.sides[i];
	cr_assert(false, "stream %d did not arrive", s->id);
	return NULL;
}

static void
answer(struct pair *p, struct side *s, struct str block, struct str body, bool trailers)
{
	s->send = body;
	s->ready = body.len;
	s->send_last = !trailers;
	s->send_trailers = trailers;
	cr_expect(h2_answer(p->server.h, s->id, block, body.len > 0 || trailers) == 0);
}

static const struct {
	size_t pull, feed;
} cuts[] = {{65536, 65536}, {1, 1}, {65536, 1}, {7, 65536}, {1033, 13}, {9, 8}, {10, 9}, {1200, 1200}};

Test(h2, a_unary_call_with_trailers_however_it_is_cut)
{
	static char big[40000];

	memset(big, 'b', sizeof(big));
	for (size_t i = 0; i < COUNT(cuts); i++) {
		struct pair *p = pair_new(cuts[i].pull, cuts[i].feed);
		struct side *c = ask(p, POST, STR("hello")), *s;

		settle(p);
		s = asked(p, c);
		cr_expect(strcmp(s->head.p, ":method=POST\n:scheme=http\n:authority=a\n:path=/\n") == 0, "%s",
		    s->head.p);
		cr_expect(s->last && strcmp(s->body.p, "hello") == 0);
		answer(p, s, OK, (struct str){big, sizeof(big)}, true);
		settle(p);
		cr_expect(strcmp(c->head.p, ":status=200\nx=y\n") == 0, "%s", c->head.p);
		cr_expect(c->body.len == sizeof(big) && memcmp(c->body.p, big, sizeof(big)) == 0);
		cr_expect(strcmp(c->trailers.p, "grpc-status=0\n") == 0);
		cr_expect(c->last && c->closed && c->error == H2_NO_ERROR && !c->unseen);
		cr_expect(s->closed && s->error == H2_NO_ERROR);
		cr_expect(h2_nstreams(p->client.h) == 0 && h2_nstreams(p->server.h) == 0);
		pair_free(p);
	}
}

Test(h2, an_answer_without_a_body_with_interim_ones_before_it)
{
	struct pair *p = pair_new(65536, 65536);
	struct side *c = ask(p, GET, STR("")), *s;

	settle(p);
	s = asked(p, c);
	cr_expect(s->last);
	answer(p, s, BLOCK(":status", "103", "link", "x"), STR(""), false);
	settle(p);
	cr_expect(c->heads == 1 && !c->last && strcmp(c->head.p, ":status=103\nlink=x\n") == 0);
	answer(p, s, BLOCK(":status", "204"), STR(""), false);
	settle(p);
	cr_expect(c->last && c->closed && strcmp(c->trailers.p, ":status=204\n") == 0);
	pair_free(p);
}

Test(h2, a_head_behind_an_interim_answer_may_be_large)
{
	struct pair *p = pair_new(65536, 65536);
	struct side *c = ask(p, GET, STR("")), *s;
	static char value[20001], block[32768];
	char *end;

	memset(value, 'v', sizeof(value) - 1);
	settle(p);
	s = asked(p, c);
	answer(p, s, BLOCK(":status", "100"), STR(""), false);
	end = block_put(block, STR(":status"), STR("200"));
	end = block_put(end, STR("x"), str_of(value));
	answer(p, s, (struct str){block, (uint32_t)(end - block)}, STR(""), false);
	settle(p);
	cr_expect(c->closed && c->error == H2_NO_ERROR && c->trailers.len > 20000);
	pair_free(p);
}

Test(h2, an_answer_to_head_tells_a_length_and_has_no_body)
{
	struct pair *p = pair_new(65536, 65536);
	struct side *c =
	    ask(p, BLOCK(":method", "HEAD", ":scheme", "http", ":authority", "a", ":path", "/"), STR(""));

	settle(p);
	answer(p, asked(p, c), BLOCK(":status", "200", "content-length", "77"), STR(""), false);
	settle(p);
	cr_expect(c->closed && c->error == H2_NO_ERROR && c->last && c->body.len == 0);
	pair_free(p);
}

Test(h2, all_frames_of_a_turn_come_in_one_pull)
{
	struct pair *p = pair_new(65536, 65536);
	struct side *c[8];
	static char buf[65536];
	bool abuse;
	size_t n;

	settle(p);
	for (unsigned i = 0; i < COUNT(c); i++)
		c[i] = ask(p, GET, STR(""));
	carry(p, &p->client, &p->server);
	for (unsigned i = 0; i < COUNT(c); i++)
		answer(p, asked(p, c[i]), OK, STR("0123456789"), true);
	n = h2_pull(p->server.h, buf, sizeof(buf));
	cr_expect(h2_pull(p->server.h, buf + n, sizeof(buf) - n) == 0);
	cr_expect(h2_feed(p->client.h, buf, n, 0, &abuse) == 0);
	cr_expect(p->client.nclosed == COUNT(c));
	pair_free(p);
}

Test(h2, a_body_waits_for_the_window_and_for_what_is_consumed)
{
	static char big[300000];
	struct pair *p = pair_new(16384, 16384);
	struct side *c = ask(p, GET, STR("")), *s;

	memset(big, 'b', sizeof(big));
	p->client.hold = true;
	settle(p);
	s = asked(p, c);
	answer(p, s, OK, (struct str){big, sizeof(big)}, false);
	settle(p);
	cr_expect(c->body.len == WINDOW && s->given == WINDOW, "%zu of %zu", c->body.len, s->given);
	while (!c->closed) {
		size_t n = c->unconsumed, before = c->body.len;

		c->unconsumed = 0;
		h2_consume(p->client.h, c->id, n);
		settle(p);
		cr_assert(c->body.len > before && c->body.len - before <= WINDOW, "%zu", c->body.len);
	}
	cr_expect(c->body.len == sizeof(big) && c->last);
	/* What is consumed after the end opens the connection's window for the next. */
	h2_consume(p->client.h, c->id, c->unconsumed);
	p->client.hold = false;
	c = ask(p, GET, STR(""));
	settle(p);
	answer(p, asked(p, c), OK, (struct str){big, sizeof(big)}, false);
	settle(p);
	cr_expect(c->body.len == sizeof(big) && c->closed);
	pair_free(p);
}

Test(h2, a_body_that_pauses_goes_on_when_it_is_resumed)
{
	struct pair *p = pair_new(65536, 65536);
	struct side *c = ask(p, GET, STR("")), *s;

	settle(p);
	s = asked(p, c);
	answer(p, s, OK, STR("one two"), true);
	s->ready = 0;
	settle(p);
	cr_expect(c->heads == 1 && c->body.len == 0);
	s->ready = 3;
	settle(p);
	cr_expect(c->body.len == 0, "it was not resumed");
	h2_resume(p->server.h, s->id);
	settle(p);
	cr_expect(strcmp(c->body.p, "one") == 0 && !c->last);
	s->ready = 7;
	h2_resume(p->server.h, s->id);
	settle(p);
	cr_expect(strcmp(c->body.p, "one two") == 0 && c->last && c->closed && c->trailers.len > 0);
	pair_free(p);
}

Test(h2, trailers_may_come_long_after_the_body)
{
	struct pair *p = pair_new(65536, 65536);
	struct side *c = ask(p, GET, STR("")), *s;

	settle(p);
	s = asked(p, c);
	answer(p, s, OK, STR("body"), true);
	s->send_trailers = false;
	settle(p);
	cr_expect(strcmp(c->body.p, "body") == 0 && !c->last);
	cr_expect(h2_trailers(p->server.h, s->id, BLOCK("a", "b")) == 0);
	settle(p);
	cr_expect(strcmp(c->trailers.p, "a=b\n") == 0 && c->last && c->closed);
	pair_free(p);
}

Test(h2, trailers_may_follow_a_head_at_once)
{
	struct pair *p = pair_new(65536, 65536);
	struct side *c = ask(p, GET, STR("")), *s;

	settle(p);
	s = asked(p, c);
	answer(p, s, OK, STR(""), true);
	s->send_trailers = false;
	cr_expect(h2_trailers(p->server.h, s->id, BLOCK("a", "b")) == 0);
	settle(p);
	cr_expect(strcmp(c->trailers.p, "a=b\n") == 0 && c->last && c->closed && c->error == 0);
	pair_free(p);
}

Test(h2, an_answer_may_come_before_the_request_is_whole)
{
	struct pair *p = pair_new(65536, 65536);
	struct side *c = ask(p, POST, STR("partial")), *s;

	c->ready = 3;
	settle(p);
	s = asked(p, c);
	answer(p, s, OK, STR("enough"), false);
	settle(p);
	cr_expect(strcmp(c->body.p, "enough") == 0 && c->last && !c->closed);
	h2_reset(p->server.h, s->id, H2_NO_ERROR);
	settle(p);
	cr_expect(c->closed && c->error == H2_NO_ERROR);
	cr_expect(s->closed && s->error == H2_NO_ERROR && h2_nstreams(p->server.h) == 0);
	pair_free(p);
}

Test(h2, a_refused_stream_was_not_seen)
{
	struct pair *p = pair_new(65536, 65536);
	struct side *c;

	p->server.refuse = true;
	c = ask(p, POST, STR("body"));
	settle(p);
	cr_expect(c->closed && c->unseen && c->error == H2_REFUSED_STREAM && p->server.nsides == 0);
	pair_free(p);
}

Test(h2, a_reset_of_either_end_is_told_to_the_other)
{
	for (int by_client = 0; by_client < 2; by_client++) {
		struct pair *p = pair_new(65536, 65536);
		struct side *c = ask(p, POST, STR("body")), *s;

		c->ready = 1;
		settle(p);
		s = asked(p, c);
		h2_reset(by_client ? p->client.h : p->server.h, c->id, H2_CANCEL);
		settle(p);
		cr_expect(c->closed && s->closed && c->error == H2_CANCEL && s->error == H2_CANCEL);
		cr_expect(!c->unseen && !s->unseen && h2_nstreams(p->client.h) == 0);
		pair_free(p);
	}
}

Test(h2, nothing_is_told_of_a_stream_that_was_forgotten)
{
	static char big[100000];
	struct pair *p = pair_new(65536, 65536);
	struct side *c = ask(p, GET, STR("")), *s;

	memset(big, 'b', sizeof(big));
	settle(p);
	s = asked(p, c);
	h2_forget(p->client.h, c->id);
	answer(p, s, OK, (struct str){big, sizeof(big)}, false);
	settle(p);
	cr_expect(c->heads == 0 && c->body.len == 0 && !c->closed);
	cr_expect(s->given == sizeof(big), "the windows of what nobody reads stay open");
	c = ask(p, GET, STR(""));
	settle(p);
	s = asked(p, c);
	answer(p, s, OK, STR("late"), false);
	s->ready = 0;
	h2_forget(p->server.h, s->id);
	h2_resume(p->server.h, s->id);
	settle(p);
	cr_expect(s->given == 0 && c->closed && c->error == H2_INTERNAL_ERROR);
	pair_free(p);
}

Test(h2, a_client_keeps_to_the_number_of_streams)
{
	struct pair *p = pair_new(65536, 65536);
	struct side *c = NULL;

	settle(p);
	for (unsigned i = 0; i < 16; i++) {
		cr_expect(h2_has_room(p->client.h, 0), "%u", i);
		c = ask(p, GET, STR(""));
	}
	cr_expect(!h2_has_room(p->client.h, 0));
	cr_expect(h2_request(p->client.h, GET, false, c) == -EAGAIN);
	settle(p);
	answer(p, asked(p, c), OK, STR(""), false);
	settle(p);
	cr_expect(h2_has_room(p->client.h, 0) && h2_nstreams(p->client.h) == 15);
	cr_expect(!h2_has_room(p->client.h, 1), "one that is to be begun has the place");
	pair_free(p);
}

Test(h2, a_connection_is_left_gracefully)
{
	struct pair *p = pair_new(65536, 65536);
	struct side *c = ask(p, GET, STR("")), *s, *late;

	settle(p);
	s = asked(p, c);
	/* One that is on its way when the first GOAWAY goes out is served. */
	late = ask(p, GET, STR(""));
	h2_shutdown(p->server.h, false);
	cr_expect(h2_is_leaving(p->server.h));
	settle(p);
	cr_expect(h2_is_leaving(p->client.h) && !h2_has_room(p->client.h, 0) && !h2_is_over(p->client.h));
	answer(p, asked(p, late), OK, STR(""), false);
	h2_shutdown(p->server.h, true);
	settle(p);
	cr_expect(late->closed && late->error == H2_NO_ERROR && !c->closed);
	cr_expect(!h2_is_over(p->server.h) && !h2_is_over(p->client.h));
	answer(p, s, OK, STR("bye"), false);
	settle(p);
	cr_expect(c->closed && strcmp(c->body.p, "bye") == 0);
	cr_expect(h2_is_over(p->server.h) && h2_is_over(p->client.h));
	pair_free(p);
}

Test(h2, what_a_final_goaway_left_out_was_not_seen)
{
	struct pair *p = pair_new(65536, 65536);
	struct side *c;

	settle(p);
	h2_shutdown(p->server.h, true);
	c = ask(p, GET, STR(""));
	settle(p);
	cr_expect(c->closed && c->unseen && p->server.nsides == 0);
	cr_expect(h2_is_over(p->server.h) && h2_is_over(p->client.h));
	pair_free(p);
}

Test(h2, a_request_that_a_goaway_overtook_was_not_seen)
{
	struct pair *p = pair_new(65536, 65536);
	char out[256];
	bool abuse;
	struct side *c;

	settle(p);
	c = ask(p, GET, STR(""));
	h2_shutdown(p->server.h, false);
	cr_assert(h2_feed(p->client.h, out, h2_pull(p->server.h, out, sizeof(out)), 1, &abuse) == 0);
	settle(p);
	cr_expect(c->closed && c->unseen && c->heads_sent == 0 && p->server.nsides == 0);
	pair_free(p);
}

Test(h2, tunnels_are_offered_and_begun)
{
	struct pair *p = pair_new(65536, 65536);
	struct side *c;

	cr_expect(!h2_has_tunnels(p->client.h));
	settle(p);
	cr_expect(h2_has_tunnels(p->client.h) && !h2_has_tunnels(p->server.h));
	c = ask(p,
	    BLOCK(":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a",
		":path", "/chat"),
	    STR("frame"));
	settle(p);
	cr_expect(strcmp(asked(p, c)->body.p, "frame") == 0);
	pair_free(p);
}

Test(h2, a_ping_is_answered)
{
	struct pair *p = pair_new(65536, 65536);
	static char buf[256];

	settle(p);
	h2_ping(p->client.h);
	cr_expect(carry(p, &p->client, &p->server) == 17);
	cr_expect(h2_pull(p->server.h, buf, sizeof(buf)) == 17 && buf[3] == 6 && buf[4] == 1);
	pair_free(p);
}

Test(h2, crumbs_of_a_cookie_are_one_field)
{
	static const struct {
		const char *const pairs[13], *want;
	} rows[] = {
	    {{"cookie", "a=1", NULL}, "cookie=a=1\n"},
	    {{"cookie", "a=1", "cookie", "b=2", "cookie", "c=3", NULL}, "cookie=a=1; b=2; c=3\n"},
	    {{"cookie", "a=1", "x", "y", "cookie", "b=2", "z", "", NULL}, "cookie=a=1; b=2\nx=y\nz=\n"},
	    {{"x", "y", "cookie", "a=1", "z", "1", "cookie", "b=2", "cookie", "c=3", NULL},
		"x=y\ncookie=a=1; b=2; c=3\nz=1\n"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct pair *p = pair_new(65536, 65536);
		char block[4096];
		struct str head = block_of(block, (const char *const[]){":method", "GET", ":scheme", "http",
						      ":authority", "a", ":path", "/", NULL}),
			   rest = block_of(block + head.len, rows[i].pairs);
		struct side *c = ask(p, (struct str){block, head.len + rest.len}, STR(""));
		const char *got;

		settle(p);
		got = strstr(asked(p, c)->head.p, ":path=/\n") + 8;
		cr_expect(strcmp(got, rows[i].want) == 0, "row %zu: %s", i, got);
		pair_free(p);
	}
}

/* One random thing; every stream must end as it should all the same. */
static void
random_step(struct pair *p, unsigned *seed, const char *big)
{
	struct side *s;

	switch (rand_r(seed) % 8) {
	case 0:
	case 1:
		if (p->client.nsides < STREAMS && h2_has_room(p->client.h, 0))
			ask(p, POST, (struct str){big, (uint32_t)(rand_r(seed) % 50000)});
		return;
	case 2:
		carry(p, &p->client, &p->server);
		return;
	case 3:
		carry(p, &p->server, &p->client);
		return;
	default:
		break;
	}
	if (p->server.nsides == 0)
		return;
	s = &p->server.sides[(unsigned)rand_r(seed) % p->server.nsides];
	if (s->closed || !s->last)
		return;
	if (s->send.p == NULL) {
		uint32_t n = (uint32_t)(rand_r(seed) % 80000);

		answer(p, s, OK, (struct str){big, n + 1}, rand_r(seed) % 2 == 0);
		s->ready = 0;
	} else {
		s->ready += (unsigned)rand_r(seed) % 30000;
		s->ready = MIN(s->ready, s->send.len);
		h2_resume(p->server.h, s->id);
	}
}

Test(h2, streams_that_run_into_each_other_stay_apart)
{
	static char big[100000];

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)('a' + i % 26);
	for (unsigned seed = 1; seed <= 30; seed++) {
		struct pair *p = pair_new(1 + seed * 977 % 20000, 1 + seed * 457 % 9000);
		unsigned state = seed;

		for (unsigned i = 0; i < 600; i++)
			random_step(p, &state, big);
		settle(p);
		for (unsigned i = 0; i < p->server.nsides; i++) {
			struct side *s = &p->server.sides[i];

			if (s->send.p == NULL)
				answer(p, s, OK, STR("x"), true);
			s->ready = s->send.len;
			h2_resume(p->server.h, s->id);
		}
		settle(p);
		cr_assert(p->client.nsides > 0 && p->client.nclosed == p->client.nsides, "seed %u: %u of %u",
		    seed, p->client.nclosed, p->client.nsides);
		for (unsigned i = 0; i < p->client.nsides; i++) {
			struct side *c = &p->client.sides[i], *s = asked(p, c);

			cr_assert(c->error == 0 && c->last && c->body.len == s->send.len,
			    "seed %u, stream %d: %u, %zu of %u", seed, c->id, c->error, c->body.len,
			    s->send.len);
			cr_expect(memcmp(c->body.p, s->send.p, s->send.len) == 0, "seed %u", seed);
			cr_expect(s->body.len == c->send.len, "seed %u", seed);
		}
		pair_free(p);
	}
}
