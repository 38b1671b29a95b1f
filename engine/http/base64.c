/* base64.c - RFC 4648 4. */
#include "base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t
base64_encode(char *out, struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t left = s.len;
	char *at = out;

	for (; left >= 3; left -= 3, p += 3) {
		*at++ = alphabet[p[0] >> 2];
		*at++ = alphabet[(p[0] & 3) << 4 | p[1] >> 4];
		*at++ = alphabet[(p[1] & 15) << 2 | p[2] >> 6];
		*at++ = alphabet[p[2] & 63];
	}
	if (left > 0) {
		unsigned second = left > 1 ? p[1] : 0;

		*at++ = alphabet[p[0] >> 2];
		*at++ = alphabet[(p[0] & 3) << 4 | second >> 4];
		*at++ = left > 1 ? alphabet[(second & 15) << 2] : '=';
		*at++ = '=';
	}
	return (size_t)(at - out);
}

/* 64: no digit. */
static unsigned
digit_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : 64;
}

bool
base64_decode(char *p, size_t n, size_t *len)
{
	uint32_t bits = 0;
	size_t out = 0;

	if (n % 4 == 0 && n > 0 && p[n - 1] == '=')
		n -= p[n - 2] == '=' ? 2 : 1;
	if (n % 4 == 1)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned digit = digit_of(p[i]);

		if (digit > 63)
			return false;
		bits = bits << 6 | digit;
		if (i % 4 > 0)
			p[out++] = (char)(bits >> (6 - i % 4 * 2) & 255);
	}
	/* What is left of the last digit is not of any byte. */
	if ((n % 4 == 2 && (bits & 15) != 0) || (n % 4 == 3 && (bits & 3) != 0))
		return false;
	*len = out;
	return true;
}
