/* block_print.c - header lists as they go out. */
#include "block.h"

#define BIT(id) (1u << (id))

/* Of a connection, or said by a pseudo-header field: not for HTTP/2. */
#define UNSAID                                                                                           \
	(BIT(FIELD_HOST) | BIT(FIELD_CONNECTION) | BIT(FIELD_KEEP_ALIVE) | BIT(FIELD_PROXY_CONNECTION) | \
	    BIT(FIELD_UPGRADE) | BIT(FIELD_TRANSFER_ENCODING) | BIT(FIELD_HTTP2_SETTINGS))
/* Fields of ours, for which the client's are left out. */
#define REPLACED (BIT(FIELD_X_FORWARDED_FOR) | BIT(FIELD_X_FORWARDED_PROTO) | BIT(FIELD_X_FORWARDED_PORT))

#define PUT(out, name, value) block_put(out, STR(name), value)

static char *
put_field(char *out, const struct field *f)
{
	char *end = block_put(out, f->name, f->value), *name = out + BLOCK_ENTRY;

	for (uint32_t i = 0; i < f->name.len; i++)
		name[i] = ascii_lower(name[i]);
	return end;
}

static char *
put_number(char *out, struct str name, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	return block_put(out, name, (struct str){digits + at, (uint32_t)(sizeof(digits) - at)});
}

/* The fields that pass. *seen: the kinds that were printed, and those of `replaced` that there are. */
static char *
put_fields(char *out, const struct msg *m, uint32_t unsaid, uint32_t replaced, uint32_t *seen)
{
	*seen = 0;
	for (uint32_t i = 0; i < m->nfields; i++) {
		const struct field *f = &m->fields[i];

		if (f->drop || unsaid >> f->id & 1)
			continue;
		*seen |= BIT(f->id);
		if (!(replaced >> f->id & 1))
			out = put_field(out, f);
	}
	return out;
}

/* ------------------------------------------------------------------ the request */

/* x-forwarded-for: what is there, then the client. */
static char *
put_forwarded_for(char *out, const struct msg *m, struct str client)
{
	char *start = out;
	uint16_t n;

	out = PUT(out, "x-forwarded-for", STR(""));
	for (uint32_t i = 0; i < m->nfields; i++) {
		if (m->fields[i].id != FIELD_X_FORWARDED_FOR || m->fields[i].value.len == 0)
			continue;
		memcpy(out, m->fields[i].value.p, m->fields[i].value.len);
		out += m->fields[i].value.len;
		memcpy(out, ", ", 2);
		out += 2;
	}
	memcpy(out, client.p, client.len);
	out += client.len;
	n = (uint16_t)(out - start - BLOCK_ENTRY - (ptrdiff_t)strlen("x-forwarded-for"));
	memcpy(start + 2, &n, sizeof(n));
	return out;
}

static char *
put_pseudos(char *out, const struct msg *m, struct str scheme)
{
	out = PUT(out, ":method", m->tunnel ? STR("CONNECT") : m->method);
	if (m->tunnel)
		out = PUT(out, ":protocol", STR("websocket"));
	out = PUT(out, ":scheme", scheme);
	if (m->authority.len > 0)
		out = PUT(out, ":authority", m->authority);
	return PUT(out, ":path", m->target);
}

size_t
block_print_request(char *out, const struct msg *m, const struct msg_forward *f)
{
	uint32_t unsaid = UNSAID | (m->body == BODY_CHUNKED ? BIT(FIELD_CONTENT_LENGTH) : 0), seen;
	char *p = put_pseudos(out, m, f->proto);

	p = put_fields(p, m, unsaid, REPLACED, &seen);
	if (seen & BIT(FIELD_X_FORWARDED_FOR))
		p = put_forwarded_for(p, m, f->client);
	else
		p = PUT(p, "x-forwarded-for", f->client);
	p = PUT(p, "x-forwarded-proto", f->proto);
	p = PUT(p, "x-forwarded-port", f->port);
	if (!(seen & BIT(FIELD_REQUEST_ID)) && f->request_id.len > 0)
		p = PUT(p, "x-amzn-requestid", f->request_id);
	if (f->identity.len > 0)
		p = PUT(p, "x-amzn-lattice-identity", f->identity);
	return (size_t)(p - out);
}

/* ------------------------------------------------------------------ the answer */

static char *
put_status(char *out, unsigned status)
{
	assert(status >= 100 && status <= 999);
	return put_number(out, STR(":status"), status);
}

size_t
block_print_response(char *out, const struct msg *m, const struct msg_reply *r)
{
	uint32_t unsaid = UNSAID | BIT(FIELD_TE), seen;
	char *p = put_status(out, m->status == 101 ? 200 : m->status);

	if (m->status < 200 || m->status == 204 || m->body == BODY_CHUNKED)
		unsaid |= BIT(FIELD_CONTENT_LENGTH);
	p = put_fields(p, m, unsaid, 0, &seen);
	if (r->request_id.len > 0 && !(seen & BIT(FIELD_REQUEST_ID)))
		p = PUT(p, "x-amzn-requestid", r->request_id);
	if (m->body == BODY_LENGTH && !(seen & BIT(FIELD_CONTENT_LENGTH)))
		p = put_number(p, STR("content-length"), m->length);
	return (size_t)(p - out);
}

size_t
block_print_trailers(char *out, const struct msg *m)
{
	uint32_t seen;

	return (size_t)(put_fields(out, m, UNSAID | BIT(FIELD_TE), 0, &seen) - out);
}

/* What fits an answer of ours with all else. */
#define OWN_REQUEST_ID_MAX 256u

static char *
put_request_id(char *out, struct str id)
{
	id.len = MIN(id.len, OWN_REQUEST_ID_MAX);
	return id.len > 0 ? PUT(out, "x-amzn-requestid", id) : out;
}

size_t
block_print_own(char *out, unsigned status, struct str request_id, bool head_only, size_t *head)
{
	struct str reason = str_of(status_reason(status));
	bool no_content = status < 200 || status == 204 || status == 304;
	char *p = put_status(out, status), *body;
	char digits[3];
	/* The reason is the body; a status without one says its number, which is in the block already. */
	struct str text = reason;
	uint32_t length;

	if (reason.len == 0) {
		memcpy(digits, p - sizeof(digits), sizeof(digits));
		text = (struct str){digits, sizeof(digits)};
	}
	length = status == 205 ? 0 : text.len + 1;
	if (!no_content && length > 0)
		p = PUT(p, "content-type", STR("text/plain"));
	if (!no_content)
		p = put_number(p, STR("content-length"), length);
	p = put_request_id(p, request_id);
	*head = (size_t)(p - out);
	if (no_content || head_only || length == 0)
		return *head;
	body = p;
	memcpy(body, text.p, text.len);
	body[text.len] = '\n';
	return *head + length;
}
