/* h2.h - HTTP/2 on the wire (RFC 9113), one connection: bytes to streams and back. No I/O, no clock.
 *
 * Framing and HPACK are nghttp2's (this is its only user); what a peer may ask of us is bounded here. Nothing
 * of what a callback is told may be fed or pulled inside of it; submitting, consuming and resetting may.
 */
#ifndef H2_H
#define H2_H

#include "block.h"

struct h2;

/* Why a stream ended, RFC 9113 7. */
enum h2_error {
	H2_NO_ERROR = 0,
	H2_PROTOCOL_ERROR = 1,
	H2_INTERNAL_ERROR = 2,
	H2_REFUSED_STREAM = 7,
	H2_CANCEL = 8,
	H2_ENHANCE_YOUR_CALM = 11,
	H2_HTTP_1_1_REQUIRED = 13,
};

struct h2_events {
	/* A header block of a stream, whole; valid for the call. A cookie's crumbs are one entry. At a server
	 * the first of an id begins a stream: what is returned is its `stream` from then on (NULL: refused,
	 * nothing more is told of it). Otherwise stream is returned as it is. last: END_STREAM. What is
	 * malformed by RFC 9113 8.2 is reset before anybody is told, and a request whose head is too large is
	 * answered with 431. */
	void *(*head)(void *ctx, int32_t id, void *stream, struct str block, bool last);
	/* Bytes of a body, n 0 only with last. They count against the windows until h2_consume. */
	void (*data)(void *ctx, void *stream, const char *p, size_t n, bool last);
	/* The stream is over, by both ends or a reset; nothing more is told of it. unseen: the peer says that
	 * it did not look at it (REFUSED_STREAM, or behind its GOAWAY), so that it may be asked again
	 * elsewhere. */
	void (*closed)(void *ctx, void *stream, uint32_t error, bool unseen);
	/* A header block of ours went into its frame. Not told of requests that cannot be sent any more: they
	 * are closed, unseen. */
	void (*head_sent)(void *ctx, void *stream);
	/* At most max bytes of the body to be sent, copied to out: their number; 0: none now (h2_resume when
	 * there are). *last: nothing comes behind them, trailers neither. */
	size_t (*read)(void *ctx, void *stream, char *out, size_t max, bool *last);
};

struct h2_config {
	bool server;
	uint32_t streams_max;	/* of the peer at the same time: SETTINGS_MAX_CONCURRENT_STREAMS */
	uint32_t stream_window; /* bytes of a stream that are not consumed */
	uint32_t window;	/* and of the connection */
};

/* NULL: out of memory. ctx and events are borrowed. The first h2_pull gives the preface. */
struct h2 *h2_new(const struct h2_config *c, const struct h2_events *events, void *ctx);
void h2_free(struct h2 *h); /* tells nobody */

/*
 * Takes all n bytes, at now_ms of a clock that never goes back. 0, or -EPROTO: the connection is at its end;
 * a GOAWAY that says why waits to be pulled. What nghttp2 itself ends shows at the next call, and in
 * h2_is_over when the GOAWAY was pulled. *abuse: a peer that floods was told ENHANCE_YOUR_CALM.
 */
int h2_feed(struct h2 *h, const char *p, size_t n, uint64_t now_ms, bool *abuse);
/* Frames to be sent, at most max bytes, cut anywhere. 0: none now. */
size_t h2_pull(struct h2 *h, char *out, size_t max);
/* Nothing to read and nothing to send any more: close. */
bool h2_is_over(const struct h2 *h);

/* A new stream of a client, its request a block; -errno when none can be had now. body: h2_events.read is
 * asked for it, else END_STREAM goes with the head. */
int32_t h2_request(struct h2 *h, struct str block, bool body, void *stream);
/* May another one be begun, beside `waiting` more that are to be? Neither at the peer's limit nor behind a
 * GOAWAY. */
bool h2_has_room(const struct h2 *h, uint32_t waiting);
/* A server's answer: with a 1xx status an interim one. When its end goes out before the request's came in,
 * its owner may reset the stream with NO_ERROR (RFC 9113 8.1). */
int h2_answer(struct h2 *h, int32_t id, struct str block, bool body);
/* Behind the body that read has given, whose *last it left false; read is not asked again. Also inside of the
 * read that gives the end of the body: then both leave in one pull. */
int h2_trailers(struct h2 *h, int32_t id, struct str block);
void h2_resume(struct h2 *h, int32_t id); /* read has something now */
/* From now on only `closed` is told, in a pull. What was answered and not pulled yet is lost. */
void h2_reset(struct h2 *h, int32_t id, enum h2_error error);
/* n bytes that `data` gave have been dealt with: the windows open again. Also after the stream was closed. */
void h2_consume(struct h2 *h, int32_t id, size_t n);
/* From now on nothing is told of the stream: its owner is gone. */
void h2_forget(struct h2 *h, int32_t id);

/* GOAWAY: new streams are refused, running ones end. Twice: graceful, then final (RFC 9113 6.8); what was
 * final is not said again. */
void h2_shutdown(struct h2 *h, bool final);
bool h2_is_leaving(const struct h2 *h); /* a GOAWAY went or came */
uint32_t h2_nstreams(const struct h2 *h);
void h2_ping(struct h2 *h);
/* The peer takes tunnels (SETTINGS_ENABLE_CONNECT_PROTOCOL). */
bool h2_has_tunnels(const struct h2 *h);

#endif
