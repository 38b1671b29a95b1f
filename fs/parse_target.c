/* parse_target.c - reads target files: what is said of a target beside its name. */
#include "limits.h"
#include "parser.h"

enum key { KEY_WEIGHT, KEY_ADMIN };
static const char *const keys[] = {"weight", "admin", NULL};

/* A host of its own: a name, or an address without a port. */
static enum verdict
target_host(struct parser *p, struct str s, bool open, struct str *out)
{
	const char *fault;
	struct addr a;

	if (open)
		return VERDICT_PARTIAL;
	fault = addr_parse(s, &a) == 0	     ? (addr_port(&a) == 0 ? NULL : "its port is a line of its own")
		: s.len > 0 && s.p[0] == '*' ? "a wildcard names nobody"
					     : parse_host_fault(s);
	if (fault != NULL)
		return parse_bad(p, s.p, "'%s' is no host: %s", parse_show(p, s), fault);
	*out = parse_lower(p, s);
	return VERDICT_GOOD;
}

static enum verdict
target_line(struct parser *p, uint32_t key, struct str s, bool open)
{
	/* In the order of enum admin. */
	static const char *const words[] = {"up", "drain", "down", NULL};
	struct target_text *t = &p->v->target;
	enum verdict verdict;
	uint32_t n = 0;

	if (key == KEY_WEIGHT) {
		verdict = parse_number(p, keys[key], s, open, 1, TARGET_WEIGHT_MAX, &n);
		t->weight = (uint16_t)n;
		return verdict;
	}
	verdict = parse_word(p, keys[key], s, open, words, 0, &n);
	t->admin = (enum admin)n;
	return verdict;
}

/* ------------------------------------------------------------------ ALB */

enum alb_key { ALB_HOST, ALB_PORT };
static const char *const alb_keys[] = {"host", "port", NULL};

static enum verdict
target_alb_line(struct parser *p, uint32_t key, struct str s, bool open)
{
	enum verdict verdict;
	uint32_t n = 0;

	if (key == ALB_HOST)
		return target_host(p, s, open, &p->v->target.host);
	verdict = parse_number(p, alb_keys[key], s, open, 1, UINT16_MAX, &n);
	p->v->target.port = (uint16_t)n;
	return verdict;
}

static enum verdict
target_alb_end(struct parser *p)
{
	return p->v->target.host.len > 0 ? VERDICT_GOOD : parse_bad_end(p, "an ALB target needs a host");
}

/* ------------------------------------------------------------------ LAMBDA */

#define URL_SCHEME "http://"
#define URL_BEFORE "/2015-03-31/functions/"
#define URL_BEHIND "/invocations"

static const char *const lambda_keys[] = {"url", NULL};

/* `HOST[:PORT]`, `[ADDRESS]:PORT`. */
static enum verdict
target_authority(struct parser *p, struct str s)
{
	struct target_text *t = &p->v->target;
	const char *colon = s.len > 0 && s.p[0] != '[' ? memchr(s.p, ':', s.len) : NULL;
	struct str host = {s.p, colon == NULL ? s.len : (uint32_t)(colon - s.p)};
	const char *fault = NULL;
	uint64_t port = 80;
	struct addr a;

	if (addr_parse(s, &a) == 0) {
		port = addr_port(&a) == 0 ? 80 : addr_port(&a);
	} else {
		if (colon != NULL &&
		    (str_number((struct str){colon + 1, s.len - host.len - 1}, UINT16_MAX, &port) != 0 ||
			port == 0))
			fault = "a port is 1 to 65535";
		else
			fault = host.len > 0 && host.p[0] == '*' ? "a wildcard names nobody"
								 : parse_host_fault(host);
	}
	if (fault != NULL)
		return parse_bad(p, s.p, "'%s' is no host: %s", parse_show(p, s), fault);
	t->host = parse_lower(p, s);
	t->port = (uint16_t)port;
	return VERDICT_GOOD;
}

static bool
is_function_name(struct str s)
{
	for (uint32_t i = 0; i < s.len; i++)
		if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'z') ||
			(s.p[i] >= 'A' && s.p[i] <= 'Z') ||
			(s.p[i] != '\0' && strchr("-_.:$%", s.p[i]) != NULL)))
			return false;
	return s.len > 0;
}

static enum verdict
target_url(struct parser *p, uint32_t key, struct str s, bool open)
{
	static const struct str scheme = {URL_SCHEME, sizeof(URL_SCHEME) - 1};
	static const struct str before = {URL_BEFORE, sizeof(URL_BEFORE) - 1};
	static const struct str behind = {URL_BEHIND, sizeof(URL_BEHIND) - 1};
	struct str rest = s, path, name;
	const char *slash;

	if (open)
		return s.len >= scheme.len
			   ? str_starts(s, scheme)
				 ? VERDICT_PARTIAL
				 : parse_bad(
				       p, s.p, "a url begins with " URL_SCHEME ", not '%s'", parse_show(p, s))
			   : VERDICT_PARTIAL;
	if (!str_starts(s, scheme))
		return parse_bad(p, s.p, "a url begins with " URL_SCHEME ", not '%s'", parse_show(p, s));
	rest = (struct str){s.p + scheme.len, s.len - scheme.len};
	slash = rest.len > 0 ? memchr(rest.p, '/', rest.len) : NULL;
	path = slash == NULL ? (struct str){rest.p + rest.len, 0}
			     : (struct str){slash, rest.len - (uint32_t)(slash - rest.p)};
	rest.len -= path.len;
	if (target_authority(p, rest) == VERDICT_BAD)
		return VERDICT_BAD;
	name = (struct str){path.p + before.len, path.len - before.len - behind.len};
	if (path.len <= before.len + behind.len || path.len > PATH_MATCH_MAX || !str_starts(path, before) ||
	    !str_eq((struct str){name.p + name.len, behind.len}, behind) || !is_function_name(name))
		return parse_bad(p, path.p, "the path of a url is " URL_BEFORE "NAME" URL_BEHIND);
	p->v->target.path = arena_str(&p->v->arena, path);
	return VERDICT_GOOD;
}

/* ------------------------------------------------------------------ which of them */

const struct fields *
target_fields(enum group_type type)
{
	static const struct fields plain = {.keys = {keys}, .line = target_line};
	static const struct fields alb = {.keys = {alb_keys}, .line = target_alb_line, .end = target_alb_end};
	static const struct fields lambda = {.keys = {lambda_keys}, .line = target_url};

	return type == GROUP_ALB ? &alb : type == GROUP_LAMBDA ? &lambda : &plain;
}
