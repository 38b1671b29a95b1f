/* str.h - struct str, a view of bytes somebody else owns; struct text, a growing text. */
#ifndef STR_H
#define STR_H

#include "base.h"
#include <stdarg.h>

struct str {
	const char *p; /* not NUL-terminated */
	uint32_t len;
};

#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).len, (s).p

static inline struct str
str_of(const char *z)
{
	return (struct str){z, (uint32_t)strlen(z)};
}

static inline bool
str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool str_caseeq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_casestarts(struct str s, struct str prefix);
bool str_contains(struct str s, struct str part);
bool str_casecontains(struct str s, struct str part);
struct str str_trim(struct str s); /* without blanks (space, tab, CR) at both ends */
/* Decimal digits only, at least one, at most `max`: 0, -EINVAL or -ERANGE. */
int str_number(struct str s, uint64_t max, uint64_t *value);
uint64_t str_hash(struct str s, uint64_t seed);
uint64_t str_casehash(struct str s, uint64_t seed); /* of the lower-case spelling */
/* Insertions, deletions, replacements and swaps between a and b; stops counting past `max`. */
unsigned str_distance(struct str a, struct str b, unsigned max);

/* A growing, always NUL-terminated text on the heap. {0} is empty; free with text_fini. */
struct text {
	char *p;
	size_t len, size;
};

void text_fini(struct text *t);
void text_clear(struct text *t);
void text_add(struct text *t, const void *p, size_t n);
void text_str(struct text *t, struct str s);
void text_char(struct text *t, char c);
void text_printf(struct text *t, const char *fmt, ...) PRINTF(2, 3);
void text_vprintf(struct text *t, const char *fmt, va_list ap);
char *text_take(struct text *t); /* the NUL-terminated text; the caller frees it, t is empty */

#endif
