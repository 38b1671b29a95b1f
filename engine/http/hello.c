/* hello.c - records, the handshake message in them, and the one extension that matters.
 *
 * Strict where two readers could see two names: an extension that is there twice, a list of several names,
 * lengths that do not add up. What else is wrong with a hello the target finds out for itself.
 */
#include "hello.h"

#define RECORD_HEADER 5u
#define RECORD_MAX (1u << 14) /* RFC 8446 5.1 */
#define RECORD_HANDSHAKE 22u
#define MESSAGE_HEADER 4u
#define MESSAGE_CLIENT_HELLO 1u
#define SSL3 3u /* the major version that all of them carry */
#define RANDOM_BYTES 32u
#define SESSION_ID_MAX 32u
#define EXTENSION_SERVER_NAME 0u
#define NAME_TYPE_HOST 0u

/* What is left to be read. */
struct rest {
	const uint8_t *p;
	size_t n;
};

static uint32_t
number(const uint8_t *p, unsigned bytes)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

static bool
take(struct rest *r, size_t n, struct rest *part)
{
	if (n > r->n)
		return false;
	*part = (struct rest){r->p, n};
	r->p += n;
	r->n -= n;
	return true;
}

/* A vector behind its length of so many bytes. */
static bool
take_vector(struct rest *r, unsigned bytes, struct rest *vector)
{
	struct rest length;

	return take(r, bytes, &length) && take(r, number(length.p, bytes), vector);
}

/* ------------------------------------------------------------------ the name */

/* A host name is letters, digits, hyphens and dots in ASCII; underscores are seen in the wild. */
static bool
is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

static bool
read_name(struct rest ext, char sni[static HOST_MAX + 1], uint32_t *len)
{
	struct rest list, type, name;

	/* One host_name and nothing else: as OpenSSL reads it, no other type was ever defined. */
	if (!take_vector(&ext, 2, &list) || ext.n != 0 || !take(&list, 1, &type) ||
	    type.p[0] != NAME_TYPE_HOST || !take_vector(&list, 2, &name) || list.n != 0)
		return false;
	if (name.n == 0 || name.n > HOST_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		sni[i] = ascii_lower((char)name.p[i]);
		if (!is_name_byte(sni[i]))
			return false;
	}
	sni[name.n] = '\0';
	*len = (uint32_t)name.n;
	return true;
}

static bool
read_extensions(struct rest all, char sni[static HOST_MAX + 1], uint32_t *len)
{
	struct rest type, ext;
	bool seen = false;

	while (all.n > 0) {
		if (!take(&all, 2, &type) || !take_vector(&all, 2, &ext))
			return false;
		if (number(type.p, 2) != EXTENSION_SERVER_NAME)
			continue;
		if (seen || !read_name(ext, sni, len))
			return false;
		seen = true;
	}
	return true;
}

/* The body of a whole ClientHello (RFC 8446 4.1.2; the same since TLS 1.0). */
static bool
read_hello(struct rest r, char sni[static HOST_MAX + 1], uint32_t *len)
{
	struct rest version, random, session, ciphers, compressions, extensions;

	if (!take(&r, 2, &version) || version.p[0] != SSL3 || !take(&r, RANDOM_BYTES, &random))
		return false;
	if (!take_vector(&r, 1, &session) || session.n > SESSION_ID_MAX)
		return false;
	if (!take_vector(&r, 2, &ciphers) || ciphers.n == 0 || ciphers.n % 2 != 0)
		return false;
	if (!take_vector(&r, 1, &compressions) || compressions.n == 0)
		return false;
	if (r.n == 0)
		return true; /* a client of old: no extensions, no name */
	return take_vector(&r, 2, &extensions) && r.n == 0 && read_extensions(extensions, sni, len);
}

/* ------------------------------------------------------------------ records */

/* Is this how a handshake record begins, as far as it goes? */
static bool
record_is_sound(const uint8_t *p, size_t n)
{
	uint32_t length;

	if (p[0] != RECORD_HANDSHAKE || (n > 1 && p[1] != SSL3))
		return false;
	if (n < RECORD_HEADER)
		return true;
	length = number(p + 3, 2);
	return length > 0 && length <= RECORD_MAX;
}

/* The first `have` bytes of a message, whose records go on to `declared`. */
static int
judge(const uint8_t *message, size_t have, size_t declared)
{
	size_t whole;

	if (have > 0 && message[0] != MESSAGE_CLIENT_HELLO)
		return HELLO_BAD;
	if (have < MESSAGE_HEADER)
		return HELLO_MORE;
	whole = MESSAGE_HEADER + number(message + 1, 3);
	/* No server takes a hello that shares its last record. */
	if (whole > HELLO_BYTES_MAX - RECORD_HEADER || declared > whole)
		return HELLO_BAD;
	return have == whole ? HELLO_WHOLE : HELLO_MORE;
}

/* Joins the pieces of the message that the records have, *have bytes. */
static int
join(struct rest r, uint8_t message[static HELLO_BYTES_MAX], size_t *have)
{
	size_t declared = 0;
	int rc = HELLO_MORE;

	*have = 0;
	while (r.n > 0 && rc == HELLO_MORE) {
		struct rest header, piece;

		if (!record_is_sound(r.p, r.n))
			return HELLO_BAD;
		if (!take(&r, RECORD_HEADER, &header))
			break;
		declared += number(header.p + 3, 2);
		take(&r, MIN(number(header.p + 3, 2), r.n), &piece);
		memcpy(message + *have, piece.p, piece.n);
		*have += piece.n;
		rc = judge(message, *have, declared);
	}
	return rc;
}

int
hello_parse(const char *p, size_t n, char sni[static HOST_MAX + 1], uint32_t *len)
{
	struct rest all = {(const uint8_t *)p, MIN(n, HELLO_BYTES_MAX)}, body;
	uint8_t message[HELLO_BYTES_MAX];
	size_t have;
	int rc = join(all, message, &have);

	*len = 0;
	if (rc == HELLO_WHOLE) {
		body = (struct rest){message + MESSAGE_HEADER, have - MESSAGE_HEADER};
		return read_hello(body, sni, len) ? HELLO_WHOLE : HELLO_BAD;
	}
	return n >= HELLO_BYTES_MAX ? HELLO_BAD : rc;
}
