/* bench_h2.c - nanoseconds of CPU of a unary request through h2.h, both ends: a request of 9 fields and 100
 * bytes, an answer with 100 bytes and trailers, 32 streams a turn. */
#include "../engine/http/h2.h"
#include "base.h"
#include <stdio.h>
#include <time.h>

#define ROUNDS 5
#define TURNS 2000u
#define STREAMS 32u

struct stream {
	int32_t id;
	uint32_t left; /* of the body to be sent */
	struct stream *next;
};

struct end {
	struct h2 *h;
	struct str answer, trailers;
	struct stream *spare;
	unsigned nclosed;
};

static void *
on_head(void *ctx, int32_t id, void *stream, struct str block, bool last)
{
	struct end *e = ctx;
	struct stream *s = stream;

	if (s != NULL)
		return s;
	s = e->spare;
	e->spare = s->next;
	s->id = id;
	return s;
}

static void
on_data(void *ctx, void *stream, const char *p, size_t n, bool last)
{
	struct end *e = ctx;
	struct stream *s = stream;

	h2_consume(e->h, s->id, n);
	if (!last || e->answer.len == 0)
		return;
	s->left = 100;
	if (h2_answer(e->h, s->id, e->answer, true) != 0)
		abort();
}

static void
on_closed(void *ctx, void *stream, uint32_t error, bool unseen)
{
	struct end *e = ctx;
	struct stream *s = stream;

	s->next = e->spare;
	e->spare = s;
	e->nclosed++;
}

static void
on_head_sent(void *ctx, void *stream)
{
}

static size_t
on_read(void *ctx, void *stream, char *out, size_t max, bool *last)
{
	static const char body[100];
	struct end *e = ctx;
	struct stream *s = stream;
	size_t n = MIN(max, s->left);

	memcpy(out, body, n);
	s->left -= (uint32_t)n;
	if (s->left == 0 && e->trailers.len > 0)
		h2_trailers(e->h, s->id, e->trailers);
	else
		*last = s->left == 0;
	return n;
}

static const struct h2_events events = {on_head, on_data, on_closed, on_head_sent, on_read};

static uint64_t
cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static struct str
block_of(char *out, const char *const *pairs)
{
	char *p = out;

	for (; pairs[0] != NULL; pairs += 2)
		p = block_put(p, str_of(pairs[0]), str_of(pairs[1]));
	return (struct str){out, (uint32_t)(p - out)};
}

static void
carry(struct end *from, struct end *to)
{
	static char buf[256 * 1024];
	size_t n = h2_pull(from->h, buf, sizeof(buf));
	bool abuse;

	if (h2_feed(to->h, buf, n, 1, &abuse) != 0)
		abort();
}

static void
end_init(struct end *e, bool server, struct stream *streams)
{
	const struct h2_config c = {server, 128, 1 << 20, 1 << 24};

	e->h = h2_new(&c, &events, e);
	for (unsigned i = 0; i < STREAMS; i++) {
		streams[i].next = e->spare;
		e->spare = &streams[i];
	}
}

int
main(void)
{
	static const char *const request[] = {":method", "POST", ":scheme", "https", ":authority",
	    "shop.example.com", ":path", "/shop.Carts/Get", "content-type", "application/grpc", "te",
	    "trailers", "user-agent", "grpc-c/1.60", "grpc-accept-encoding", "identity, deflate, gzip",
	    "grpc-timeout", "1S", NULL};
	static const char *const answer[] = {":status", "200", "content-type", "application/grpc", "date",
	    "Mon, 23 Nov 2026 01:02:03 GMT", "server", "x", NULL};
	static const char *const trailers[] = {"grpc-status", "0", "grpc-message", "", NULL};
	static struct stream streams[2][STREAMS];
	static char buf[3][1024];
	struct end client = {0}, server = {0};
	struct str ask = block_of(buf[0], request);
	double best = 1e9;

	server.answer = block_of(buf[1], answer);
	server.trailers = block_of(buf[2], trailers);
	end_init(&client, false, streams[0]);
	end_init(&server, true, streams[1]);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = cpu_ns();

		for (unsigned turn = 0; turn < TURNS; turn++) {
			for (unsigned i = 0; i < STREAMS; i++) {
				struct stream *s = client.spare;

				client.spare = s->next;
				s->left = 100;
				s->id = h2_request(client.h, ask, true, s);
				if (s->id < 0)
					abort();
			}
			carry(&client, &server);
			carry(&server, &client);
		}
		best = MIN(best, (double)(cpu_ns() - start) / TURNS / STREAMS);
	}
	if (client.nclosed != ROUNDS * TURNS * STREAMS)
		abort();
	printf("unary request, both ends %7.1f ns\n", best);
	h2_free(client.h);
	h2_free(server.h);
	return 0;
}
