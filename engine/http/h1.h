/* h1.h - HTTP/1.1 and 1.0 on the wire (RFC 9112): parse and print. No I/O, no allocation. */
#ifndef H1_H
#define H1_H

#include "msg.h"

/*
 * Parses a head at p. Returns its length (> 0), 0 when it is not complete yet, or -1 with *fault.
 * *scanned remembers how far an incomplete head was looked at; 0 before the first call.
 * Strict: what two parsers could read differently is refused (400), see the table in h1.c.
 * Up to one empty line (CRLF) before a request is skipped and counted in the length (RFC 9112 2.2).
 */
int h1_parse_request(struct msg *m, const char *p, size_t n, size_t *scanned, const struct fault **fault);
/* request_method: of the request it answers: HEAD has no body (RFC 9112 6.3). Faults give 502. */
int h1_parse_response(struct msg *m, const char *p, size_t n, size_t *scanned, enum method request_method,
    const struct fault **fault);
/* The section behind the last chunk up to and with its empty line; fields that must not be
 * trailers (framing, routing; RFC 9110 6.5.1) are marked drop. */
int h1_parse_trailers(struct msg *m, const char *p, size_t n, const struct fault **fault);

/* Print into out, which has room for head length + MSG_GROWTH_MAX. Return the length. HTTP/1.1 always. */
size_t h1_print_request(char *out, const struct msg *m, const struct msg_forward *f);
size_t h1_print_response(char *out, const struct msg *m, const struct msg_reply *r);
/* An answer of our own, with a short text/plain body unless head_only. Returns the length; room >= 512. */
size_t h1_print_own(char *out, unsigned status, struct str request_id, bool close, bool head_only);
size_t h1_print_trailers(char *out, const struct msg *m); /* `0\r\n`, fields, empty line */

/* ------------------------------------------------------------------ chunked coding (RFC 9112 7.1) */

struct chunk {
	uint8_t state;
	uint8_t digits;
	uint16_t line; /* bytes of the size line so far, bounded */
	uint64_t left; /* of the chunk's data */
};

enum { CHUNK_BAD = -1, CHUNK_MORE = 0, CHUNK_LAST = 1 };

/* {0} starts a body. Decodes in place: the data of p[0..n) is moved together to p[0..*data); *used is the
 * input consumed, n unless CHUNK_LAST, where the trailer section begins at p + *used. Extensions are
 * checked and dropped. */
int chunk_decode(struct chunk *c, char *p, size_t n, size_t *data, size_t *used);

/* Wraps the n > 0 bytes at p as one chunk, in place: writes the size line before p (needs CHUNK_BEFORE bytes)
 * and CRLF behind (CHUNK_BEHIND). Returns the new start; *len the new length. */
#define CHUNK_BEFORE 18u
#define CHUNK_BEHIND 2u
char *chunk_encode(char *p, size_t n, size_t *len);

#endif
