/* parse_health.c - reads `health-check`: how targets are probed, and in [passive] when one that fails is left
 * out. */
#include "limits.h"
#include "parser.h"
#include <ctype.h>
#include <stdio.h>

enum key {
	KEY_ENABLED,
	KEY_PROTOCOL,
	KEY_VERSION,
	KEY_PORT,
	KEY_PATH,
	KEY_INTERVAL,
	KEY_TIMEOUT,
	KEY_HEALTHY,
	KEY_UNHEALTHY,
	KEY_MATCHER,
	KEY_SERVICE,
};
static const char *const keys[] = {"enabled", "protocol", "protocol-version", "port", "path", "interval",
    "timeout", "healthy-threshold", "unhealthy-threshold", "matcher", "grpc-service", NULL};

enum passive_key {
	PASSIVE_ENABLED,
	PASSIVE_FAILURES,
	PASSIVE_ERRORS,
	PASSIVE_EJECTION,
	PASSIVE_EJECTION_MAX,
	PASSIVE_PERCENT,
};
static const char *const passive_keys[] = {
    "enabled", "failures", "errors", "ejection", "ejection-max", "ejected-percent", NULL};

static const char *const protocols[] = {"HTTP", "HTTPS", "TCP", "GRPC", NULL}; /* as enum check_protocol */

/* ------------------------------------------------------------------ active checks */

static bool
is_code(struct str s, uint64_t *code)
{
	return s.len == 3 && str_number(s, 499, code) == 0 && *code >= 200;
}

/* `200`, `200-299`, and several of these after commas; from 200 to 499 as Lattice. */
static enum verdict
health_matcher(struct parser *p, struct str s, bool open)
{
	struct health_check *c = &p->v->health->check;
	uint32_t n = 1;

	for (uint32_t i = 0; i < s.len; i++) {
		if (!isdigit((unsigned char)s.p[i]) && s.p[i] != ',' && s.p[i] != '-')
			return parse_bad(p, s.p, "matcher is written like 200, 200,202 or 200-299, not '%s'",
			    parse_show(p, s));
		n += s.p[i] == ',';
	}
	if (open)
		return VERDICT_PARTIAL;
	c->ncodes = 0;
	c->codes = arena_alloc(&p->v->arena, n * sizeof(*c->codes));
	for (struct str rest = s; c->ncodes < n;) {
		const char *comma = rest.len > 0 ? memchr(rest.p, ',', rest.len) : NULL;
		struct str part = {rest.p, comma == NULL ? rest.len : (uint32_t)(comma - rest.p)};
		const char *dash = part.len > 0 ? memchr(part.p, '-', part.len) : NULL;
		struct str low = {part.p, dash == NULL ? part.len : (uint32_t)(dash - part.p)}, high = low;
		uint64_t from = 0, to = 0;

		if (dash != NULL)
			high = (struct str){dash + 1, part.len - low.len - 1};
		if (!is_code(low, &from) || !is_code(high, &to) || to < from)
			return parse_bad(p, part.p, "'%s' is no status, or range of them, from 200 to 499",
			    parse_show(p, part));
		c->codes[c->ncodes++] = (struct code_range){(uint16_t)from, (uint16_t)to};
		rest = (struct str){part.p + part.len + 1, rest.len - MIN(rest.len, part.len + 1)};
	}
	return parse_more(p);
}

static enum verdict
health_words(struct parser *p, uint32_t key, struct str s, bool open)
{
	static const char *const versions[] = {"HTTP1", "HTTP2", NULL};
	struct health_check *c = &p->v->health->check;
	uint32_t n = 0;
	enum verdict verdict =
	    parse_word(p, keys[key], s, open, key == KEY_PROTOCOL ? protocols : versions, 0, &n);

	if (key == KEY_PROTOCOL)
		c->protocol = (enum check_protocol)n;
	else
		c->http2 = n == 1;
	return verdict;
}

/* A name of grpc.health.v1: package.Service. */
static enum verdict
health_service(struct parser *p, struct str s, bool open)
{
	for (uint32_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '.' && s.p[i] != '_')
			return parse_bad(p, s.p + i, "'%s' is no gRPC service", parse_show(p, s));
	if (s.len > HOST_MAX)
		return parse_bad(p, s.p, "grpc-service has at most %u characters", HOST_MAX);
	p->v->health->check.service = arena_str(&p->v->arena, s);
	return parse_more(p);
}

static enum verdict
health_check_line(struct parser *p, uint32_t key, struct str s, bool open)
{
	struct health_check *c = &p->v->health->check;
	enum verdict verdict;
	uint32_t n = 0;

	switch ((enum key)key) {
	case KEY_ENABLED:
		return parse_flag(p, keys[key], s, open, &c->enabled);
	case KEY_PROTOCOL:
	case KEY_VERSION:
		return health_words(p, key, s, open);
	case KEY_PORT:
		verdict = parse_number(p, keys[key], s, open, 1, UINT16_MAX, &n);
		c->port = (uint16_t)n;
		return verdict;
	case KEY_PATH:
		c->path = arena_str(&p->v->arena, s);
		return parse_url_path(p, s, open);
	case KEY_INTERVAL:
		return parse_duration(p, keys[key], s, open, 5, 300, 100, &c->interval_ms);
	case KEY_TIMEOUT:
		return parse_duration(p, keys[key], s, open, 1, 120, 10, &c->timeout_ms);
	case KEY_HEALTHY:
		return parse_number(p, keys[key], s, open, 2, 10, &c->healthy);
	case KEY_UNHEALTHY:
		return parse_number(p, keys[key], s, open, 2, 10, &c->unhealthy);
	case KEY_MATCHER:
		return health_matcher(p, s, open);
	default:
		assert(key == KEY_SERVICE);
		return health_service(p, s, open);
	}
}

/* ------------------------------------------------------------------ passive checks */

static enum verdict
health_passive_line(struct parser *p, uint32_t key, struct str s, bool open)
{
	struct passive_check *c = &p->v->health->passive;

	switch ((enum passive_key)key) {
	case PASSIVE_ENABLED:
		return parse_flag(p, passive_keys[key], s, open, &c->enabled);
	case PASSIVE_FAILURES:
		return parse_number(p, passive_keys[key], s, open, 0, 1000, &c->failures);
	case PASSIVE_ERRORS:
		return parse_number(p, passive_keys[key], s, open, 0, 1000, &c->errors);
	case PASSIVE_EJECTION:
		return parse_duration(p, passive_keys[key], s, open, 1, 3600, 100, &c->ejection_ms);
	case PASSIVE_EJECTION_MAX:
		return parse_duration(p, passive_keys[key], s, open, 1, 86400, 100, &c->ejection_max_ms);
	default:
		assert(key == PASSIVE_PERCENT);
		return parse_number(p, passive_keys[key], s, open, 1, 100, &c->ejected_percent);
	}
}

/* ------------------------------------------------------------------ all of it */

static enum verdict
health_line(struct parser *p, uint32_t key, struct str s, bool open)
{
	/* Both begin with what holds when nothing is said: what a group adds to it, it adds where it is
	 * compiled. */
	if (p->v->health == NULL) {
		p->v->health = arena_alloc(&p->v->arena, sizeof(*p->v->health));
		health_check_default(&p->v->health->check);
		passive_check_default(&p->v->health->passive);
	}
	return key < SECTION_KEYS ? health_check_line(p, key, s, open)
				  : health_passive_line(p, key - SECTION_KEYS, s, open);
}

static bool
has(const struct parser *p, enum key key)
{
	return (p->keys & 1u << key) != 0;
}

/* Keys that the protocol, when it is told, has no use for. */
static const char *
health_useless(const struct parser *p)
{
	bool http = p->v->health->check.protocol <= CHECK_HTTPS;

	if (!has(p, KEY_PROTOCOL))
		return NULL;
	if (!http && has(p, KEY_VERSION))
		return keys[KEY_VERSION];
	if (!http && has(p, KEY_PATH))
		return keys[KEY_PATH];
	if (!http && has(p, KEY_MATCHER))
		return keys[KEY_MATCHER];
	return p->v->health->check.protocol != CHECK_GRPC && has(p, KEY_SERVICE) ? keys[KEY_SERVICE] : NULL;
}

static enum verdict
health_end(struct parser *p)
{
	struct health_text *h = p->v->health;
	const char *useless;
	char message[100];

	/* `[passive]` and no more. */
	if (h == NULL)
		return VERDICT_GOOD;
	/* Who names a service of gRPC has said what to ask with. */
	if (has(p, KEY_SERVICE) && !has(p, KEY_PROTOCOL)) {
		h->check.protocol = CHECK_GRPC;
		p->keys |= 1u << KEY_PROTOCOL;
	}
	h->enabled_set = has(p, KEY_ENABLED);
	h->protocol_set = has(p, KEY_PROTOCOL);
	h->version_set = has(p, KEY_VERSION);
	useless = health_useless(p);
	if (useless != NULL) {
		snprintf(message, sizeof(message), "a check with protocol %s has no %s",
		    protocols[h->check.protocol], useless);
		return parse_bad_end(p, message);
	}
	if (h->passive.ejection_max_ms < h->passive.ejection_ms)
		return parse_bad_end(p, "ejection-max is less than ejection");
	return VERDICT_GOOD;
}

const struct fields health_fields = {
    .keys = {keys, passive_keys}, .section = "passive", .line = health_line, .end = health_end};
