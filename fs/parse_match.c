/* parse_match.c - reads `match`: which requests a rule is for. */
#include "limits.h"
#include "parser.h"

#define METHOD_MAX 16u /* Lattice */

static enum verdict
match_method(struct parser *p, struct str s, bool open)
{
	if (!parse_is_token(s) || s.len > METHOD_MAX || (s.len == 0 && !open))
		return parse_bad(
		    p, s.p, "'%s' is no method: it has 1 to 16 characters of a token", parse_show(p, s));
	p->v->match.method = arena_str(&p->v->arena, s);
	return parse_more(p);
}

static enum verdict
match_path(struct parser *p, struct str s, bool open, enum match_op op)
{
	struct match *m = &p->v->match;
	enum verdict verdict;

	if (m->path_op != MATCH_ANY)
		return parse_bad(p, s.p, "path-exact and path-prefix exclude each other");
	verdict = parse_url_path(p, s, open);
	if (verdict == VERDICT_BAD || s.len == 0)
		return verdict;
	m->path = arena_str(&p->v->arena, s);
	m->path_op = op;
	return verdict;
}

static enum verdict
match_header(struct parser *p, struct str s, bool open, enum match_op op)
{
	struct match *m = &p->v->match;
	const char *colon = s.len > 0 ? memchr(s.p, ':', s.len) : NULL;
	struct str name = str_trim((struct str){s.p, colon == NULL ? s.len : (uint32_t)(colon - s.p)}), value;

	if (!parse_is_token(name) || name.len > HEADER_NAME_MAX ||
	    (name.len == 0 && (colon != NULL || !open)))
		return parse_bad(p, s.p, "'%s' is no header name", parse_show(p, name));
	if (open)
		return VERDICT_PARTIAL;
	if (colon == NULL)
		return parse_bad(p, s.p + s.len, "a header match is written NAME: VALUE");
	value = str_trim((struct str){colon + 1, s.len - (uint32_t)(colon + 1 - s.p)});
	if (value.len == 0 && !p->whole)
		return VERDICT_PARTIAL;
	if (value.len == 0 || value.len > HEADER_VALUE_MAX)
		return parse_bad(p, colon + 1, "a header value has 1 to %u characters", HEADER_VALUE_MAX);
	for (uint32_t i = 0; i < value.len; i++)
		if (((unsigned char)value.p[i] < ' ' && value.p[i] != '\t') || value.p[i] == 0x7f)
			return parse_bad(p, value.p + i, "a header value has no control characters");
	if (m->headers == NULL)
		m->headers = arena_alloc(&p->v->arena, p->lines_max * sizeof(*m->headers));
	m->headers[m->nheaders++] =
	    (struct header_match){parse_lower(p, name), arena_str(&p->v->arena, value), op};
	return VERDICT_GOOD;
}

enum key {
	KEY_METHOD,
	KEY_PATH_EXACT,
	KEY_PATH_PREFIX,
	KEY_PATH_CASE,
	KEY_HEADER_EXACT,
	KEY_HEADER_PREFIX,
	KEY_HEADER_CONTAINS,
	KEY_HEADER_CASE,
};
static const char *const match_keys[] = {"method", "path-exact", "path-prefix", "path-case-sensitive",
    "header-exact", "header-prefix", "header-contains", "header-case-sensitive", NULL};
static enum verdict
match_line(struct parser *p, uint32_t key, struct str s, bool open)
{
	struct match *m = &p->v->match;

	switch ((enum key)key) {
	case KEY_METHOD:
		return match_method(p, s, open);
	case KEY_PATH_EXACT:
		return match_path(p, s, open, MATCH_EXACT);
	case KEY_PATH_PREFIX:
		return match_path(p, s, open, MATCH_PREFIX);
	case KEY_PATH_CASE:
		return parse_flag(p, match_keys[key], s, open, &m->path_case);
	case KEY_HEADER_EXACT:
		return match_header(p, s, open, MATCH_EXACT);
	case KEY_HEADER_PREFIX:
		return match_header(p, s, open, MATCH_PREFIX);
	case KEY_HEADER_CONTAINS:
		return match_header(p, s, open, MATCH_CONTAINS);
	default:
		assert(key == KEY_HEADER_CASE);
		return parse_flag(p, match_keys[key], s, open, &m->header_case);
	}
}

static enum verdict
match_end(struct parser *p)
{
	const struct match *m = &p->v->match;

	if (m->method.len == 0 && m->path_op == MATCH_ANY && m->nheaders == 0)
		return parse_bad_end(p, "match needs a method, a path or a header");
	return VERDICT_GOOD;
}

const struct fields match_fields = {
    .keys = {match_keys},
    .repeatable = 1u << KEY_HEADER_EXACT | 1u << KEY_HEADER_PREFIX | 1u << KEY_HEADER_CONTAINS,
    .line = match_line,
    .end = match_end,
};
