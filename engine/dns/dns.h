/* dns.h - DNS messages (RFC 1035, 6891): queries are parsed strictly, answers are printed. No I/O, no clock.
 */
#ifndef DNS_H
#define DNS_H

#include "addr.h"

#define DNS_HEAD 12u
#define DNS_NAME_MAX 255u /* of a name on the wire */
#define DNS_UDP_MIN 512u  /* every client takes as much (RFC 1035) */
#define DNS_UDP_MAX 1232u /* and no more is sent: what passes every IPv6 path whole (DNS flag day 2020) */
#define DNS_MESSAGE_MAX 65535u /* TCP's length prefix */

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_SOA = 6,
	DNS_AAAA = 28,
	DNS_OPT = 41,
	DNS_META = 128, /* from here to 255 types of questions, not of records */
	DNS_ANY = 255,
};

#define DNS_IN 1u

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_BADVERS = 16, /* beyond the header's four bits: the rest stands in OPT */
};

struct dns_query {
	uint16_t id;
	uint8_t opcode;
	bool recursion;		 /* RD, repeated in the answer */
	const uint8_t *question; /* as it was asked, with its upper and lower case; NULL: unreadable */
	uint32_t question_len;
	uint16_t type, class;
	/* Lower case, without the last dot; the root is empty. A byte that no host name has (and a dot
	 * inside a label) is a '?'. */
	char name[DNS_NAME_MAX + 1];
	uint32_t name_len;
	bool edns;
	uint32_t udp_max; /* the longest answer over UDP, between DNS_UDP_MIN and DNS_UDP_MAX */
};

#define DNS_DROP (-1) /* not to be answered: too short for a header, or itself an answer */

/* DNS_NOERROR, DNS_DROP, or the code to answer with (FORMERR, NOTIMP, BADVERS). The query points into p. */
int dns_parse(struct dns_query *q, const void *p, size_t n);

/* An answer in the making. */
struct dns_answer {
	uint8_t *p;
	uint32_t len, max;
	uint32_t question_len;
	uint16_t answers, authorities;
	bool edns, cut;
	unsigned rcode;
};

struct dns_style {
	bool authoritative;
	bool recursive; /* a recursive service is offered */
};

/* room takes max bytes, at least DNS_UDP_MIN; what does not fit is left out and TC says so. */
void dns_begin(struct dns_answer *a, const struct dns_query *q, unsigned rcode, struct dns_style style,
    void *room, size_t max);
/* A or AAAA of the name asked for. */
void dns_add_address(struct dns_answer *a, uint32_t ttl_s, const struct addr *addr);
/* The zone is the last zone_len bytes of the name that was asked for, as text. */
void dns_add_soa(
    struct dns_answer *a, uint32_t zone_len, uint32_t ttl_s, uint32_t negative_ttl_s, bool authority);
void dns_add_ns(struct dns_answer *a, uint32_t zone_len, uint32_t ttl_s);
size_t dns_end(struct dns_answer *a); /* the length of the message */

/* What a server elsewhere sent is an answer to this query. */
bool dns_answers(const void *answer, size_t n, uint16_t id, const struct dns_query *q);

static inline uint16_t
dns_get16(const void *p)
{
	const uint8_t *b = p;

	return (uint16_t)(b[0] << 8 | b[1]);
}

static inline void
dns_put16(void *p, uint32_t v)
{
	uint8_t *b = p;

	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

#endif
