/* chunk.c - the chunked coding, decoded and encoded in place.
 *
 * Strict about the size line: only CRLF ends it, a blank may only come before an extension, and the
 * line is short. What comes out is always freshly framed, so a lenient peer sees nothing of the input's.
 */
#include "h1.h"
#include "scan.h"

/* 16 hexadecimal digits fill 64 bits; leading zeros count. */
#define DIGITS_MAX 16u
/* Extensions are rare and dropped; a line of them this long is an attack. */
#define SIZE_LINE_MAX 1024u

enum state { SIZE, BLANK, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, LAST };

static unsigned
hex_value(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(ascii_lower(c) - 'a') + 10;
}

/* One byte of a size line. */
static int
size_byte(struct chunk *c, char byte)
{
	if (++c->line > SIZE_LINE_MAX)
		return CHUNK_BAD;
	if (c->state == SIZE && scan_is(byte, SCAN_HEX)) {
		c->left = c->left << 4 | hex_value(byte);
		return ++c->digits > DIGITS_MAX || c->left > BODY_BYTES_MAX ? CHUNK_BAD : CHUNK_MORE;
	}
	if (c->state == SIZE && c->digits == 0)
		return CHUNK_BAD;
	if (c->state != EXTENSION && scan_is_blank(byte))
		c->state = BLANK;
	else if (c->state != EXTENSION && byte == ';')
		c->state = EXTENSION;
	else if (c->state != BLANK && byte == '\r')
		c->state = SIZE_LF;
	else if (c->state != EXTENSION || scan_is_control(byte))
		return CHUNK_BAD;
	return CHUNK_MORE;
}

/* One byte that is not of the data. */
static int
frame_byte(struct chunk *c, char byte)
{
	switch (c->state) {
	case SIZE_LF:
		if (byte != '\n')
			return CHUNK_BAD;
		c->state = c->left > 0 ? DATA : LAST;
		return c->left > 0 ? CHUNK_MORE : CHUNK_LAST;
	case DATA_CR:
		c->state = DATA_LF;
		return byte == '\r' ? CHUNK_MORE : CHUNK_BAD;
	case DATA_LF:
		*c = (struct chunk){0};
		return byte == '\n' ? CHUNK_MORE : CHUNK_BAD;
	default:
		return size_byte(c, byte);
	}
}

int
chunk_decode(struct chunk *c, char *p, size_t n, size_t *data, size_t *used)
{
	size_t in = 0, out = 0;
	int rc = c->state == LAST ? CHUNK_LAST : CHUNK_MORE;

	while (rc == CHUNK_MORE && in < n) {
		size_t take;

		if (c->state != DATA) {
			rc = frame_byte(c, p[in++]);
			continue;
		}
		take = (size_t)MIN(c->left, (uint64_t)(n - in));
		if (in != out)
			memmove(p + out, p + in, take);
		in += take;
		out += take;
		c->left -= take;
		if (c->left == 0)
			c->state = DATA_CR;
	}
	*data = out;
	*used = in;
	return rc;
}

char *
chunk_encode(char *p, size_t n, size_t *len)
{
	char *start = p;

	assert(n > 0);
	*--start = '\n';
	*--start = '\r';
	for (size_t left = n; left > 0; left >>= 4)
		*--start = "0123456789abcdef"[left & 15];
	p[n] = '\r';
	p[n + 1] = '\n';
	*len = (size_t)(p - start) + n + CHUNK_BEHIND;
	return start;
}
