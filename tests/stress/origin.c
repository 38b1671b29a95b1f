/* origin.c - answers every request that has come as a whole. */
#include "origin.h"
#include "caller.h"
#include "clock.h"

#include <poll.h>
#include <stdio.h>

#define GUESTS_MAX 500u
#define STREAMS 128u

struct thread {
	struct origins *origins;
	struct pollfd polls[NORIGINS + GUESTS_MAX];
	struct guest *guests[GUESTS_MAX];
	unsigned n;
	SSL_CTX *contexts[NORIGINS];
};

struct stream {
	struct guest *guest;
	int32_t id; /* 0: free */
	bool post;
	size_t left;
};

/* A connection of the proxy, or one that came through it. */
struct guest {
	struct origins *origins;
	unsigned kind;
	struct wire wire;
	/* HTTP/1.1: a request, gathered. */
	size_t n;
	char in[8192];
	/* HTTP/2 */
	struct h2 *h2;
	struct stream streams[STREAMS];
};

static bool
has_tls(unsigned kind)
{
	return kind == ORIGIN_H1_TLS || kind == ORIGIN_H2_TLS;
}

static bool
has_h2(unsigned kind)
{
	return kind == ORIGIN_H2 || kind == ORIGIN_H2_TLS;
}

static size_t
answer_bytes(bool post)
{
	return post ? ANSWER_BYTES : 2;
}

/* ------------------------------------------------------------------ HTTP/1.1 */

static bool
answer_h1(struct guest *g, bool post)
{
	char out[256 + ANSWER_BYTES];
	size_t bytes = answer_bytes(post);
	int n = snprintf(out, 256, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", bytes);

	memset(out + n, 'x', bytes);
	atomic_fetch_add(&g->origins->answered[g->kind], 1);
	return wire_write(&g->wire, out, (size_t)n + bytes);
}

/* Answers what is whole; false: the connection is of no use. */
static bool
serve_h1(struct guest *g)
{
	for (;;) {
		ssize_t got = wire_read(&g->wire, g->in + g->n, sizeof(g->in) - 1 - g->n);
		const char *end, *length;
		size_t whole;

		if (got <= 0)
			return got < 0;
		g->n += (size_t)got;
		g->in[g->n] = '\0';
		end = strstr(g->in, "\r\n\r\n");
		if (end == NULL)
			continue;
		length = strcasestr(g->in, "\r\ncontent-length:");
		whole = (size_t)(end + 4 - g->in);
		if (length != NULL && length < end)
			whole += strtoul(length + 17, NULL, 10);
		if (g->n < whole)
			continue;
		/* The proxy asks for one thing at a time. */
		if (g->n > whole || !answer_h1(g, g->in[0] == 'P'))
			return false;
		g->n = 0;
	}
}

/* ------------------------------------------------------------------ HTTP/2 */

static void
answer_h2(struct stream *s)
{
	char block[256], length[16], *p = block;
	int n;

	s->left = answer_bytes(s->post);
	n = snprintf(length, sizeof(length), "%zu", s->left);
	p = block_put(p, STR(":status"), STR("200"));
	p = block_put(p, STR("content-length"), (struct str){length, (uint32_t)n});
	h2_answer(s->guest->h2, s->id, (struct str){block, (uint32_t)(p - block)}, true);
	atomic_fetch_add(&s->guest->origins->answered[s->guest->kind], 1);
}

static void *
on_head(void *ctx, int32_t id, void *stream, struct str block, bool last)
{
	struct guest *g = ctx;
	struct stream *s = stream;
	struct str name, value;

	for (unsigned i = 0; s == NULL && i < STREAMS; i++)
		if (g->streams[i].id == 0)
			s = &g->streams[i];
	if (s == NULL)
		return NULL;
	*s = (struct stream){.guest = g, .id = id};
	while (block_next(&block, &name, &value))
		if (name.len == 7 && memcmp(name.p, ":method", 7) == 0)
			s->post = value.p[0] == 'P';
	if (last)
		answer_h2(s);
	return s;
}

static void
on_data(void *ctx, void *stream, const char *p, size_t n, bool last)
{
	struct stream *s = stream;

	h2_consume(s->guest->h2, s->id, n);
	if (last)
		answer_h2(s);
}

static void
on_closed(void *ctx, void *stream, uint32_t error, bool unseen)
{
	((struct stream *)stream)->id = 0;
}

static size_t
on_read(void *ctx, void *stream, char *out, size_t max, bool *last)
{
	struct stream *s = stream;
	size_t n = MIN(max, s->left);

	memset(out, 'x', n);
	s->left -= n;
	*last = s->left == 0;
	return n;
}

static void
on_head_sent(void *ctx, void *stream)
{
}

static const struct h2_events events = {on_head, on_data, on_closed, on_head_sent, on_read};

static bool
serve_h2(struct guest *g)
{
	char bytes[16384];
	ssize_t got;
	size_t n;
	bool abuse;

	while ((got = wire_read(&g->wire, bytes, sizeof(bytes))) > 0)
		if (h2_feed(g->h2, bytes, (size_t)got, clock_ms(), &abuse) != 0)
			return false;
	while ((n = h2_pull(g->h2, bytes, sizeof(bytes))) > 0)
		if (!wire_write(&g->wire, bytes, n))
			return false;
	return got < 0 && !h2_is_over(g->h2);
}

/* ------------------------------------------------------------------ the thread */

static void
guest_come(struct thread *t, unsigned kind)
{
	static const struct h2_config config = {true, STREAMS, 1u << 20, 1u << 24};
	struct guest *g = xcalloc(1, sizeof(*g));

	g->origins = t->origins;
	g->kind = kind;
	if (!wire_accept(&g->wire, t->origins->fds[kind], t->contexts[kind])) {
		free(g);
		return;
	}
	if (has_h2(kind))
		g->h2 = h2_new(&config, &events, g);
	t->polls[NORIGINS + t->n] = (struct pollfd){.fd = g->wire.fd, .events = POLLIN};
	t->guests[t->n++] = g;
}

static void
guest_leave(struct thread *t, unsigned i)
{
	struct guest *g = t->guests[i];

	wire_close(&g->wire);
	if (g->h2 != NULL)
		h2_free(g->h2);
	free(g);
	t->n--;
	t->guests[i] = t->guests[t->n];
	t->polls[NORIGINS + i] = t->polls[NORIGINS + t->n];
}

static void *
run(void *arg)
{
	struct thread *t = xcalloc(1, sizeof(*t));

	t->origins = arg;
	for (unsigned i = 0; i < NORIGINS; i++) {
		t->polls[i] = (struct pollfd){.fd = t->origins->fds[i], .events = POLLIN};
		if (has_tls(i))
			t->contexts[i] = wire_context(true, has_h2(i), &t->origins->paper);
	}
	while (!atomic_load(&t->origins->stopping)) {
		poll(t->polls, NORIGINS + t->n, 50);
		for (unsigned i = t->n; i-- > 0;) {
			struct guest *g = t->guests[i];

			if (t->polls[NORIGINS + i].revents != 0 &&
			    !(g->h2 != NULL ? serve_h2(g) : serve_h1(g)))
				guest_leave(t, i);
		}
		for (unsigned i = 0; i < NORIGINS && t->n < GUESTS_MAX; i++)
			if ((t->polls[i].revents & POLLIN) != 0)
				guest_come(t, i);
	}
	while (t->n > 0)
		guest_leave(t, 0);
	for (unsigned i = 0; i < NORIGINS; i++)
		SSL_CTX_free(t->contexts[i]);
	free(t);
	return NULL;
}

void
origins_start(struct origins *o)
{
	for (unsigned i = 0; i < NORIGINS; i++)
		o->fds[i] = wire_listen(&o->ports[i]);
	pthread_create(&o->thread, NULL, run, o);
}

void
origins_stop(struct origins *o)
{
	atomic_store(&o->stopping, true);
	pthread_join(o->thread, NULL);
	for (unsigned i = 0; i < NORIGINS; i++)
		close(o->fds[i]);
}
