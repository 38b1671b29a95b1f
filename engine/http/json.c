/* json.c - JSON read where it lies, and strings written. */
#include "json.h"

/* ------------------------------------------------------------------ UTF-8 */

#define TOP_BITS 0x8080808080808080ull

/* Bytes of the well-formed sequence at p (Unicode 3.9, table 3-7), 0 when it is none. */
static unsigned
sequence(const unsigned char *p, size_t n)
{
	unsigned len = p[0] < 0x80   ? 1
		       : p[0] < 0xc2 ? 0
		       : p[0] < 0xe0 ? 2
		       : p[0] < 0xf0 ? 3
		       : p[0] < 0xf5 ? 4
				     : 0;

	if (len == 0 || len > n)
		return 0;
	for (unsigned i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

bool
json_is_utf8(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	const unsigned char *end = s.len > 0 ? p + s.len : p;

	while (p < end) {
		uint64_t eight;
		unsigned len;

		if (end - p >= 8) {
			memcpy(&eight, p, 8);
			if ((eight & TOP_BITS) == 0) {
				p += 8;
				continue;
			}
		}
		len = sequence(p, (size_t)(end - p));
		if (len == 0)
			return false;
		p += len;
	}
	return true;
}

static char *
put_code(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
		*out++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*out++ = (char)(0xe0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	} else {
		*out++ = (char)(0xf0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	}
	return out;
}

/* ------------------------------------------------------------------ reading */

static enum json_kind
fail(struct json *j)
{
	j->bad = true;
	j->p = j->end;
	return JSON_BAD;
}

/* What comes after blanks; 0 at the end. */
static char
peek(struct json *j)
{
	while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r'))
		j->p++;
	return j->p < j->end ? *j->p : '\0';
}

static bool
take(struct json *j, char c)
{
	if (peek(j) != c)
		return false;
	j->p++;
	return true;
}

/* Four hexadecimal digits at p; more than 16 bits: none. */
static uint32_t
hex4(const char *p, const char *end)
{
	uint32_t value = 0;

	if (end - p < 4)
		return UINT32_MAX;
	for (int i = 0; i < 4; i++) {
		char c = ascii_lower(p[i]);

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint32_t)(c - 'a' + 10);
		else
			return UINT32_MAX;
	}
	return value;
}

/* What is behind \u at *p: its code, past it. UINT32_MAX: malformed, or half of a pair. */
static uint32_t
escaped_code(const char **p, const char *end)
{
	uint32_t c = hex4(*p, end), low;

	if (c == UINT32_MAX)
		return c;
	*p += 4;
	if (c < 0xd800 || c > 0xdfff)
		return c;
	if (c > 0xdbff || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
		return UINT32_MAX;
	low = hex4(*p + 2, end);
	if (low < 0xdc00 || low > 0xdfff)
		return UINT32_MAX;
	*p += 6;
	return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

/* The escape at *p, which is at its backslash, to out. NULL: malformed. */
static char *
unescape(char *out, const char **p, const char *end)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	uint32_t c;

	if (end - *p < 2)
		return NULL;
	*p += 2;
	if ((*p)[-1] == 'u') {
		c = escaped_code(p, end);
		return c == UINT32_MAX ? NULL : put_code(out, c);
	}
	at = (*p)[-1] == '\0' ? NULL : strchr(from, (*p)[-1]);
	if (at == NULL)
		return NULL;
	*out++ = to[at - from];
	return out;
}

/* Behind the opening quote. */
static enum json_kind
read_string(struct json *j, struct str *text)
{
	const char *p = j->p;
	char *out = j->p;

	for (;;) {
		const char *from = p;

		while (p < j->end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
			p++;
		if (out != from)
			memmove(out, from, (size_t)(p - from));
		out += p - from;
		if (p == j->end || (unsigned char)*p < 0x20)
			return fail(j);
		if (*p == '"')
			break;
		out = unescape(out, &p, j->end);
		if (out == NULL)
			return fail(j);
	}
	*text = (struct str){j->p, (uint32_t)(out - j->p)};
	j->p += p + 1 - j->p;
	return json_is_utf8(*text) ? JSON_STRING : fail(j);
}

static size_t
digits(const char *p, const char *end)
{
	size_t n = 0;

	while (p + n < end && p[n] >= '0' && p[n] <= '9')
		n++;
	return n;
}

static enum json_kind
read_number(struct json *j, struct str *text)
{
	const char *p = j->p, *end = j->end;
	size_t n;

	p += p < end && *p == '-';
	n = digits(p, end);
	if (n == 0 || (n > 1 && *p == '0'))
		return fail(j);
	p += n;
	if (p < end && *p == '.') {
		n = digits(p + 1, end);
		if (n == 0)
			return fail(j);
		p += 1 + n;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		p += p < end && (*p == '+' || *p == '-');
		n = digits(p, end);
		if (n == 0)
			return fail(j);
		p += n;
	}
	*text = (struct str){j->p, (uint32_t)(p - j->p)};
	j->p += p - j->p;
	return JSON_NUMBER;
}

static enum json_kind
read_word(struct json *j, struct str word, enum json_kind kind, struct str *text)
{
	if ((size_t)(j->end - j->p) < word.len || memcmp(j->p, word.p, word.len) != 0)
		return fail(j);
	*text = (struct str){j->p, word.len};
	j->p += word.len;
	return kind;
}

enum json_kind
json_value(struct json *j, struct str *text)
{
	*text = STR("");
	switch (peek(j)) {
	case '{':
	case '[':
		j->first = true;
		return *j->p++ == '{' ? JSON_OBJECT : JSON_ARRAY;
	case '"':
		j->p++;
		return read_string(j, text);
	case 'n':
		return read_word(j, STR("null"), JSON_NULL, text);
	case 't':
		return read_word(j, STR("true"), JSON_TRUE, text);
	case 'f':
		return read_word(j, STR("false"), JSON_FALSE, text);
	default:
		return read_number(j, text);
	}
}

/* Is there more before the closing bracket? What was begun inside has ended. */
static bool
more(struct json *j, char close)
{
	bool first = j->first;

	j->first = false;
	if (j->bad || take(j, close))
		return false;
	if (!first && !take(j, ','))
		fail(j);
	return !j->bad;
}

bool
json_element(struct json *j)
{
	return more(j, ']');
}

bool
json_member(struct json *j, struct str *key)
{
	if (!more(j, '}'))
		return false;
	if (!take(j, '"') || read_string(j, key) != JSON_STRING || !take(j, ':'))
		fail(j);
	return !j->bad;
}

static void
skip(struct json *j, enum json_kind kind, unsigned depth)
{
	struct str text;

	if (depth > JSON_DEPTH_MAX) {
		fail(j);
		return;
	}
	while (kind == JSON_OBJECT ? json_member(j, &text) : json_element(j)) {
		enum json_kind inner = json_value(j, &text);

		if (inner >= JSON_ARRAY)
			skip(j, inner, depth + 1);
	}
}

void
json_skip(struct json *j, enum json_kind kind)
{
	if (kind >= JSON_ARRAY)
		skip(j, kind, 1);
}

bool
json_is_over(struct json *j)
{
	peek(j);
	return !j->bad && j->p == j->end;
}

/* ------------------------------------------------------------------ writing */

/* The letter of a short escape, 'u' for a long one, 0 for what stands as it is. */
static const char escapes[256] = {
    [0 ... '\b' - 1] = 'u',
    ['\v'] = 'u',
    ['\r' + 1 ... 0x1f] = 'u',
    ['\b'] = 'b',
    ['\f'] = 'f',
    ['\n'] = 'n',
    ['\r'] = 'r',
    ['\t'] = 't',
    ['"'] = '"',
    ['\\'] = '\\',
    [0x7f] = 'u',
};

/* The byte c as it cannot stand, at out: the length. */
static size_t
put_escape(char *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	char letter = escapes[c];

	if (letter == '\0')
		return (size_t)(put_code(out, c) - out);
	*out++ = '\\';
	*out++ = letter;
	if (letter != 'u')
		return 2;
	*out++ = '0';
	*out++ = '0';
	*out++ = hex[c >> 4];
	*out++ = hex[c & 15];
	return 6;
}

size_t
json_print(char *out, struct str s)
{
	unsigned top = json_is_utf8(s) ? 0x100 : 0x80;
	const char *p = s.p, *end = s.len > 0 ? p + s.len : p;
	char escape[8];
	size_t n = 0, len;

	while (p < end) {
		const char *from = p;

		while (p < end && escapes[(unsigned char)*p] == '\0' && (unsigned char)*p < top)
			p++;
		if (out != NULL)
			memcpy(out + n, from, (size_t)(p - from));
		n += (size_t)(p - from);
		if (p == end)
			break;
		len = put_escape(escape, (unsigned char)*p++);
		if (out != NULL)
			memcpy(out + n, escape, len);
		n += len;
	}
	return n;
}
