/* field.c - the names that the codecs know, and lists in values. */
#include "field.h"
#include "scan.h"

static inline uint64_t
load(const char *p, size_t n)
{
	uint64_t x = 0;

	memcpy(&x, p, n);
	return x;
}

#define BIT5 0x2020202020202020ull

/*
 * Is the token of n bytes at p the lower-case want? Two loads cover it, overlapping in the middle. Setting
 * bit 5 lowers letters and leaves digits and '-' alone; no other byte of a token becomes one of those.
 */
static inline __attribute__((always_inline)) bool
is_name(const char *p, const char *want, size_t n)
{
	size_t step = n >= 8 ? 8 : n >= 4 ? 4 : 2;
	uint64_t bits = BIT5 >> (64 - 8 * step);
	uint64_t first = (load(p, step) | bits) ^ load(want, step);
	uint64_t last = (load(p + n - step, step) | bits) ^ load(want + n - step, step);
	uint64_t middle = n > 16 ? (load(p + 8, 8) | bits) ^ load(want + 8, 8) : 0;

	return (first | middle | last) == 0;
}

#define IS(name, lit) is_name((name).p, lit, sizeof(lit) - 1)

static bool
is_lookalike(struct str name, const char *want)
{
	for (uint32_t i = 0; i < name.len; i++)
		if (ascii_lower(name.p[i]) != want[i] && (name.p[i] != '_' || want[i] != '-'))
			return false;
	return true;
}

static unsigned
identify_short(struct str name)
{
	switch (name.len) {
	case 2:
		return IS(name, "te") ? FIELD_TE : FIELD_OTHER;
	case 4:
		return IS(name, "host") ? FIELD_HOST : FIELD_OTHER;
	case 6:
		return IS(name, "expect") ? FIELD_EXPECT : FIELD_OTHER;
	case 7:
		if (IS(name, "upgrade"))
			return FIELD_UPGRADE;
		return IS(name, "trailer") ? FIELD_TRAILER : FIELD_OTHER;
	case 10:
		if (IS(name, "connection"))
			return FIELD_CONNECTION;
		return IS(name, "keep-alive") ? FIELD_KEEP_ALIVE : FIELD_OTHER;
	default:
		return FIELD_OTHER;
	}
}

static unsigned
identify_long(struct str name)
{
	switch (name.len) {
	case 14:
		if (IS(name, "content-length"))
			return FIELD_CONTENT_LENGTH;
		if (IS(name, "http2-settings"))
			return FIELD_HTTP2_SETTINGS;
		return is_lookalike(name, "content-length") ? FIELD_LOOKALIKE : FIELD_OTHER;
	case 15:
		return IS(name, "x-forwarded-for") ? FIELD_X_FORWARDED_FOR : FIELD_OTHER;
	case 16:
		if (IS(name, "x-amzn-requestid"))
			return FIELD_REQUEST_ID;
		if (IS(name, "x-forwarded-port"))
			return FIELD_X_FORWARDED_PORT;
		return IS(name, "proxy-connection") ? FIELD_PROXY_CONNECTION : FIELD_OTHER;
	case 17:
		if (IS(name, "transfer-encoding"))
			return FIELD_TRANSFER_ENCODING;
		if (IS(name, "x-forwarded-proto"))
			return FIELD_X_FORWARDED_PROTO;
		return is_lookalike(name, "transfer-encoding") ? FIELD_LOOKALIKE : FIELD_OTHER;
	case 18:
		return IS(name, "proxy-authenticate") ? FIELD_PROXY_AUTHENTICATE : FIELD_OTHER;
	case 19:
		return IS(name, "proxy-authorization") ? FIELD_PROXY_AUTHORIZATION : FIELD_OTHER;
	default:
		return FIELD_OTHER;
	}
}

unsigned
field_identify(struct str name)
{
	unsigned id;

	if (name.len < 14)
		return identify_short(name);
	id = identify_long(name);
	return id == FIELD_OTHER && name.len > 15 && IS(name, "x-amzn-lattice-") ? FIELD_LATTICE : id;
}

static const struct {
	struct str name;
	enum method id;
} methods[] = {
    {{"GET", 3}, METHOD_GET},
    {{"HEAD", 4}, METHOD_HEAD},
    {{"POST", 4}, METHOD_POST},
    {{"PUT", 3}, METHOD_PUT},
    {{"DELETE", 6}, METHOD_DELETE},
    {{"OPTIONS", 7}, METHOD_OPTIONS},
    {{"PATCH", 5}, METHOD_PATCH},
    {{"TRACE", 5}, METHOD_TRACE},
    {{"CONNECT", 7}, METHOD_CONNECT},
};

enum method
field_method(struct str name)
{
	for (size_t i = 0; i < COUNT(methods); i++)
		if (str_eq(name, methods[i].name))
			return methods[i].id;
	return METHOD_OTHER;
}

/* Beyond those with an id: who one is, what is asked, what the content is, what a cache does. */
static const char *const bad_trailers[] = {"age", "authorization", "cache-control", "content-encoding",
    "content-location", "content-range", "content-type", "cookie", "date", "expires", "if-match",
    "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "location", "max-forwards",
    "pragma", "range", "retry-after", "set-cookie", "vary", "warning", "www-authenticate", "forwarded"};

bool
field_is_bad_trailer(const struct field *f)
{
	if (f->id != FIELD_OTHER)
		return true;
	for (size_t i = 0; i < COUNT(bad_trailers); i++)
		if (str_caseeq(f->name, str_of(bad_trailers[i])))
			return true;
	return str_casestarts(f->name, STR("x-amzn-")) || str_casestarts(f->name, STR("x-forwarded-"));
}

bool
field_is_token(struct str s)
{
	for (uint32_t i = 0; i < s.len; i++)
		if (!scan_is(s.p[i], SCAN_TOKEN))
			return false;
	return s.len > 0;
}

bool
field_list_next(struct str *list, struct str *item)
{
	const char *comma;

	if (list->len == 0)
		return false;
	comma = memchr(list->p, ',', list->len);
	item->p = list->p;
	item->len = comma == NULL ? list->len : (uint32_t)(comma - list->p);
	list->p += MIN(item->len + 1, list->len);
	list->len -= MIN(item->len + 1, list->len);
	*item = str_trim(*item);
	return true;
}
