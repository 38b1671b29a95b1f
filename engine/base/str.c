/* str.c - views of bytes: comparing, searching, hashing; and the growing text. */
#include "str.h"
#include <errno.h>
#include <stdio.h>

/* ------------------------------------------------------------------ comparing */

static bool
bytes_caseeq(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ascii_lower(a[i]) != ascii_lower(b[i]))
			return false;
	return true;
}

bool
str_caseeq(struct str a, struct str b)
{
	return a.len == b.len && bytes_caseeq(a.p, b.p, a.len);
}

bool
str_starts(struct str s, struct str prefix)
{
	return prefix.len == 0 || (s.len >= prefix.len && memcmp(s.p, prefix.p, prefix.len) == 0);
}

bool
str_casestarts(struct str s, struct str prefix)
{
	return s.len >= prefix.len && bytes_caseeq(s.p, prefix.p, prefix.len);
}

bool
str_contains(struct str s, struct str part)
{
	return part.len == 0 || (s.len >= part.len && memmem(s.p, s.len, part.p, part.len) != NULL);
}

bool
str_casecontains(struct str s, struct str part)
{
	if (part.len == 0)
		return true;
	for (uint32_t i = 0; part.len <= s.len && i <= s.len - part.len; i++)
		if (bytes_caseeq(s.p + i, part.p, part.len))
			return true;
	return false;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

struct str
str_trim(struct str s)
{
	while (s.len > 0 && is_blank(s.p[s.len - 1]))
		s.len--;
	while (s.len > 0 && is_blank(*s.p)) {
		s.p++;
		s.len--;
	}
	return s;
}

int
str_number(struct str s, uint64_t max, uint64_t *value)
{
	uint64_t n = 0;
	bool over = false;

	if (s.len == 0)
		return -EINVAL;
	for (uint32_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';

		if (digit > 9)
			return -EINVAL;
		over = over || n > max / 10 || digit > max - n * 10;
		if (!over)
			n = n * 10 + digit;
	}
	if (over)
		return -ERANGE;
	*value = n;
	return 0;
}

/* ------------------------------------------------------------------ hashing */

/* Multiply and fold, as wyhash does: the fastest good mixing on a 64-bit machine. */
#define HASH_A 0xa0761d6478bd642full
#define HASH_B 0xe7037ed1a0b428dbull

static uint64_t
mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Lower-cases the ASCII letters among eight bytes at once. */
static uint64_t
lower8(uint64_t x)
{
	const uint64_t ones = 0x0101010101010101ull;
	uint64_t low = x & (0x7f * ones);
	uint64_t above_z = low + (0x7f - 'Z') * ones;
	uint64_t from_a = low + (0x80 - 'A') * ones;
	uint64_t upper = (from_a ^ above_z) & ~x & (0x80 * ones);

	return x | upper >> 2;
}

static uint64_t
load(const char *p, size_t n)
{
	uint64_t x = 0;

	memcpy(&x, p, n);
	return x;
}

/* The last 0 to 8 bytes; a long string's overlap with what was hashed before. */
static uint64_t
load_tail(struct str s)
{
	if (s.len >= 8)
		return load(s.p + s.len - 8, 8);
	if (s.len >= 4)
		return load(s.p, 4) | load(s.p + s.len - 4, 4) << 32;
	if (s.len > 0)
		return load(s.p, 1) | load(s.p + s.len / 2, 1) << 8 | load(s.p + s.len - 1, 1) << 16;
	return 0;
}

uint64_t
str_hash(struct str s, uint64_t seed)
{
	uint64_t h = seed ^ HASH_A;

	for (uint32_t i = 0; i + 8 < s.len; i += 8)
		h = mix(h ^ load(s.p + i, 8), HASH_B);
	h = mix(h ^ load_tail(s), HASH_A ^ s.len);
	return mix(h, HASH_B);
}

uint64_t
str_casehash(struct str s, uint64_t seed)
{
	uint64_t h = seed ^ HASH_A;

	for (uint32_t i = 0; i + 8 < s.len; i += 8)
		h = mix(h ^ lower8(load(s.p + i, 8)), HASH_B);
	h = mix(h ^ lower8(load_tail(s)), HASH_A ^ s.len);
	return mix(h, HASH_B);
}

/* ------------------------------------------------------------------ likeness */

#define DISTANCE_LEN_MAX 255u

unsigned
str_distance(struct str a, struct str b, unsigned max)
{
	uint16_t rows[3][DISTANCE_LEN_MAX + 1];
	uint16_t *before = rows[0], *last = rows[1], *row = rows[2];

	if (a.len > DISTANCE_LEN_MAX || b.len > DISTANCE_LEN_MAX ||
	    (a.len > b.len ? a.len - b.len : b.len - a.len) > max)
		return str_eq(a, b) ? 0 : max + 1;
	for (uint32_t j = 0; j <= b.len; j++)
		last[j] = (uint16_t)j;
	for (uint32_t i = 1; i <= a.len; i++) {
		unsigned least = row[0] = (uint16_t)i;
		uint16_t *spare;

		for (uint32_t j = 1; j <= b.len; j++) {
			unsigned n = last[j - 1] + (a.p[i - 1] != b.p[j - 1]);

			n = MIN(n, MIN(last[j], row[j - 1]) + 1u);
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
				n = MIN(n, before[j - 2] + 1u);
			row[j] = (uint16_t)n;
			least = MIN(least, n);
		}
		/* A swap reaches back two rows, so only two rows past max settle it. */
		if (least > max + 1)
			return max + 1;
		spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return MIN(last[b.len], max + 1);
}

/* ------------------------------------------------------------------ the growing text */

static void
text_reserve(struct text *t, size_t more)
{
	size_t need = t->len + more + 1;

	assert(need > t->len);
	if (need <= t->size)
		return;
	t->size = MAX(need, MAX(t->size * 2, 64));
	t->p = xrealloc(t->p, t->size);
}

void
text_fini(struct text *t)
{
	free(t->p);
	*t = (struct text){0};
}

void
text_clear(struct text *t)
{
	t->len = 0;
	if (t->p != NULL)
		t->p[0] = '\0';
}

void
text_add(struct text *t, const void *p, size_t n)
{
	text_reserve(t, n);
	if (n > 0)
		memcpy(t->p + t->len, p, n);
	t->len += n;
	t->p[t->len] = '\0';
}

void
text_str(struct text *t, struct str s)
{
	text_add(t, s.p, s.len);
}

void
text_char(struct text *t, char c)
{
	text_add(t, &c, 1);
}

void
text_printf(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_vprintf(t, fmt, ap);
	va_end(ap);
}

void
text_vprintf(struct text *t, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	text_reserve(t, 0);
	n = vsnprintf(t->p + t->len, t->size - t->len, fmt, ap);
	assert(n >= 0);
	if ((size_t)n >= t->size - t->len) {
		text_reserve(t, (size_t)n);
		n = vsnprintf(t->p + t->len, t->size - t->len, fmt, again);
	}
	va_end(again);
	t->len += (size_t)n;
}

char *
text_take(struct text *t)
{
	char *p;

	text_reserve(t, 0);
	p = t->p;
	p[t->len] = '\0';
	*t = (struct text){0};
	return p;
}
