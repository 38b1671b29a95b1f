/* caller.c - questions and their answers. */
#include "caller.h"
#include "clock.h"

#include <stdio.h>

static const char body[POST_BYTES];

static_assert(POST_BYTES == 3000, "as ask_stream says");

/* ------------------------------------------------------------------ HTTP/1.1 */

static unsigned
status_of(const char *head)
{
	return strncmp(head, "HTTP/1.1 ", 9) == 0 ? (unsigned)strtoul(head + 9, NULL, 10) : 0;
}

/* One answer with a length, to its end. */
static unsigned
hear(struct caller *c)
{
	char in[ANSWER_BYTES + 4096];
	size_t n = 0;

	for (;;) {
		ssize_t got = n < sizeof(in) - 1 ? wire_wait(&c->wire, in + n, sizeof(in) - 1 - n) : 0;
		const char *end, *length;

		if (got <= 0)
			return 0;
		n += (size_t)got;
		in[n] = '\0';
		end = strstr(in, "\r\n\r\n");
		if (end == NULL)
			continue;
		length = strcasestr(in, "\r\ncontent-length:");
		if (length == NULL || length > end)
			return 0;
		if (n < (size_t)(end + 4 - in) + strtoul(length + 17, NULL, 10))
			continue;
		length = strcasestr(in, "\r\nconnection: close");
		c->over = length != NULL && length < end;
		return status_of(in);
	}
}

static void
ask_h1(struct caller *c, struct question *q)
{
	char out[256 + POST_BYTES];
	int n = snprintf(out, 256, "%s /path HTTP/1.1\r\nHost: shop\r\n", q->post ? "POST" : "GET");

	if (q->post) {
		n += snprintf(out + n, 128, "Content-Length: %u\r\n\r\n", POST_BYTES);
		memcpy(out + n, body, POST_BYTES);
		n += (int)POST_BYTES;
	} else {
		n += snprintf(out + n, 128, "\r\n");
	}
	q->status = wire_write(&c->wire, out, (size_t)n) ? hear(c) : 0;
}

/* ------------------------------------------------------------------ HTTP/2 */

static void *
on_head(void *ctx, int32_t id, void *stream, struct str block, bool last)
{
	struct question *q = stream;
	struct str name, value;

	while (q->status == 0 && block_next(&block, &name, &value))
		if (name.len == 7 && memcmp(name.p, ":status", 7) == 0)
			q->status = (unsigned)strtoul(value.p, NULL, 10);
	return q;
}

static void
on_data(void *ctx, void *stream, const char *p, size_t n, bool last)
{
	struct caller *c = ctx;
	struct question *q = stream;

	h2_consume(c->h2, q->id, n);
}

static void
on_closed(void *ctx, void *stream, uint32_t error, bool unseen)
{
	struct caller *c = ctx;
	struct question *q = stream;

	if (error != H2_NO_ERROR) {
		fprintf(stderr, "a stream ended with %u, status %u\n", error, q->status);
		q->status = 0;
	}
	c->open--;
}

static size_t
on_read(void *ctx, void *stream, char *out, size_t max, bool *last)
{
	struct question *q = stream;
	size_t n = MIN(max, q->left);

	memset(out, 0, n);
	q->left -= n;
	*last = q->left == 0;
	return n;
}

static void
on_head_sent(void *ctx, void *stream)
{
}

static const struct h2_events events = {on_head, on_data, on_closed, on_head_sent, on_read};

static bool
ask_stream(struct caller *c, struct question *q)
{
	char block[256], *p = block;

	p = block_put(p, STR(":method"), q->post ? STR("POST") : STR("GET"));
	p = block_put(p, STR(":scheme"), c->wire.ssl != NULL ? STR("https") : STR("http"));
	p = block_put(p, STR(":authority"), STR("shop"));
	p = block_put(p, STR(":path"), STR("/path"));
	/* Targets of HTTP/1.1 here know no chunks. */
	if (q->post)
		p = block_put(p, STR("content-length"), STR("3000"));
	q->left = q->post ? POST_BYTES : 0;
	q->id = h2_request(c->h2, (struct str){block, (uint32_t)(p - block)}, q->post, q);
	if (q->id < 0)
		return false;
	c->open++;
	return true;
}

/* What there is to be sent goes out, and something comes in. */
static bool
turn(struct caller *c)
{
	char bytes[16384];
	ssize_t got;
	size_t n;
	bool abuse;

	while ((n = h2_pull(c->h2, bytes, sizeof(bytes))) > 0)
		if (!wire_write(&c->wire, bytes, n))
			return false;
	if (c->open == 0)
		return true;
	got = wire_wait(&c->wire, bytes, sizeof(bytes));
	return got > 0 && h2_feed(c->h2, bytes, (size_t)got, clock_ms(), &abuse) == 0;
}

static void
ask_h2(struct caller *c, struct question *q, unsigned n)
{
	for (unsigned i = 0; i < n && !c->over; i++)
		c->over = !ask_stream(c, &q[i]);
	while (c->open > 0 && !c->over)
		c->over = !turn(c);
	/* Half an answer is none. */
	for (unsigned i = 0; i < n && c->over; i++)
		q[i].status = 0;
}

/* ------------------------------------------------------------------ both */

void
caller_begin(struct caller *c, struct wire *w, bool h2)
{
	static const struct h2_config config = {false, 100, 1u << 20, 1u << 24};

	*c = (struct caller){.wire = *w};
	if (h2)
		c->h2 = h2_new(&config, &events, c);
}

void
caller_end(struct caller *c)
{
	if (c->h2 != NULL)
		h2_free(c->h2);
	wire_close(&c->wire);
}

unsigned
caller_ask(struct caller *c, struct question *q, unsigned n)
{
	unsigned asked = 0;

	for (unsigned i = 0; i < n; i++)
		q[i].status = 0;
	if (c->h2 != NULL) {
		ask_h2(c, q, n);
		return n;
	}
	while (asked < n && !c->over)
		ask_h1(c, &q[asked++]);
	return asked;
}
