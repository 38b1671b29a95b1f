/* parse_action.c - reads `action` and `default-action`: what happens to a request, and when a target does not
 * do well. */
#include "limits.h"
#include "parser.h"

enum key {
	KEY_FORWARD,
	KEY_FIXED,
	KEY_STICKY,
	KEY_ON_EMPTY,
	KEY_TIMEOUT,
	KEY_RETRIES,
	KEY_RETRY_ON,
	KEY_MAX_REQUESTS,
};
static const char *const keys[] = {"forward", "fixed-response", "sticky", "on-empty", "timeout", "retries",
    "retry-on", "max-requests", NULL};

/* GROUP[:WEIGHT]; open when it may go on. */
static enum verdict
action_forward_word(struct parser *p, struct str word, bool open)
{
	const char *colon = memchr(word.p, ':', word.len);
	struct str name = {word.p, colon == NULL ? word.len : (uint32_t)(colon - word.p)}, weight;
	struct value *v = p->v;
	struct reference *r;
	uint32_t n = WEIGHT_DEFAULT;
	enum verdict verdict;

	if (name.len == 0)
		return parse_bad(p, word.p, "a target group stands before ':', as in blue:90");
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
			return parse_bad(
			    p, word.p, "target group '%s' stands here twice", parse_show(p, name));
	if (v->nrefs == FORWARD_GROUPS_MAX)
		return parse_bad(p, word.p, "a forward has at most %u target groups", FORWARD_GROUPS_MAX);
	r = &v->refs[v->nrefs++];
	*r = (struct reference){.kind = KIND_GROUP, .weight = n, .line = p->line};
	r->column = (unsigned)(word.p - p->start) + 1;
	r->name = arena_str(&v->arena, name);
	return VERDICT_GOOD;
}

static enum verdict
action_forward(struct parser *p, struct str s, bool open)
{
	struct value *v = p->v;
	const char *begin = s.p;
	struct str rest = s;
	uint32_t words = 0;

	v->action.kind = ACTION_FORWARD;
	while (parse_next(&rest).len > 0)
		words++;
	v->refs = arena_alloc(&v->arena, MIN(words, FORWARD_GROUPS_MAX) * sizeof(*v->refs));
	for (struct str word; (word = parse_next(&s)).len > 0;)
		if (action_forward_word(p, word, open && s.len == 0) == VERDICT_BAD)
			return VERDICT_BAD;
	if (v->nrefs == 0 && !open)
		return parse_bad(p, begin, "forward names no target group");
	return parse_more(p);
}

static enum verdict
action_fixed(struct parser *p, struct str s, bool open)
{
	uint32_t n = 0;
	enum verdict verdict = parse_number(p, "fixed-response", s, open, 200, 599, &n);

	p->v->action.kind = ACTION_FIXED;
	p->v->action.status = (uint16_t)n;
	return verdict;
}

static enum verdict
action_on_empty(struct parser *p, struct str s, bool open)
{
	static const char *const words[] = {"share", "fail", NULL};
	uint32_t n = 0;
	enum verdict verdict = parse_word(p, "on-empty", s, open, words, 0, &n);

	p->v->action.on_empty_fail = n == 1;
	return verdict;
}

static enum verdict
action_retry_on(struct parser *p, struct str s, bool open)
{
	/* In the order of enum retry_on. */
	static const char *const words[] = {"connect", "timeout", "5xx", "gateway-error", NULL};
	struct resilience *r = &p->v->action.resilience;
	uint32_t n = 0;

	if (s.len == 0)
		return parse_bad(p, s.p, "retry-on names nothing");
	for (struct str word; (word = parse_next(&s)).len > 0;) {
		if (parse_word(p, "retry-on", word, open && s.len == 0, words, 0, &n) == VERDICT_BAD)
			return VERDICT_BAD;
		r->retry_on |= (uint8_t)(1u << n);
	}
	return parse_more(p);
}

/* A request is passed on or answered: the keys of one have no meaning with the other. */
static enum verdict
action_check_kind(struct parser *p, uint32_t key)
{
	bool forwards = (p->keys & 1u << KEY_FORWARD) != 0, fixed = (p->keys & 1u << KEY_FIXED) != 0;

	if (forwards && fixed)
		return parse_bad(p, p->key, "forward and fixed-response exclude each other");
	if (!fixed || p->keys == 1u << KEY_FIXED)
		return VERDICT_GOOD;
	if (key != KEY_FIXED)
		return parse_bad(p, p->key, "%s has no meaning with fixed-response", keys[key]);
	for (key = KEY_STICKY; (p->keys & 1u << key) == 0;)
		key++;
	return parse_bad(p, p->key, "fixed-response does not go with %s", keys[key]);
}

static enum verdict
action_line(struct parser *p, uint32_t key, struct str s, bool open)
{
	struct resilience *r = &p->v->action.resilience;

	if (action_check_kind(p, key) == VERDICT_BAD)
		return VERDICT_BAD;
	switch ((enum key)key) {
	case KEY_FORWARD:
		return action_forward(p, s, open);
	case KEY_FIXED:
		return action_fixed(p, s, open);
	case KEY_STICKY:
		return parse_caller(p, keys[key], s, open, false, &p->v->action.sticky);
	case KEY_ON_EMPTY:
		return action_on_empty(p, s, open);
	case KEY_TIMEOUT:
		return parse_duration(p, keys[key], s, open, 1, TIMEOUT_MAX, 1, &r->timeout_ms);
	case KEY_RETRIES:
		return parse_number(p, keys[key], s, open, 0, RETRIES_MAX, &r->retries);
	case KEY_RETRY_ON:
		return action_retry_on(p, s, open);
	default:
		assert(key == KEY_MAX_REQUESTS);
		return parse_number(p, keys[key], s, open, 1, MAX_REQUESTS_MAX, &r->max_requests);
	}
}

static enum verdict
action_end(struct parser *p)
{
	struct resilience *r = &p->v->action.resilience;

	if ((p->keys & (1u << KEY_FORWARD | 1u << KEY_FIXED)) == 0)
		return parse_bad_end(p, "an action needs forward or fixed-response");
	if (r->retries == 0 && r->retry_on != 0)
		return parse_bad_end(p, "retry-on has no meaning without retries");
	if (r->retries > 0 && r->retry_on == 0)
		r->retry_on = RETRY_CONNECT;
	return VERDICT_GOOD;
}

const struct fields action_fields = {.keys = {keys}, .line = action_line, .end = action_end};
