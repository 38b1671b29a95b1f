/* test_mux.c - streams of HTTP/2 as connections: a real ring and socket, a mux at one end, the codec at the
 * other. */
#include "../../engine/proxy/mux.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define STREAMS 64u
#define BIG (600u * 1024)

/* A stream at the server: what its owner was told, a letter each: head, data, sent, end, freed. */
struct side {
	struct conn conn;
	char log[64];
	struct text body;
	uint32_t told; /* of the body, with the head or in the last call */
	int error;     /* of the last sent or end */
	bool over;     /* everything that came was told */
	bool closed;
	char close_on; /* the event inside of which it closes */
	struct side *close_too;
	char *scribble; /* on the event sent: these bytes are the owner's again */
	size_t nscribble;
};

/* And at the client. */
struct far {
	int32_t id;
	unsigned heads;
	struct text body;
	bool last, closed;
	uint32_t error;
	size_t left; /* to be sent */
	bool hold;   /* it does not end */
};

static struct worker w;
static struct conn transport;
static struct mux *mux;
static int fd; /* the client's end */
static struct h2 *h2;
static struct side sides[STREAMS];
static struct far fars[STREAMS];
static unsigned nsides, nfars, nidle;
static bool gone;	 /* the transport */
static char close_early; /* for the next stream: side.close_on */

/* ------------------------------------------------------------------ the server */

static struct side *
side_of(struct conn *c)
{
	return container_of(c, struct side, conn);
}

static void
side_close(struct side *s)
{
	if (s->closed)
		return;
	s->closed = true;
	conn_close(&s->conn);
}

static void
note(struct side *s, char event)
{
	size_t n = strlen(s->log);

	cr_assert(n + 1 < sizeof(s->log) && (event == 'f' || !s->closed), "%c behind %s", event, s->log);
	s->log[n] = event;
	if (event != s->close_on)
		return;
	if (s->close_too != NULL)
		side_close(s->close_too);
	side_close(s);
}

static void
take(struct side *s, struct buf *b, char event)
{
	s->told = b->len - b->head;
	text_add(&s->body, buf_data(b) + b->head, s->told);
	buf_put(w.net.pools, b);
	s->over = s->conn.ended;
	note(s, event);
}

static void
on_head(struct conn *c, struct buf *b)
{
	cr_expect(b->head > 0);
	take(side_of(c), b, 'h');
}

static void
on_data(struct conn *c, struct buf *b)
{
	cr_expect(b->head == 0 && b->len > 0);
	take(side_of(c), b, 'd');
}

static void
on_sent(struct conn *c, int error)
{
	struct side *s = side_of(c);

	s->error = error;
	if (s->nscribble > 0)
		memset(s->scribble, '#', s->nscribble);
	s->nscribble = 0;
	note(s, 's');
}

static void
on_end(struct conn *c, int error)
{
	side_of(c)->error = error;
	side_of(c)->over = true;
	note(side_of(c), 'e');
}

static void
on_freed(struct conn *c)
{
	note(side_of(c), 'f');
}

static const struct conn_events side_events = {
    .head = on_head, .data = on_data, .sent = on_sent, .end = on_end, .freed = on_freed};

static bool
on_begin(struct mux *m, struct stream *s)
{
	struct side *x = &sides[nsides++];

	cr_assert(nsides <= STREAMS);
	x->close_on = close_early;
	mux_attach(s, &x->conn, &side_events);
	return true;
}

static void
on_over(struct mux *m)
{
	cr_assert(!gone);
	gone = true;
	mux_free(m);
	conn_close(&transport);
}

static void
on_idle(struct mux *m)
{
	nidle++;
}

static const struct mux_owner owner = {.begin = on_begin, .over = on_over, .idle = on_idle};

static void
on_transport_data(struct conn *c, struct buf *b)
{
	mux_data(mux, b);
}

static void
on_transport_end(struct conn *c, int error)
{
	on_over(mux);
}

static void
on_transport_sent(struct conn *c, int error)
{
	if (error != 0)
		on_over(mux);
	else
		mux_sent(mux);
}

static void
on_transport_freed(struct conn *c)
{
}

static const struct conn_events transport_events = {.data = on_transport_data,
    .end = on_transport_end,
    .sent = on_transport_sent,
    .freed = on_transport_freed};

/* ------------------------------------------------------------------ the client */

static void *
far_head(void *ctx, int32_t id, void *stream, struct str block, bool last)
{
	struct far *f = stream;

	f->heads++;
	f->last = last;
	return f;
}

static void
far_data(void *ctx, void *stream, const char *p, size_t n, bool last)
{
	struct far *f = stream;

	text_add(&f->body, p, n);
	f->last = last;
	h2_consume(h2, f->id, n);
}

static void
far_closed(void *ctx, void *stream, uint32_t error, bool unseen)
{
	struct far *f = stream;

	f->closed = true;
	f->error = error;
}

static void
far_head_sent(void *ctx, void *stream)
{
}

static size_t
far_read(void *ctx, void *stream, char *out, size_t max, bool *last)
{
	struct far *f = stream;
	size_t n = MIN(max, f->left);

	memset(out, 'b', n);
	f->left -= n;
	*last = f->left == 0 && !f->hold;
	return n;
}

static const struct h2_events far_events = {far_head, far_data, far_closed, far_head_sent, far_read};

/* A request with so many bytes of a body; hold: and more to come. */
static struct far *
ask(size_t body, bool hold)
{
	struct far *f = &fars[nfars++];
	char block[256], *p = block;

	cr_assert(nfars <= STREAMS);
	p = block_put(p, STR(":method"), STR("POST"));
	p = block_put(p, STR(":scheme"), STR("http"));
	p = block_put(p, STR(":authority"), STR("a"));
	p = block_put(p, STR(":path"), STR("/"));
	f->left = body;
	f->hold = hold;
	f->id = h2_request(h2, (struct str){block, (uint32_t)(p - block)}, body > 0 || hold, f);
	cr_assert(f->id > 0);
	return f;
}

/* ------------------------------------------------------------------ both */

static void
push(void)
{
	static char out[256 * 1024], rest[sizeof(out)];
	static size_t nrest;

	for (;;) {
		size_t n = nrest;
		ssize_t sent;

		if (n > 0)
			memcpy(out, rest, n);
		else
			n = h2_pull(h2, out, sizeof(out));
		nrest = 0;
		if (n == 0)
			return;
		sent = send(fd, out, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno != EAGAIN)
			return;
		nrest = n - (size_t)MAX(sent, 0);
		memcpy(rest, out + n - nrest, nrest);
		if (nrest > 0)
			return;
	}
}

static void
turn(void)
{
	ring_turn(w.net.ring, 1);
	w.net.now_ms++;
	mux_run(&w);
	for (int i = 0; i < BUF_CLASSES; i++)
		buf_refill(&w.net.pools[i]);
	conn_wake_starved(&w.net);
}

/* Lets everything go both ways until nothing does any more. */
static void
settle(void)
{
	static char in[256 * 1024];
	bool abuse;

	for (unsigned quiet = 0; quiet < 6;) {
		ssize_t n;

		push();
		turn();
		n = recv(fd, in, sizeof(in), MSG_DONTWAIT);
		quiet = n > 0 ? 0 : quiet + 1;
		if (n > 0)
			cr_assert(h2_feed(h2, in, (size_t)n, w.net.now_ms, &abuse) == 0);
	}
}

static void
begin(void)
{
	static const struct buf_sizes sizes[BUF_CLASSES] = {
	    [BUF_SMALL] = {.room = 2048, .max = 256, .want = 16, .want_max = 64},
	    [BUF_MID] = {.room = 80 * 1024, .max = 64, .want = 8, .want_max = 16},
	    [BUF_BIG] = {.room = 512 * 1024, .max = 8, .want = 2, .want_max = 2},
	};
	static const struct h2_config config = {
	    .streams_max = 100, .stream_window = 1 << 20, .window = 16 << 20};
	struct ring_features f;
	const char *why;
	int pair[2];

	cr_assert(ring_probe(&f, &why) == 0 && ring_new(&w.net.ring, 64, &f) == 0);
	for (int i = 0; i < BUF_CLASSES; i++)
		cr_assert(buf_pool_init(&w.net.pools[i], w.net.ring, (enum buf_class)i, &sizes[i]) == 0);
	worker_init(&w);
	w.net.now_ms = 1000;
	wheel_init(&w.net.wheel, w.net.now_ms);
	w.orphans = mux_new_orphans(&w);
	cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	fd = pair[1];
	conn_init(&transport, &w.net, pair[0], &transport_events);
	mux = mux_new(&w, &transport, true, &owner);
	h2 = h2_new(&config, &far_events, NULL);
	cr_assert(w.orphans != NULL && mux != NULL && h2 != NULL);
	conn_recv(&transport, BUF_MID);
	settle();
}

/* Every stream is closed, and then the client: nothing is left anywhere. */
static void
end(void)
{
	for (unsigned i = 0; i < nsides; i++)
		side_close(&sides[i]);
	close(fd);
	for (unsigned i = 0; i < 50 && w.net.nopen > 0; i++)
		turn();
	cr_expect(gone && w.net.nopen == 0 && w.orphans->nstreams == 0);
	for (unsigned i = 0; i < nsides; i++)
		cr_expect(
		    strchr(sides[i].log, 'f') == sides[i].log + strlen(sides[i].log) - 1, "%s", sides[i].log);
	for (int i = 0; i < BUF_CLASSES; i++)
		cr_expect(w.net.pools[i].held == 0, "%u buffers of class %d", w.net.pools[i].held, i);
	h2_free(h2);
	ring_free(w.net.ring);
	for (int i = 0; i < BUF_CLASSES; i++)
		buf_pool_fini(&w.net.pools[i]);
	spares_fini(&w.spare_streams);
	free(w.orphans);
	for (unsigned i = 0; i < STREAMS; i++) {
		text_fini(&sides[i].body);
		text_fini(&fars[i].body);
	}
}

TestSuite(mux, .init = begin, .fini = end, .timeout = 60);

#define HEAD_ROOM 256u

static uint32_t
head_put(char *out)
{
	return (uint32_t)(block_put(out, STR(":status"), STR("200")) - out);
}

static void
answer(struct side *s, bool last)
{
	static char block[HEAD_ROOM];
	uint32_t head = head_put(block);

	conn_frame(&s->conn, head, last);
	conn_send(&s->conn, block, head);
}

static void
trailers(struct side *s)
{
	static char block[HEAD_ROOM];
	uint32_t n = (uint32_t)(block_put(block, STR("grpc-status"), STR("0")) - block);

	conn_frame(&s->conn, n, true);
	conn_send(&s->conn, block, n);
}

static void
send_body(struct side *s, char *p, size_t n, bool last)
{
	memset(p, 'a', n);
	s->scribble = p;
	s->nscribble = n;
	conn_frame(&s->conn, 0, last);
	conn_send(&s->conn, p, n);
}

static bool
is_all(const struct text *t, char c, size_t n)
{
	for (size_t i = 0; i < t->len; i++)
		if (t->p[i] != c)
			return false;
	return t->len == n;
}

#define EXPECT_LOG(s, what) cr_expect(strcmp((s)->log, what) == 0, "%s, not %s", (s)->log, what)

/* ------------------------------------------------------------------ what comes */

Test(mux, head_and_body_are_told_in_one_and_without_asking)
{
	ask(5, false);
	ask(0, false);
	settle();
	EXPECT_LOG(&sides[0], "h");
	cr_expect(sides[0].told == 5 && sides[0].over);
	EXPECT_LOG(&sides[1], "h");
	cr_expect(sides[1].told == 0 && sides[1].over);
}

Test(mux, who_does_not_ask_gets_nothing_and_the_peer_waits)
{
	struct far *f = ask(BIG, false);
	struct side *s = &sides[0];

	settle();
	EXPECT_LOG(s, "h");
	cr_expect(BIG - f->left <= s->told + H2_STREAM_WINDOW + H2_STREAM_WINDOW / 2, "%zu", BIG - f->left);
	/* Another stream is not held up by it. */
	ask(100, false);
	settle();
	cr_expect(sides[1].body.len == 100);
	for (unsigned i = 0; i < 1000 && !s->over; i++) {
		size_t before = strlen(s->log);

		conn_recv(&s->conn, BUF_MID);
		settle();
		cr_expect(strlen(s->log) == before + 1, "one thing for each receive");
		if (before > 40)
			memset(s->log + 1, 0, sizeof(s->log) - 1);
	}
	cr_expect(s->over && is_all(&s->body, 'b', BIG));
}

Test(mux, the_window_of_the_connection_comes_back_from_streams_that_end)
{
	for (unsigned i = 0; i < 12; i++) {
		ask(H2_STREAM_WINDOW, true);
		settle();
		EXPECT_LOG(&sides[i], "h");
		if (i % 2 == 0)
			h2_reset(h2, fars[i].id, H2_CANCEL);
		else
			side_close(&sides[i]);
		settle();
		cr_expect(fars[i].left == 0 && fars[i].closed, "the %uth", i);
	}
}

/* ------------------------------------------------------------------ what goes */

Test(mux, each_send_is_told_once_and_not_before_its_bytes_are_taken)
{
	static char big[2][BIG], small[100];

	ask(0, false);
	ask(0, false);
	settle();
	answer(&sides[0], false);
	settle();
	EXPECT_LOG(&sides[0], "hs");
	/* The other's bytes fill what is sent with the head. */
	send_body(&sides[0], big[0], BIG, false);
	answer(&sides[1], false);
	while (strcmp(sides[1].log, "hs") != 0)
		turn();
	send_body(&sides[1], big[1], BIG, false);
	settle();
	EXPECT_LOG(&sides[0], "hss");
	EXPECT_LOG(&sides[1], "hss");
	send_body(&sides[1], small, sizeof(small), false);
	settle();
	trailers(&sides[1]);
	settle();
	EXPECT_LOG(&sides[1], "hssss");
	cr_expect(sides[1].error == 0 && fars[1].heads == 2 && fars[1].last && fars[1].closed);
	cr_expect(fars[1].error == H2_NO_ERROR && is_all(&fars[1].body, 'a', BIG + sizeof(small)));
	cr_expect(is_all(&fars[0].body, 'a', BIG) && !fars[0].last);
}

Test(mux, a_head_with_bytes_behind_it_is_one_send)
{
	static char big[HEAD_ROOM + BIG];
	struct side *s = &sides[0];

	ask(0, false);
	settle();
	s->nscribble = head_put(big) + BIG;
	s->scribble = big;
	memset(big + head_put(big), 'a', BIG);
	conn_frame(&s->conn, head_put(big), true);
	conn_send(&s->conn, big, s->nscribble);
	settle();
	EXPECT_LOG(s, "hs");
	cr_expect(fars[0].heads == 1 && fars[0].last && is_all(&fars[0].body, 'a', BIG));
}

Test(mux, a_send_without_bytes_ends_a_stream)
{
	ask(0, false);
	settle();
	answer(&sides[0], false);
	settle();
	conn_frame(&sides[0].conn, 0, true);
	conn_send(&sides[0].conn, NULL, 0);
	settle();
	EXPECT_LOG(&sides[0], "hss");
	cr_expect(fars[0].last && fars[0].closed && fars[0].error == H2_NO_ERROR);
}

Test(mux, an_answer_that_is_a_head_alone_goes_before_the_reset_behind_it)
{
	static char big[BIG];

	ask(0, false);
	settle();
	answer(&sides[0], false);
	settle();
	for (unsigned i = 1; i < 8; i++) {
		ask(10, true); /* the rest of the request is not waited for */
		settle();
		sides[i].close_on = 's';
		send_body(&sides[0], big, sizeof(big), false);
		answer(&sides[i], true);
		settle();
		EXPECT_LOG(&sides[i], "hsf");
		cr_expect(fars[i].heads == 1 && fars[i].last && fars[i].closed);
		cr_expect(fars[i].error == H2_NO_ERROR);
	}
}

/* ------------------------------------------------------------------ ends of all kinds */

Test(mux, a_reset_is_told_in_each_state)
{
	static char big[BIG];

	/* Before the head was told. */
	ask(0, true);
	push();
	h2_reset(h2, fars[0].id, H2_CANCEL);
	settle();
	EXPECT_LOG(&sides[0], "e");
	cr_expect(sides[0].error == -ECONNRESET);
	/* While the owner is busy elsewhere, and has asked for nothing. */
	ask(BIG, false);
	settle();
	h2_reset(h2, fars[1].id, H2_CANCEL);
	settle();
	EXPECT_LOG(&sides[1], "he");
	/* While an answer is being sent. */
	ask(0, false);
	settle();
	answer(&sides[2], false);
	settle();
	send_body(&sides[2], big, sizeof(big), false);
	turn();
	h2_reset(h2, fars[2].id, H2_CANCEL);
	settle();
	EXPECT_LOG(&sides[2], "hsse");
	/* What is sent on such a stream afterwards fails. */
	send_body(&sides[2], big, 10, true);
	settle();
	EXPECT_LOG(&sides[2], "hsses");
	cr_expect(sides[2].error == -EPIPE);
	/* And ours: told as it is meant. */
	ask(0, false);
	ask(0, false);
	settle();
	side_close(&sides[3]);
	conn_reset(&sides[4].conn);
	side_close(&sides[4]);
	settle();
	cr_expect(fars[3].closed && fars[3].error == H2_CANCEL);
	cr_expect(fars[4].closed && fars[4].error == H2_INTERNAL_ERROR);
	cr_expect(nidle == 0);
	for (unsigned i = 0; i < 3; i++)
		side_close(&sides[i]);
	cr_expect(nidle == 1 && !gone);
}

Test(mux, streams_outlive_their_connection_until_they_are_closed)
{
	static char big[BIG];

	for (unsigned i = 0; i < 3; i++)
		ask(i == 1 ? BIG : 0, i == 1);
	settle();
	answer(&sides[2], false);
	settle();
	send_body(&sides[2], big, sizeof(big), true);
	/* One more, which nobody has been told of. */
	close_early = 'e';
	ask(10, true);
	push();
	shutdown(fd, SHUT_RDWR);
	for (unsigned i = 0; i < 20; i++)
		turn();
	cr_expect(gone);
	EXPECT_LOG(&sides[0], "he");
	EXPECT_LOG(&sides[1], "he");
	EXPECT_LOG(&sides[2], "hsse");
	EXPECT_LOG(&sides[3], "hef");
	/* What they do is of no use, and does no harm. */
	conn_recv(&sides[0].conn, BUF_MID);
	answer(&sides[0], true);
	turn();
	EXPECT_LOG(&sides[0], "hes");
	cr_expect(sides[0].error == -EPIPE);
}

Test(mux, a_stream_may_close_itself_and_others_inside_of_any_event)
{
	static const char events[] = {'h', 'd', 's', 'e'};

	for (unsigned i = 0; i < COUNT(events); i++) {
		struct side *s = &sides[i * 2], *other = s + 1;

		close_early = events[i] == 'h' ? 'h' : 0;
		ask(BIG, events[i] != 'e');
		close_early = 0;
		settle();
		ask(BIG, true);
		settle();
		if (events[i] == 'h')
			continue;
		s->close_on = events[i];
		s->close_too = other;
		conn_recv(&other->conn, BUF_MID);
		if (events[i] == 's')
			answer(s, false);
		else if (events[i] == 'e')
			h2_reset(h2, fars[i * 2].id, H2_CANCEL);
		else
			conn_recv(&s->conn, BUF_MID);
		settle();
		cr_expect(s->closed && other->closed, "in %c", events[i]);
	}
	cr_expect(!gone);
	ask(0, false);
	settle();
	EXPECT_LOG(&sides[nsides - 1], "h");
}

Test(mux, leaves_when_its_streams_have_ended)
{
	ask(0, false);
	settle();
	mux_leave(mux, false);
	settle();
	cr_expect(h2_is_leaving(h2) && !gone);
	mux_leave(mux, true);
	mux_leave(mux, true);
	settle();
	cr_expect(!gone);
	sides[0].close_on = 's';
	answer(&sides[0], true);
	settle();
	EXPECT_LOG(&sides[0], "hsf");
	cr_expect(gone && fars[0].heads == 1 && fars[0].error == H2_NO_ERROR);
}
