/* h2.c - HTTP/2 on the wire, over nghttp2.
 *
 * The one thing that nghttp2 keeps for us beside a stream is its owner's pointer; NULL is a stream that
 * nobody is told of. A header block is gathered as it is decoded in one buffer of the thread, since blocks do
 * not interleave; only one that is cut by the end of what was fed moves to memory of its own. Bodies are
 * written by their owner right where the frames are pulled to.
 *
 * A peer pays for what costs more to take than to send. Two buckets of tokens: one for frames that carry
 * nothing, filled by time and by what is really done for the peer; one for streams that came to nothing.
 */
#include "h2.h"
#include <errno.h>
#include <nghttp2/nghttp2.h>

#define FRAME_HEAD 9u
/* Cookie crumbs are joined before they are counted; the block's own frame and the pseudo fields fit as well.
 */
#define BLOCK_BYTES_MAX (HEAD_BYTES_MAX + 1024u)
/* What a block of ours can hold beyond FIELDS_MAX: pseudo fields, what the proxy adds. */
#define FIELDS_OWN_MAX 16u
/* A DATA frame that is not worth its head is copied twice rather than cut to what room there is. */
#define DIRECT_MIN 1024u
/* RFC 7541 4.1: what an entry costs whose bytes are few. */
#define ENTRY_COST 32u

struct bucket {
	uint32_t tokens;
	uint64_t at_ms; /* they were counted */
};

struct h2 {
	nghttp2_session *session;
	const struct h2_events *events;
	void *ctx;
	bool server;
	bool leaving, dead; /* a GOAWAY; one after which nothing comes */
	bool final;	    /* ours said which stream is the last */
	bool broken;	    /* out of memory where frames are made */
	bool flooded;	    /* seen, and not told yet */
	uint32_t nstreams;
	int32_t unsent; /* a request that could not be sent, and is about to be closed */
	uint64_t now_ms;

	/* the header block that comes in */
	char *block; /* NULL: none; scratch, or on the heap */
	uint32_t block_len, block_max, nfields;
	bool too_large;
	uint32_t last_entry, cookie; /* offsets: of the last entry, of the cookie; BLOCK_NONE */
	size_t decoded;

	struct bucket frames, resets;
	uint32_t resets_paid; /* RST_STREAM on their way that no peer has to pay for */

	/* what goes out */
	const uint8_t *rest; /* of the frame that was cut */
	size_t nrest;
	char *out; /* where h2_pull writes; DATA is put there at once */
	size_t room;
};

#define BLOCK_NONE UINT32_MAX

static __thread char scratch[BLOCK_BYTES_MAX];

/* ------------------------------------------------------------------ what a peer may ask */

static void
bucket_fill(struct bucket *b, uint32_t n, uint32_t burst)
{
	b->tokens = MIN(b->tokens + n, burst);
}

/* Takes a token out. False: there is none. */
static bool
bucket_take(struct bucket *b, uint64_t now_ms, uint32_t burst, uint32_t rate)
{
	uint64_t n = (now_ms - b->at_ms) * rate / 1000;

	if (n > 0) {
		/* What is left of the last token's time stays. */
		b->at_ms = n > burst ? now_ms : b->at_ms + n * 1000 / rate;
		bucket_fill(b, (uint32_t)MIN(n, burst), burst);
	}
	if (b->tokens == 0)
		return false;
	b->tokens--;
	return true;
}

static bool
pay_frame(struct h2 *h)
{
	return bucket_take(&h->frames, h->now_ms, H2_FRAMES_BURST, H2_FRAMES_RATE);
}

static bool
pay_reset(struct h2 *h)
{
	return bucket_take(&h->resets, h->now_ms, H2_RESETS_BURST, H2_RESETS_RATE);
}

/* Something was done for the peer: it may say something about it. */
static void
earn_frames(struct h2 *h)
{
	bucket_fill(&h->frames, H2_FRAMES_EARNED, H2_FRAMES_BURST);
}

/* Ends nghttp2_session_mem_recv. */
static int
flood(struct h2 *h)
{
	h->flooded = true;
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* Every frame's head, before anything is done about it. */
static int
on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
	struct h2 *h = user;

	switch (hd->type) {
	case NGHTTP2_DATA:
		if (hd->length > 0 || (hd->flags & NGHTTP2_FLAG_END_STREAM) != 0)
			return 0;
		break;
	case NGHTTP2_HEADERS:
		h->decoded = 0;
		break;
	case NGHTTP2_CONTINUATION:
		/* nghttp2 counts them, also where it calls nobody. */
		return 0;
	case NGHTTP2_SETTINGS:
		if (hd->length / 6 > H2_SETTINGS_MAX)
			return flood(h);
		break;
	default:
		break;
	}
	return pay_frame(h) ? 0 : flood(h);
}

/* nghttp2 resets a stream. */
static int
on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
	struct h2 *h = user;

	h->block_len = 0;
	h->resets_paid++;
	return !h->server || pay_reset(h) ? 0 : flood(h);
}

/* ------------------------------------------------------------------ header blocks in */

static void
block_drop(struct h2 *h)
{
	if (h->block != scratch)
		free(h->block);
	h->block = NULL;
}

/* A block goes on in what will be fed next. */
static int
block_keep(struct h2 *h)
{
	char *p;

	if (h->block != scratch)
		return 0;
	if (h->block_len == 0) {
		h->block = NULL;
		return 0;
	}
	p = malloc(BLOCK_BYTES_MAX);
	if (p == NULL)
		return -ENOMEM;
	memcpy(p, scratch, h->block_len);
	h->block = p;
	return 0;
}

static int
on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2 *h = user;

	if (h->server && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		h->nstreams++;
		earn_frames(h);
	}
	h->block_max = frame->headers.cat == NGHTTP2_HCAT_HEADERS ? TRAILER_BYTES_MAX : HEAD_BYTES_MAX;
	h->block_len = h->nfields = 0;
	h->last_entry = h->cookie = BLOCK_NONE;
	h->too_large = false;
	return 0;
}

/*
 * RFC 9113 8.2.3: a cookie in crumbs is put together, so that nobody behind has to know. Crumbs mostly stand
 * next to each other; to join one that does not costs a move, and counts as a field.
 */
static bool
cookie_join(struct h2 *h, const void *value, uint32_t len)
{
	bool last = h->cookie == h->last_entry;
	uint16_t n;
	char *end;

	if (h->block_len + 2 + len > h->block_max || (!last && h->nfields == FIELDS_MAX))
		return false;
	memcpy(&n, h->block + h->cookie + 2, sizeof(n));
	end = h->block + h->cookie + BLOCK_ENTRY + strlen("cookie") + n;
	if (!last) {
		memmove(end + 2 + len, end, (size_t)(h->block + h->block_len - end));
		h->last_entry += 2 + len;
		h->nfields++;
	}
	memcpy(end, "; ", 2);
	memcpy(end + 2, value, len);
	n = (uint16_t)(n + 2 + len);
	memcpy(h->block + h->cookie + 2, &n, sizeof(n));
	h->block_len += 2 + len;
	return true;
}

static bool
entry_add(struct h2 *h, struct str name, struct str value)
{
	bool cookie = name.len == 6 && memcmp(name.p, "cookie", 6) == 0;
	bool pseudo = name.p[0] == ':';

	/* Behind an interim answer nghttp2 calls it by the same category as trailers. */
	if (pseudo)
		h->block_max = HEAD_BYTES_MAX;
	if (cookie && h->cookie != BLOCK_NONE)
		return cookie_join(h, value.p, value.len);
	if (h->block_len + BLOCK_ENTRY + name.len + value.len > h->block_max)
		return false;
	if (!pseudo && h->nfields++ == FIELDS_MAX)
		return false;
	h->last_entry = h->block_len;
	if (cookie)
		h->cookie = h->block_len;
	h->block_len = (uint32_t)(block_put(h->block + h->block_len, name, value) - h->block);
	return true;
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t nname,
    const uint8_t *value, size_t nvalue, uint8_t flags, void *user)
{
	struct h2 *h = user;

	h->decoded += nname + nvalue + ENTRY_COST;
	if (unlikely(h->decoded > H2_BLOCK_BYTES_MAX))
		return flood(h);
	if (h->block == NULL)
		h->block = scratch;
	if (likely(!h->too_large))
		h->too_large = !entry_add(h, (struct str){(const char *)name, (uint32_t)nname},
		    (struct str){(const char *)value, (uint32_t)nvalue});
	return 0;
}

/* nghttp2 would leave it out; RFC 9113 8.2.1 calls the message malformed. */
static int
on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t nname,
    const uint8_t *value, size_t nvalue, uint8_t flags, void *user)
{
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* ------------------------------------------------------------------ frames in */

static void
reset(struct h2 *h, int32_t id, uint32_t error)
{
	size_t before = nghttp2_session_get_outbound_queue_size(h->session);

	nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, id, error);
	/* None is sent for a stream that is being reset already. */
	if (nghttp2_session_get_outbound_queue_size(h->session) > before)
		h->resets_paid++;
}

/* A head that is too large: a client is told so; of a target's, or of trailers, nothing can be made. */
static void
head_refuse(struct h2 *h, const nghttp2_frame *frame)
{
	char out[1024];
	size_t head;

	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
		reset(h, frame->hd.stream_id, NGHTTP2_ENHANCE_YOUR_CALM);
		return;
	}
	block_print_own(out, 431, STR(""), true, &head);
	h2_answer(h, frame->hd.stream_id, (struct str){out, (uint32_t)head}, false);
}

static void
head_tell(struct h2 *h, const nghttp2_frame *frame, void *stream)
{
	int32_t id = frame->hd.stream_id;
	bool last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	bool begins = h->server && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
	struct str block = {h->block, h->block_len};
	void *owner;

	if (begins && h->final) {
		/* It came before the GOAWAY that disowns it went out. */
		reset(h, id, NGHTTP2_REFUSED_STREAM);
	} else if (h->too_large) {
		head_refuse(h, frame);
	} else if (begins || stream != NULL) {
		owner = h->events->head(h->ctx, id, stream, block, last);
		if (begins && owner != NULL)
			nghttp2_session_set_stream_user_data(h->session, id, owner);
		else if (begins)
			reset(h, id, NGHTTP2_REFUSED_STREAM);
	}
	block_drop(h);
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2 *h = user;
	int32_t id = frame->hd.stream_id;
	void *stream;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		head_tell(h, frame, nghttp2_session_get_stream_user_data(session, id));
		return 0;
	case NGHTTP2_DATA:
		if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
			/* Nothing but padding is nothing. */
			return frame->hd.length > frame->data.padlen || frame->hd.length == 0 || pay_frame(h)
				   ? 0
				   : flood(h);
		stream = nghttp2_session_get_stream_user_data(session, id);
		if (stream != NULL)
			h->events->data(h->ctx, stream, NULL, 0, true);
		return 0;
	case NGHTTP2_RST_STREAM:
		/* The answer was on its way, in vain (CVE-2023-44487). */
		if (h->server && nghttp2_session_get_stream_local_close(session, id) == 0 && !pay_reset(h))
			return flood(h);
		return 0;
	case NGHTTP2_GOAWAY:
		h->leaving = true;
		return 0;
	default:
		return 0;
	}
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
	struct h2 *h = user;
	void *stream = nghttp2_session_get_stream_user_data(session, id);

	if (likely(stream != NULL))
		h->events->data(h->ctx, stream, (const char *)p, n, false);
	else
		nghttp2_session_consume(session, id, n);
	return 0;
}

static int
on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	struct h2 *h = user;
	void *stream = nghttp2_session_get_stream_user_data(session, id);
	bool unseen = !h->server && (error == NGHTTP2_REFUSED_STREAM || id == h->unsent);

	h->nstreams--;
	if (stream != NULL)
		h->events->closed(h->ctx, stream, error, unseen);
	return 0;
}

/* ------------------------------------------------------------------ frames out */

/* A GOAWAY came while the request waited to be sent; nghttp2 closes its stream with INTERNAL_ERROR. */
static int
on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
	struct h2 *h = user;

	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		h->unsent = frame->hd.stream_id;
	return 0;
}

static int
on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2 *h = user;
	void *stream;

	switch (frame->hd.type) {
	case NGHTTP2_DATA:
		earn_frames(h);
		break;
	case NGHTTP2_HEADERS:
		stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
		if (stream != NULL)
			h->events->head_sent(h->ctx, stream);
		break;
	case NGHTTP2_RST_STREAM:
		/* One that nghttp2 found reason for (CVE-2025-8671): told when more is fed. */
		if (h->resets_paid > 0)
			h->resets_paid--;
		else if (h->server && !pay_reset(h))
			h->flooded = true;
		break;
	case NGHTTP2_GOAWAY:
		h->leaving = true;
		h->dead = h->dead || frame->goaway.error_code != NGHTTP2_NO_ERROR;
		break;
	default:
		break;
	}
	return 0;
}

static ssize_t
on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t max, uint32_t *flags,
    nghttp2_data_source *source, void *user)
{
	struct h2 *h = user;
	void *stream = nghttp2_session_get_stream_user_data(session, id);
	bool direct = h->room >= FRAME_HEAD + MIN(max, DIRECT_MIN), last = false;
	size_t n;

	if (stream == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (direct)
		n = h->events->read(
		    h->ctx, stream, h->out + FRAME_HEAD, MIN(max, h->room - FRAME_HEAD), &last);
	else
		n = h->events->read(h->ctx, stream, (char *)buf, max, &last);
	if (last)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else if (n == 0)
		return NGHTTP2_ERR_DEFERRED;
	if (direct)
		*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	return (ssize_t)n;
}

/* The body is where it belongs: on_read put it there. */
static int
on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t n,
    nghttp2_data_source *source, void *user)
{
	struct h2 *h = user;

	assert(h->room >= FRAME_HEAD + n);
	memcpy(h->out, head, FRAME_HEAD);
	h->out += FRAME_HEAD + n;
	h->room -= FRAME_HEAD + n;
	return 0;
}

size_t
h2_pull(struct h2 *h, char *out, size_t max)
{
	ssize_t n = 1;

	h->out = out;
	h->room = max;
	while (h->room > 0 && n > 0 && !h->broken) {
		size_t part = MIN(h->nrest, h->room);

		if (part > 0) {
			memcpy(h->out, h->rest, part);
			h->out += part;
			h->room -= part;
			h->rest += part;
			h->nrest -= part;
			continue;
		}
		n = nghttp2_session_mem_send(h->session, &h->rest);
		h->nrest = n > 0 ? (size_t)n : 0;
		h->broken = n < 0;
	}
	max = (size_t)(h->out - out);
	h->room = 0;
	return max;
}

/* ------------------------------------------------------------------ the connection */

static nghttp2_session_callbacks *
callbacks_new(void)
{
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		return NULL;
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_not_sent);
	nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
	return cb;
}

/* What is bounded above is not bounded again by nghttp2, or it would not be seen as abuse. */
static nghttp2_option *
options_new(void)
{
	nghttp2_option *o;

	if (nghttp2_option_new(&o) != 0)
		return NULL;
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_closed_streams(o, 1);
	nghttp2_option_set_max_settings(o, UINT16_MAX);
	nghttp2_option_set_max_continuations(o, H2_CONTINUATIONS_MAX);
	nghttp2_option_set_stream_reset_rate_limit(o, UINT32_MAX, UINT32_MAX);
	return o;
}

static int
settings_submit(struct h2 *h, const struct h2_config *c)
{
	nghttp2_settings_entry iv[6];
	size_t n = 0;

	iv[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, c->stream_window};
	iv[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEAD_BYTES_MAX};
	iv[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1};
	if (c->server) {
		iv[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, c->streams_max};
		iv[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};
	} else {
		iv[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
	}
	if (nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, iv, n) != 0)
		return -ENOMEM;
	if (nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, (int32_t)c->window) != 0)
		return -ENOMEM;
	return 0;
}

struct h2 *
h2_new(const struct h2_config *c, const struct h2_events *events, void *ctx)
{
	struct h2 *h = calloc(1, sizeof(*h));
	nghttp2_session_callbacks *cb = callbacks_new();
	nghttp2_option *options = options_new();
	int rc = -ENOMEM;

	if (h != NULL && cb != NULL && options != NULL) {
		h->events = events;
		h->ctx = ctx;
		h->server = c->server;
		h->frames.tokens = H2_FRAMES_BURST;
		h->resets.tokens = H2_RESETS_BURST;
		if (c->server)
			rc = nghttp2_session_server_new2(&h->session, cb, h, options);
		else
			rc = nghttp2_session_client_new2(&h->session, cb, h, options);
		if (rc == 0)
			rc = settings_submit(h, c);
	}
	nghttp2_option_del(options);
	nghttp2_session_callbacks_del(cb);
	if (rc == 0)
		return h;
	if (h != NULL)
		nghttp2_session_del(h->session);
	free(h);
	return NULL;
}

void
h2_free(struct h2 *h)
{
	if (h == NULL)
		return;
	nghttp2_session_del(h->session);
	block_drop(h);
	free(h);
}

/* The end of the connection, for what the peer did or because memory is out. */
static int
feed_end(struct h2 *h, ssize_t rc, bool *abuse)
{
	uint32_t error = NGHTTP2_PROTOCOL_ERROR;

	*abuse = h->flooded || rc == NGHTTP2_ERR_FLOODED || rc == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS;
	if (*abuse)
		error = NGHTTP2_ENHANCE_YOUR_CALM;
	else if (rc == NGHTTP2_ERR_NOMEM)
		error = NGHTTP2_INTERNAL_ERROR;
	h->flooded = false;
	h->dead = h->leaving = true;
	nghttp2_session_terminate_session(h->session, error);
	return -EPROTO;
}

int
h2_feed(struct h2 *h, const char *p, size_t n, uint64_t now_ms, bool *abuse)
{
	ssize_t rc;

	*abuse = false;
	if (h->flooded)
		return feed_end(h, 0, abuse);
	if (h->dead || h->broken)
		return -EPROTO;
	if (h->now_ms == 0)
		h->frames.at_ms = h->resets.at_ms = now_ms;
	h->now_ms = now_ms;
	rc = nghttp2_session_mem_recv(h->session, (const uint8_t *)p, n);
	if (rc >= 0 && block_keep(h) != 0)
		rc = NGHTTP2_ERR_NOMEM;
	return likely(rc >= 0) ? 0 : feed_end(h, rc, abuse);
}

bool
h2_is_over(const struct h2 *h)
{
	if (h->broken)
		return true;
	if (h->nrest > 0 || nghttp2_session_want_write(h->session))
		return false;
	return h->dead || !nghttp2_session_want_read(h->session);
}

void
h2_shutdown(struct h2 *h, bool final)
{
	if (h->final)
		return;
	h->leaving = true;
	h->final = final;
	if (h->server && !final)
		nghttp2_submit_shutdown_notice(h->session);
	else
		nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
		    nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR, NULL, 0);
}

bool
h2_is_leaving(const struct h2 *h)
{
	return h->leaving;
}

uint32_t
h2_nstreams(const struct h2 *h)
{
	return h->nstreams;
}

void
h2_ping(struct h2 *h)
{
	nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
}

bool
h2_has_tunnels(const struct h2 *h)
{
	return nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

/* ------------------------------------------------------------------ streams */

struct headers {
	nghttp2_nv nv[FIELDS_MAX + FIELDS_OWN_MAX];
	size_t n;
};

static void
headers_of(struct headers *hs, struct str block)
{
	struct str name, value;

	for (hs->n = 0; block_next(&block, &name, &value); hs->n++) {
		assert(hs->n < COUNT(hs->nv));
		hs->nv[hs->n] = (nghttp2_nv){(uint8_t *)(uintptr_t)name.p, (uint8_t *)(uintptr_t)value.p,
		    name.len, value.len, NGHTTP2_NV_FLAG_NONE};
	}
}

static int
errno_of(int rc)
{
	return rc == 0 ? 0 : rc == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EINVAL;
}

bool
h2_has_room(const struct h2 *h, uint32_t waiting)
{
	return !h->leaving && nghttp2_session_check_request_allowed(h->session) &&
	       h->nstreams + waiting <
		   nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

int32_t
h2_request(struct h2 *h, struct str block, bool body, void *stream)
{
	const nghttp2_data_provider source = {{0}, on_read};
	struct headers hs;
	int32_t id;

	if (!h2_has_room(h, 0))
		return -EAGAIN;
	headers_of(&hs, block);
	id = nghttp2_submit_request(h->session, NULL, hs.nv, hs.n, body ? &source : NULL, stream);
	if (id < 0)
		return errno_of(id);
	h->nstreams++;
	earn_frames(h);
	return id;
}

int
h2_answer(struct h2 *h, int32_t id, struct str block, bool body)
{
	const nghttp2_data_provider source = {{0}, on_read};
	struct headers hs;

	headers_of(&hs, block);
	assert(hs.n > 0 && hs.nv[0].valuelen == 3);
	if (hs.nv[0].value[0] == '1')
		return errno_of(
		    nghttp2_submit_headers(h->session, NGHTTP2_FLAG_NONE, id, NULL, hs.nv, hs.n, NULL));
	return errno_of(nghttp2_submit_response(h->session, id, hs.nv, hs.n, body ? &source : NULL));
}

int
h2_trailers(struct h2 *h, int32_t id, struct str block)
{
	struct headers hs;

	/* They overtake the body's next turn, and their END_STREAM cancels it. */
	headers_of(&hs, block);
	return errno_of(nghttp2_submit_trailer(h->session, id, hs.nv, hs.n));
}

void
h2_resume(struct h2 *h, int32_t id)
{
	/* It fails when nothing was deferred, and then nothing is to be done. */
	nghttp2_session_resume_data(h->session, id);
}

void
h2_reset(struct h2 *h, int32_t id, enum h2_error error)
{
	reset(h, id, error);
}

void
h2_consume(struct h2 *h, int32_t id, size_t n)
{
	nghttp2_session_consume(h->session, id, n);
}

void
h2_forget(struct h2 *h, int32_t id)
{
	nghttp2_session_set_stream_user_data(h->session, id, NULL);
}
