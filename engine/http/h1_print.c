/* h1_print.c - HTTP/1.1 heads as they go out.
 *
 * Most of a head passes as it came. Lines that stand next to each other in the bytes they were parsed
 * from are copied in one go; what the proxy adds comes behind them.
 */
#include "h1.h"

struct printer {
	char *out;
	const char *from, *to; /* lines not copied yet, but for the last CRLF */
};

static inline char *
put(char *out, const void *p, size_t n)
{
	memcpy(out, p, n);
	return out + n;
}

#define PUT(pr, lit) ((pr)->out = put((pr)->out, lit, sizeof(lit) - 1))

static inline void
put_str(struct printer *pr, struct str s)
{
	if (s.len > 0)
		pr->out = put(pr->out, s.p, s.len);
}

static inline void
put_flush(struct printer *pr)
{
	if (pr->from == NULL)
		return;
	pr->out = put(pr->out, pr->from, (size_t)(pr->to - pr->from));
	PUT(pr, "\r\n");
	pr->from = NULL;
}

/* Lines from `from` to `to`: if they follow those that wait, they wait with them. */
static inline void
put_lines(struct printer *pr, const char *from, const char *to)
{
	if (pr->from != NULL && pr->to + 2 == from && pr->to[0] == '\r' && pr->to[1] == '\n') {
		pr->to = to;
		return;
	}
	put_flush(pr);
	pr->from = from;
	pr->to = to;
}

static void
put_pair(struct printer *pr, struct str name, struct str value)
{
	put_flush(pr);
	put_str(pr, name);
	PUT(pr, ": ");
	put_str(pr, value);
	PUT(pr, "\r\n");
}

/* As it came when its bytes read `name:value` or `name: value`, else put together. */
static inline void
put_field(struct printer *pr, const struct field *f)
{
	const char *colon = f->name.p + f->name.len;

	if (likely((f->value.p == colon + 2 && colon[0] == ':' && colon[1] == ' ') ||
		   (f->value.p == colon + 1 && colon[0] == ':')))
		put_lines(pr, f->name.p, f->value.p + f->value.len);
	else
		put_pair(pr, f->name, f->value);
}

static void
put_number(struct printer *pr, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	pr->out = put(pr->out, digits + at, sizeof(digits) - at);
}

static void
put_length(struct printer *pr, uint64_t n)
{
	PUT(pr, "content-length: ");
	put_number(pr, n);
	PUT(pr, "\r\n");
}

/* ------------------------------------------------------------------ the request */

static void
put_request_line(struct printer *pr, const struct msg *m)
{
	const char *end = m->target.p + m->target.len;

	if (likely(m->nfields > 0 && m->fields[0].name.p == end + 11 &&
		   m->target.p == m->method.p + m->method.len + 1 && memcmp(end, " HTTP/1.1\r\n", 11) == 0)) {
		put_lines(pr, m->method.p, end + 9);
		return;
	}
	put_str(pr, m->method);
	PUT(pr, " ");
	put_str(pr, m->target);
	PUT(pr, " HTTP/1.1\r\n");
}

/* x-forwarded-for: what is there, then the client. */
static void
put_forwarded_for(struct printer *pr, const struct msg *m, struct str client, bool seen)
{
	PUT(pr, "x-forwarded-for: ");
	for (uint32_t i = 0; seen && i < m->nfields; i++) {
		if (m->fields[i].id != FIELD_X_FORWARDED_FOR || m->fields[i].value.len == 0)
			continue;
		put_str(pr, m->fields[i].value);
		PUT(pr, ", ");
	}
	put_str(pr, client);
	PUT(pr, "\r\n");
}

#define BIT(id) (1u << (id))

/* Fields of ours, for which the client's are left out. */
#define REPLACED (BIT(FIELD_X_FORWARDED_FOR) | BIT(FIELD_X_FORWARDED_PROTO) | BIT(FIELD_X_FORWARDED_PORT))

/* The fields that pass. Returns the kinds that were printed, and those of REPLACED that there are. */
static uint32_t
put_request_fields(struct printer *pr, const struct msg *m, bool chunked)
{
	uint32_t seen = 0;

	for (uint32_t i = 0; i < m->nfields; i++) {
		const struct field *f = &m->fields[i];

		if (f->drop)
			continue;
		switch (f->id) {
		case FIELD_X_FORWARDED_FOR:
		case FIELD_X_FORWARDED_PROTO:
		case FIELD_X_FORWARDED_PORT:
			break;
		case FIELD_CONTENT_LENGTH:
			if (chunked)
				continue;
			put_field(pr, f);
			break;
		case FIELD_TRANSFER_ENCODING:
			if (!chunked || !str_eq(f->value, STR("chunked")))
				continue;
			put_field(pr, f);
			break;
		case FIELD_HOST:
			if (likely(f->value.p == m->authority.p && f->value.len == m->authority.len))
				put_field(pr, f);
			else
				put_pair(pr, f->name, m->authority);
			break;
		default:
			put_field(pr, f);
			break;
		}
		seen |= BIT(f->id);
	}
	put_flush(pr);
	return seen;
}

size_t
h1_print_request(char *out, const struct msg *m, const struct msg_forward *f)
{
	struct printer pr = {out, NULL, NULL};
	uint32_t seen;

	put_request_line(&pr, m);
	seen = put_request_fields(&pr, m, f->chunked);
	if (!(seen & BIT(FIELD_HOST)))
		put_pair(&pr, STR("host"), m->authority);
	put_forwarded_for(&pr, m, f->client, (seen & BIT(FIELD_X_FORWARDED_FOR)) != 0);
	PUT(&pr, "x-forwarded-proto: ");
	put_str(&pr, f->proto);
	PUT(&pr, "\r\nx-forwarded-port: ");
	put_str(&pr, f->port);
	PUT(&pr, "\r\n");
	if (!(seen & BIT(FIELD_REQUEST_ID)) && f->request_id.len > 0) {
		PUT(&pr, "x-amzn-requestid: ");
		put_str(&pr, f->request_id);
		PUT(&pr, "\r\n");
	}
	if (f->identity.len > 0)
		put_pair(&pr, STR("x-amzn-lattice-identity"), f->identity);
	if (m->tunnel)
		put_pair(&pr, STR("sec-websocket-key"), f->key);
	if (f->chunked && !(seen & BIT(FIELD_TRANSFER_ENCODING)))
		PUT(&pr, "transfer-encoding: chunked\r\n");
	else if (!f->chunked && m->body == BODY_LENGTH && !(seen & BIT(FIELD_CONTENT_LENGTH)))
		put_length(&pr, m->length);
	if (m->upgrade && seen & BIT(FIELD_TE))
		PUT(&pr, "connection: upgrade, te\r\n");
	else if (m->upgrade)
		PUT(&pr, "connection: upgrade\r\n");
	else if (seen & BIT(FIELD_TE))
		PUT(&pr, "connection: te\r\n");
	PUT(&pr, "\r\n");
	return (size_t)(pr.out - out);
}

/* ------------------------------------------------------------------ the answer */

static uint32_t
put_response_fields(struct printer *pr, const struct msg *m, bool chunked)
{
	bool unframed = m->status < 200 || m->status == 204;
	uint32_t seen = 0;

	for (uint32_t i = 0; i < m->nfields; i++) {
		const struct field *f = &m->fields[i];

		if (f->drop || f->id == FIELD_TE)
			continue;
		if (f->id == FIELD_CONTENT_LENGTH && (chunked || unframed))
			continue;
		if (f->id == FIELD_TRANSFER_ENCODING && (!chunked || !str_eq(f->value, STR("chunked"))))
			continue;
		put_field(pr, f);
		seen |= BIT(f->id);
	}
	put_flush(pr);
	return seen;
}

static void
put_status(struct printer *pr, unsigned status)
{
	const char line[] = {'H', 'T', 'T', 'P', '/', '1', '.', '1', ' ', (char)('0' + status / 100),
	    (char)('0' + status / 10 % 10), (char)('0' + status % 10), ' '};

	assert(status >= 100 && status <= 999);
	pr->out = put(pr->out, line, sizeof(line));
}

size_t
h1_print_response(char *out, const struct msg *m, const struct msg_reply *r)
{
	struct printer pr = {out, NULL, NULL};
	uint32_t seen;

	put_status(&pr, m->status);
	if (m->reason.p != NULL)
		put_lines(&pr, m->reason.p, m->reason.p + m->reason.len);
	else
		PUT(&pr, "\r\n");
	seen = put_response_fields(&pr, m, r->chunked);
	if (r->request_id.len > 0 && !(seen & BIT(FIELD_REQUEST_ID)))
		put_pair(&pr, STR("x-amzn-requestid"), r->request_id);
	if (r->chunked && !(seen & BIT(FIELD_TRANSFER_ENCODING)))
		PUT(&pr, "transfer-encoding: chunked\r\n");
	else if (!r->chunked && m->body == BODY_LENGTH && !(seen & BIT(FIELD_CONTENT_LENGTH)))
		put_length(&pr, m->length);
	if (m->upgrade)
		PUT(&pr, "connection: upgrade\r\n");
	else if (r->close)
		PUT(&pr, "connection: close\r\n");
	else if (r->keep_alive)
		PUT(&pr, "connection: keep-alive\r\n");
	PUT(&pr, "\r\n");
	return (size_t)(pr.out - out);
}

/* What fits the 512 bytes of an answer of ours with all else. */
#define OWN_REQUEST_ID_MAX 256u

size_t
h1_print_own(char *out, unsigned status, struct str request_id, bool close, bool head_only)
{
	struct printer pr = {out, NULL, NULL};
	struct str reason = str_of(status_reason(status));
	bool no_content = status < 200 || status == 204 || status == 304;
	/* The reason is the body; a status without one says its number. */
	uint32_t length = status == 205 ? 0 : (reason.len > 0 ? reason.len : 3) + 1;

	put_status(&pr, status);
	put_str(&pr, reason);
	PUT(&pr, "\r\n");
	if (!no_content) {
		if (length > 0)
			PUT(&pr, "content-type: text/plain\r\n");
		put_length(&pr, length);
	}
	if (request_id.len > 0) {
		request_id.len = MIN(request_id.len, OWN_REQUEST_ID_MAX);
		put_pair(&pr, STR("x-amzn-requestid"), request_id);
	}
	if (close)
		PUT(&pr, "connection: close\r\n");
	PUT(&pr, "\r\n");
	if (no_content || head_only || length == 0)
		return (size_t)(pr.out - out);
	if (reason.len > 0)
		put_str(&pr, reason);
	else
		put_number(&pr, status);
	PUT(&pr, "\n");
	return (size_t)(pr.out - out);
}

size_t
h1_print_trailers(char *out, const struct msg *m)
{
	struct printer pr = {out, NULL, NULL};

	PUT(&pr, "0\r\n");
	for (uint32_t i = 0; i < m->nfields; i++)
		if (!m->fields[i].drop)
			put_field(&pr, &m->fields[i]);
	put_flush(&pr);
	PUT(&pr, "\r\n");
	return (size_t)(pr.out - out);
}
