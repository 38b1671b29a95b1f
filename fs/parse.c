/* parse.c - reads the text of attribute and target files, as far as it is written.
 *
 * Debian's libinih cuts lines at 200 characters, and a path may have 2,048; it also neither tells columns nor
 * judges half a line. So lines are split here, by its rules: `key = value` or `key: value`, whole lines of
 * comment after `#` or `;`, a comment behind a value after a blank and `;`.
 */
#include "parser.h"
#include "certificate.h"
#include "limits.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#define LABEL_MAX 63u /* RFC 1035 */
/* Every line is compared with those before it: so many are plenty, and quick. */
#define DOMAINS_MAX 256u
#define LISTEN_MAX 64u

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

enum verdict
parse_bad(struct parser *p, const char *at, const char *fmt, ...)
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

enum verdict
parse_bad_end(struct parser *p, const char *message)
{
	diag_set(p->d, EINVAL, p->path, 0, 0, "%s", message);
	return VERDICT_BAD;
}

const char *
parse_show(struct parser *p, struct str s)
{
	size_t n = MIN(s.len, sizeof(p->shown) - 4);

	for (size_t i = 0; i < n; i++)
		p->shown[i] = (unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f ? '?' : s.p[i];
	strcpy(p->shown + n, n < s.len ? "..." : "");
	return p->shown;
}

enum verdict
parse_more(const struct parser *p)
{
	return p->whole ? VERDICT_GOOD : VERDICT_PARTIAL;
}

const char *
parse_suggest(const char *const *words, struct str got)
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

struct str
parse_next(struct str *s)
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
enum verdict
parse_number(
    struct parser *p, const char *what, struct str s, bool open, uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t n = 0;

	if (open && s.len == 0)
		return VERDICT_PARTIAL;
	if (str_number(s, max, &n) != 0 || (n < min && !open))
		return parse_bad(
		    p, s.p, "%s must be a number from %u to %u, not '%s'", what, min, max, parse_show(p, s));
	*out = (uint32_t)n;
	return parse_more(p);
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

enum verdict
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
			return parse_more(p);
		}
		like = like == NULL ? words[i] : like;
	}
	if (like != NULL)
		return parse_bad(p, s.p, "%s %s is not supported yet", what, like);
	list_words(words, all, sizeof(all));
	meant = parse_suggest(words, s);
	if (meant != NULL)
		snprintf(hint, sizeof(hint), " (did you mean '%s'?)", meant);
	return parse_bad(p, s.p, "%s must be %s, not '%s'%s", what, all, parse_show(p, s), hint);
}

bool
parse_is_token(struct str s)
{
	for (uint32_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.p[i]) &&
		    (s.p[i] == '\0' || strchr("!#$%&'*+-.^_`|~", s.p[i]) == NULL))
			return false;
	return true;
}

struct str
parse_lower(struct parser *p, struct str s)
{
	char *lower = arena_copy(&p->v->arena, s.p, s.len);

	for (uint32_t i = 0; i < s.len; i++)
		lower[i] = ascii_lower(lower[i]);
	return (struct str){lower, s.len};
}

enum verdict
parse_flag(struct parser *p, const char *what, struct str s, bool open, bool *out)
{
	static const char *const words[] = {"false", "true", NULL};
	uint32_t n = 0;
	enum verdict verdict = parse_word(p, what, s, open, words, 0, &n);

	*out = n == 1;
	return verdict;
}

enum verdict
parse_duration(struct parser *p, const char *what, struct str s, bool open, uint32_t min_s, uint32_t max_s,
    uint32_t min_ms, uint32_t *out_ms)
{
	struct str digits = s, unit;
	uint64_t n = 0;
	bool ms, seconds;

	while (digits.len > 0 && !isdigit((unsigned char)digits.p[digits.len - 1]))
		digits.len--;
	unit = (struct str){s.p + digits.len, s.len - digits.len};
	ms = str_eq(unit, STR("ms"));
	seconds = unit.len == 0 || str_eq(unit, STR("s"));
	if (open && (unit.len == 0 || str_eq(unit, STR("m"))) && str_number(digits, UINT32_MAX, &n) == 0)
		return VERDICT_PARTIAL;
	if ((!ms && !seconds) || str_number(digits, (uint64_t)max_s * (ms ? 1000 : 1), &n) != 0 ||
	    n < (ms ? min_ms : min_s))
		return parse_bad(p, s.p, "%s must be %u to %u seconds, or milliseconds as in 500ms, not '%s'",
		    what, min_s, max_s, parse_show(p, s));
	*out_ms = (uint32_t)n * (ms ? 1 : 1000);
	return parse_more(p);
}

enum verdict
parse_caller(struct parser *p, const char *what, struct str s, bool open, bool path, struct caller_key *out)
{
	static const char *const words[] = {"header", "cookie", "source", NULL};
	static const char *const words_path[] = {"header", "cookie", "source", "path", NULL};
	struct str rest = s, word = parse_next(&rest), name = parse_next(&rest);
	enum verdict verdict;
	uint32_t n = 0;

	verdict = parse_word(p, what, word, open && name.len == 0, path ? words_path : words, 0, &n);
	if (verdict == VERDICT_BAD || (name.len == 0 && !p->whole))
		return verdict == VERDICT_BAD ? verdict : VERDICT_PARTIAL;
	out->kind = (enum caller_kind)(CALLER_HEADER + n);
	if (out->kind == CALLER_SOURCE || out->kind == CALLER_PATH)
		return name.len == 0 ? parse_more(p)
				     : parse_bad(p, name.p, "nothing stands behind %s", words_path[n]);
	if (name.len == 0)
		return parse_bad(p, s.p + s.len, "the name is missing: it is written %s NAME", words[n]);
	if (!parse_is_token(name) || name.len > HEADER_NAME_MAX)
		return parse_bad(p, name.p, "'%s' is no %s name", parse_show(p, name), words[n]);
	if (parse_next(&rest).len > 0)
		return parse_bad(p, name.p, "'%s' is more than one name",
		    parse_show(p, (struct str){name.p, s.len - (uint32_t)(name.p - s.p)}));
	out->name = out->kind == CALLER_HEADER ? parse_lower(p, name) : arena_str(&p->v->arena, name);
	return parse_more(p);
}

enum verdict
parse_url_path(struct parser *p, struct str s, bool open)
{
	if (s.len == 0 && open)
		return VERDICT_PARTIAL;
	if (s.len == 0 || s.p[0] != '/')
		return parse_bad(p, s.p, "a path begins with '/', not '%s'", parse_show(p, s));
	if (s.len > PATH_MATCH_MAX)
		return parse_bad(p, s.p, "a path has at most %u characters", PATH_MATCH_MAX);
	for (uint32_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.p[i]) &&
		    (s.p[i] == '\0' || strchr("@:%_+.~#?&/=-", s.p[i]) == NULL))
			return parse_bad(p, s.p + i, "'%s' cannot be in a path: write it as %%%02X",
			    parse_show(p, (struct str){s.p + i, 1}), (unsigned char)s.p[i]);
	return parse_more(p);
}

/* `host`, a name under /run/netns or an absolute path. What stands there is found out later. */
static enum verdict
parse_netns(struct parser *p, struct str s, bool open)
{
	bool path = s.len > 0 && s.p[0] == '/';
	uint32_t max = path ? NETNS_PATH_MAX : NAME_BYTES_MAX;

	if (s.len > max)
		return parse_bad(p, s.p, "netns is longer than %u bytes", max);
	for (uint32_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
			return parse_bad(p, s.p + i, "netns '%s' has a blank or a control character in it",
			    parse_show(p, s));
		if (!path && s.p[i] == '/')
			return parse_bad(
			    p, s.p, "netns '%s' is no name: a path begins with '/'", parse_show(p, s));
	}
	if (!open && (str_eq(s, STR(".")) || str_eq(s, STR(".."))))
		return parse_bad(p, s.p, "netns '%s' is no name", parse_show(p, s));
	if (parse_more(p) != VERDICT_GOOD || str_eq(s, STR("host")))
		return parse_more(p);
	p->v->names = arena_alloc(&p->v->arena, sizeof(*p->v->names));
	p->v->names[0] =
	    (struct named_line){arena_str(&p->v->arena, s), p->line, (unsigned)(s.p - p->start) + 1};
	p->v->nnames = 1;
	return VERDICT_GOOD;
}

/* The grammar of an object's name; a name that may go on can still lose its hyphen at the end. */
enum verdict
parse_name(struct parser *p, enum kind kind, struct str s, bool open)
{
	const char *why;
	struct str sure = s;

	if (open && s.len > 0 && s.p[s.len - 1] == '-')
		sure.len--;
	if ((open && s.len == 0) || schema_name_check(kind, sure, &why) == 0)
		return parse_more(p);
	return parse_bad(p, s.p, "'%s' is no %s: %s", parse_show(p, s), schema_kind_name(kind), why);
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
	case TYPE_CALLER:
		return parse_caller(p, a->name, s, open, true, &p->v->caller);
	default:
		assert(a->type == TYPE_REFERENCE);
		return parse_reference(p, s, open);
	}
}

/* ------------------------------------------------------------------ names and addresses, one a line */

const char *
parse_host_fault(struct str s)
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
	struct str name;

	if (open) {
		for (uint32_t i = 0; i < s.len; i++)
			if (!isalnum((unsigned char)s.p[i]) && strchr(".-*", s.p[i]) == NULL)
				return parse_bad(p, s.p + i, "'%s' is no domain name", parse_show(p, s));
		return VERDICT_PARTIAL;
	}
	fault = parse_host_fault(s);
	if (fault != NULL)
		return parse_bad(p, s.p, "'%s' is no domain name: %s", parse_show(p, s), fault);
	name = parse_lower(p, s);
	for (uint32_t i = 0; i < v->nnames; i++)
		if (str_eq(v->names[i].name, name))
			return parse_bad(p, s.p, "domain '%s' stands here twice", parse_show(p, s));
	if (v->nnames == DOMAINS_MAX)
		return parse_bad(p, s.p, "a service has at most %u domains", DOMAINS_MAX);
	if (v->names == NULL)
		v->names = arena_alloc(&v->arena, MIN(p->lines_max, DOMAINS_MAX) * sizeof(*v->names));
	v->names[v->nnames++] = (struct named_line){name, p->line, (unsigned)(s.p - p->start) + 1};
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
				return parse_bad(p, s.p, "'%s' is no address", parse_show(p, s));
		return VERDICT_PARTIAL;
	}
	if (addr_parse(s, &a) != 0)
		return parse_bad(p, s.p, "'%s' is no address", parse_show(p, s));
	if (addr_port(&a) != 0)
		return parse_bad(p, s.p, "'%s' must not have a port: %s have", parse_show(p, s),
		    p->a->member ? "targets" : "listeners");
	for (uint32_t i = 0; i < v->naddrs; i++)
		if (addr_eq(&v->addrs[i], &a))
			return parse_bad(p, s.p, "address '%s' stands here twice", parse_show(p, s));
	if (v->naddrs == LISTEN_MAX)
		return parse_bad(p, s.p, "%s has at most %u addresses",
		    p->a->member ? "an instance" : "a VPC", LISTEN_MAX);
	if (v->addrs == NULL)
		v->addrs = arena_alloc(&v->arena, MIN(p->lines_max, LISTEN_MAX) * sizeof(*v->addrs));
	v->addrs[v->naddrs++] = a;
	return VERDICT_GOOD;
}

/* ------------------------------------------------------------------ whole files */

/* A line that says something, without blanks around it. */
static enum verdict
parse_line(struct parser *p, struct str s)
{
	bool open = !p->whole && s.p + s.len == p->text.p + p->text.len;

	if (!p->a->supported)
		return parse_bad(p, s.p, "%s is not supported yet", p->a->name);
	if (!p->a->lines && p->nlines > 0)
		return parse_bad(p, s.p, "only one line can stand in %s", p->a->name);
	if (p->nlines++ == 0) {
		p->v->line = p->line;
		p->v->column = (unsigned)(s.p - p->start) + 1;
	}
	switch (p->a->type) {
	case TYPE_NAMES:
		return parse_domain(p, s, open);
	case TYPE_ADDRESSES:
		return parse_listen(p, s, open);
	default:
		return p->fields != NULL ? fields_line(p, s, open) : parse_single(p, s, open);
	}
}

/* What only the end of the text can show, or, for files of one line, the end of that line. */
static enum verdict
parse_end(struct parser *p, enum verdict verdict)
{
	if (verdict == VERDICT_BAD)
		return verdict;
	if (!p->final && (p->a->lines || p->nlines == 0 || verdict == VERDICT_PARTIAL))
		return VERDICT_PARTIAL;
	if (p->nlines == 0 && p->a->required) {
		diag_set(p->d, EINVAL, p->path, 0, 0, "%s must not be empty", p->a->name);
		return VERDICT_BAD;
	}
	if (p->nlines == 0 || p->fields == NULL || p->fields->end == NULL)
		return VERDICT_GOOD;
	return p->fields->end(p);
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
			verdict = parse_bad(p, memchr(at, '\0', line.len), "a NUL byte is no text");
			break;
		}
		if (p->line == 1 && str_starts(line, STR("\xef\xbb\xbf"))) {
			verdict = parse_bad(
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
static void
parse_target_name(struct parser *p)
{
	const char *slash = strrchr(p->path, '/');
	struct str name = str_of(slash == NULL ? p->path : slash + 1), id;
	struct value *v = p->v;
	int type = schema_target_type(name);

	assert(type >= 0);
	v->target.type = (enum group_type)type;
	v->target.weight = 1;
	if (type == GROUP_INSTANCE) {
		schema_instance(name, &id, &v->target.port);
		v->target.instance = arena_str(&v->arena, id);
	} else if (type == GROUP_IP) {
		v->addrs = arena_alloc(&v->arena, sizeof(*v->addrs));
		v->naddrs = 1;
		addr_parse(name, v->addrs);
		v->target.port = addr_port(v->addrs);
	}
}

static const struct fields *
fields_of(const struct value *v)
{
	switch (v->attribute->type) {
	case TYPE_MATCH:
		return &match_fields;
	case TYPE_ACTION:
		return &action_fields;
	case TYPE_HEALTH:
		return &health_fields;
	case TYPE_TARGET:
		return target_fields(v->target.type);
	default:
		return NULL;
	}
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
	enum verdict verdict;

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
		parse_target_name(&p);
	p.fields = fields_of(p.v);
	if (a->type == TYPE_PEM)
		verdict = certificate_parse(a, path, text, final, &p.v->arena, &p.v->credential, p.d);
	else
		verdict = parse_text(&p);
	if (verdict == VERDICT_GOOD && (p.nlines > 0 || a->member || p.v->credential != NULL))
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
