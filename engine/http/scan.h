/* scan.h - byte classes, and a look at sixteen bytes at once. Private to the codecs. */
#ifndef SCAN_H
#define SCAN_H

#include "base.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
	SCAN_TOKEN = 1, /* RFC 9110 5.6.2 */
	SCAN_PATH =
	    2, /* what a target may hold before its query (or a fragment: nobody should send one, some do) */
	SCAN_QUERY = 4, /* and from there on */
	SCAN_HOST = 8,	/* unreserved and sub-delims of RFC 3986 */
	SCAN_HEX = 16,
	SCAN_PLAIN = 32, /* letters, digits, '-' */
};

extern const uint8_t scan_class[256]; /* msg.c */

static inline bool
scan_is(char c, unsigned class)
{
	return (scan_class[(unsigned char)c] & class) != 0;
}

static inline bool
scan_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Controls but the tab: what no line of a head may hold. */
static inline bool
scan_is_control(char c)
{
	return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

#define SCAN_STEP 16u

/* Bit i: is p[i] a control? Reads SCAN_STEP bytes. */
static inline unsigned
scan_controls(const char *p)
{
#ifdef __SSE2__
	__m128i v = _mm_loadu_si128((const __m128i *)p), top = _mm_set1_epi8(0x1f);
	__m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, top), v);
	__m128i tab = _mm_cmpeq_epi8(v, _mm_set1_epi8('\t'));
	__m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));

	return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
#else
	unsigned found = 0;

	for (unsigned i = 0; i < SCAN_STEP; i++)
		found |= (unsigned)scan_is_control(p[i]) << i;
	return found;
#endif
}

/* How many of the SCAN_STEP bytes at p, from the first on, are letters, digits or '-'? */
static inline unsigned
scan_plain(const char *p)
{
#ifdef __SSE2__
	__m128i v = _mm_loadu_si128((const __m128i *)p);
	__m128i letter = _mm_sub_epi8(_mm_or_si128(v, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
	__m128i digit = _mm_sub_epi8(v, _mm_set1_epi8('0'));
	__m128i is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
	__m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
	__m128i is_dash = _mm_cmpeq_epi8(v, _mm_set1_epi8('-'));
	__m128i plain = _mm_or_si128(is_letter, _mm_or_si128(is_digit, is_dash));

	return (unsigned)__builtin_ctz(~(unsigned)_mm_movemask_epi8(plain));
#else
	unsigned n = 0;

	while (n < SCAN_STEP && scan_is(p[n], SCAN_PLAIN))
		n++;
	return n;
#endif
}

#endif
