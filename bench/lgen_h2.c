/* lgen_h2.c - HTTP/2 of a client and of a backend, as much as two ends that trust each other need.
 *
 * What is sent is the same for every stream but its number, so it is made once and patched. Of each message
 * there are two forms: the first of a connection, which fills the peer's table of fields, and all that
 * follow, which refer to it, as any client or server does that keeps the same fields. A peer without a table
 * gets literals.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lgen.h"

#define FRAME_HEAD 9u
#define FRAME_MAX 16384u
#define TABLE_BYTES 4096u
#define SLOTS 256u		 /* of streams: more than a peer may have open */
#define WINDOW_MORE (1u << 30)	 /* bytes that a peer may send before it is given more */
#define STREAM_WINDOW (1u << 20) /* more than any answer */
#define WINDOW_FIRST 65535
#define UNARY_BYTES 25u /* a message of 20 bytes and its prefix */
#define PATH_UNARY "/package.Service/Method"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* A message: frames with the numbers of their stream left out. */
struct frames {
	char bytes[1024];
	size_t len;
	size_t at[3]; /* where the frames begin */
	unsigned n;
};

struct script {
	struct frames first, next;
	size_t window; /* bytes of its DATA */
};

struct stream {
	uint32_t id; /* 0: free */
	uint32_t body_bytes;
	uint64_t began_ns;
	uint8_t heads; /* client: with the trailers */
	bool bad;
};

struct h2 {
	bool client;
	bool greeted;	     /* the peer's SETTINGS came */
	bool spoken;	     /* the first message went out */
	bool leaving;	     /* a GOAWAY came */
	size_t preface_left; /* backend: of the client's */
	uint32_t next_id;
	unsigned nopen, streams_max;
	unsigned nwanted;	/* client: requests to begin as soon as it can be */
	uint32_t wanted[SLOTS]; /* backend: streams to answer, nwanted from wanted_at */
	unsigned wanted_at;
	int64_t peer_window;
	uint64_t taken; /* bytes of DATA that the peer has not been given back */
	const struct script *script;
	nghttp2_hd_inflater *inflater;
	struct stream streams[SLOTS];
	size_t len; /* of a frame that comes in pieces */
	char bytes[FRAME_HEAD + FRAME_MAX];
};

struct frame {
	uint32_t len, id;
	uint8_t type, flags;
	const uint8_t *payload;
};

/* [1]: for a peer that keeps a table */
static struct script requests[2], answers[2];
static struct frames refusal; /* grpc-status 13 */
static uint64_t body_wanted;
static unsigned heads_wanted;

/* ------------------------------------------------------------------ what is said */

#define FIELD(name, value)                                                            \
	{                                                                             \
		(uint8_t *)(name), (uint8_t *)(value), strlen(name), strlen(value), 0 \
	}

static uint32_t
u32_get(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void
u32_put(char *p, uint32_t n)
{
	n = htonl(n);
	memcpy(p, &n, sizeof(n));
}

static char *
frame_put(char *p, size_t len, uint8_t type, uint8_t flags, uint32_t id)
{
	u32_put(p, (uint32_t)len << 8 | type);
	p[4] = (char)flags;
	u32_put(p + 5, id);
	return p + FRAME_HEAD;
}

static void
frames_head(struct frames *f, nghttp2_hd_deflater *deflater, const nghttp2_nv *fields, size_t n, bool last)
{
	char *head = f->bytes + f->len;
	size_t room = sizeof(f->bytes) - f->len - FRAME_HEAD;
	ssize_t len = nghttp2_hd_deflate_hd(deflater, (uint8_t *)head + FRAME_HEAD, room, fields, n);

	if (len < 0)
		die("HPACK", ENOSPC);
	frame_put(head, (size_t)len, NGHTTP2_HEADERS,
	    NGHTTP2_FLAG_END_HEADERS | (last ? NGHTTP2_FLAG_END_STREAM : 0), 0);
	f->at[f->n++] = f->len;
	f->len += FRAME_HEAD + (size_t)len;
}

/* A gRPC message: not compressed, its length, its bytes. */
static void
frames_unary(struct frames *f, bool last)
{
	char *p =
	    frame_put(f->bytes + f->len, UNARY_BYTES, NGHTTP2_DATA, last ? NGHTTP2_FLAG_END_STREAM : 0, 0);

	p[0] = 0;
	u32_put(p + 1, UNARY_BYTES - 5);
	memset(p + 5, 'm', UNARY_BYTES - 5);
	f->at[f->n++] = f->len;
	f->len += FRAME_HEAD + UNARY_BYTES;
}

static nghttp2_hd_deflater *
deflater_new(size_t table)
{
	nghttp2_hd_deflater *deflater;

	if (nghttp2_hd_deflate_new(&deflater, table) != 0)
		die("HPACK", ENOMEM);
	return deflater;
}

static void
request_make(struct script *s, const struct options *o, size_t table)
{
	const nghttp2_nv get[] = {FIELD(":method", "GET"), FIELD(":scheme", o->tls ? "https" : "http"),
	    FIELD(":path", o->path), FIELD(":authority", o->host), FIELD("user-agent", "lgen/1"),
	    FIELD("accept", "*/*")};
	const nghttp2_nv call[] = {FIELD(":method", "POST"), FIELD(":scheme", o->tls ? "https" : "http"),
	    FIELD(":path", PATH_UNARY), FIELD(":authority", o->host),
	    FIELD("content-type", "application/grpc"), FIELD("te", "trailers"),
	    FIELD("user-agent", "grpc-lgen/1")};
	nghttp2_hd_deflater *deflater = deflater_new(table);
	struct frames *forms[] = {&s->first, &s->next};

	for (unsigned i = 0; i < 2; i++) {
		if (!o->grpc) {
			frames_head(forms[i], deflater, get, sizeof(get) / sizeof(get[0]), true);
			continue;
		}
		frames_head(forms[i], deflater, call, sizeof(call) / sizeof(call[0]), false);
		frames_unary(forms[i], true);
	}
	s->window = o->grpc ? UNARY_BYTES : 0;
	nghttp2_hd_deflate_del(deflater);
}

static void
answer_make(struct script *s, size_t table)
{
	const nghttp2_nv head[] = {FIELD(":status", "200"), FIELD("content-type", "application/grpc")};
	const nghttp2_nv trailers[] = {FIELD("grpc-status", "0")};
	nghttp2_hd_deflater *deflater = deflater_new(table);
	struct frames *forms[] = {&s->first, &s->next};

	for (unsigned i = 0; i < 2; i++) {
		frames_head(forms[i], deflater, head, sizeof(head) / sizeof(head[0]), false);
		frames_unary(forms[i], false);
		frames_head(forms[i], deflater, trailers, sizeof(trailers) / sizeof(trailers[0]), true);
	}
	s->window = UNARY_BYTES;
	nghttp2_hd_deflate_del(deflater);
}

void
h2_prepare(struct lgen *g)
{
	const nghttp2_nv wrong[] = {
	    FIELD(":status", "200"), FIELD("content-type", "application/grpc"), FIELD("grpc-status", "13")};
	nghttp2_hd_deflater *deflater = deflater_new(0);

	if (strlen(g->opt.path) + strlen(g->opt.host) > sizeof(refusal.bytes) / 2)
		die("-p, -h", ENAMETOOLONG);
	for (unsigned i = 0; i < 2; i++) {
		request_make(&requests[i], &g->opt, i * TABLE_BYTES);
		answer_make(&answers[i], i * TABLE_BYTES);
	}
	frames_head(&refusal, deflater, wrong, sizeof(wrong) / sizeof(wrong[0]), true);
	nghttp2_hd_deflate_del(deflater);
	body_wanted = g->opt.grpc ? UNARY_BYTES : g->opt.answer_bytes;
	heads_wanted = g->opt.grpc ? 2 : 1;
	if (g->opt.streams > 0 && body_wanted > STREAM_WINDOW)
		die("-p with -s", EFBIG);
}

/* ------------------------------------------------------------------ sending */

static void
say_frames(struct lgen *g, struct conn *c, const struct frames *f, uint32_t id)
{
	char copy[sizeof(f->bytes)];

	memcpy(copy, f->bytes, f->len);
	for (unsigned i = 0; i < f->n; i++)
		u32_put(copy + f->at[i] + 5, id);
	conn_say(g, c, copy, f->len);
}

static void
say_window(struct lgen *g, struct conn *c, uint32_t more)
{
	char bytes[FRAME_HEAD + 4];

	u32_put(frame_put(bytes, 4, NGHTTP2_WINDOW_UPDATE, 0, 0), more);
	conn_say(g, c, bytes, sizeof(bytes));
}

static void
say_settings(struct lgen *g, struct conn *c)
{
	const uint32_t values[][2] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX},
	    {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW}, {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
	size_t n = c->client ? 3 : 2; /* a server may not speak of pushing */
	char bytes[FRAME_HEAD + 6 * 3], *p = frame_put(bytes, 6 * n, NGHTTP2_SETTINGS, 0, 0);

	for (size_t i = 0; i < n; i++, p += 6) {
		p[0] = 0;
		p[1] = (char)values[i][0];
		u32_put(p + 2, values[i][1]);
	}
	conn_say(g, c, bytes, (size_t)(p - bytes));
	say_window(g, c, WINDOW_MORE);
}

static struct stream *
stream_find(struct h2 *h, uint32_t id, uint32_t holds)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct stream *s = &h->streams[(id / 2 + i) % SLOTS];

		if (s->id == holds)
			return s;
	}
	return NULL;
}

static struct stream *
stream_open(struct h2 *h, uint32_t id)
{
	struct stream *s = stream_find(h, id, 0);

	if (s == NULL)
		die("streams", ENOSPC);
	*s = (struct stream){.id = id};
	h->nopen++;
	return s;
}

/* Says what is wanted, as far as the peer's windows and limits go. */
static void
pump(struct lgen *g, struct conn *c)
{
	struct h2 *h = c->h2;

	while (h->greeted && !h->leaving && h->nwanted > 0 && h->peer_window >= (int64_t)h->script->window) {
		uint32_t id = h->client ? h->next_id : h->wanted[h->wanted_at % SLOTS];

		if (h->client && h->nopen >= h->streams_max)
			return;
		if (h->client) {
			stream_open(h, id)->began_ns = meter_now_ns();
			h->next_id += 2;
		}
		say_frames(g, c, h->spoken ? &h->script->next : &h->script->first, id);
		h->spoken = true;
		h->peer_window -= (int64_t)h->script->window;
		h->nwanted--;
		h->wanted_at++;
	}
}

/* ------------------------------------------------------------------ streams */

/* A client's stream is over; another one takes its place. */
static void
client_stream_end(struct lgen *g, struct h2 *h, struct stream *s)
{
	if (s->bad || s->heads != heads_wanted || s->body_bytes != body_wanted)
		client_wrong(g, &g->not_200);
	client_count(g, s->began_ns);
	s->id = 0;
	h->nopen--;
	h->nwanted++;
}

static void
backend_stream_end(struct lgen *g, struct conn *c, struct stream *s)
{
	struct h2 *h = c->h2;

	if (s->body_bytes == UNARY_BYTES)
		h->wanted[(h->wanted_at + h->nwanted++) % SLOTS] = s->id;
	else
		say_frames(g, c, &refusal, s->id);
	s->id = 0;
	h->nopen--;
}

/* Reads the head or the trailers of an answer. The table needs every field of every block. */
static void
answer_head(struct h2 *h, struct stream *s, const struct frame *f)
{
	const uint8_t *at = f->payload;
	size_t left = f->len;
	bool trailers = s->heads > 0, good = false;
	int flags = 0;

	while ((flags & NGHTTP2_HD_INFLATE_FINAL) == 0) {
		nghttp2_nv nv;
		ssize_t len = nghttp2_hd_inflate_hd2(h->inflater, &nv, &flags, at, left, 1);

		if (len < 0)
			die("HPACK of an answer", EBADMSG);
		at += len;
		left -= (size_t)len;
		if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0)
			continue;
		if (!trailers && nv.namelen == 7 && memcmp(nv.name, ":status", 7) == 0)
			good = nv.valuelen == 3 && memcmp(nv.value, "200", 3) == 0;
		else if (trailers && nv.namelen == 11 && memcmp(nv.name, "grpc-status", 11) == 0)
			good = nv.valuelen == 1 && nv.value[0] == '0';
	}
	nghttp2_hd_inflate_end_headers(h->inflater);
	s->bad |= !good;
	s->heads++;
}

/* HEADERS or DATA. A client's stream that is not there was reset. */
static void
stream_frame(struct lgen *g, struct conn *c, const struct frame *f)
{
	struct h2 *h = c->h2;
	struct stream *s = stream_find(h, f->id, f->id);

	if ((f->flags & NGHTTP2_FLAG_PADDED) ||
	    (f->type == NGHTTP2_HEADERS && !(f->flags & NGHTTP2_FLAG_END_HEADERS)))
		die("padding, CONTINUATION", EOPNOTSUPP);
	if (s == NULL && h->client)
		die("a stream that was not asked for", EBADMSG);
	if (s == NULL)
		s = stream_open(h, f->id);
	if (f->type == NGHTTP2_DATA) {
		s->body_bytes += f->len;
		h->taken += f->len;
	} else if (h->client) {
		answer_head(h, s, f);
	}
	if (h->taken >= WINDOW_MORE / 2) {
		say_window(g, c, (uint32_t)h->taken);
		h->taken = 0;
	}
	if (!(f->flags & NGHTTP2_FLAG_END_STREAM))
		return;
	if (h->client)
		client_stream_end(g, h, s);
	else
		backend_stream_end(g, c, s);
}

static void
stream_reset(struct lgen *g, struct h2 *h, uint32_t id)
{
	struct stream *s = stream_find(h, id, id);

	if (s == NULL)
		return;
	s->bad = true;
	if (h->client) {
		client_stream_end(g, h, s);
		return;
	}
	s->id = 0;
	h->nopen--;
}

/* ------------------------------------------------------------------ the connection */

static void
settings_take(struct lgen *g, struct conn *c, const struct frame *f)
{
	struct h2 *h = c->h2;
	uint32_t table = TABLE_BYTES;
	char bytes[FRAME_HEAD];

	if (f->flags & NGHTTP2_FLAG_ACK)
		return;
	for (uint32_t i = 0; i + 6 <= f->len; i += 6) {
		const uint8_t *p = f->payload + i;

		if (p[1] == NGHTTP2_SETTINGS_HEADER_TABLE_SIZE)
			table = u32_get(p + 2);
		else if (p[1] == NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
			h->streams_max = u32_get(p + 2);
		else if (p[1] == NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE && u32_get(p + 2) < UNARY_BYTES)
			die("the peer's window of a stream", EOPNOTSUPP);
	}
	if (!h->greeted)
		h->script = &(h->client ? requests : answers)[table >= TABLE_BYTES];
	h->greeted = true;
	frame_put(bytes, 0, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0);
	conn_say(g, c, bytes, sizeof(bytes));
}

static void
ping_take(struct lgen *g, struct conn *c, const struct frame *f)
{
	char bytes[FRAME_HEAD + 8];

	if (f->flags & NGHTTP2_FLAG_ACK)
		return;
	memcpy(frame_put(bytes, 8, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0), f->payload, 8);
	conn_say(g, c, bytes, sizeof(bytes));
}

static void
frame_handle(struct lgen *g, struct conn *c, const struct frame *f)
{
	struct h2 *h = c->h2;

	switch (f->type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		stream_frame(g, c, f);
		break;
	case NGHTTP2_SETTINGS:
		settings_take(g, c, f);
		break;
	case NGHTTP2_PING:
		ping_take(g, c, f);
		break;
	case NGHTTP2_WINDOW_UPDATE:
		if (f->id == 0)
			h->peer_window += u32_get(f->payload);
		break;
	case NGHTTP2_RST_STREAM:
		stream_reset(g, h, f->id);
		break;
	case NGHTTP2_GOAWAY:
		h->leaving = true;
		if (h->client)
			conn_abort(c);
		break;
	default:
		break;
	}
}

/* Takes a frame off the front of data. False: it is not whole yet, and all of data was gathered. */
static bool
frame_take(struct h2 *h, struct span *data, struct frame *f)
{
	const uint8_t *p = (const uint8_t *)data->at;

	while (h->len > 0 || data->len < FRAME_HEAD || data->len < FRAME_HEAD + (u32_get(p) >> 8)) {
		size_t need = FRAME_HEAD, len;

		p = (const uint8_t *)h->bytes;
		if (h->len >= FRAME_HEAD)
			need += u32_get(p) >> 8;
		if (need > sizeof(h->bytes))
			die("a frame", EFBIG);
		if (h->len >= FRAME_HEAD && h->len == need)
			break;
		len = data->len < need - h->len ? data->len : need - h->len;
		memcpy(h->bytes + h->len, data->at, len);
		h->len += len;
		data->at += len;
		data->len -= len;
		if (h->len < need)
			return false;
	}
	*f = (struct frame){u32_get(p) >> 8, u32_get(p + 5) & 0x7fffffff, p[3], p[4], p + FRAME_HEAD};
	if (h->len == 0) {
		data->at += FRAME_HEAD + f->len;
		data->len -= FRAME_HEAD + f->len;
	}
	h->len = 0;
	return true;
}

void
h2_open(struct lgen *g, struct conn *c)
{
	struct h2 *h = calloc(1, sizeof(*h));

	if (h == NULL || (c->client && nghttp2_hd_inflate_new(&h->inflater) != 0))
		die("calloc", errno);
	h->client = c->client;
	h->next_id = 1;
	h->nwanted = c->client ? g->opt.streams : 0;
	h->streams_max = STREAMS_MAX;
	h->peer_window = WINDOW_FIRST;
	h->preface_left = c->client ? 0 : sizeof(preface) - 1;
	h->script = &(c->client ? requests : answers)[0];
	c->h2 = h;
	if (c->client)
		conn_say(g, c, preface, sizeof(preface) - 1);
	say_settings(g, c);
}

void
h2_close(struct lgen *g, struct conn *c)
{
	struct h2 *h = c->h2;

	for (unsigned i = 0; h->client && i < h->nopen; i++)
		client_wrong(g, &g->errors);
	if (h->inflater != NULL)
		nghttp2_hd_inflate_del(h->inflater);
	free(h);
	c->h2 = NULL;
}

void
h2_data(struct lgen *g, struct conn *c, struct span data)
{
	struct h2 *h = c->h2;
	struct frame frame;
	size_t skip = data.len < h->preface_left ? data.len : h->preface_left;

	h->preface_left -= skip;
	data.at += skip;
	data.len -= skip;
	while (data.len > 0 && frame_take(h, &data, &frame))
		frame_handle(g, c, &frame);
	pump(g, c);
}
