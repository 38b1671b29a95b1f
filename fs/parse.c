/* parse.c - reads the text of attribute and target files, as far as it is written.
 *
 * Debian's libinih cuts lines at 200 characters, and a path may have 2,048; it also neither tells columns nor
 * judges half a line. So lines are split here, by its rules: `key = value` or `key: value`, whole lines of
 * comment after `#` or `;`, a comment behind a value after a blank and `;`.
 */
#include "parse.h"
#include "certificate.h"
#include "limits.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#define METHOD_MAX 16u /* Lattice */
#define LABEL_MAX 63u  /* RFC 1035 */
/* Every line is compared with those before it: so many are plenty, and quick. */
#define DOMAINS_MAX 256u
#define LISTEN_MAX 64u

struct parser {
	const struct attribute *a;
	const char *path;
	struct str text;
	bool final;
	struct diag *d;
	struct value *v;
	const char *start; /* of the line at hand */
	unsigned line;
	bool whole;	    /* its end is there */
	uint32_t nlines;    /* lines that said something, this one not counted */
	uint32_t lines_max; /* lines of the text: room that lists need */
	uint32_t keys;	    /* bits of the keys already set */
	char shown[100];    /* a token as messages show it */
};

struct value *
value_new(const struct attribute *a, struct str text)
{
	/* In one block: a store has a hundred thousand of them. */
	struct value *v = xcalloc(1, sizeof(*v) + text.len + 1);
	char *copy = (char *)(v + 1);

	if (text.len > 0)
		memcpy(copy, text.p, text.len);
	v->attribute = a;
	v->text = (struct str){copy, text.len};
	return v;
}

void
value_free(struct value *v)
{
	if (v == NULL)
		return;
	free(v->bad);
	arena_fini(&v->arena);
	free(v);
}

/* ------------------------------------------------------------------ saying no */

static enum verdict __attribute__((format(printf, 3, 4)))
bad(struct parser *p, const char *at, const char *fmt, ...)
{
	char message[480];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	diag_set(p->d, EINVAL, p->path, p->line, (unsigned)(at - p->start) + 1, "%s", message);
	diag_quote(p->d, p->text);
	return VERDICT_BAD;
}

/* A token for a message: clipped, and without bytes that would upset a terminal. */
static const char *
show(struct parser *p, struct str s)
{
	size_t n = MIN(s.len, sizeof(p->shown) - 4);

	for (size_t i = 0; i < n; i++)
		p->shown[i] = (unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f ? '?' : s.p[i];
	strcpy(p->shown + n, n < s.len ? "..." : "");
	return p->shown;
}

static enum verdict
more(const struct parser *p)
{
	return p->whole ? VERDICT_GOOD : VERDICT_PARTIAL;
}

/* Of NULL-terminated words the one that was probably meant, or NULL. */
static const char *
suggest(const char *const *words, struct str got)
{
	const char *best = NULL;
	unsigned least = 3;

	for (; *words != NULL; words++) {
		unsigned n = str_distance(got, str_of(*words), 2);

		if (n < least && n < strlen(*words)) {
			best = *words;
			least = n;
		}
	}
	return best;
}

static struct str
skip_blanks(struct str s)
{
	while (s.len > 0 && (*s.p == ' ' || *s.p == '\t')) {
		s.p++;
		s.len--;
	}
	return s;
}

/* Takes the next word off s. */
static struct str
next_word(struct str *s)
{
	struct str word;

	*s = skip_blanks(*s);
	word = (struct str){s->p, 0};
	while (word.len < s->len && s->p[word.len] != ' ' && s->p[word.len] != '\t')
		word.len++;
	s->p += word.len;
	s->len -= word.len;
	return word;
}

/* ------------------------------------------------------------------ single values */

/* what: how messages call the number. `open`: the token may go on. */
static enum verdict
parse_number(
    struct parser *p, const char *what, struct str s, bool open, uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t n = 0;

	if (open && s.len == 0)
		return VERDICT_PARTIAL;
	if (str_number(s, max, &n) != 0 || (n < min && !open))
		return bad(p, s.p, "%s must be a number from %u to %u, not '%s'", what, min, max, show(p, s));
	*out = (uint32_t)n;
	return more(p);
}

static void
list_words(const char *const *words, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; words[i] != NULL && n < size; i++) {
		const char *between = i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ";

		n += (size_t)snprintf(out + n, size - n, "%s%s", between, words[i]);
	}
}

static enum verdict
parse_word(struct parser *p, const char *what, struct str s, bool open, const char *const *words,
    uint32_t nsupported, uint32_t *out)
{
	const char *like = NULL, *meant;
	char all[200], hint[64] = "";

	if (open && s.len == 0)
		return VERDICT_PARTIAL;
	for (uint32_t i = 0; words[i] != NULL; i++) {
		struct str word = str_of(words[i]);

		if (!str_caseeq(s, word) && !(open && str_casestarts(word, s)))
			continue;
		if (nsupported == 0 || i < nsupported) {
			*out = i;
			return more(p);
		}
		like = like == NULL ? words[i] : like;
	}
	if (like != NULL)
		return bad(p, s.p, "%s %s is not supported yet", what, like);
	list_words(words, all, sizeof(all));
	meant = suggest(words, s);
	if (meant != NULL)
		snprintf(hint, sizeof(hint), " (did you mean '%s'?)", meant);
	return bad(p, s.p, "%s must be %s, not '%s'%s", what, all, show(p, s), hint);
}

/* `host`, a name under /run/netns or an absolute path. What stands there is found out later. */
static enum verdict
parse_netns(struct parser *p, struct str s, bool open)
{
	bool path = s.len > 0 && s.p[0] == '/';
	uint32_t max = path ? NETNS_PATH_MAX : NAME_BYTES_MAX;

	if (s.len > max)
		return bad(p, s.p, "netns is longer than %u bytes", max);
	for (uint32_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
			return bad(
			    p, s.p + i, "netns '%s' has a blank or a control character in it", show(p, s));
		if (!path && s.p[i] == '/')
			return bad(p, s.p, "netns '%s' is no name: a path begins with '/'", show(p, s));
	}
	if (!open && (str_eq(s, STR(".")) || str_eq(s, STR(".."))))
		return bad(p, s.p, "netns '%s' is no name", show(p, s));
	if (more(p) != VERDICT_GOOD || str_eq(s, STR("host")))
		return more(p);
	p->v->names = arena_alloc(&p->v->arena, sizeof(*p->v->names));
	p->v->names[0] =
	    (struct named_line){arena_str(&p->v->arena, s), p->line, (unsigned)(s.p - p->start) + 1};
	p->v->nnames = 1;
	return VERDICT_GOOD;
}

/* The grammar of an object's name; a name that may go on can still lose its hyphen at the end. */
static enum verdict
parse_name(struct parser *p, enum kind kind, struct str s, bool open)
{
	const char *why;
	struct str sure = s;

	if (open && s.len > 0 && s.p[s.len - 1] == '-')
		sure.len--;
	if ((open && s.len == 0) || schema_name_check(kind, sure, &why) == 0)
		return more(p);
	return bad(p, s.p, "'%s' is no %s: %s", show(p, s), schema_kind_name(kind), why);
}

static enum verdict
parse_reference(struct parser *p, struct str s, bool open)
{
	enum verdict verdict = parse_name(p, KIND_VPC, s, open);
	struct reference *r;

	if (verdict != VERDICT_GOOD)
		return verdict;
	r = arena_alloc(&p->v->arena, sizeof(*r));
	r->kind = KIND_VPC;
	r->name = arena_str(&p->v->arena, s);
	r->line = p->line;
	r->column = (unsigned)(s.p - p->start) + 1;
	p->v->refs = r;
	p->v->nrefs = 1;
	return VERDICT_GOOD;
}

/* A file of one value: s is its line without blanks around; open when the value may go on. */
static enum verdict
parse_single(struct parser *p, struct str s, bool open)
{
	const struct attribute *a = p->a;

	switch (a->type) {
	case TYPE_NUMBER:
		return parse_number(p, a->name, s, open, a->min, a->max, &p->v->number);
	case TYPE_ENUM:
		return parse_word(p, a->name, s, open, a->words, a->nsupported, &p->v->number);
	case TYPE_NETNS:
		return parse_netns(p, s, open);
	default:
		assert(a->type == TYPE_REFERENCE);
		return parse_reference(p, s, open);
	}
}

/* ------------------------------------------------------------------ names and addresses, one a line */

/* NULL when s is a host name (RFC 1123), maybe with a wildcard for its first label. */
static const char *
host_name_fault(struct str s)
{
	struct addr addr;
	uint32_t label = 0;
	bool digits = true;

	if (addr_parse(s, &addr) == 0)
		return "an address is no domain name";
	if (s.len > HOST_MAX)
		return "a domain name has at most 255 characters";
	if (str_starts(s, STR("*."))) {
		s.p += 2;
		s.len -= 2;
	}
	for (uint32_t i = 0; i <= s.len; i++) {
		if (i == s.len || s.p[i] == '.') {
			if (label == 0 || label > LABEL_MAX || s.p[i - 1] == '-')
				return "its labels have 1 to 63 letters, digits and inner hyphens";
			label = 0;
			digits = digits || i < s.len;
			continue;
		}
		if (!isalnum((unsigned char)s.p[i]) && (s.p[i] != '-' || label == 0))
			return "its labels have 1 to 63 letters, digits and inner hyphens";
		digits = digits && isdigit((unsigned char)s.p[i]);
		label++;
	}
	return digits ? "its last label must not be a number" : NULL;
}

static enum verdict
parse_domain(struct parser *p, struct str s, bool open)
{
	struct value *v = p->v;
	const char *fault;
	char *name;

	if (open) {
		for (uint32_t i = 0; i < s.len; i++)
			if (!isalnum((unsigned char)s.p[i]) && strchr(".-*", s.p[i]) == NULL)
				return bad(p, s.p + i, "'%s' is no domain name", show(p, s));
		return VERDICT_PARTIAL;
	}
	fault = host_name_fault(s);
	if (fault != NULL)
		return bad(p, s.p, "'%s' is no domain name: %s", show(p, s), fault);
	name = arena_copy(&v->arena, s.p, s.len);
	for (uint32_t i = 0; i < s.len; i++)
		name[i] = ascii_lower(name[i]);
	for (uint32_t i = 0; i < v->nnames; i++)
		if (str_eq(v->names[i].name, (struct str){name, s.len}))
			return bad(p, s.p, "domain '%s' stands here twice", show(p, s));
	if (v->nnames == DOMAINS_MAX)
		return bad(p, s.p, "a service has at most %u domains", DOMAINS_MAX);
	if (v->names == NULL)
		v->names = arena_alloc(&v->arena, MIN(p->lines_max, DOMAINS_MAX) * sizeof(*v->names));
	v->names[v->nnames++] = (struct named_line){{name, s.len}, p->line, (unsigned)(s.p - p->start) + 1};
	return VERDICT_GOOD;
}

static enum verdict
parse_listen(struct parser *p, struct str s, bool open)
{
	struct value *v = p->v;
	struct addr a;

	if (open) {
		for (uint32_t i = 0; i < s.len; i++)
			if (!isxdigit((unsigned char)s.p[i]) && strchr(".:[]", s.p[i]) == NULL)
				return bad(p, s.p, "'%s' is no address", show(p, s));
		return VERDICT_PARTIAL;
	}
	if (addr_parse(s, &a) != 0)
		return bad(p, s.p, "'%s' is no address", show(p, s));
	if (addr_port(&a) != 0)
		return bad(p, s.p, "'%s' must not have a port: listeners have", show(p, s));
	for (uint32_t i = 0; i < v->naddrs; i++)
		if (addr_eq(&v->addrs[i], &a))
			return bad(p, s.p, "address '%s' stands here twice", show(p, s));
	if (v->naddrs == LISTEN_MAX)
		return bad(p, s.p, "a VPC has at most %u addresses", LISTEN_MAX);
	if (v->addrs == NULL)
		v->addrs = arena_alloc(&v->arena, MIN(p->lines_max, LISTEN_MAX) * sizeof(*v->addrs));
	v->addrs[v->naddrs++] = a;
	return VERDICT_GOOD;
}

/* ------------------------------------------------------------------ key = value */

static bool
is_token(struct str s)
{
	for (uint32_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.p[i]) &&
		    (s.p[i] == '\0' || strchr("!#$%&'*+-.^_`|~", s.p[i]) == NULL))
			return false;
	return true;
}

static enum verdict
parse_method(struct parser *p, struct str s, bool open)
{
	if (!is_token(s) || s.len > METHOD_MAX || (s.len == 0 && !open))
		return bad(p, s.p, "'%s' is no method: it has 1 to 16 characters of a token", show(p, s));
	p->v->match.method = arena_str(&p->v->arena, s);
	return more(p);
}

static enum verdict
parse_path(struct parser *p, struct str s, bool open, enum match_op op)
{
	struct match *m = &p->v->match;

	if (m->path_op != MATCH_ANY)
		return bad(p, s.p, "path-exact and path-prefix exclude each other");
	if (s.len == 0 && open)
		return VERDICT_PARTIAL;
	if (s.len == 0 || s.p[0] != '/')
		return bad(p, s.p, "a path begins with '/', not '%s'", show(p, s));
	if (s.len > PATH_MATCH_MAX)
		return bad(p, s.p, "a path has at most %u characters", PATH_MATCH_MAX);
	for (uint32_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.p[i]) &&
		    (s.p[i] == '\0' || strchr("@:%_+.~#?&/=-", s.p[i]) == NULL))
			return bad(p, s.p + i, "'%s' cannot be in a path: write it as %%%02X",
			    show(p, (struct str){s.p + i, 1}), (unsigned char)s.p[i]);
	m->path = arena_str(&p->v->arena, s);
	m->path_op = op;
	return more(p);
}

static enum verdict
parse_header(struct parser *p, struct str s, bool open, enum match_op op)
{
	struct match *m = &p->v->match;
	const char *colon = s.len > 0 ? memchr(s.p, ':', s.len) : NULL;
	struct str name = str_trim((struct str){s.p, colon == NULL ? s.len : (uint32_t)(colon - s.p)}), value;
	char *lower;

	if (!is_token(name) || name.len > HEADER_NAME_MAX || (name.len == 0 && (colon != NULL || !open)))
		return bad(p, s.p, "'%s' is no header name", show(p, name));
	if (open)
		return VERDICT_PARTIAL;
	if (colon == NULL)
		return bad(p, s.p + s.len, "a header match is written NAME: VALUE");
	value = str_trim((struct str){colon + 1, s.len - (uint32_t)(colon + 1 - s.p)});
	if (value.len == 0 && !p->whole)
		return VERDICT_PARTIAL;
	if (value.len == 0 || value.len > HEADER_VALUE_MAX)
		return bad(p, colon + 1, "a header value has 1 to %u characters", HEADER_VALUE_MAX);
	for (uint32_t i = 0; i < value.len; i++)
		if (((unsigned char)value.p[i] < ' ' && value.p[i] != '\t') || value.p[i] == 0x7f)
			return bad(p, value.p + i, "a header value has no control characters");
	if (m->headers == NULL)
		m->headers = arena_alloc(&p->v->arena, p->lines_max * sizeof(*m->headers));
	lower = arena_copy(&p->v->arena, name.p, name.len);
	for (uint32_t i = 0; i < name.len; i++)
		lower[i] = ascii_lower(lower[i]);
	m->headers[m->nheaders++] =
	    (struct header_match){{lower, name.len}, arena_str(&p->v->arena, value), op};
	return VERDICT_GOOD;
}

static enum verdict
parse_flag(struct parser *p, const char *key, struct str s, bool open, bool *out)
{
	static const char *const words[] = {"false", "true", NULL};
	uint32_t n = 0;
	enum verdict verdict = parse_word(p, key, s, open, words, 0, &n);

	*out = n == 1;
	return verdict;
}

/* GROUP[:WEIGHT]; open when it may go on. */
static enum verdict
parse_forward_word(struct parser *p, struct str word, bool open)
{
	const char *colon = memchr(word.p, ':', word.len);
	struct str name = {word.p, colon == NULL ? word.len : (uint32_t)(colon - word.p)}, weight;
	struct value *v = p->v;
	struct reference *r;
	uint32_t n = WEIGHT_DEFAULT;
	enum verdict verdict;

	if (name.len == 0)
		return bad(p, word.p, "a target group stands before ':', as in blue:90");
	if (parse_name(p, KIND_GROUP, name, open && colon == NULL) == VERDICT_BAD)
		return VERDICT_BAD;
	if (colon != NULL) {
		weight = (struct str){colon + 1, word.len - name.len - 1};
		verdict = parse_number(p, "weight", weight, open, 0, WEIGHT_MAX, &n);
		if (verdict == VERDICT_BAD)
			return verdict;
	}
	if (open)
		return VERDICT_PARTIAL;
	for (uint32_t i = 0; i < v->nrefs; i++)
		if (str_eq(v->refs[i].name, name))
			return bad(p, word.p, "target group '%s' stands here twice", show(p, name));
	if (v->nrefs == FORWARD_GROUPS_MAX)
		return bad(p, word.p, "a forward has at most %u target groups", FORWARD_GROUPS_MAX);
	r = &v->refs[v->nrefs++];
	*r = (struct reference){.kind = KIND_GROUP, .weight = n, .line = p->line};
	r->column = (unsigned)(word.p - p->start) + 1;
	r->name = arena_str(&v->arena, name);
	return VERDICT_GOOD;
}

static enum verdict
parse_forward(struct parser *p, struct str s, bool open)
{
	struct value *v = p->v;
	const char *begin = s.p;
	struct str rest = s;
	uint32_t words = 0;

	v->action.kind = ACTION_FORWARD;
	while (next_word(&rest).len > 0)
		words++;
	v->refs = arena_alloc(&v->arena, MIN(words, FORWARD_GROUPS_MAX) * sizeof(*v->refs));
	for (struct str word; (word = next_word(&s)).len > 0;)
		if (parse_forward_word(p, word, open && s.len == 0) == VERDICT_BAD)
			return VERDICT_BAD;
	if (v->nrefs == 0 && !open)
		return bad(p, begin, "forward names no target group");
	return more(p);
}

static enum verdict
parse_fixed(struct parser *p, struct str s, bool open)
{
	uint32_t n = 0;
	enum verdict verdict = parse_number(p, "fixed-response", s, open, 200, 599, &n);

	p->v->action.kind = ACTION_FIXED;
	p->v->action.status = (uint16_t)n;
	return verdict;
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
static const char *const action_keys[] = {"forward", "fixed-response", NULL};
static const char *const target_keys[] = {"admin", "weight", NULL};

static bool
is_repeatable(const struct parser *p, uint32_t key)
{
	return p->a->type == TYPE_MATCH &&
	       (key == KEY_HEADER_EXACT || key == KEY_HEADER_PREFIX || key == KEY_HEADER_CONTAINS);
}

static enum verdict
parse_match_line(struct parser *p, enum key key, struct str s, bool open)
{
	struct match *m = &p->v->match;

	switch (key) {
	case KEY_METHOD:
		return parse_method(p, s, open);
	case KEY_PATH_EXACT:
		return parse_path(p, s, open, MATCH_EXACT);
	case KEY_PATH_PREFIX:
		return parse_path(p, s, open, MATCH_PREFIX);
	case KEY_PATH_CASE:
		return parse_flag(p, match_keys[key], s, open, &m->path_case);
	case KEY_HEADER_EXACT:
		return parse_header(p, s, open, MATCH_EXACT);
	case KEY_HEADER_PREFIX:
		return parse_header(p, s, open, MATCH_PREFIX);
	case KEY_HEADER_CONTAINS:
		return parse_header(p, s, open, MATCH_CONTAINS);
	default:
		assert(key == KEY_HEADER_CASE);
		return parse_flag(p, match_keys[key], s, open, &m->header_case);
	}
}

static enum verdict
unknown_key(struct parser *p, const char *const *keys, struct str key)
{
	const char *meant = suggest(keys, key);

	if (meant != NULL)
		return bad(p, key.p, "unknown key '%s' (did you mean '%s'?)", show(p, key), meant);
	return bad(p, key.p, "unknown key '%s'", show(p, key));
}

/* A line that has no separator yet: the beginning of a key, or of nothing that could be one. */
static enum verdict
parse_key(struct parser *p, const char *const *keys, struct str s, bool open)
{
	if (p->whole)
		return bad(p, s.p + s.len, "'=' is missing: a line is written KEY = VALUE");
	for (uint32_t i = 0; keys[i] != NULL; i++)
		if (str_eq(s, str_of(keys[i])) || (open && str_starts(str_of(keys[i]), s)))
			return VERDICT_PARTIAL;
	return unknown_key(p, keys, s);
}

/* As inih: a blank and `;` begin a comment behind a value. */
static struct str
strip_comment(struct str s)
{
	for (uint32_t i = 1; i < s.len; i++)
		if (s.p[i] == ';' && (s.p[i - 1] == ' ' || s.p[i - 1] == '\t'))
			s.len = i;
	return s;
}

static enum verdict
parse_pair(struct parser *p, const char *const *keys, struct str line, bool open)
{
	struct str key = line, value;
	uint32_t at = 0, i = 0;

	while (at < line.len && line.p[at] != '=' && line.p[at] != ':')
		at++;
	if (line.p[0] == '[')
		return bad(p, line.p, "sections have no meaning here");
	if (at == line.len)
		return parse_key(p, keys, line, open);
	key = str_trim((struct str){line.p, at});
	value = strip_comment((struct str){line.p + at, line.len - at});
	open = open && value.len == line.len - at;
	value = str_trim((struct str){value.p + 1, value.len - 1});
	while (keys[i] != NULL && !str_eq(key, str_of(keys[i])))
		i++;
	if (keys[i] == NULL)
		return unknown_key(p, keys, key);
	if ((p->keys & 1u << i) != 0 && !is_repeatable(p, i))
		return bad(p, key.p, "%s stands here twice", keys[i]);
	p->keys |= 1u << i;
	if (value.len == 0 && !p->whole)
		return VERDICT_PARTIAL;
	switch (p->a->type) {
	case TYPE_MATCH:
		return parse_match_line(p, (enum key)i, value, open);
	case TYPE_ACTION:
		return i == 0 ? parse_forward(p, value, open) : parse_fixed(p, value, open);
	default:
		assert(p->a->type == TYPE_TARGET);
		return bad(p, key.p, "%s of a target is not supported yet", keys[i]);
	}
}

/* ------------------------------------------------------------------ whole files */

/* A line that says something, without blanks around it. */
static enum verdict
parse_line(struct parser *p, struct str s)
{
	bool open = !p->whole && s.p + s.len == p->text.p + p->text.len;

	if (!p->a->supported)
		return bad(p, s.p, "%s is not supported yet", p->a->name);
	if (!p->a->lines && p->nlines > 0)
		return bad(p, s.p, "only one line can stand in %s", p->a->name);
	if (p->nlines++ == 0) {
		p->v->line = p->line;
		p->v->column = (unsigned)(s.p - p->start) + 1;
	}
	switch (p->a->type) {
	case TYPE_NAMES:
		return parse_domain(p, s, open);
	case TYPE_ADDRESSES:
		return parse_listen(p, s, open);
	case TYPE_MATCH:
		return parse_pair(p, match_keys, s, open);
	case TYPE_ACTION:
		return parse_pair(p, action_keys, s, open);
	case TYPE_TARGET:
		return parse_pair(p, target_keys, s, open);
	default:
		return parse_single(p, s, open);
	}
}

/* What only the end of the text can show, or, for files of one line, the end of that line. */
static enum verdict
parse_end(struct parser *p, enum verdict verdict)
{
	const struct match *m = &p->v->match;

	if (verdict == VERDICT_BAD)
		return verdict;
	if (!p->final && (p->a->lines || p->nlines == 0 || verdict == VERDICT_PARTIAL))
		return VERDICT_PARTIAL;
	if (p->a->type == TYPE_TARGET || (p->nlines == 0 && !p->a->required))
		return VERDICT_GOOD;
	if (p->nlines == 0) {
		diag_set(p->d, EINVAL, p->path, 0, 0, "%s must not be empty", p->a->name);
		return VERDICT_BAD;
	}
	if (p->a->type == TYPE_MATCH && m->method.len == 0 && m->path_op == MATCH_ANY && m->nheaders == 0) {
		diag_set(p->d, EINVAL, p->path, 0, 0, "match needs a method, a path or a header");
		return VERDICT_BAD;
	}
	return VERDICT_GOOD;
}

static enum verdict
parse_text(struct parser *p)
{
	const char *at = p->text.p, *end = p->text.p + p->text.len, *newline;
	enum verdict verdict = VERDICT_GOOD;
	struct str line;

	for (; at < end && verdict != VERDICT_BAD; at = newline + 1) {
		newline = memchr(at, '\n', (size_t)(end - at));
		p->whole = newline != NULL || p->final;
		newline = newline != NULL ? newline : end;
		p->start = at;
		p->line++;
		line = (struct str){at, (uint32_t)(newline - at)};
		if (memchr(at, '\0', line.len) != NULL) {
			verdict = bad(p, memchr(at, '\0', line.len), "a NUL byte is no text");
			break;
		}
		if (p->line == 1 && str_starts(line, STR("\xef\xbb\xbf"))) {
			verdict = bad(
			    p, at, "the text begins with a byte order mark: save it as UTF-8 without one");
			break;
		}
		line = str_trim(line);
		if (line.len == 0 || line.p[0] == '#' || line.p[0] == ';')
			continue;
		verdict = parse_line(p, line);
	}
	return parse_end(p, verdict);
}

/* A target is its file's name; the text only says more about it. */
static enum verdict
parse_target_name(struct parser *p)
{
	const char *slash = strrchr(p->path, '/');
	struct str name = str_of(slash == NULL ? p->path : slash + 1);
	const char *type = schema_target_type(name);
	struct value *v = p->v;

	v->addrs = arena_alloc(&v->arena, sizeof(*v->addrs));
	v->naddrs = 1;
	if (type == NULL && addr_parse(name, v->addrs) == 0)
		return VERDICT_GOOD;
	if (type != NULL)
		diag_set(p->d, EINVAL, p->path, 0, 0, "a target of type %s is not supported yet", type);
	else
		diag_set(p->d, EINVAL, p->path, 0, 0, "'%s' is no address", show(p, name));
	return VERDICT_BAD;
}

static uint32_t
count_lines(struct str text)
{
	uint32_t n = 1;

	for (uint32_t i = 0; i < text.len; i++)
		n += text.p[i] == '\n';
	return n;
}

enum verdict
parse_value(const struct attribute *a, const char *path, struct str text, bool final, struct value **v,
    struct diag *d)
{
	struct diag own = {0};
	struct parser p = {.a = a, .path = path, .final = final, .d = d == NULL ? &own : d};
	enum verdict verdict = VERDICT_GOOD;

	*v = NULL;
	if (text.len > ATTRIBUTE_BYTES_MAX) {
		diag_set(
		    p.d, EFBIG, path, 0, 0, "the text is longer than %u KiB", ATTRIBUTE_BYTES_MAX / 1024);
		return VERDICT_BAD;
	}
	p.v = value_new(a, text);
	p.text = p.v->text;
	p.lines_max = count_lines(text);
	if (a->type == TYPE_TARGET)
		verdict = parse_target_name(&p);
	if (a->type == TYPE_PEM)
		verdict = certificate_parse(a, path, text, final, &p.v->arena, &p.v->credential, p.d);
	else if (verdict == VERDICT_GOOD)
		verdict = parse_text(&p);
	if (verdict == VERDICT_GOOD && (p.nlines > 0 || a->type == TYPE_TARGET || p.v->credential != NULL))
		*v = p.v;
	else
		value_free(p.v);
	return verdict;
}

enum verdict
model_judge(const char *path, struct str text, bool final, struct diag *d)
{
	struct spot spot;
	struct value *v;
	enum verdict verdict;

	schema_spot(path, false, &spot);
	if (spot.attribute == NULL)
		return final ? VERDICT_GOOD : VERDICT_PARTIAL;
	verdict = parse_value(spot.attribute, path, text, final, &v, d);
	value_free(v);
	return verdict;
}
