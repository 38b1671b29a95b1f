/* relay.c - framing of bodies, in place. */
#include "relay.h"

#include <errno.h>

#define SLOW_MS 50u /* a send that takes longer is waiting for its receiver */
#define LAST_CHUNK STR("0\r\n\r\n")

void
relay_init(struct relay *r, enum body body, uint64_t length, enum relay_frame frame)
{
	*r = (struct relay){.body = body, .frame = frame, .left = length};
	r->done = body == BODY_NONE || (body == BODY_LENGTH && length == 0);
}

static struct buf *
keep(const char *p, size_t n, uint32_t room)
{
	struct buf *b = buf_heap((uint32_t)MAX(n, room));

	if (b != NULL) {
		memcpy(buf_data(b), p, n);
		b->len = (uint32_t)n;
	}
	return b;
}

static void
append(struct buf *b, struct str s)
{
	memcpy(buf_data(b) + b->len, s.p, s.len);
	b->len += s.len;
}

/* One chunk around what b holds, and the last chunk behind it when the body ends without trailers. */
static void
wrap(struct relay *r, struct buf *b)
{
	if (r->frame != FRAME_CHUNKED)
		return;
	if (b->len > 0) {
		size_t len;
		char *p = chunk_encode(buf_data(b), b->len, &len);

		b->off = (uint32_t)(p - b->base);
		b->len = (uint32_t)len;
	}
	if (r->done && r->after == NULL)
		append(b, LAST_CHUNK);
}

/* r->after is what the receiver gets of the trailer section m. */
static int
keep_trailers(struct relay *r, const struct msg *m, size_t len)
{
	if (r->frame == FRAME_RAW)
		return 0;
	r->after = buf_heap((uint32_t)len + FIELDS_MAX * 4 + 16);
	if (r->after == NULL)
		return -ENOMEM;
	if (r->frame == FRAME_CHUNKED)
		r->after->len = (uint32_t)h1_print_trailers(buf_data(r->after), m);
	else
		r->after->len = (uint32_t)block_print_trailers(buf_data(r->after), m);
	return 0;
}

/* The trailer section at p: 1 when complete, 0 when not yet. *used: its length. */
static int
read_trailers(struct relay *r, const char *p, size_t n, size_t *used)
{
	const struct fault *fault;
	struct msg m;
	int len;

	if (n >= 2 && p[0] == '\r' && p[1] == '\n') {
		*used = 2;
		return 1;
	}
	len = h1_parse_trailers(&m, p, n, &fault);
	if (len < 0 || (len == 0 && n > TRAILER_BYTES_MAX))
		return -EBADMSG;
	if (len == 0)
		return 0;
	*used = (size_t)len;
	return keep_trailers(r, &m, (size_t)len) == 0 ? 1 : -ENOMEM;
}

int
relay_trailers(struct relay *r, struct str block)
{
	const struct fault *fault;
	struct msg m;

	if (block_parse_trailers(&m, block, &fault) != 0)
		return -EBADMSG;
	return keep_trailers(r, &m, block.len);
}

/* The bytes behind the last chunk: p[0..n) is all there is of the trailer section, and more perhaps. */
static int
end_chunks(struct relay *r, const char *p, size_t n, struct buf **rest)
{
	size_t used = 0;
	int rc = read_trailers(r, p, n, &used);

	if (rc < 0)
		return rc;
	if (rc == 0) {
		r->trailers = keep(p, n, TRAILER_BYTES_MAX * 2);
		return r->trailers != NULL ? 0 : -ENOMEM;
	}
	r->done = true;
	if (used < n && (*rest = keep(p + used, n - used, 0)) == NULL)
		return -ENOMEM;
	return 0;
}

/* More of a trailer section that came in parts. */
static int
more_trailers(struct relay *r, struct buf *b, struct buf **rest)
{
	struct buf *t = r->trailers, *whole;
	int rc;

	whole = buf_heap(t->len + b->len);
	if (whole == NULL)
		return -ENOMEM;
	append(whole, (struct str){buf_data(t), t->len});
	append(whole, (struct str){buf_data(b), b->len});
	buf_put(NULL, t);
	r->trailers = NULL;
	b->len = 0;
	rc = end_chunks(r, buf_data(whole), whole->len, rest);
	buf_put(NULL, whole);
	return rc;
}

static int
feed_chunked(struct relay *r, struct buf *b, struct buf **rest)
{
	size_t data, used;
	int rc;

	if (r->trailers != NULL)
		return more_trailers(r, b, rest);
	rc = chunk_decode(&r->chunk, buf_data(b), b->len, &data, &used);
	if (rc == CHUNK_BAD)
		return -EBADMSG;
	if (rc == CHUNK_LAST)
		rc = end_chunks(r, buf_data(b) + used, b->len - used, rest);
	b->len = (uint32_t)data;
	return MIN(rc, 0);
}

static int
feed_length(struct relay *r, struct buf *b, struct buf **rest)
{
	uint32_t take = (uint32_t)MIN(b->len, r->left);

	if (take < b->len && (*rest = keep(buf_data(b) + take, b->len - take, 0)) == NULL)
		return -ENOMEM;
	b->len = take;
	r->left -= take;
	r->done = r->left == 0;
	return 0;
}

int
relay_feed(struct relay *r, struct buf *b, bool last, struct buf **rest)
{
	int rc = 0;

	*rest = NULL;
	r->full = b->len == b->room;
	switch (r->body) {
	case BODY_NONE:
	case BODY_LENGTH:
		rc = feed_length(r, b, rest);
		break;
	case BODY_CHUNKED:
		rc = feed_chunked(r, b, rest);
		break;
	case BODY_EOF:
		r->done = last;
		break;
	}
	if (rc != 0)
		return rc;
	r->bytes += b->len;
	wrap(r, b);
	return 0;
}

int
relay_end(struct relay *r)
{
	if (r->body != BODY_EOF)
		return -EPIPE;
	r->done = true;
	if (r->after != NULL || r->frame == FRAME_RAW)
		return 0;
	r->after = r->frame == FRAME_CHUNKED ? keep(LAST_CHUNK.p, LAST_CHUNK.len, 0) : buf_heap(0);
	return r->after == NULL ? -EPIPE : 0;
}

struct buf *
relay_next(struct relay *r)
{
	if (r->sending == NULL && r->after != NULL) {
		r->sending = r->after;
		r->after = NULL;
		r->head = r->frame == FRAME_STREAM ? r->sending->len : 0;
	}
	return r->sending;
}

enum buf_class
relay_class(const struct relay *r, const struct buf_pool *pools, enum buf_class class)
{
	bool more = r->body == BODY_LENGTH ? r->left > pools[class].room : r->full;

	return more && !r->slow ? BUF_BIG : class;
}

void
relay_sent(struct relay *r, uint64_t now_ms)
{
	r->slow = now_ms - r->sent_ms > SLOW_MS;
}

void
relay_fini(struct relay *r, struct buf_pool *pools)
{
	if (r->after != NULL)
		buf_put(pools, r->after);
	if (r->trailers != NULL)
		buf_put(pools, r->trailers);
	r->after = r->trailers = NULL;
}
