/* fuzz_h2.c - bytes of the wire into h2.h: no assert, no sanitizer, and what is told keeps to its order.
 *
 * The first byte: 1 a server, 2 the preface is there already; 4 what is told is answered. The second how many
 * bytes come at a time. The rest are the bytes of the wire.
 */
#include "../../engine/http/h2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STREAMS 256

struct stream {
	int32_t id;
	bool head, last, closed;
	size_t unconsumed;
};

struct owner {
	struct h2 *h;
	bool answers;
	struct stream streams[STREAMS];
	unsigned n;
};

static void *
on_head(void *ctx, int32_t id, void *stream, struct str block, bool last)
{
	struct owner *o = ctx;
	struct stream *s = stream;
	const struct fault *fault;
	char out[1024];
	struct msg m;
	size_t head;

	if (s == NULL) {
		if (o->n == STREAMS)
			return NULL;
		s = &o->streams[o->n++];
		s->id = id;
	}
	assert(!s->last && !s->closed && s->id == id);
	s->head = true;
	s->last = last;
	if (o->answers && block_parse_request(&m, block, last, &fault) == 0) {
		block_print_own(out, 200, STR("id"), true, &head);
		h2_answer(o->h, id, (struct str){out, (uint32_t)head}, id % 4 == 1);
	}
	return s;
}

static void
on_data(void *ctx, void *stream, const char *p, size_t n, bool last)
{
	struct owner *o = ctx;
	struct stream *s = stream;

	assert(s->head && !s->last && !s->closed && (n > 0 || last));
	s->last = last;
	s->unconsumed += n;
	if (s->id % 4 == 3)
		return;
	h2_consume(o->h, s->id, s->unconsumed);
	s->unconsumed = 0;
}

static void
on_closed(void *ctx, void *stream, uint32_t error, bool unseen)
{
	struct owner *o = ctx;
	struct stream *s = stream;

	assert(!s->closed);
	s->closed = true;
	h2_consume(o->h, s->id, s->unconsumed);
}

static void
on_head_sent(void *ctx, void *stream)
{
}

static size_t
on_read(void *ctx, void *stream, char *out, size_t max, bool *last)
{
	struct stream *s = stream;

	assert(!s->closed && max > 0);
	memset(out, 'x', MIN(max, 100));
	*last = true;
	return MIN(max, 100);
}

static const struct h2_events events = {on_head, on_data, on_closed, on_head_sent, on_read};

static void
pull(struct owner *o, size_t max)
{
	char *out = xcalloc(1, max);
	size_t n, total = 0;

	/* An answer is no larger than what it is for: it ends. */
	while ((n = h2_pull(o->h, out, max)) > 0) {
		assert(n <= max);
		total += n;
		assert(total < 1u << 24);
	}
	free(out);
}

static void
ask(struct owner *o, unsigned n)
{
	char block[256], *p = block;

	p = block_put(p, STR(":method"), STR("GET"));
	p = block_put(p, STR(":scheme"), STR("http"));
	p = block_put(p, STR(":authority"), STR("a"));
	p = block_put(p, STR(":path"), STR("/"));
	for (unsigned i = 0; i < n; i++) {
		struct stream *s = &o->streams[o->n++];

		s->id = h2_request(o->h, (struct str){block, (uint32_t)(p - block)}, i % 2 == 1, s);
		assert(s->id > 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	struct owner o = {0};
	struct h2_config c = {true, 16, 1000, 70000};
	uint64_t now = 1;
	size_t step;
	bool abuse;

	if (size < 3)
		return 0;
	c.server = (data[0] & 1) != 0;
	o.answers = c.server && (data[0] & 4) != 0;
	o.h = h2_new(&c, &events, &o);
	assert(o.h != NULL);
	if (!c.server)
		ask(&o, 4);
	else if ((data[0] & 2) != 0)
		assert(h2_feed(o.h, preface, sizeof(preface) - 1, now, &abuse) == 0);
	step = data[1] == 0 ? size : data[1];
	for (size_t at = 2; at < size; at += step) {
		size_t n = MIN(step, size - at);
		char *piece = xcalloc(1, n);
		int rc;

		memcpy(piece, data + at, n);
		rc = h2_feed(o.h, piece, n, now++, &abuse);
		assert(rc == 0 || !h2_has_room(o.h, 0));
		assert(!abuse || rc != 0);
		free(piece);
		pull(&o, step % 7 == 0 ? 11 : 65536);
		if (h2_is_over(o.h))
			break;
	}
	h2_free(o.h);
	return 0;
}
