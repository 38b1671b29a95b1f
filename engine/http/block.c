/* block.c - what a header list of HTTP/2 says (RFC 9113 8). */
#include "block.h"
#include "head.h"
#include "scan.h"

/* Pseudo-header fields, 1 << as they are seen. */
enum pseudo { PSEUDO_METHOD, PSEUDO_SCHEME, PSEUDO_AUTHORITY, PSEUDO_PATH, PSEUDO_PROTOCOL, PSEUDO_STATUS };

#define BIT(id) (1u << (id))
#define PSEUDO_REQUEST                                                                        \
	(BIT(PSEUDO_METHOD) | BIT(PSEUDO_SCHEME) | BIT(PSEUDO_AUTHORITY) | BIT(PSEUDO_PATH) | \
	    BIT(PSEUDO_PROTOCOL))

/* RFC 9113 8.2.2: of a connection, and so malformed. HTTP2-Settings is one of an upgrade to what this is. */
#define CONNECTION_FIELDS                                                                                   \
	(BIT(FIELD_CONNECTION) | BIT(FIELD_KEEP_ALIVE) | BIT(FIELD_PROXY_CONNECTION) | BIT(FIELD_UPGRADE) | \
	    BIT(FIELD_TRANSFER_ENCODING) | BIT(FIELD_HTTP2_SETTINGS))

static const struct {
	struct str name;
	enum pseudo id;
} pseudos[] = {
    {{":method", 7}, PSEUDO_METHOD},
    {{":path", 5}, PSEUDO_PATH},
    {{":scheme", 7}, PSEUDO_SCHEME},
    {{":authority", 10}, PSEUDO_AUTHORITY},
    {{":status", 7}, PSEUDO_STATUS},
    {{":protocol", 9}, PSEUDO_PROTOCOL},
};

/* A message while it is taken apart. */
struct list {
	struct head head;
	struct str block; /* not looked at yet */
	uint32_t pseudo;  /* seen */
	struct str values[PSEUDO_STATUS + 1];
};

bool
block_next(struct str *block, struct str *name, struct str *value)
{
	uint16_t lens[2];
	uint32_t n;

	if (block->len == 0)
		return false;
	assert(block->len >= BLOCK_ENTRY);
	memcpy(lens, block->p, BLOCK_ENTRY);
	n = BLOCK_ENTRY + lens[0] + lens[1];
	assert(block->len >= n);
	*name = (struct str){block->p + BLOCK_ENTRY, lens[0]};
	*value = (struct str){name->p + lens[0], lens[1]};
	block->p += n;
	block->len -= n;
	return true;
}

/* ------------------------------------------------------------------ fields */

static bool
name_is_valid(struct str name)
{
	for (uint32_t i = 0; i < name.len; i++)
		if (!scan_is(name.p[i], SCAN_TOKEN) || (name.p[i] >= 'A' && name.p[i] <= 'Z'))
			return false;
	return name.len > 0;
}

static bool
value_is_valid(struct str v)
{
	uint32_t i = 0;

	for (; i + SCAN_STEP <= v.len; i += SCAN_STEP)
		if (scan_controls(v.p + i) != 0)
			return false;
	for (; i < v.len; i++)
		if (scan_is_control(v.p[i]))
			return false;
	return v.len == 0 || (!scan_is_blank(v.p[0]) && !scan_is_blank(v.p[v.len - 1]));
}

/* The pseudo-header fields, each of `allowed` at most once; the first other field stays in the list. */
static enum fault_id
pseudos_parse(struct list *l, uint32_t allowed)
{
	struct str rest = l->block, name, value;

	l->pseudo = 0;
	for (; block_next(&rest, &name, &value) && name.len > 0 && name.p[0] == ':'; l->block = rest) {
		size_t i = 0;

		while (i < COUNT(pseudos) && !str_eq(name, pseudos[i].name))
			i++;
		if (i == COUNT(pseudos) || !((allowed & ~l->pseudo) >> pseudos[i].id & 1))
			return FAULT_PSEUDO;
		if (!value_is_valid(value))
			return FAULT_FIELD_VALUE;
		l->pseudo |= BIT(pseudos[i].id);
		l->values[pseudos[i].id] = value;
	}
	return FAULT_NONE;
}

static enum fault_id
fields_parse(struct list *l, uint32_t drop)
{
	struct head *h = &l->head;
	struct msg *m = h->m;
	struct str name, value;

	m->nfields = 0;
	h->seen = h->repeated = 0;
	while (block_next(&l->block, &name, &value)) {
		unsigned id;

		if (m->nfields == FIELDS_MAX)
			return FAULT_FIELD_COUNT;
		if (!name_is_valid(name))
			return name.len > 0 && name.p[0] == ':' ? FAULT_PSEUDO : FAULT_FIELD_NAME;
		if (!value_is_valid(value))
			return FAULT_FIELD_VALUE;
		id = field_identify(name);
		if (id == FIELD_LOOKALIKE)
			return FAULT_FRAMING_LOOKALIKE;
		if (CONNECTION_FIELDS >> id & 1)
			return FAULT_CONNECTION_FIELD;
		head_note(h, id, m->nfields);
		m->fields[m->nfields++] = (struct field){name, value, (uint8_t)id, (drop >> id & 1) != 0};
	}
	return FAULT_NONE;
}

/* RFC 9113 8.1.1: a length is there, or the end of the stream, or both agree. */
static enum fault_id
body_parse(struct list *l, bool last, bool none)
{
	struct msg *m = l->head.m;
	enum fault_id fault = FAULT_NONE;

	m->length = 0;
	m->body = BODY_EOF;
	if (head_has(&l->head, FIELD_CONTENT_LENGTH))
		fault = head_length(&l->head);
	if (fault != FAULT_NONE)
		return fault;
	if (last && !none && m->length > 0)
		return FAULT_LENGTH_WITHOUT_BODY;
	if (last || none)
		m->body = BODY_NONE;
	return FAULT_NONE;
}

static enum fault_id
te_parse(struct list *l)
{
	struct head *h = &l->head;

	if (!head_has(h, FIELD_TE))
		return FAULT_NONE;
	if (h->repeated & BIT(FIELD_TE) || !str_caseeq(head_field(h, FIELD_TE)->value, STR("trailers")))
		return FAULT_CONNECTION_FIELD;
	head_te(h);
	return FAULT_NONE;
}

/* ------------------------------------------------------------------ the request */

static enum fault_id
path_parse(struct msg *m, struct str path)
{
	uint32_t i = 0;

	m->target = path;
	while (i < path.len && scan_is(path.p[i], SCAN_PATH))
		i++;
	m->path = (struct str){path.p, i};
	while (i < path.len && scan_is(path.p[i], SCAN_QUERY))
		i++;
	if (path.len == 0 || i < path.len)
		return FAULT_TARGET;
	if (path.p[0] == '/' || (m->method_id == METHOD_OPTIONS && str_eq(path, STR("*"))))
		return FAULT_NONE;
	return FAULT_TARGET;
}

/* RFC 8441: CONNECT with a :protocol is what GET with an Upgrade is in HTTP/1. */
static enum fault_id
tunnel_parse(struct list *l, bool last)
{
	struct msg *m = l->head.m;

	if (m->method_id != METHOD_CONNECT)
		return FAULT_PSEUDO;
	if (!str_caseeq(l->values[PSEUDO_PROTOCOL], STR("websocket")))
		return FAULT_PROTOCOL;
	/* What comes is the tunnel's, so nothing can have announced it. */
	if (last || head_has(&l->head, FIELD_CONTENT_LENGTH))
		return FAULT_PSEUDO;
	if (m->nfields == FIELDS_MAX)
		return FAULT_FIELD_COUNT;
	m->fields[m->nfields++] = (struct field){STR("upgrade"), STR("websocket"), FIELD_UPGRADE, false};
	m->method = STR("GET");
	m->method_id = METHOD_GET;
	m->tunnel = m->upgrade = true;
	m->body = BODY_NONE;
	return FAULT_NONE;
}

static enum fault_id
pseudos_mean(struct list *l)
{
	struct msg *m = l->head.m;
	const uint32_t needed = BIT(PSEUDO_METHOD) | BIT(PSEUDO_SCHEME) | BIT(PSEUDO_PATH);

	m->method = l->values[PSEUDO_METHOD];
	if (!(l->pseudo & BIT(PSEUDO_METHOD)) || !field_is_token(m->method))
		return FAULT_METHOD;
	m->method_id = field_method(m->method);
	if (m->method_id == METHOD_CONNECT && !(l->pseudo & BIT(PSEUDO_PROTOCOL)))
		return FAULT_CONNECT;
	if ((l->pseudo & needed) != needed)
		return FAULT_PSEUDO;
	if (!str_caseeq(l->values[PSEUDO_SCHEME], STR("http")) &&
	    !str_caseeq(l->values[PSEUDO_SCHEME], STR("https")))
		return FAULT_SCHEME;
	if (l->pseudo & BIT(PSEUDO_AUTHORITY))
		l->head.absolute = l->values[PSEUDO_AUTHORITY];
	return path_parse(m, l->values[PSEUDO_PATH]);
}

/* What a Host says the same as :authority need not be there; HTTP/1 wants one. */
static enum fault_id
host_parse(struct list *l)
{
	struct head *h = &l->head;

	if (l->pseudo & BIT(PSEUDO_AUTHORITY) && h->absolute.len == 0)
		return FAULT_HOST_MALFORMED;
	if (!(l->pseudo & BIT(PSEUDO_AUTHORITY)) || head_has(h, FIELD_HOST))
		return head_host(h);
	h->m->authority = h->absolute;
	return head_authority(h->m);
}

static enum fault_id
request_parse(struct list *l, bool last)
{
	struct head *h = &l->head;
	struct msg *m = h->m;
	enum fault_id fault;

	m->upgrade = m->tunnel = false;
	fault = pseudos_parse(l, PSEUDO_REQUEST);
	if (fault == FAULT_NONE)
		fault = pseudos_mean(l);
	if (fault == FAULT_NONE)
		fault = fields_parse(l, BIT(FIELD_TE) | BIT(FIELD_LATTICE));
	if (fault == FAULT_NONE)
		fault = host_parse(l);
	if (fault == FAULT_NONE)
		fault = body_parse(l, last, false);
	if (fault == FAULT_NONE)
		fault = head_expect(h);
	if (fault == FAULT_NONE)
		fault = te_parse(l);
	if (fault == FAULT_NONE && l->pseudo & BIT(PSEUDO_PROTOCOL))
		fault = tunnel_parse(l, last);
	if (fault == FAULT_NONE && head_has(h, FIELD_REQUEST_ID))
		head_request_id(h);
	return fault;
}

static void
list_init(struct list *l, struct msg *m, struct str block)
{
	l->head.m = m;
	l->head.absolute = (struct str){0};
	l->block = block;
	/* There is no older HTTP/2; how long the connection lives is not said in messages. */
	m->minor = 1;
	m->keep_alive = true;
}

int
block_parse_request(struct msg *m, struct str block, bool last, const struct fault **fault)
{
	struct list l;
	enum fault_id id;

	list_init(&l, m, block);
	id = request_parse(&l, last);
	if (id == FAULT_NONE)
		return 0;
	*fault = &head_request_faults[id];
	return -1;
}

/* ------------------------------------------------------------------ the answer */

static enum fault_id
status_parse(struct list *l)
{
	struct msg *m = l->head.m;
	struct str s = l->values[PSEUDO_STATUS];
	uint64_t n;

	/* A switch of protocols is not for HTTP/2 (RFC 9113 8.6). */
	if (!(l->pseudo & BIT(PSEUDO_STATUS)) || s.len != 3 || str_number(s, 599, &n) != 0 || n < 100 ||
	    n == 101)
		return FAULT_STATUS;
	m->status = (uint16_t)n;
	m->reason = str_of(status_reason(m->status));
	return FAULT_NONE;
}

static enum fault_id
response_parse(struct list *l, bool last, enum method method)
{
	struct msg *m = l->head.m;
	enum fault_id fault = pseudos_parse(l, BIT(PSEUDO_STATUS));

	m->upgrade = false;
	if (fault == FAULT_NONE)
		fault = status_parse(l);
	if (fault == FAULT_NONE)
		fault = fields_parse(l, BIT(FIELD_TE));
	if (fault == FAULT_NONE)
		fault = body_parse(l, last,
		    method == METHOD_HEAD || m->status < 200 || m->status == 204 || m->status == 304);
	/* An interim answer ends nothing. */
	return fault == FAULT_NONE && m->status < 200 && last ? FAULT_STATUS : fault;
}

int
block_parse_response(
    struct msg *m, struct str block, bool last, enum method request_method, const struct fault **fault)
{
	struct list l;
	enum fault_id id;

	list_init(&l, m, block);
	id = response_parse(&l, last, request_method);
	if (id == FAULT_NONE)
		return 0;
	*fault = &head_response_faults[id];
	return -1;
}

/* ------------------------------------------------------------------ trailers */

int
block_parse_trailers(struct msg *m, struct str block, const struct fault **fault)
{
	struct list l;
	enum fault_id id;

	list_init(&l, m, block);
	id = fields_parse(&l, UINT32_MAX << FIELD_HOST);
	if (id != FAULT_NONE) {
		*fault = &head_request_faults[id];
		return -1;
	}
	for (uint32_t i = 0; i < m->nfields; i++)
		m->fields[i].drop = m->fields[i].drop || field_is_bad_trailer(&m->fields[i]);
	return 0;
}
