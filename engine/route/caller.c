/* caller.c - what tells a caller from others: a header, a cookie, an address, a path. */
#include "route.h"

/* The value of the first cookie by that name (RFC 6265 5.4: `a=1; b=2`). HTTP/2 may bring each in a field of
 * its own (RFC 9113 8.2.3), others keep to one: all the same here. */
static struct str
find_cookie(const struct msg *m, struct str name)
{
	for (uint32_t i = 0; i < m->nfields; i++) {
		struct str rest = m->fields[i].value;

		if (!str_caseeq(m->fields[i].name, STR("cookie")))
			continue;
		while (rest.len > 0) {
			const char *end = memchr(rest.p, ';', rest.len);
			uint32_t len = end == NULL ? rest.len : (uint32_t)(end - rest.p);
			struct str pair = str_trim((struct str){rest.p, len});

			if (pair.len > name.len && pair.p[name.len] == '=' && str_starts(pair, name))
				return str_trim((struct str){pair.p + name.len + 1, pair.len - name.len - 1});
			len = MIN(len + 1, rest.len);
			rest = (struct str){rest.p + len, rest.len - len};
		}
	}
	return (struct str){0};
}

static struct str
find_key(const struct caller_key *k, const struct caller *c)
{
	if (k->kind == CALLER_SOURCE)
		return c->source;
	if (c->msg == NULL)
		return (struct str){0};
	switch (k->kind) {
	case CALLER_HEADER:
		return msg_field(c->msg, k->name);
	case CALLER_COOKIE:
		return find_cookie(c->msg, k->name);
	case CALLER_PATH:
		return c->msg->path;
	default:
		return (struct str){0};
	}
}

uint64_t
caller_hash(const struct caller_key *k, const struct caller *c)
{
	struct str key;
	uint64_t hash;

	if (likely(k->kind == CALLER_NONE))
		return 0;
	key = find_key(k, c);
	hash = key.len > 0 ? str_hash(key, 0) : 0;
	return key.len > 0 && hash == 0 ? 1 : hash;
}
