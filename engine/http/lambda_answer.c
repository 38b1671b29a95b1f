/* lambda_answer.c - the response that a function's answer means. */
#include "lambda.h"

#include "base64.h"
#include "field.h"
#include "json.h"
#include "scan.h"
#include <errno.h>

/* An answer while it is read. */
struct answer {
	struct json json;
	struct msg *m;
	struct str body;
	bool encoded;	  /* the body */
	size_t head;	  /* bytes of the fields */
	uint64_t many[2]; /* bit i: field i is of multiValueHeaders */
};

static_assert(FIELDS_MAX <= 128, "answer.many");

bool
lambda_is_answer(const struct msg *m)
{
	return m->status >= 200 && m->status < 300 && msg_field(m, STR("x-amz-function-error")).p == NULL;
}

/* What is of the connection, and the length, which we know. */
static bool
is_ignored(unsigned id)
{
	switch (id) {
	case FIELD_CONNECTION:
	case FIELD_CONTENT_LENGTH:
	case FIELD_TRANSFER_ENCODING:
	case FIELD_UPGRADE:
	case FIELD_KEEP_ALIVE:
	case FIELD_PROXY_CONNECTION:
	case FIELD_TE:
	case FIELD_TRAILER:
	case FIELD_HTTP2_SETTINGS:
	case FIELD_LOOKALIKE:
		return true;
	default:
		return false;
	}
}

static bool
is_value(struct str s)
{
	for (uint32_t i = 0; i < s.len; i++)
		if (scan_is_control(s.p[i]))
			return false;
	return true;
}

/* False: no such field can be sent, or there are too many. */
static bool
add_field(struct answer *a, struct str name, struct str value, bool many)
{
	struct msg *m = a->m;
	unsigned id;

	if (!field_is_token(name) || !is_value(value))
		return false;
	id = field_identify(name);
	if (is_ignored(id))
		return true;
	value = str_trim(value);
	a->head += name.len + value.len + 4;
	if (m->nfields == FIELDS_MAX || a->head > HEAD_BYTES_MAX)
		return false;
	if (many)
		a->many[m->nfields / 64] |= 1ull << m->nfields % 64;
	m->fields[m->nfields++] = (struct field){.name = name, .value = value, .id = (uint8_t)id};
	return true;
}

/* One value, or one of several: text, or what has one spelling. */
static bool
read_value(struct answer *a, struct str name, enum json_kind kind, struct str text, bool many)
{
	switch (kind) {
	case JSON_NULL:
		return true;
	case JSON_STRING:
	case JSON_NUMBER:
	case JSON_TRUE:
	case JSON_FALSE:
		return add_field(a, name, text, many);
	default:
		return false;
	}
}

static bool
read_headers(struct answer *a, enum json_kind kind, bool many)
{
	struct str name, text;

	if (kind == JSON_NULL)
		return true;
	if (kind != JSON_OBJECT)
		return false;
	while (json_member(&a->json, &name)) {
		kind = json_value(&a->json, &text);
		if (kind != JSON_ARRAY) {
			if (!read_value(a, name, kind, text, many))
				return false;
			continue;
		}
		while (json_element(&a->json)) {
			kind = json_value(&a->json, &text);
			if (!read_value(a, name, kind, text, many))
				return false;
		}
	}
	return !a->json.bad;
}

static bool
read_status(struct answer *a, enum json_kind kind, struct str text)
{
	uint64_t status;

	if (kind != JSON_NUMBER || str_number(text, 599, &status) != 0 || status < 200)
		return false;
	a->m->status = (uint16_t)status;
	return true;
}

static bool
read_member(struct answer *a, struct str name)
{
	struct str text;
	enum json_kind kind = json_value(&a->json, &text);

	if (str_eq(name, STR("statusCode")))
		return read_status(a, kind, text);
	if (str_eq(name, STR("headers")))
		return read_headers(a, kind, false);
	if (str_eq(name, STR("multiValueHeaders")))
		return read_headers(a, kind, true);
	if (str_eq(name, STR("body"))) {
		a->body = kind == JSON_STRING ? text : STR("");
		return kind == JSON_STRING || kind == JSON_NULL;
	}
	if (str_eq(name, STR("isBase64Encoded"))) {
		a->encoded = kind == JSON_TRUE;
		return kind == JSON_TRUE || kind == JSON_FALSE || kind == JSON_NULL;
	}
	json_skip(&a->json, kind);
	return true;
}

/* A name that is in both has the values of multiValueHeaders. */
static void
drop_doubled(struct answer *a)
{
	struct msg *m = a->m;

	for (uint32_t i = 0; i < m->nfields && (a->many[0] | a->many[1]) != 0; i++)
		for (uint32_t k = 0; k < m->nfields && !(a->many[i / 64] >> i % 64 & 1); k++)
			if ((a->many[k / 64] >> k % 64 & 1) &&
			    str_caseeq(m->fields[i].name, m->fields[k].name))
				m->fields[i].drop = true;
}

int
lambda_parse_response(struct msg *m, char *p, size_t n, enum method request_method, struct str *body)
{
	struct answer a = {.json = {.p = p, .end = p + n}, .m = m, .body = STR("")};
	struct str text;
	size_t len;

	m->status = 0;
	m->minor = 1;
	m->nfields = 0;
	m->upgrade = m->tunnel = false;
	if (json_value(&a.json, &text) != JSON_OBJECT)
		return -EBADMSG;
	while (json_member(&a.json, &text))
		if (!read_member(&a, text))
			return -EBADMSG;
	if (!json_is_over(&a.json) || m->status == 0)
		return -EBADMSG;
	if (a.encoded && a.body.len > 0) {
		if (!base64_decode((char *)a.body.p, a.body.len, &len))
			return -EBADMSG;
		a.body.len = (uint32_t)len;
	}
	drop_doubled(&a);
	m->reason = str_of(status_reason(m->status));
	m->length = a.body.len;
	/* The length of what a GET would get is told to HEAD as well. */
	m->body = status_has_content(m->status, METHOD_GET) ? BODY_LENGTH : BODY_NONE;
	*body = status_has_content(m->status, request_method) ? a.body : STR("");
	return 0;
}
