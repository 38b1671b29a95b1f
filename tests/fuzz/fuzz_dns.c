/* fuzz_dns.c - any bytes as a question: no byte is read too far, and every answer is a sound message.
 *
 * The first byte chooses what is answered; the rest are the bytes of the wire.
 */
#include "../../engine/dns/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Over a name of ours: labels, then the root or a pointer back. */
static size_t
skip_name(const uint8_t *p, size_t n, size_t at)
{
	for (;;) {
		assert(at < n);
		if (p[at] == 0)
			return at + 1;
		if (p[at] >= 0xc0) {
			assert(at + 1 < n && (dns_get16(p + at) & 0x3fffu) < at);
			return at + 2;
		}
		assert(p[at] < 64);
		at += p[at] + 1u;
	}
}

/* Reads an answer as a stranger would: every record whole, nothing behind the last. */
static void
check_answer(const uint8_t *p, size_t n, const struct dns_query *q)
{
	unsigned records = dns_get16(p + 6) + dns_get16(p + 8) + dns_get16(p + 10);
	size_t at = DNS_HEAD;

	assert(n >= DNS_HEAD && dns_get16(p) == q->id && (p[2] & 0x80) != 0);
	assert(dns_get16(p + 4) == (q->question != NULL));
	if (q->question != NULL)
		at = skip_name(p, n, at) + 4;
	for (; records > 0; records--) {
		at = skip_name(p, n, at);
		assert(at + 10 <= n);
		at += 10u + dns_get16(p + at + 8);
	}
	assert(at == n);
}

static void
answer(const struct dns_query *q, int rc, uint8_t choice)
{
	size_t max = choice & 1 ? 4096 : q->udp_max, n;
	uint32_t zone = choice % 32;
	uint8_t *room = xcalloc(1, max);
	struct dns_answer a;
	struct addr four, six;

	addr_parse(STR("169.254.171.7"), &four);
	addr_parse(STR("fd00:ec2:80::a9fe:ab07"), &six);
	dns_begin(&a, q, (unsigned)rc, (struct dns_style){choice & 2, choice & 4}, room, max);
	for (unsigned i = 0; rc == DNS_NOERROR && i < choice; i++)
		dns_add_address(&a, i, i & 1 ? &four : &six);
	/* A zone ends the name: it begins behind a dot or is all of it. */
	if (rc == DNS_NOERROR && zone > 0 &&
	    (zone == q->name_len || (zone < q->name_len && q->name[q->name_len - zone - 1] == '.'))) {
		dns_add_soa(&a, zone, 60, 5, choice & 8);
		dns_add_ns(&a, zone, 60);
	}
	n = dns_end(&a);
	assert(n <= max);
	check_answer(room, n, q);
	free(room);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_query q;
	uint8_t *p;
	int rc;

	if (size < 2)
		return 0;
	p = xcalloc(1, size - 1);
	memcpy(p, data + 1, size - 1);
	rc = dns_parse(&q, p, size - 1);
	assert(rc >= DNS_DROP);
	if (rc == DNS_NOERROR) {
		assert(q.name_len <= 253 && q.question_len <= DNS_NAME_MAX + 4);
		assert(q.udp_max >= DNS_UDP_MIN && q.udp_max <= DNS_UDP_MAX);
		for (uint32_t i = 0; i < q.name_len; i++)
			assert(q.name[i] > ' ' && q.name[i] < 0x7f && q.name[i] == ascii_lower(q.name[i]));
	}
	if (rc != DNS_DROP)
		answer(&q, rc, data[0]);
	if (rc == DNS_NOERROR)
		dns_answers(data + 1, size - 1, q.id, &q);
	free(p);
	return 0;
}
