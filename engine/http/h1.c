/* h1.c - HTTP/1.1 and 1.0 heads: parse, and the decisions of RFC 9112 about framing.
 *
 * A head is looked at twice. The first pass goes over it sixteen bytes at a time, refuses control
 * bytes, lone CRs and LFs, and notes where the lines end; the second takes the lines apart and need
 * not look at values again. Whatever two parsers could read differently is a fault, one row each.
 */
#include "h1.h"
#include "head.h"
#include "scan.h"

/* A head, and its lines while it is taken apart. */
struct lines {
	struct head head;
	const char *p, *limit; /* of the bytes there are */
	uint32_t nlines;
	uint16_t ends[FIELDS_MAX + 1]; /* of lines: where their CR is */
};

_Static_assert(HEAD_BYTES_MAX <= UINT16_MAX, "offsets of a head fit 16 bits");

/* ------------------------------------------------------------------ first pass: bytes and lines */

enum scan { SCAN_ON, SCAN_MORE, SCAN_DONE, SCAN_FAULT };

struct scanner {
	const char *p;
	size_t n;
	size_t at; /* DONE: the length; MORE: go on here */
	uint32_t nlines, lines_max;
	uint16_t *ends;
	enum fault_id fault;
};

static enum scan
scan_fault(struct scanner *s, enum fault_id fault)
{
	s->fault = fault;
	return SCAN_FAULT;
}

/* The control byte at i: the CR or LF of a line's end, or a fault. */
static inline enum scan
scan_control(struct scanner *s, size_t i)
{
	const char *p = s->p;

	if (p[i] == '\r') {
		s->at = i;
		if (i + 1 == s->n)
			return SCAN_MORE;
		return likely(p[i + 1] == '\n') ? SCAN_ON : scan_fault(s, FAULT_LONE_CR);
	}
	if (unlikely(p[i] != '\n'))
		return scan_fault(s, FAULT_CONTROL);
	if (unlikely(i == 0 || p[i - 1] != '\r'))
		return scan_fault(s, FAULT_LONE_LF);
	if (i == 1 || p[i - 2] == '\n') {
		s->at = i + 1;
		return SCAN_DONE;
	}
	if (unlikely(s->nlines == s->lines_max))
		return scan_fault(s, FAULT_FIELD_COUNT);
	s->ends[s->nlines++] = (uint16_t)(i - 1);
	return SCAN_ON;
}

static inline enum scan
scan_mask(struct scanner *s, size_t i, unsigned mask)
{
	for (; mask != 0; mask &= mask - 1) {
		enum scan rc = scan_control(s, i + (unsigned)__builtin_ctz(mask));

		if (rc != SCAN_ON)
			return rc;
	}
	return SCAN_ON;
}

static enum scan
scan_lines(struct scanner *s)
{
	size_t i = s->at;
	unsigned mask = 0;
	enum scan rc;

	for (; i + SCAN_STEP <= s->n; i += SCAN_STEP) {
		rc = scan_mask(s, i, scan_controls(s->p + i));
		if (rc != SCAN_ON)
			return rc;
	}
	if (i < s->n && s->n >= SCAN_STEP) {
		/* The last step overlaps the one before it. */
		mask = scan_controls(s->p + s->n - SCAN_STEP) >> (SCAN_STEP - (s->n - i));
	} else {
		for (size_t k = i; k < s->n; k++)
			mask |= (unsigned)scan_is_control(s->p[k]) << (k - i);
	}
	rc = scan_mask(s, i, mask);
	if (rc == SCAN_ON)
		s->at = s->n;
	return rc == SCAN_ON ? SCAN_MORE : rc;
}

/*
 * Finds the end of the head at p. *scanned holds how far it was looked at and, in the upper half, the
 * lines counted till then, so that a head that comes in crumbs costs no more than one that comes whole.
 */
static enum scan
head_scan(struct lines *l, size_t n, size_t *scanned, enum fault_id *fault)
{
	struct scanner s = {l->p, MIN(n, (size_t)HEAD_BYTES_MAX), *scanned & UINT32_MAX,
	    (uint32_t)(*scanned >> 32), FIELDS_MAX + 1, l->ends, FAULT_NONE};
	enum scan rc = scan_lines(&s);

	if (rc == SCAN_DONE && *scanned != 0) {
		/* The lines' ends of the earlier calls are not remembered. */
		s.at = 0;
		s.nlines = 0;
		rc = scan_lines(&s);
	}
	if (rc == SCAN_MORE && n >= HEAD_BYTES_MAX)
		rc = scan_fault(&s, FAULT_HEAD_SIZE);
	*fault = s.fault;
	*scanned = rc == SCAN_MORE ? s.at | (size_t)s.nlines << 32 : s.at;
	l->nlines = s.nlines;
	return rc;
}

/* ------------------------------------------------------------------ second pass: fields */

/* Dropped wherever they are; TE and Upgrade come back when they are understood. */
#define DROP_ALWAYS                                                                                        \
	(1u << FIELD_CONNECTION | 1u << FIELD_KEEP_ALIVE | 1u << FIELD_PROXY_CONNECTION | 1u << FIELD_TE | \
	    1u << FIELD_UPGRADE | 1u << FIELD_HTTP2_SETTINGS)

static enum fault_id
name_fault(const char *p, const char *at)
{
	if (at == p)
		return scan_is_blank(*p) ? FAULT_FOLD : FAULT_FIELD_NAME;
	return scan_is_blank(*at) ? FAULT_BLANK_BEFORE_COLON : FAULT_FIELD_NAME;
}

/* Behind the token at p. The bytes up to limit may be read; the token ends before a CR at the latest. */
static inline const char *
token_end(const char *p, const char *limit)
{
	while (limit - p >= SCAN_STEP) {
		unsigned n = scan_plain(p);

		p += n;
		if (n < SCAN_STEP)
			break;
	}
	while (scan_is(*p, SCAN_TOKEN))
		p++;
	return p;
}

static inline enum fault_id
field_parse(struct field *f, const char *p, const char *end, const char *limit)
{
	const char *c = token_end(p, limit);

	if (unlikely(*c != ':' || c == p))
		return name_fault(p, c);
	f->name = (struct str){p, (uint32_t)(c - p)};
	for (c++; c < end && scan_is_blank(*c); c++)
		;
	while (end > c && scan_is_blank(end[-1]))
		end--;
	f->value = (struct str){c, (uint32_t)(end - c)};
	return FAULT_NONE;
}

static enum fault_id
fields_parse(struct lines *l, uint32_t first, uint32_t drop)
{
	struct head *h = &l->head;
	struct msg *m = h->m;
	const char *p = first == 0 ? l->p : l->p + l->ends[first - 1] + 2;

	m->nfields = l->nlines - first;
	h->seen = h->repeated = 0;
	for (uint32_t i = 0; i < m->nfields; i++) {
		struct field *f = &m->fields[i];
		const char *end = l->p + l->ends[first + i];
		enum fault_id fault = field_parse(f, p, end, l->limit);
		enum field_id id;

		if (unlikely(fault != FAULT_NONE))
			return fault;
		id = field_identify(f->name);
		if (unlikely(id == FIELD_LOOKALIKE))
			return FAULT_FRAMING_LOOKALIKE;
		f->id = (uint8_t)id;
		f->drop = (drop >> id & 1) != 0;
		head_note(h, id, i);
		p = end + 2;
	}
	return FAULT_NONE;
}

/* ------------------------------------------------------------------ Connection, Upgrade, TE, Expect */

/* A field that is named in Connection is dropped; a peer that names more than this attacks. */
#define CONNECTION_OPTIONS_MAX 32u

static bool
may_be_dropped(const struct field *f)
{
	return f->id != FIELD_HOST && f->id != FIELD_CONTENT_LENGTH && f->id != FIELD_TRANSFER_ENCODING &&
	       !str_casestarts(f->name, STR("x-forwarded-")) && !str_casestarts(f->name, STR("x-amzn-"));
}

static void
connection_option(struct head *h, struct str option)
{
	if (str_caseeq(option, STR("keep-alive"))) {
		h->keep_alive = true;
	} else if (str_caseeq(option, STR("close"))) {
		h->close = true;
	} else if (str_caseeq(option, STR("upgrade"))) {
		h->upgrade = true;
	} else {
		for (uint32_t i = 0; i < h->m->nfields; i++)
			if (str_caseeq(h->m->fields[i].name, option) && may_be_dropped(&h->m->fields[i]))
				h->m->fields[i].drop = true;
	}
}

static enum fault_id
connection_parse(struct head *h)
{
	struct msg *m = h->m;
	unsigned noptions = 0;

	h->keep_alive = h->upgrade = false;
	for (uint32_t i = 0; i < m->nfields && head_has(h, FIELD_CONNECTION); i++) {
		struct str list = m->fields[i].value, option;

		if (m->fields[i].id != FIELD_CONNECTION)
			continue;
		while (field_list_next(&list, &option)) {
			if (++noptions > CONNECTION_OPTIONS_MAX)
				return FAULT_CONNECTION_OPTIONS;
			connection_option(h, option);
		}
	}
	m->keep_alive = !h->close && (m->minor > 0 || h->keep_alive);
	return FAULT_NONE;
}

/*
 * A tunnel is passed on when the connection asks for it, no body is in its way, and h2c is not offered:
 * a target that took h2c would speak past the router.
 */
static void
upgrade_parse(struct head *h)
{
	struct msg *m = h->m;

	m->upgrade = h->upgrade && head_has(h, FIELD_UPGRADE) && !(h->repeated >> FIELD_UPGRADE & 1) &&
		     m->minor > 0 && m->body == BODY_NONE && head_field(h, FIELD_UPGRADE)->value.len > 0 &&
		     !head_lists(m, FIELD_UPGRADE, STR("h2c"));
	if (m->upgrade)
		head_field(h, FIELD_UPGRADE)->drop = false;
}

/* ------------------------------------------------------------------ framing (RFC 9112 6) */

/* Exactly one `chunked`, over all fields. */
static enum fault_id
coding_parse(struct head *h)
{
	const struct msg *m = h->m;
	unsigned nchunked = 0, nothers = 0;

	for (uint32_t i = 0; i < m->nfields; i++) {
		struct str list = m->fields[i].value, coding;

		if (m->fields[i].id != FIELD_TRANSFER_ENCODING)
			continue;
		if (list.len == 0 || list.p[list.len - 1] == ',')
			return FAULT_CODING_MALFORMED;
		while (field_list_next(&list, &coding)) {
			if (!field_is_token(coding))
				return FAULT_CODING_MALFORMED;
			if (str_caseeq(coding, STR("chunked")))
				nchunked++;
			else
				nothers++;
		}
	}
	if (nothers > 0)
		return nchunked > 1 ? FAULT_CODING_MALFORMED : FAULT_CODING_UNKNOWN;
	return nchunked == 1 ? FAULT_NONE : FAULT_CODING_MALFORMED;
}

static enum fault_id
framing_parse(struct head *h)
{
	enum fault_id fault;

	h->m->body = BODY_NONE;
	h->m->length = 0;
	if (!head_has(h, FIELD_TRANSFER_ENCODING))
		return head_has(h, FIELD_CONTENT_LENGTH) ? head_length(h) : FAULT_NONE;
	if (head_has(h, FIELD_CONTENT_LENGTH))
		return FAULT_LENGTH_AND_CODING;
	if (h->m->minor == 0)
		return FAULT_CODING_IN_1_0;
	fault = coding_parse(h);
	if (fault == FAULT_NONE)
		h->m->body = BODY_CHUNKED;
	return fault;
}

/* ------------------------------------------------------------------ the request */

static enum fault_id
version_parse(const char *p, const char *end, uint8_t *minor)
{
	if (end - p != 8 || memcmp(p, "HTTP/", 5) != 0 || p[6] != '.' || p[5] < '0' || p[5] > '9' ||
	    p[7] < '0' || p[7] > '9')
		return FAULT_VERSION;
	if (p[5] != '1')
		return FAULT_VERSION_MAJOR;
	/* A higher minor version is spoken to as the highest we know (RFC 9110 2.5). */
	*minor = p[7] == '0' ? 0 : 1;
	return FAULT_NONE;
}

/* http://authority/path: the authority is set aside, the rest is the target. */
static enum fault_id
target_absolute(struct head *h)
{
	struct msg *m = h->m;
	struct str t = m->target;
	uint32_t scheme = str_casestarts(t, STR("http://")) ? 7 : str_casestarts(t, STR("https://")) ? 8 : 0;
	uint32_t i = scheme;

	if (scheme == 0)
		return FAULT_TARGET;
	while (i < t.len && t.p[i] != '/' && t.p[i] != '?' && t.p[i] != '#')
		i++;
	h->absolute = (struct str){t.p + scheme, i - scheme};
	if (h->absolute.len == 0)
		return FAULT_HOST_MALFORMED;
	if (i == t.len) {
		m->target = m->path = m->method_id == METHOD_OPTIONS ? STR("*") : STR("/");
		return FAULT_NONE;
	}
	/* A query behind an empty path has no origin form in the bytes at hand, and no user. */
	if (t.p[i] != '/')
		return FAULT_TARGET;
	m->target = (struct str){t.p + i, t.len - i};
	m->path = (struct str){t.p + i, (uint32_t)(m->path.p + m->path.len - (t.p + i))};
	return FAULT_NONE;
}

static enum fault_id
request_line(struct lines *l)
{
	struct msg *m = l->head.m;
	const char *end = l->p + l->ends[0], *c = l->p, *t;
	enum fault_id fault;

	while (scan_is(*c, SCAN_TOKEN))
		c++;
	if (c == l->p || *c != ' ')
		return FAULT_METHOD;
	m->method = (struct str){l->p, (uint32_t)(c - l->p)};
	m->method_id = field_method(m->method);
	if (m->method_id == METHOD_CONNECT)
		return FAULT_CONNECT;
	t = ++c;
	while (scan_is(*c, SCAN_PATH))
		c++;
	m->path = (struct str){t, (uint32_t)(c - t)};
	while (scan_is(*c, SCAN_QUERY))
		c++;
	m->target = (struct str){t, (uint32_t)(c - t)};
	if (c == end)
		return FAULT_START_LINE;
	if (c == t || *c != ' ')
		return FAULT_TARGET;
	fault = version_parse(c + 1, end, &m->minor);
	if (fault != FAULT_NONE || likely(*t == '/'))
		return fault;
	if (str_eq(m->target, STR("*")))
		return m->method_id == METHOD_OPTIONS ? FAULT_NONE : FAULT_TARGET;
	return target_absolute(&l->head);
}

static enum fault_id
request_parse(struct lines *l)
{
	struct head *h = &l->head;
	enum fault_id fault;

	h->absolute.len = 0;
	h->close = false;
	h->m->tunnel = false;
	fault = request_line(l);
	if (fault == FAULT_NONE)
		fault = fields_parse(l, 1, DROP_ALWAYS | 1u << FIELD_LATTICE);
	if (fault == FAULT_NONE)
		fault = head_host(h);
	if (fault == FAULT_NONE)
		fault = framing_parse(h);
	if (fault == FAULT_NONE)
		fault = connection_parse(h);
	if (fault == FAULT_NONE)
		fault = head_expect(h);
	if (fault != FAULT_NONE)
		return fault;
	upgrade_parse(h);
	head_te(h);
	if (head_has(h, FIELD_REQUEST_ID))
		head_request_id(h);
	return FAULT_NONE;
}

int
h1_parse_request(struct msg *m, const char *p, size_t n, size_t *scanned, const struct fault **fault)
{
	struct lines l;
	enum fault_id id;
	size_t skip = 0;
	enum scan rc;

	/* A client may end a body with a line break too many (RFC 9112 2.2). */
	if (n > 0 && p[0] == '\r') {
		if (n == 1)
			return 0;
		skip = p[1] == '\n' ? 2 : 0;
	}
	l.head.m = m;
	l.p = p + skip;
	l.limit = p + n;
	rc = head_scan(&l, n - skip, scanned, &id);
	if (rc == SCAN_MORE)
		return 0;
	if (rc == SCAN_DONE)
		id = l.nlines == 0 ? FAULT_EMPTY_LINE : request_parse(&l);
	if (id == FAULT_NONE)
		return (int)(skip + *scanned);
	*fault = &head_request_faults[id];
	return -1;
}

/* ------------------------------------------------------------------ the answer */

/* HTTP/1.1 SP 3 digits [SP reason]; the last blank is often forgotten. */
static enum fault_id
status_line(struct lines *l)
{
	struct msg *m = l->head.m;
	const char *p = l->p, *end = p + l->ends[0];
	unsigned status = 0;
	enum fault_id fault;

	if (end - p < 12 || p[8] != ' ' || (end - p > 12 && p[12] != ' '))
		return FAULT_START_LINE;
	fault = version_parse(p, p + 8, &m->minor);
	if (fault != FAULT_NONE)
		return fault;
	for (int i = 9; i < 12; i++) {
		if (p[i] < '0' || p[i] > '9')
			return FAULT_STATUS;
		status = status * 10 + (unsigned)(p[i] - '0');
	}
	if (status < 100 || status > 599)
		return FAULT_STATUS;
	m->status = (uint16_t)status;
	p = MIN(p + 13, end);
	m->reason = (struct str){p, (uint32_t)(end - p)};
	return FAULT_NONE;
}

/* RFC 9112 6.3, for an answer to `method`. */
static enum fault_id
answer_framing(struct head *h, enum method method)
{
	struct msg *m = h->m;
	enum fault_id fault = framing_parse(h);
	bool framed = head_has(h, FIELD_CONTENT_LENGTH) || head_has(h, FIELD_TRANSFER_ENCODING);

	if (fault != FAULT_NONE)
		return fault;
	if (m->status < 200 || m->status == 204) {
		/* Announces what cannot be there: if it comes all the same, it is not the next answer. */
		if (m->body != BODY_NONE)
			h->close = true;
		m->body = BODY_NONE;
	} else if (method == METHOD_HEAD || m->status == 304) {
		m->body = BODY_NONE;
	} else if (!framed) {
		m->body = BODY_EOF;
		h->close = true;
	}
	return FAULT_NONE;
}

static enum fault_id
response_parse(struct lines *l, enum method method)
{
	struct head *h = &l->head;
	struct msg *m = h->m;
	enum fault_id fault = status_line(l);

	if (fault == FAULT_NONE)
		fault = fields_parse(l, 1, DROP_ALWAYS);
	h->close = false;
	if (fault == FAULT_NONE)
		fault = answer_framing(h, method);
	if (fault == FAULT_NONE)
		fault = connection_parse(h);
	if (fault != FAULT_NONE)
		return fault;
	m->upgrade = m->status == 101 && h->upgrade && head_has(h, FIELD_UPGRADE);
	if (m->upgrade)
		head_field(h, FIELD_UPGRADE)->drop = false;
	return FAULT_NONE;
}

int
h1_parse_response(struct msg *m, const char *p, size_t n, size_t *scanned, enum method request_method,
    const struct fault **fault)
{
	struct lines l;
	enum fault_id id;
	enum scan rc;

	l.head.m = m;
	l.p = p;
	l.limit = p + n;
	rc = head_scan(&l, n, scanned, &id);
	if (rc == SCAN_MORE)
		return 0;
	if (rc == SCAN_DONE)
		id = l.nlines == 0 ? FAULT_EMPTY_LINE : response_parse(&l, request_method);
	if (id == FAULT_NONE)
		return (int)*scanned;
	*fault = &head_response_faults[id];
	return -1;
}

/* ------------------------------------------------------------------ trailers */

int
h1_parse_trailers(struct msg *m, const char *p, size_t n, const struct fault **fault)
{
	struct lines l;
	struct scanner s = {p, MIN(n, (size_t)TRAILER_BYTES_MAX), 0, 0, FIELDS_MAX, l.ends, FAULT_NONE};
	enum scan rc = scan_lines(&s);

	m->nfields = 0;
	if (rc == SCAN_MORE && n >= TRAILER_BYTES_MAX)
		rc = scan_fault(&s, FAULT_TRAILERS_SIZE);
	if (rc == SCAN_MORE)
		return 0;
	if (rc == SCAN_DONE) {
		l.head.m = m;
		l.p = p;
		l.limit = p + n;
		l.nlines = s.nlines;
		s.fault = fields_parse(&l, 0, UINT32_MAX << FIELD_HOST);
	}
	if (s.fault != FAULT_NONE) {
		*fault = &head_request_faults[s.fault];
		return -1;
	}
	for (uint32_t i = 0; i < m->nfields; i++)
		m->fields[i].drop = m->fields[i].drop || field_is_bad_trailer(&m->fields[i]);
	return (int)s.at;
}
