/* dns.c - a small strict codec: one question, no compression in it, nothing behind the last record.
 *
 * Our answers need few forms: addresses of the name asked for, and SOA and NS of one zone, whose name is
 * always the end of the name asked for. So every owner is a pointer into the question, and its case is kept.
 */
#include "dns.h"

#define FLAG_QR 0x8000u
#define FLAG_AA 0x0400u
#define FLAG_TC 0x0200u
#define FLAG_RD 0x0100u
#define FLAG_RA 0x0080u
#define POINTER 0xc000u
#define OPT_LEN 11u /* of ours: root, type, size, extended code, no options */

#define SOA_REFRESH 3600u
#define SOA_RETRY 1200u
#define SOA_EXPIRE 604800u

/* ------------------------------------------------------------------ reading */

struct reader {
	const uint8_t *p;
	size_t n, at;
};

/* A name without compression into text; false: it is none. */
static bool
read_question_name(struct reader *r, struct dns_query *q)
{
	size_t start = r->at;

	q->name_len = 0;
	while (r->at < r->n) {
		uint8_t len = r->p[r->at++];

		if (r->at - start + len > DNS_NAME_MAX || len > r->n - r->at || len > 63)
			return false;
		if (len == 0)
			return true;
		if (q->name_len > 0)
			q->name[q->name_len++] = '.';
		for (uint8_t i = 0; i < len; i++) {
			char c = (char)r->p[r->at++];

			q->name[q->name_len++] = c > ' ' && c < 0x7f && c != '.' ? ascii_lower(c) : '?';
		}
	}
	return false;
}

/* Over the owner of a record, which may be compressed. */
static bool
skip_name(struct reader *r)
{
	while (r->at < r->n) {
		uint8_t len = r->p[r->at++];

		if (len == 0)
			return true;
		if (len >= 0xc0)
			return r->at++ < r->n;
		if (len > 63 || len > r->n - r->at)
			return false;
		r->at += len;
	}
	return false;
}

/* The options of OPT: a code and a length each, which must come out even. */
static bool
options_fit(const uint8_t *p, size_t n)
{
	while (n > 0) {
		if (n < 4 || dns_get16(p + 2) > n - 4)
			return false;
		n -= 4u + dns_get16(p + 2);
		p += 4u + dns_get16(p + 2);
	}
	return true;
}

/* One record of the additional section: OPT is taken, others are passed over. */
static int
read_additional(struct reader *r, struct dns_query *q, bool *bad_version)
{
	size_t owner = r->at, room;
	const uint8_t *fixed;

	if (!skip_name(r) || r->n - r->at < 10)
		return DNS_FORMERR;
	fixed = r->p + r->at;
	r->at += 10;
	room = r->n - r->at;
	if (dns_get16(fixed + 8) > room)
		return DNS_FORMERR;
	r->at += dns_get16(fixed + 8);
	if (dns_get16(fixed) != DNS_OPT)
		return DNS_NOERROR;
	if (q->edns || r->p[owner] != 0 || !options_fit(fixed + 10, dns_get16(fixed + 8)))
		return DNS_FORMERR;
	q->edns = true;
	q->udp_max = MAX(DNS_UDP_MIN, MIN(DNS_UDP_MAX, dns_get16(fixed + 2)));
	*bad_version = fixed[5] != 0;
	return DNS_NOERROR;
}

int
dns_parse(struct dns_query *q, const void *p, size_t n)
{
	struct reader r = {p, n, DNS_HEAD};
	const uint8_t *head = p;
	bool bad_version = false;
	uint16_t flags;

	if (n < DNS_HEAD || n > DNS_MESSAGE_MAX)
		return DNS_DROP;
	flags = dns_get16(head + 2);
	if (flags & FLAG_QR)
		return DNS_DROP;
	*q = (struct dns_query){.id = dns_get16(head),
	    .opcode = flags >> 11 & 15,
	    .recursion = flags & FLAG_RD,
	    .udp_max = DNS_UDP_MIN};
	if (q->opcode != 0)
		return DNS_NOTIMP;
	if (dns_get16(head + 4) != 1 || dns_get16(head + 6) != 0 || dns_get16(head + 8) != 0 ||
	    flags & FLAG_TC)
		return DNS_FORMERR;
	if (!read_question_name(&r, q) || n - r.at < 4)
		return DNS_FORMERR;
	q->type = dns_get16(head + r.at);
	q->class = dns_get16(head + r.at + 2);
	r.at += 4;
	q->question = head + DNS_HEAD;
	q->question_len = (uint32_t)(r.at - DNS_HEAD);
	for (unsigned i = dns_get16(head + 10); i > 0; i--) {
		if (read_additional(&r, q, &bad_version) != DNS_NOERROR)
			return DNS_FORMERR;
	}
	if (r.at != n || q->type == DNS_OPT)
		return DNS_FORMERR;
	return bad_version ? DNS_BADVERS : DNS_NOERROR;
}

bool
dns_answers(const void *answer, size_t n, uint16_t id, const struct dns_query *q)
{
	const uint8_t *p = answer;

	return n >= DNS_HEAD + q->question_len && dns_get16(p) == id && (dns_get16(p + 2) & FLAG_QR) != 0 &&
	       dns_get16(p + 4) == 1 && memcmp(p + DNS_HEAD, q->question, q->question_len) == 0;
}

/* ------------------------------------------------------------------ printing */

static void
put32(uint8_t *p, uint32_t v)
{
	dns_put16(p, v >> 16);
	dns_put16(p + 2, v & 0xffff);
}

void
dns_begin(struct dns_answer *a, const struct dns_query *q, unsigned rcode, struct dns_style style, void *room,
    size_t max)
{
	uint32_t flags = FLAG_QR | (uint32_t)q->opcode << 11 | (q->recursion ? FLAG_RD : 0);

	assert(max >= DNS_UDP_MIN && max <= DNS_MESSAGE_MAX);
	assert(q->question_len <= DNS_NAME_MAX + 4);
	*a = (struct dns_answer){.p = room,
	    .len = DNS_HEAD + q->question_len,
	    .max = (uint32_t)max - (q->edns ? OPT_LEN : 0),
	    .question_len = q->question_len,
	    .edns = q->edns,
	    .rcode = rcode};
	memset(room, 0, DNS_HEAD);
	flags |= (style.authoritative ? FLAG_AA : 0) | (style.recursive ? FLAG_RA : 0) | (rcode & 15);
	dns_put16(a->p, q->id);
	dns_put16(a->p + 2, flags);
	dns_put16(a->p + 4, q->question != NULL);
	if (q->question != NULL)
		memcpy(a->p + DNS_HEAD, q->question, q->question_len);
}

/* A record with room for its data, or NULL: it does not fit, nor may anything behind it. */
static uint8_t *
add_record(struct dns_answer *a, uint32_t owner, uint16_t type, uint32_t ttl_s, uint16_t len)
{
	uint8_t *p = a->p + a->len;

	if (a->cut || a->max - a->len < 12u + len) {
		a->cut = true;
		return NULL;
	}
	dns_put16(p, POINTER | owner);
	dns_put16(p + 2, type);
	dns_put16(p + 4, DNS_IN);
	put32(p + 6, ttl_s);
	dns_put16(p + 10, len);
	a->len += 12u + len;
	return p + 12;
}

void
dns_add_address(struct dns_answer *a, uint32_t ttl_s, const struct addr *addr)
{
	bool six = addr->sa.sa_family == AF_INET6;
	uint8_t *data = add_record(a, DNS_HEAD, six ? DNS_AAAA : DNS_A, ttl_s, six ? 16 : 4);

	assert(six || addr->sa.sa_family == AF_INET);
	if (data == NULL)
		return;
	memcpy(
	    data, six ? (const void *)&addr->in6.sin6_addr : (const void *)&addr->in.sin_addr, six ? 16 : 4);
	a->answers++;
}

/* Where in the message the zone's name begins: before the root, the type and the class. */
static uint32_t
zone_at(const struct dns_answer *a, uint32_t zone_len)
{
	/* As text a name is as long as on the wire without the first length and the root. */
	assert(zone_len > 0 && zone_len + 6 <= a->question_len);
	return DNS_HEAD + a->question_len - 6 - zone_len;
}

void
dns_add_soa(struct dns_answer *a, uint32_t zone_len, uint32_t ttl_s, uint32_t negative_ttl_s, bool authority)
{
	/* As in an empty zone (RFC 6303): the zone is its own server and nobody answers mail for it. */
	static const uint8_t mail[] = "\6nobody\7invalid";
	uint32_t zone = zone_at(a, zone_len);
	uint8_t *data = add_record(a, zone, DNS_SOA, ttl_s, 2 + sizeof(mail) + 20);

	if (data == NULL)
		return;
	dns_put16(data, POINTER | zone);
	memcpy(data + 2, mail, sizeof(mail));
	data += 2 + sizeof(mail);
	put32(data, 1);
	put32(data + 4, SOA_REFRESH);
	put32(data + 8, SOA_RETRY);
	put32(data + 12, SOA_EXPIRE);
	put32(data + 16, negative_ttl_s);
	if (authority)
		a->authorities++;
	else
		a->answers++;
}

void
dns_add_ns(struct dns_answer *a, uint32_t zone_len, uint32_t ttl_s)
{
	uint32_t zone = zone_at(a, zone_len);
	uint8_t *data = add_record(a, zone, DNS_NS, ttl_s, 2);

	if (data == NULL)
		return;
	dns_put16(data, POINTER | zone);
	a->answers++;
}

size_t
dns_end(struct dns_answer *a)
{
	uint8_t *p = a->p + a->len;

	if (a->cut)
		dns_put16(a->p + 2, dns_get16(a->p + 2) | FLAG_TC);
	dns_put16(a->p + 6, a->answers);
	dns_put16(a->p + 8, a->authorities);
	dns_put16(a->p + 10, a->edns);
	if (!a->edns)
		return a->len;
	memset(p, 0, OPT_LEN);
	dns_put16(p + 1, DNS_OPT);
	dns_put16(p + 3, DNS_UDP_MAX);
	p[5] = (uint8_t)(a->rcode >> 4);
	return a->len += OPT_LEN;
}
