/* head.c - what the fields of a head mean, whatever wire it came by. */
#include "head.h"
#include "addr.h"
#include "scan.h"
#include <errno.h>

#define X(id, status, name) {status, name},
const struct fault head_request_faults[] = {FAULTS(X)};
#undef X

#define X(id, status, name) {502, name},
const struct fault head_response_faults[] = {FAULTS(X)};
#undef X

bool
head_lists(const struct msg *m, enum field_id id, struct str word)
{
	for (uint32_t i = 0; i < m->nfields; i++) {
		struct str list = m->fields[i].value, item;

		if (m->fields[i].id != id)
			continue;
		while (field_list_next(&list, &item))
			if (str_caseeq(item, word))
				return true;
	}
	return false;
}

void
head_te(struct head *h)
{
	if (!head_has(h, FIELD_TE) || !head_lists(h->m, FIELD_TE, STR("trailers")))
		return;
	/* The only member that can mean anything beyond the next hop. */
	head_field(h, FIELD_TE)->value = STR("trailers");
	head_field(h, FIELD_TE)->drop = false;
}

enum fault_id
head_expect(struct head *h)
{
	struct msg *m = h->m;

	m->expect_continue = false;
	for (uint32_t i = 0; i < m->nfields && head_has(h, FIELD_EXPECT); i++) {
		if (m->fields[i].id != FIELD_EXPECT)
			continue;
		if (!str_caseeq(m->fields[i].value, STR("100-continue")))
			return FAULT_EXPECT;
		/* An HTTP/1.0 client cannot have meant it (RFC 9110 10.1.1). */
		m->fields[i].drop = m->minor == 0 || m->expect_continue;
		m->expect_continue = m->minor > 0;
	}
	return FAULT_NONE;
}

enum fault_id
head_length(struct head *h)
{
	int rc;

	if (h->repeated >> FIELD_CONTENT_LENGTH & 1)
		return FAULT_LENGTH_REPEATED;
	rc = str_number(head_field(h, FIELD_CONTENT_LENGTH)->value, BODY_BYTES_MAX, &h->m->length);
	if (rc != 0)
		return rc == -ERANGE ? FAULT_LENGTH_TOO_LARGE : FAULT_LENGTH_MALFORMED;
	/* A length of 0 is a body that is over before it begins. */
	h->m->body = h->m->length > 0 ? BODY_LENGTH : BODY_NONE;
	return FAULT_NONE;
}

static bool
port_is_valid(struct str port)
{
	uint64_t n;

	return port.len == 0 || str_number(port, 65535, &n) == 0;
}

/* host [":" port] of RFC 3986, but without users and escapes, which no name of ours can hold. host
 * becomes the name, or an IPv6 address without its brackets. */
static bool
authority_parse(struct str a, struct str *host)
{
	struct addr v6;
	uint32_t i = 0;

	if (a.len > 0 && a.p[0] == '[') {
		const char *close = memchr(a.p, ']', a.len);

		i = close == NULL ? 0 : (uint32_t)(close + 1 - a.p);
		if (addr_parse((struct str){a.p, i}, &v6) != 0)
			return false;
		*host = (struct str){a.p + 1, i - 2};
	} else {
		while (i < a.len && scan_is(a.p[i], SCAN_HOST))
			i++;
		*host = (struct str){a.p, i};
	}
	if (host->len == 0 || host->len > HOST_MAX)
		return false;
	return i == a.len || (a.p[i] == ':' && port_is_valid((struct str){a.p + i + 1, a.len - i - 1}));
}

enum fault_id
head_authority(struct msg *m)
{
	return authority_parse(m->authority, &m->host) ? FAULT_NONE : FAULT_HOST_MALFORMED;
}

enum fault_id
head_host(struct head *h)
{
	struct msg *m = h->m;
	struct str field = {0};

	if (h->repeated >> FIELD_HOST & 1)
		return FAULT_HOST_REPEATED;
	if (head_has(h, FIELD_HOST))
		field = head_field(h, FIELD_HOST)->value;
	else if (m->minor > 0)
		return FAULT_HOST_MISSING;
	if (h->absolute.len > 0 && head_has(h, FIELD_HOST) && !str_caseeq(h->absolute, field))
		return FAULT_HOST_DIFFERS;
	m->authority = h->absolute.len > 0 ? h->absolute : field;
	m->host = (struct str){0};
	if (m->authority.len == 0 && m->minor == 0)
		return FAULT_NONE;
	return head_authority(m);
}

/* One request id, of a length that a log can bear; an empty one is none. */
#define REQUEST_ID_MAX 512u

void
head_request_id(struct head *h)
{
	bool found = false;

	for (uint32_t i = 0; i < h->m->nfields; i++) {
		struct field *f = &h->m->fields[i];

		if (f->id != FIELD_REQUEST_ID)
			continue;
		f->drop = found || f->value.len == 0;
		found = found || !f->drop;
		f->value.len = MIN(f->value.len, REQUEST_ID_MAX);
	}
}
