/* mux.c - streams of HTTP/2 as connections.
 *
 * Three planes meet here and none calls into another: the codec's callbacks only note on the stream what
 * came; the streams' owners call the carrier's functions, which submit and note; mux_run tells the owners and
 * then sends. So an owner may close anything at any time, and the codec is never entered twice.
 */
#include "mux.h"

#include <errno.h>

/* ------------------------------------------------------------------ streams */

static void
mark(struct mux *m)
{
	if (list_empty(&m->link))
		list_append(&m->w->muxes, &m->link);
}

static void
ready(struct stream *s)
{
	if (list_empty(&s->ready))
		list_append(&s->mux->w->told, &s->ready);
	mark(s->mux);
}

static struct stream *
stream_new(struct mux *m)
{
	struct worker *w = m->w;
	struct stream *s = spare_take(&w->spare_streams, sizeof(*s));

	if (s == NULL)
		return NULL;
	*s = (struct stream){.mux = m};
	list_append(&m->streams, &s->link);
	list_init(&s->ready);
	m->nstreams++;
	return s;
}

/* Also of a stream that is closed: the connection's window must not shrink by it. */
static void
consumed(struct stream *s, const struct buf *b)
{
	if (s->mux->h2 != NULL && b->len > b->head)
		h2_consume(s->mux->h2, s->id, b->len - b->head);
}

/* What came and will not be told. */
static void
drop_input(struct stream *s)
{
	struct buf_pool *pools = s->mux->w->net.pools;

	while (s->in != NULL) {
		struct buf *b = s->in;

		s->in = b->next;
		consumed(s, b);
		buf_put(pools, b);
	}
	if (s->trailers != NULL)
		buf_put(pools, s->trailers);
	s->trailers = NULL;
}

static void
stream_free(struct stream *s)
{
	struct mux *m = s->mux;

	drop_input(s);
	list_del(&s->link);
	list_del(&s->ready);
	if (s->waiting)
		m->nwaiting--;
	spare_give(&m->w->spare_streams, s);
	if (--m->nstreams > 0 || m->owner == NULL)
		return;
	m->owner->idle(m);
	mark(m); /* it may be over now */
}

/* ------------------------------------------------------------------ what the codec tells */

/* For n bytes of what came. */
static struct buf *
get_buf(struct worker *w, size_t n)
{
	if (n <= w->net.pools[BUF_SMALL].room)
		return buf_get(&w->net.pools[BUF_SMALL]);
	return n <= w->net.pools[BUF_MID].room ? buf_get(&w->net.pools[BUF_MID]) : buf_heap((uint32_t)n);
}

/* Without memory for what came the stream is of no use. */
static void
break_stream(struct stream *s)
{
	s->broken = true;
	ready(s);
}

static struct buf *
append_buf(struct stream *s, size_t n)
{
	struct buf *b = get_buf(s->mux->w, n);

	if (b == NULL) {
		break_stream(s);
		return NULL;
	}
	if (s->in == NULL)
		s->in = b;
	else
		s->in_end->next = b;
	s->in_end = b;
	return b;
}

static void
append(struct buf *b, const char *p, size_t n)
{
	/* An empty block has no place. */
	if (n > 0)
		memcpy(buf_data(b) + b->len, p, n);
	b->len += (uint32_t)n;
}

static struct stream *
begin(struct mux *m, int32_t id)
{
	struct stream *s = stream_new(m);

	if (s == NULL)
		return NULL;
	s->id = id;
	if (!m->owner->begin(m, s)) {
		s->closed = true;
		stream_free(s);
		return NULL;
	}
	s->fresh = true;
	worker_count(m->w, COUNTER_H2_STREAMS);
	return s;
}

/* Trailers have no pseudo-header fields. */
static bool
is_trailers(const struct stream *s, struct str block)
{
	return s->mux->server ? s->heard : block.len == 0 || block.p[BLOCK_ENTRY] != ':';
}

static void *
on_head(void *ctx, int32_t id, void *stream, struct str block, bool last)
{
	struct mux *m = ctx;
	struct stream *s = stream != NULL ? stream : begin(m, id);
	struct buf *b;

	if (s == NULL)
		return NULL;
	s->last = last;
	if (is_trailers(s, block)) {
		s->trailers = buf_heap(block.len);
		if (s->trailers == NULL)
			break_stream(s);
		else
			append(s->trailers, block.p, block.len);
	} else if ((b = append_buf(s, block.len)) != NULL) {
		append(b, block.p, block.len);
		b->head = block.len;
	}
	s->heard = true;
	ready(s);
	return s;
}

static void
on_data(void *ctx, void *stream, const char *p, size_t n, bool last)
{
	struct stream *s = stream;
	struct buf *b = s->in != NULL ? s->in_end : NULL;

	s->last = last;
	if (n > 0 && (b == NULL || b->off + b->len + n > BUF_FRONT + b->room))
		b = append_buf(s, n);
	if (b == NULL)
		h2_consume(s->mux->h2, s->id, n);
	else if (n > 0)
		append(b, p, n);
	ready(s);
}

static void
on_closed(void *ctx, void *stream, uint32_t error, bool unseen)
{
	struct stream *s = stream;
	bool whole = s->mux->server ? s->last && s->finished : s->last;

	s->closed = true;
	s->conn->unseen = unseen;
	s->broken = s->broken || !whole;
	ready(s);
}

/* A body, if there is one, is behind it. */
static void
on_head_sent(void *ctx, void *stream)
{
	struct stream *s = stream;
	struct conn *c = s->conn;

	s->gone = true;
	if (!c->sending || s->sent || c->head == 0 || c->head < c->send_len)
		return;
	s->sent = true;
	s->finished = c->last;
	ready(s);
}

/* The bytes of the send in flight, from s->taken on. */
static size_t
copy_parts(struct stream *s, char *out, size_t max)
{
	const struct conn *c = s->conn;
	size_t n = 0, skip = s->taken;

	for (unsigned i = 0; i < COUNT(c->parts) && n < max; i++) {
		const struct iovec *part = &c->parts[i];
		size_t take;

		if (skip >= part->iov_len) {
			skip -= part->iov_len;
			continue;
		}
		take = MIN(part->iov_len - skip, max - n);
		memcpy(out + n, (const char *)part->iov_base + skip, take);
		n += take;
		skip = 0;
	}
	s->taken += (uint32_t)n;
	return n;
}

static size_t
on_read(void *ctx, void *stream, char *out, size_t max, bool *last)
{
	struct stream *s = stream;
	struct conn *c = s->conn;
	size_t n = 0;

	*last = false;
	if (c->sending && !s->sent) {
		n = copy_parts(s, out, max);
		s->sent = s->taken == c->send_len;
		*last = s->finished = s->sent && c->last;
		if (s->sent)
			ready(s);
	}
	return n;
}

static const struct h2_events h2_events = {
    .head = on_head,
    .data = on_data,
    .closed = on_closed,
    .head_sent = on_head_sent,
    .read = on_read,
};

/* ------------------------------------------------------------------ the carrier: what the owners of streams
 * do */

static void
carrier_recv(struct conn *c)
{
	struct stream *s = c->stream;

	if (s->in != NULL || s->last)
		ready(s);
}

/* Of an answer: its status, which comes first, is 1xx. */
static bool
is_interim(struct str block)
{
	struct str name, value;

	return block_next(&block, &name, &value) && str_eq(name, STR(":status")) && value.p[0] == '1';
}

/* The header block at the front of what is sent: a request, an answer, or trailers. */
static int
submit(struct stream *s, struct str block, bool body)
{
	struct h2 *h2 = s->mux->h2;

	if (!s->mux->server && s->id == 0) {
		s->waiting = false;
		s->mux->nwaiting--;
		s->id = h2_request(h2, block, body, s);
		return MIN(s->id, 0);
	}
	if (!s->mux->server || s->answered)
		return h2_trailers(h2, s->id, block);
	s->answered = !is_interim(block);
	return h2_answer(h2, s->id, block, body);
}

/* The codec did not take what was to be sent. A request that was not begun may be asked elsewhere. */
static void
refused(struct stream *s)
{
	struct h2 *h2 = s->mux->h2;

	if (s->id > 0) {
		h2_reset(h2, s->id, H2_INTERNAL_ERROR);
		h2_forget(h2, s->id);
	} else {
		s->conn->unseen = true;
	}
	s->closed = s->broken = true;
}

static void
carrier_send(struct conn *c)
{
	struct stream *s = c->stream;
	bool headed = c->head > 0, whole = headed && c->head == c->send_len;
	struct str block = {c->parts[0].iov_base, c->head};

	s->taken = c->head;
	if (!s->closed && headed && submit(s, block, !whole || !c->last) != 0)
		refused(s);
	if (s->closed)
		ready(s);
	else if (!whole)
		h2_resume(s->mux->h2, s->id);
	mark(s->mux);
}

static enum h2_error
close_reason(const struct stream *s)
{
	if (s->mux->server && s->finished)
		return H2_NO_ERROR; /* the answer is whole: the rest of the request is not wanted (RFC
				       9113 8.1) */
	return s->conn->cut ? H2_INTERNAL_ERROR : H2_CANCEL;
}

static void
carrier_close(struct conn *c)
{
	struct stream *s = c->stream;

	if (!s->closed && s->id > 0) {
		drop_input(s);
		if (!s->finished || !s->last)
			h2_reset(s->mux->h2, s->id, close_reason(s));
		h2_forget(s->mux->h2, s->id);
	}
	mark(s->mux); /* windows may open by it */
	s->closed = true;
	s->conn = NULL;
	stream_free(s);
}

static bool
carrier_progress(struct conn *c)
{
	const struct stream *s = c->stream;
	uint32_t before = c->unsent;

	c->unsent = c->send_len - s->taken;
	return before == UINT32_MAX || c->unsent != before;
}

static const struct conn_carrier carrier = {
    .recv = carrier_recv,
    .send = carrier_send,
    .close = carrier_close,
    .progress = carrier_progress,
};

/* ------------------------------------------------------------------ telling the owners */

/* The last of what came is told now. */
static void
end_conn(struct stream *s)
{
	s->conn->ended = true;
	s->conn->trailers = s->trailers;
	s->trailers = NULL;
}

static void
tell_sent(struct stream *s, int error)
{
	struct conn *c = s->conn;

	s->sent = false;
	ready(s);
	conn_unhold(c);
	c->events->sent(c, error);
}

static void
tell_input(struct stream *s)
{
	struct conn *c = s->conn;
	struct buf *b = s->in;

	s->in = b->next;
	b->next = NULL;
	s->fresh = c->receiving = false;
	if (s->in == NULL && s->last)
		end_conn(s);
	consumed(s, b);
	mark(s->mux);
	if (b->head > 0)
		c->events->head(c, b);
	else
		c->events->data(c, b);
}

/* One thing; the stream may be gone after it. */
static void
tell(struct stream *s)
{
	struct conn *c = s->conn;

	if (s->broken) {
		c->ended = true;
		c->error = -ECONNRESET;
	}
	if (s->sent) {
		tell_sent(s, 0);
	} else if (s->closed && c->sending) {
		tell_sent(s, -EPIPE);
	} else if (s->broken) {
		s->broken = c->receiving = false;
		drop_input(s);
		c->events->end(c, c->error);
	} else if (s->in != NULL && (c->receiving || s->fresh)) {
		tell_input(s);
	} else if (s->in == NULL && s->last && c->receiving && !c->ended) {
		c->receiving = false;
		end_conn(s);
		c->events->end(c, 0);
	}
}

/* ------------------------------------------------------------------ the mux */

static struct mux *
mux_make(struct worker *w)
{
	struct mux *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->w = w;
	list_init(&m->link);
	list_init(&m->streams);
	return m;
}

struct mux *
mux_new_orphans(struct worker *w)
{
	return mux_make(w);
}

struct mux *
mux_new(struct worker *w, struct conn *transport, bool server, const struct mux_owner *owner)
{
	const struct h2_config config = {.server = server,
	    .streams_max = H2_STREAMS_MAX,
	    .stream_window = H2_STREAM_WINDOW,
	    .window = H2_WINDOW};
	struct mux *m = mux_make(w);

	if (m == NULL)
		return NULL;
	m->transport = transport;
	m->owner = owner;
	m->server = server;
	m->connecting = !server;
	m->h2 = h2_new(&config, &h2_events, m);
	if (m->h2 == NULL) {
		free(m);
		return NULL;
	}
	mark(m);
	return m;
}

void
mux_free(struct mux *m)
{
	struct mux *orphans = m->w->orphans;

	list_each_safe(it, &m->streams)
	{
		struct stream *s = container_of(it, struct stream, link);

		list_del(&s->link);
		s->waiting = false;
		/* What never went out may be asked elsewhere. */
		s->conn->unseen = s->conn->unseen || (!m->server && !s->gone);
		s->broken = s->broken || !(m->server ? s->last && s->finished : s->last);
		s->closed = true;
		s->mux = orphans;
		list_append(&orphans->streams, &s->link);
		orphans->nstreams++;
		ready(s);
	}
	list_del(&m->link);
	h2_free(m->h2);
	free(m);
}

void
mux_connected(struct mux *m)
{
	m->connecting = false;
	mark(m);
	list_each_safe(it, &m->streams)
	{
		struct conn *c = container_of(it, struct stream, link)->conn;

		c->connecting = false;
		c->events->connected(c, 0);
	}
}

void
mux_failed(struct mux *m, int error)
{
	while (!list_empty(&m->streams)) {
		struct conn *c = container_of(m->streams.next, struct stream, link)->conn;

		c->connecting = false;
		c->events->connected(c, error); /* closes it */
	}
}

void
mux_data(struct mux *m, struct buf *b)
{
	struct worker *w = m->w;
	bool abuse = false;

	m->pinged = false;
	if (!m->dying && h2_feed(m->h2, buf_data(b), b->len, w->net.now_ms, &abuse) != 0)
		m->dying = true;
	if (abuse)
		worker_count(w, COUNTER_H2_ABUSE);
	buf_put(w->net.pools, b);
	mark(m);
	if (!m->dying)
		conn_recv(m->transport, BUF_MID);
}

void
mux_sent(struct mux *m)
{
	mark(m);
}

void
mux_attach(struct stream *s, struct conn *c, const struct conn_events *events)
{
	s->conn = c;
	conn_init_stream(c, &s->mux->w->net, &carrier, s, events);
}

int
mux_open(struct mux *m, struct conn *c, const struct conn_events *events)
{
	struct stream *s = stream_new(m);

	if (s == NULL)
		return -ENOMEM;
	mux_attach(s, c, events);
	c->connecting = m->connecting;
	s->waiting = true;
	m->nwaiting++;
	return 0;
}

bool
mux_has_room(const struct mux *m)
{
	return !m->dying && h2_has_room(m->h2, m->nwaiting) &&
	       (!m->connecting || m->nwaiting < H2_WAITING_MAX);
}

bool
mux_is_alive(struct mux *m)
{
	if (m->pinged)
		return false;
	m->pinged = true;
	h2_ping(m->h2);
	mark(m);
	return true;
}

void
mux_leave(struct mux *m, bool final)
{
	m->leaving = true;
	h2_shutdown(m->h2, final);
	mark(m);
}

/* ------------------------------------------------------------------ once a turn */

static void
flush(struct mux *m)
{
	struct conn *c = m->transport;
	struct buf *b;
	size_t n;

	if (m->h2 == NULL || m->connecting || c->sending)
		return;
	b = buf_get(&m->w->net.pools[BUF_MID]);
	n = b != NULL ? h2_pull(m->h2, buf_data(b), b->room) : 0;
	if (n > 0) {
		b->len = (uint32_t)n;
		conn_send(c, buf_data(b), n);
		conn_hold(c, b);
		return;
	}
	if (b != NULL)
		buf_put(m->w->net.pools, b);
	if (b == NULL || m->dying || h2_is_over(m->h2))
		m->owner->over(m);
}

/* Whoever is told may close any stream, and any connection that has none. */
static void
tell_all(struct worker *w)
{
	while (!list_empty(&w->told)) {
		struct stream *s = container_of(w->told.next, struct stream, ready);

		list_del(&s->ready);
		tell(s);
	}
}

/* Those that are marked meanwhile have their turn when their streams were told. */
static void
flush_all(struct worker *w)
{
	struct list now;

	list_init(&now);
	list_add(&w->muxes, &now);
	list_del(&w->muxes);
	while (!list_empty(&now)) {
		struct mux *m = container_of(now.next, struct mux, link);

		list_del(&m->link);
		flush(m);
	}
}

/* All that is to be told is told before anything is sent: what the streams have to say goes out together. */
void
mux_run(struct worker *w)
{
	while (!list_empty(&w->muxes) || !list_empty(&w->told)) {
		tell_all(w);
		flush_all(w);
	}
}
