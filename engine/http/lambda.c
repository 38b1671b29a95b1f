/* lambda.c - the event of a request. */
#include "lambda.h"

#include "base64.h"
#include "field.h"
#include "json.h"
#include "scan.h"
#include <errno.h>
#include <stdio.h>

/* Counts what it is given, and writes it where there is room. */
struct pen {
	char *out; /* NULL: only counts */
	size_t n;
};

static void
put(struct pen *pen, const void *p, size_t n)
{
	if (pen->out != NULL && n > 0)
		memcpy(pen->out + pen->n, p, n);
	pen->n += n;
}

static void
put_str(struct pen *pen, struct str s)
{
	put(pen, s.p, s.len);
}

#define PUT(pen, lit) put(pen, lit, sizeof(lit) - 1)

static void
put_escaped(struct pen *pen, struct str s)
{
	pen->n += json_print(pen->out != NULL ? pen->out + pen->n : NULL, s);
}

static void
put_quoted(struct pen *pen, struct str s)
{
	PUT(pen, "\"");
	put_escaped(pen, s);
	PUT(pen, "\"");
}

/* "name":"value" */
static void
put_member(struct pen *pen, struct str name, struct str value)
{
	put_quoted(pen, name);
	PUT(pen, ":");
	put_quoted(pen, value);
}

/* The same with a comma behind, if there is a value. */
static void
put_known(struct pen *pen, struct str name, struct str value)
{
	if (value.len == 0)
		return;
	put_member(pen, name, value);
	PUT(pen, ",");
}

/* ------------------------------------------------------------------ escapes of URIs */

static unsigned
hex_value(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : ascii_lower(c) - 'a' + 10);
}

/* Decoded, at out, which has room for s.len bytes and may be where s is. What is no escape stands as it is.
 */
static struct str
decode(char *out, struct str s, bool form)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s.len; i++) {
		if (s.p[i] == '%' && s.len - i > 2 && scan_is(s.p[i + 1], SCAN_HEX) &&
		    scan_is(s.p[i + 2], SCAN_HEX)) {
			out[n++] = (char)(hex_value(s.p[i + 1]) << 4 | hex_value(s.p[i + 2]));
			i += 2;
		} else {
			out[n++] = form && s.p[i] == '+' ? ' ' : s.p[i];
		}
	}
	return (struct str){out, n};
}

/* ------------------------------------------------------------------ the query */

struct param {
	struct str name, value;
};

struct query {
	uint32_t n;
	struct param *params; /* those of one name together, in the order they came in */
	char *text;
};

static int
compare(const void *x, const void *y)
{
	const struct param *a = x, *b = y;
	int rc = memcmp(a->name.p, b->name.p, MIN(a->name.len, b->name.len));

	if (rc == 0 && a->name.len != b->name.len)
		return a->name.len < b->name.len ? -1 : 1;
	/* Names lie in the text in their order. */
	return rc != 0 ? rc : a->name.p < b->name.p ? -1 : a->name.p > b->name.p;
}

static void
query_add(struct query *q, char *text, struct str item)
{
	const char *equals = memchr(item.p, '=', item.len);
	uint32_t n = equals != NULL ? (uint32_t)(equals - item.p) : item.len;
	struct param *p = &q->params[q->n++];

	p->name = decode(text, (struct str){item.p, n}, true);
	p->value = decode(
	    text + n, (struct str){item.p + MIN(n + 1, item.len), item.len - MIN(n + 1, item.len)}, true);
}

/* -ENOMEM; query_fini. */
static int
query_init(struct query *q, struct str s)
{
	uint32_t most = 1, at = 0;

	*q = (struct query){0};
	for (uint32_t i = 0; i < s.len; i++)
		most += s.p[i] == '&';
	q->text = malloc(s.len + 1);
	q->params = malloc(most * sizeof(*q->params));
	if (q->text == NULL || q->params == NULL)
		return -ENOMEM;
	while (at < s.len) {
		const char *and = memchr(s.p + at, '&', s.len - at);
		uint32_t n = and != NULL ? (uint32_t)(and-s.p) - at : s.len - at;

		if (n > 0)
			query_add(q, q->text + at, (struct str){s.p + at, n});
		at += n + 1;
	}
	qsort(q->params, q->n, sizeof(*q->params), compare);
	return 0;
}

static void
query_fini(struct query *q)
{
	free(q->text);
	free(q->params);
}

static void
put_query(struct pen *pen, const struct query *q, bool v2)
{
	for (uint32_t i = 0, first; i < q->n; i++) {
		for (first = i; i + 1 < q->n && str_eq(q->params[i + 1].name, q->params[first].name);)
			i++;
		if (first > 0)
			PUT(pen, ",");
		put_quoted(pen, q->params[first].name);
		PUT(pen, ":");
		if (!v2) {
			put_quoted(pen, q->params[i].value);
			continue;
		}
		for (uint32_t k = first; k <= i; k++) {
			put_str(pen, k == first ? STR("[") : STR(","));
			put_quoted(pen, q->params[k].value);
		}
		PUT(pen, "]");
	}
}

/* ------------------------------------------------------------------ the headers */

#define ADDED_MAX 6u

struct headers {
	uint32_t n;
	struct param all[FIELDS_MAX + ADDED_MAX];
};

static void
headers_add(struct headers *h, struct str name, struct str value)
{
	if (value.len > 0 || name.len > 0)
		h->all[h->n++] = (struct param){name, value};
}

/* Of the connection, or for us to say. */
static bool
is_left_out(const struct field *f)
{
	switch (f->id) {
	case FIELD_HOST:
	case FIELD_CONNECTION:
	case FIELD_TRANSFER_ENCODING:
	case FIELD_UPGRADE:
	case FIELD_EXPECT:
	case FIELD_TE:
	case FIELD_TRAILER:
	case FIELD_X_FORWARDED_PROTO:
	case FIELD_X_FORWARDED_PORT:
		return true;
	default:
		return f->drop || (f->id == FIELD_X_FORWARDED_FOR && f->value.len == 0);
	}
}

/* Those of the request as any target would get them. */
static void
headers_gather(struct headers *h, const struct msg *m, const struct msg_forward *f, bool v2)
{
	bool has_id = false;

	h->n = 0;
	headers_add(h, STR("host"), m->authority);
	for (uint32_t i = 0; i < m->nfields; i++) {
		has_id = has_id || (m->fields[i].id == FIELD_REQUEST_ID && !m->fields[i].drop);
		if (!is_left_out(&m->fields[i]))
			headers_add(h, m->fields[i].name, m->fields[i].value);
	}
	headers_add(h, STR("x-forwarded-for"), f->client);
	headers_add(h, STR("x-forwarded-proto"), f->proto);
	headers_add(h, STR("x-forwarded-port"), f->port);
	if (!has_id)
		headers_add(h, STR("x-amzn-requestid"), f->request_id);
	/* V2 has it in its context. */
	if (f->identity.len > 0 && !v2)
		headers_add(h, STR("x-amzn-lattice-identity"), f->identity);
}

/* One line of its own in HTTP, whoever put it together. */
static bool
is_single(struct str name)
{
	return str_caseeq(name, STR("cookie")) || str_caseeq(name, STR("x-forwarded-for"));
}

/* The values of one name, of which the first is at `first`. */
static void
put_values(struct pen *pen, const struct headers *h, uint32_t first, bool v2)
{
	struct str name = h->all[first].name, between = STR(", ");
	bool array = v2 && !is_single(name);

	if (array)
		between = STR("\",\"");
	else if (str_caseeq(name, STR("cookie")))
		between = STR("; ");
	put_str(pen, v2 ? STR("[\"") : STR("\""));
	for (uint32_t i = first; i < h->n; i++) {
		if (i > first && !str_caseeq(h->all[i].name, name))
			continue;
		if (i > first)
			put_str(pen, between);
		put_escaped(pen, h->all[i].value);
	}
	put_str(pen, v2 ? STR("\"]") : STR("\""));
}

static void
put_headers(struct pen *pen, const struct headers *h, bool v2)
{
	for (uint32_t i = 0; i < h->n; i++) {
		struct str name = h->all[i].name;
		uint32_t first = 0;

		while (!str_caseeq(h->all[first].name, name))
			first++;
		if (first < i)
			continue;
		put_str(pen, i > 0 ? STR(",\"") : STR("\""));
		for (uint32_t k = 0; k < name.len; k++) {
			char c = ascii_lower(name.p[k]);

			put(pen, &c, 1);
		}
		PUT(pen, "\":");
		put_values(pen, h, i, v2);
	}
}

/* ------------------------------------------------------------------ the context */

static const struct {
	struct str entry, key;
} identity_keys[] = {
    {{"Type", 4}, {"type", 4}},
    {{"Principal", 9}, {"principal", 9}},
    {{"PrincipalOrgID", 14}, {"principalOrgID", 14}},
    {{"SessionName", 11}, {"sessionName", 11}},
    {{"X509Issuer/OU", 13}, {"x509IssuerOu", 12}},
    {{"X509SAN/DNS", 11}, {"x509SanDns", 10}},
    {{"X509SAN/NameCN", 14}, {"x509SanNameCn", 13}},
    {{"X509SAN/URI", 11}, {"x509SanUri", 10}},
    {{"X509Subject/CN", 14}, {"x509SubjectCn", 13}},
};

/* The value of the first entry of this name in `name=value; name=value`. */
static struct str
identity_entry(struct str list, struct str name)
{
	while (list.len > 0) {
		const char *end = memchr(list.p, ';', list.len);
		uint32_t n = end != NULL ? (uint32_t)(end - list.p) : list.len;
		struct str entry = str_trim((struct str){list.p, n});

		if (entry.len > name.len && entry.p[name.len] == '=' && str_starts(entry, name))
			return (struct str){entry.p + name.len + 1, entry.len - name.len - 1};
		n = MIN(n + 1, list.len);
		list.p += n;
		list.len -= n;
	}
	return (struct str){0};
}

/* room: for identity.len bytes. */
static void
put_identity(struct pen *pen, const struct lambda_context *c, struct str identity, char *room)
{
	bool first = true;

	PUT(pen, "\"identity\":{");
	if (c->vpc_arn.len > 0) {
		put_member(pen, STR("sourceVpcArn"), c->vpc_arn);
		first = false;
	}
	for (size_t i = 0; i < COUNT(identity_keys); i++) {
		struct str value = identity_entry(identity, identity_keys[i].entry);

		if (value.len == 0)
			continue;
		if (!first)
			PUT(pen, ",");
		put_member(pen, identity_keys[i].key, decode(room, value, false));
		first = false;
	}
	PUT(pen, "},");
}

static void
put_context(struct pen *pen, const struct lambda_context *c, struct str identity, char *room)
{
	char digits[24];
	uint32_t n = (uint32_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)c->now_us);

	PUT(pen, "\"requestContext\":{");
	put_known(pen, STR("serviceNetworkArn"), c->network_arn);
	put_known(pen, STR("serviceArn"), c->service_arn);
	put_known(pen, STR("targetGroupArn"), c->group_arn);
	put_identity(pen, c, identity, room);
	put_known(pen, STR("region"), c->region);
	put_member(pen, STR("timeEpoch"), (struct str){digits, n});
	PUT(pen, "},");
}

/* ------------------------------------------------------------------ the event */

/* Types whose content is text, and goes as it is. */
static bool
is_text(struct str type)
{
	const char *end = memchr(type.p != NULL ? type.p : "", ';', type.len);

	if (end != NULL)
		type.len = (uint32_t)(end - type.p);
	type = str_trim(type);
	return str_casestarts(type, STR("text/")) || str_caseeq(type, STR("application/json")) ||
	       str_caseeq(type, STR("application/xml")) || str_caseeq(type, STR("application/javascript"));
}

static void
put_event(struct pen *pen, const struct msg *m, const struct headers *h, const struct query *q,
    const struct lambda_context *c)
{
	put_str(pen, c->v2 ? STR("{\"version\":\"2.0\",\"path\":") : STR("{\"raw_path\":"));
	put_quoted(pen, m->target);
	PUT(pen, ",");
	put_member(pen, STR("method"), m->method);
	PUT(pen, ",\"headers\":{");
	put_headers(pen, h, c->v2);
	put_str(pen, c->v2 ? STR("},\"queryStringParameters\":{") : STR("},\"query_string_parameters\":{"));
	put_query(pen, q, c->v2);
	PUT(pen, "},");
}

int
lambda_event_init(
    struct lambda_event *e, const struct msg *m, const struct msg_forward *f, const struct lambda_context *c)
{
	const char *mark = memchr(m->target.p, '?', m->target.len);
	const char *end = m->target.p + m->target.len;
	char *room = malloc(f->identity.len + 1);
	struct pen pen = {0};
	struct headers h;
	struct query q;
	int rc;

	*e = (struct lambda_event){.v2 = c->v2, .encode = !is_text(msg_field(m, STR("content-type")))};
	headers_gather(&h, m, f, c->v2);
	rc = query_init(&q, mark != NULL ? (struct str){mark + 1, (uint32_t)(end - mark - 1)} : STR(""));
	for (int pass = 0; pass < 2 && rc == 0 && room != NULL; pass++) {
		pen.n = 0;
		put_event(&pen, m, &h, &q, c);
		if (c->v2)
			put_context(&pen, c, f->identity, room);
		e->len = pen.n;
		if (e->p == NULL)
			e->p = pen.out = malloc(pen.n);
		if (e->p == NULL)
			break;
	}
	query_fini(&q);
	free(room);
	return e->p != NULL ? 0 : -ENOMEM;
}

void
lambda_event_fini(struct lambda_event *e)
{
	free(e->p);
	*e = (struct lambda_event){0};
}

/* What is behind e->p. */
static void
put_body(struct pen *pen, const struct lambda_event *e, struct str body, bool encode)
{
	PUT(pen, "\"body\":\"");
	if (!encode)
		put_escaped(pen, body);
	else if (pen->out == NULL)
		pen->n += BASE64_SIZE((size_t)body.len);
	else
		pen->n += base64_encode(pen->out + pen->n, body);
	put_str(pen, e->v2 ? STR("\",\"isBase64Encoded\":") : STR("\",\"is_base64_encoded\":"));
	put_str(pen, encode ? STR("true}") : STR("false}"));
}

size_t
lambda_print_request(
    char *out, const struct lambda_event *e, const struct lambda_function *fn, struct str body)
{
	bool encode = body.len > 0 && (e->encode || !json_is_utf8(body));
	struct pen tail = {0}, pen = {.out = out};
	char length[24];

	put_body(&tail, e, body, encode);
	PUT(&pen, "POST ");
	put_str(&pen, fn->path);
	PUT(&pen, " HTTP/1.1\r\nhost: ");
	put_str(&pen, fn->host);
	PUT(&pen, "\r\ncontent-type: application/json\r\ncontent-length: ");
	put(&pen, length, (size_t)snprintf(length, sizeof(length), "%zu", e->len + tail.n));
	PUT(&pen, "\r\nx-amzn-requestid: ");
	put_str(&pen, fn->request_id);
	PUT(&pen, "\r\n\r\n");
	put(&pen, e->p, e->len);
	if (out == NULL)
		return pen.n + tail.n;
	put_body(&pen, e, body, encode);
	return pen.n;
}
