/* h1.c - HTTP/1.1 and 1.0 heads: parse, and the decisions of RFC 9112 about framing.
 *
 * A head is looked at twice. The first pass goes over it sixteen bytes at a time, refuses control
 * bytes, lone CRs and LFs, and notes where the lines end; the second takes the lines apart and need
 * not look at values again. Whatever two parsers could read differently is a fault, one row each.
 */
#include "h1.h"
#include "addr.h"
#include "field.h"
#include "scan.h"
#include <errno.h>

/* name of the enum, status to a client, name for counters; a target's fault is always 502 */
#define FAULTS(X)                                        \
	X(CONTROL, 400, "control_byte")                  \
	X(LONE_CR, 400, "lone_cr")                       \
	X(LONE_LF, 400, "lone_lf")                       \
	X(HEAD_SIZE, 431, "head_too_large")              \
	X(FIELD_COUNT, 431, "too_many_fields")           \
	X(EMPTY_LINE, 400, "empty_line")                 \
	X(START_LINE, 400, "start_line")                 \
	X(METHOD, 400, "method")                         \
	X(CONNECT, 501, "connect")                       \
	X(TARGET, 400, "target")                         \
	X(VERSION, 400, "version")                       \
	X(VERSION_MAJOR, 505, "version_major")           \
	X(FOLD, 400, "folded_line")                      \
	X(FIELD_NAME, 400, "field_name")                 \
	X(BLANK_BEFORE_COLON, 400, "blank_before_colon") \
	X(FRAMING_LOOKALIKE, 400, "framing_lookalike")   \
	X(HOST_MISSING, 400, "host_missing")             \
	X(HOST_REPEATED, 400, "host_repeated")           \
	X(HOST_MALFORMED, 400, "host_malformed")         \
	X(HOST_DIFFERS, 400, "host_differs")             \
	X(LENGTH_REPEATED, 400, "length_repeated")       \
	X(LENGTH_MALFORMED, 400, "length_malformed")     \
	X(LENGTH_TOO_LARGE, 413, "length_too_large")     \
	X(LENGTH_AND_CODING, 400, "length_and_coding")   \
	X(CODING_IN_1_0, 400, "coding_in_http_1_0")      \
	X(CODING_MALFORMED, 400, "coding_malformed")     \
	X(CODING_UNKNOWN, 501, "coding_unknown")         \
	X(CONNECTION_OPTIONS, 400, "connection_options") \
	X(EXPECT, 417, "expect")                         \
	X(STATUS, 400, "status")                         \
	X(TRAILERS_SIZE, 431, "trailers_too_large")

#define X(id, status, name) FAULT_##id,
enum fault_id { FAULT_NONE = -1, FAULTS(X) };
#undef X

#define X(id, status, name) {status, name},
static const struct fault request_faults[] = {FAULTS(X)};
#undef X

#define X(id, status, name) {502, name},
static const struct fault response_faults[] = {FAULTS(X)};
#undef X

/* What is known of a head while it is taken apart. */
struct head {
	struct msg *m;
	const char *p, *limit; /* of the bytes there are */
	struct str absolute;   /* the authority of an absolute target */
	uint32_t nlines;
	uint32_t seen, repeated;	 /* 1 << enum field_id */
	bool close, keep_alive, upgrade; /* options in Connection */
	uint8_t at[FIELD_LATTICE + 1];	 /* the last field of a kind, where seen */
	uint16_t ends[FIELDS_MAX + 1];	 /* of lines: where their CR is */
};

_Static_assert(HEAD_BYTES_MAX <= UINT16_MAX, "offsets of a head fit 16 bits");

static inline bool
head_has(const struct head *h, enum field_id id)
{
	return (h->seen >> id & 1) != 0;
}

static inline struct field *
head_field(const struct head *h, enum field_id id)
{
	return &h->m->fields[h->at[id]];
}

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
head_scan(struct head *h, size_t n, size_t *scanned, enum fault_id *fault)
{
	struct scanner s = {h->p, MIN(n, (size_t)HEAD_BYTES_MAX), *scanned & UINT32_MAX,
	    (uint32_t)(*scanned >> 32), FIELDS_MAX + 1, h->ends, FAULT_NONE};
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
	h->nlines = s.nlines;
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
fields_parse(struct head *h, uint32_t first, uint32_t drop)
{
	struct msg *m = h->m;
	const char *p = first == 0 ? h->p : h->p + h->ends[first - 1] + 2;

	m->nfields = h->nlines - first;
	h->seen = h->repeated = 0;
	for (uint32_t i = 0; i < m->nfields; i++) {
		struct field *f = &m->fields[i];
		const char *end = h->p + h->ends[first + i];
		enum fault_id fault = field_parse(f, p, end, h->limit);
		enum field_id id;

		if (unlikely(fault != FAULT_NONE))
			return fault;
		id = field_identify(f->name);
		if (unlikely(id == FIELD_LOOKALIKE))
			return FAULT_FRAMING_LOOKALIKE;
		f->id = (uint8_t)id;
		f->drop = (drop >> id & 1) != 0;
		h->repeated |= h->seen & 1u << id;
		h->seen |= 1u << id;
		h->at[id] = (uint8_t)i;
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

/* Is there a field of this kind that lists the word? */
static bool
lists(const struct msg *m, enum field_id id, struct str word)
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
		     !lists(m, FIELD_UPGRADE, STR("h2c"));
	if (m->upgrade)
		head_field(h, FIELD_UPGRADE)->drop = false;
}

static void
te_parse(struct head *h)
{
	if (!head_has(h, FIELD_TE) || !lists(h->m, FIELD_TE, STR("trailers")))
		return;
	/* The only member that can mean anything beyond the next hop. */
	head_field(h, FIELD_TE)->value = STR("trailers");
	head_field(h, FIELD_TE)->drop = false;
}

static enum fault_id
expect_parse(struct head *h)
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
length_parse(struct head *h)
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

static enum fault_id
framing_parse(struct head *h)
{
	enum fault_id fault;

	h->m->body = BODY_NONE;
	h->m->length = 0;
	if (!head_has(h, FIELD_TRANSFER_ENCODING))
		return head_has(h, FIELD_CONTENT_LENGTH) ? length_parse(h) : FAULT_NONE;
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
request_line(struct head *h)
{
	struct msg *m = h->m;
	const char *end = h->p + h->ends[0], *c = h->p, *t;
	enum fault_id fault;

	while (scan_is(*c, SCAN_TOKEN))
		c++;
	if (c == h->p || *c != ' ')
		return FAULT_METHOD;
	m->method = (struct str){h->p, (uint32_t)(c - h->p)};
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
	return target_absolute(h);
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

static enum fault_id
host_parse(struct head *h)
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
	return authority_parse(m->authority, &m->host) ? FAULT_NONE : FAULT_HOST_MALFORMED;
}

/* One request id, of a length that a log can bear; an empty one is none. */
#define REQUEST_ID_MAX 512u

static void
request_id_parse(struct head *h)
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

static enum fault_id
request_parse(struct head *h)
{
	enum fault_id fault;

	h->absolute.len = 0;
	h->close = false;
	fault = request_line(h);
	if (fault == FAULT_NONE)
		fault = fields_parse(h, 1, DROP_ALWAYS | 1u << FIELD_LATTICE);
	if (fault == FAULT_NONE)
		fault = host_parse(h);
	if (fault == FAULT_NONE)
		fault = framing_parse(h);
	if (fault == FAULT_NONE)
		fault = connection_parse(h);
	if (fault == FAULT_NONE)
		fault = expect_parse(h);
	if (fault != FAULT_NONE)
		return fault;
	upgrade_parse(h);
	te_parse(h);
	if (head_has(h, FIELD_REQUEST_ID))
		request_id_parse(h);
	return FAULT_NONE;
}

int
h1_parse_request(struct msg *m, const char *p, size_t n, size_t *scanned, const struct fault **fault)
{
	struct head h;
	enum fault_id id;
	size_t skip = 0;
	enum scan rc;

	/* A client may end a body with a line break too many (RFC 9112 2.2). */
	if (n > 0 && p[0] == '\r') {
		if (n == 1)
			return 0;
		skip = p[1] == '\n' ? 2 : 0;
	}
	h.m = m;
	h.p = p + skip;
	h.limit = p + n;
	rc = head_scan(&h, n - skip, scanned, &id);
	if (rc == SCAN_MORE)
		return 0;
	if (rc == SCAN_DONE)
		id = h.nlines == 0 ? FAULT_EMPTY_LINE : request_parse(&h);
	if (id == FAULT_NONE)
		return (int)(skip + *scanned);
	*fault = &request_faults[id];
	return -1;
}

/* ------------------------------------------------------------------ the answer */

/* HTTP/1.1 SP 3 digits [SP reason]; the last blank is often forgotten. */
static enum fault_id
status_line(struct head *h)
{
	struct msg *m = h->m;
	const char *p = h->p, *end = p + h->ends[0];
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
response_parse(struct head *h, enum method method)
{
	struct msg *m = h->m;
	enum fault_id fault = status_line(h);

	if (fault == FAULT_NONE)
		fault = fields_parse(h, 1, DROP_ALWAYS);
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
	struct head h;
	enum fault_id id;
	enum scan rc;

	h.m = m;
	h.p = p;
	h.limit = p + n;
	rc = head_scan(&h, n, scanned, &id);
	if (rc == SCAN_MORE)
		return 0;
	if (rc == SCAN_DONE)
		id = h.nlines == 0 ? FAULT_EMPTY_LINE : response_parse(&h, request_method);
	if (id == FAULT_NONE)
		return (int)*scanned;
	*fault = &response_faults[id];
	return -1;
}

/* ------------------------------------------------------------------ trailers */

int
h1_parse_trailers(struct msg *m, const char *p, size_t n, const struct fault **fault)
{
	struct head h;
	struct scanner s = {p, MIN(n, (size_t)TRAILER_BYTES_MAX), 0, 0, FIELDS_MAX, h.ends, FAULT_NONE};
	enum scan rc = scan_lines(&s);

	m->nfields = 0;
	if (rc == SCAN_MORE && n >= TRAILER_BYTES_MAX)
		rc = scan_fault(&s, FAULT_TRAILERS_SIZE);
	if (rc == SCAN_MORE)
		return 0;
	if (rc == SCAN_DONE) {
		h.m = m;
		h.p = p;
		h.limit = p + n;
		h.nlines = s.nlines;
		s.fault = fields_parse(&h, 0, UINT32_MAX << FIELD_HOST);
	}
	if (s.fault != FAULT_NONE) {
		*fault = &request_faults[s.fault];
		return -1;
	}
	for (uint32_t i = 0; i < m->nfields; i++)
		m->fields[i].drop = m->fields[i].drop || field_is_bad_trailer(&m->fields[i]);
	return (int)s.at;
}
