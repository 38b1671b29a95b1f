/* test_dns.c - DNS messages: what is taken, what is refused, and how answers are printed. */
#include "../../engine/dns/dns.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>

#define Q_HEAD "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define Q_SHOP "\x04Shop\x07lattice\x08internal\x00"
#define Q_A "\x00\x01\x00\x01"
#define WITH_OPT "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01"
#define OPT_1232 "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"

#define WIRE(s) s, sizeof(s) - 1

static const struct addr *
address(const char *text)
{
	static struct addr a;

	cr_assert(addr_parse(str_of(text), &a) == 0);
	return &a;
}

Test(dns, parses_a_question)
{
	struct dns_query q;

	cr_assert(dns_parse(&q, WIRE(Q_HEAD Q_SHOP Q_A)) == DNS_NOERROR);
	cr_expect(q.id == 0x1234 && q.recursion && !q.edns && q.udp_max == 512);
	cr_expect(q.type == DNS_A && q.class == DNS_IN);
	cr_expect(str_eq((struct str){q.name, q.name_len}, STR("shop.lattice.internal")));
	cr_expect(q.question_len == sizeof(Q_SHOP Q_A) - 1 && memcmp(q.question, Q_SHOP, 5) == 0);
}

Test(dns, judges_every_message)
{
	static const struct {
		const char *p;
		size_t n;
		int want;
	} rows[] = {
	    {WIRE(""), DNS_DROP},
	    {WIRE("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00"), DNS_DROP},
	    {WIRE("\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00" Q_SHOP Q_A), DNS_DROP},   /* an answer */
	    {WIRE("\x12\x34\x28\x00\x00\x01\x00\x00\x00\x00\x00\x00" Q_SHOP Q_A), DNS_NOTIMP}, /* UPDATE */
	    {WIRE("\x12\x34\x03\x00\x00\x01\x00\x00\x00\x00\x00\x00" Q_SHOP Q_A), DNS_FORMERR}, /* TC */
	    {WIRE("\x12\x34\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), DNS_FORMERR},
	    {WIRE("\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00" Q_SHOP Q_A Q_SHOP Q_A), DNS_FORMERR},
	    {WIRE("\x12\x34\x01\x00\x00\x01\x00\x01\x00\x00\x00\x00" Q_SHOP Q_A), DNS_FORMERR},
	    {WIRE("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x01\x00\x00" Q_SHOP Q_A), DNS_FORMERR},
	    {WIRE(Q_HEAD), DNS_FORMERR},
	    {WIRE(Q_HEAD Q_SHOP "\x00\x01\x00"), DNS_FORMERR},
	    {WIRE(Q_HEAD "\x04sho"), DNS_FORMERR},
	    {WIRE(Q_HEAD "\x04shop"), DNS_FORMERR},
	    {WIRE(Q_HEAD "\xc0\x0c" Q_A), DNS_FORMERR},		   /* a pointer to itself */
	    {WIRE(Q_HEAD "\x40" Q_SHOP Q_A), DNS_FORMERR},	   /* an unknown kind of label */
	    {WIRE(Q_HEAD Q_SHOP Q_A "\x00"), DNS_FORMERR},	   /* something behind it */
	    {WIRE(Q_HEAD Q_SHOP "\x00\x29\x00\x01"), DNS_FORMERR}, /* asks for OPT */
	    {WIRE(Q_HEAD "\x00" Q_A), DNS_NOERROR},		   /* the root */
	    {WIRE(WITH_OPT Q_SHOP Q_A OPT_1232), DNS_NOERROR},
	    {WIRE(WITH_OPT Q_SHOP Q_A), DNS_FORMERR},
	    {WIRE(WITH_OPT Q_SHOP Q_A "\x00\x00\x29\x04\xd0\x00\x01\x00\x00\x00\x00"), DNS_BADVERS},
	    {WIRE(WITH_OPT Q_SHOP Q_A "\x01x\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"), DNS_FORMERR},
	    {WIRE(WITH_OPT Q_SHOP Q_A "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x06\x00\x0a\x00\x02"
				      "ab"),
		DNS_NOERROR},
	    {WIRE(WITH_OPT Q_SHOP Q_A "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x06\x00\x0a\x00\x03"
				      "ab"),
		DNS_FORMERR},
	    {WIRE(WITH_OPT Q_SHOP Q_A "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x01"), DNS_FORMERR},
	    {WIRE("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x02" Q_SHOP Q_A OPT_1232 OPT_1232),
		DNS_FORMERR},
	    {WIRE("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x02" Q_SHOP Q_A OPT_1232
		  "\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x00\x00\x01\x00"),
		DNS_NOERROR},
	};
	struct dns_query q;

	for (size_t i = 0; i < COUNT(rows); i++) {
		/* A copy of the right size, so that the sanitizer sees a byte read too far. */
		char *p = xcalloc(1, MAX(rows[i].n, 1u));
		int rc;

		memcpy(p, rows[i].p, rows[i].n);
		rc = dns_parse(&q, p, rows[i].n);
		cr_expect(rc == rows[i].want, "row %zu: %d, want %d", i, rc, rows[i].want);
		free(p);
	}
}

Test(dns, bounds_what_a_datagram_may_take)
{
	static const struct {
		const char *size;
		uint32_t want;
	} rows[] = {{"\x00\x00", 512}, {"\x02\x58", 600}, {"\x04\xd0", 1232}, {"\xff\xff", 1232}};
	char wire[] = WITH_OPT Q_SHOP Q_A OPT_1232;
	struct dns_query q;

	for (size_t i = 0; i < COUNT(rows); i++) {
		memcpy(wire + sizeof(wire) - 1 - 8, rows[i].size, 2);
		cr_assert(dns_parse(&q, wire, sizeof(wire) - 1) == DNS_NOERROR);
		cr_expect(q.udp_max == rows[i].want, "row %zu", i);
	}
}

Test(dns, takes_names_to_255_bytes_and_no_longer)
{
	struct dns_query q;

	for (unsigned last = 60; last <= 63; last++) {
		uint8_t wire[DNS_HEAD + 300] = Q_HEAD;
		size_t n = DNS_HEAD;

		for (unsigned i = 0; i < 4; i++) {
			wire[n++] = (uint8_t)(i == 3 ? last : 63);
			memset(wire + n, 'a', wire[n - 1]);
			n += wire[n - 1];
		}
		memcpy(wire + n, "\x00" Q_A, 5);
		n += 5;
		/* 3 * 64 + 1 + last + 1 bytes */
		cr_expect(
		    dns_parse(&q, wire, n) == (last <= 61 ? DNS_NOERROR : DNS_FORMERR), "last %u", last);
	}
}

Test(dns, keeps_odd_bytes_apart_from_dots)
{
	struct dns_query q;

	cr_assert(dns_parse(&q, WIRE(Q_HEAD "\x09shop.late\x03\x00 x\x00" Q_A)) == DNS_NOERROR);
	cr_expect(str_eq((struct str){q.name, q.name_len}, STR("shop?late.??x")));
}

Test(dns, prints_addresses_with_the_case_that_was_asked)
{
	static const char want[] =
	    "\x12\x34\x85\x80\x00\x01\x00\x02\x00\x00\x00\x00" Q_SHOP Q_A
	    "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xa9\xfe\xab\x05"
	    "\xc0\x0c\x00\x1c\x00\x01\x00\x00\x00\x3c\x00\x10\xfd\x00\x0e\xc2\x00\x80\x00\x00\x00"
	    "\x00\x00\x00\xa9\xfe\xab\x05";
	uint8_t room[DNS_UDP_MIN];
	struct dns_answer a;
	struct dns_query q;

	dns_parse(&q, WIRE(Q_HEAD Q_SHOP Q_A));
	dns_begin(&a, &q, DNS_NOERROR, (struct dns_style){true, true}, room, sizeof(room));
	dns_add_address(&a, 60, address("169.254.171.5"));
	dns_add_address(&a, 60, address("fd00:ec2:80::a9fe:ab05"));
	cr_assert(dns_end(&a) == sizeof(want) - 1);
	cr_expect(memcmp(room, want, sizeof(want) - 1) == 0);
}

Test(dns, prints_the_zone_of_a_name_that_is_not_there)
{
	static const char want[] = "\x12\x34\x85\x03\x00\x01\x00\x00\x00\x01\x00\x01" Q_SHOP Q_A
				   "\xc0\x11\x00\x06\x00\x01\x00\x00\x00\x05\x00\x26\xc0\x11\x06nobody\x07inv"
				   "alid\x00\x00\x00\x00\x01\x00\x00\x0e\x10"
				   "\x00\x00\x04\xb0\x00\x09\x3a\x80\x00\x00\x00\x05"
				   "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
	uint8_t room[DNS_UDP_MIN];
	struct dns_answer a;
	struct dns_query q;

	dns_parse(&q, WIRE(WITH_OPT Q_SHOP Q_A OPT_1232));
	dns_begin(&a, &q, DNS_NXDOMAIN, (struct dns_style){.authoritative = true}, room, sizeof(room));
	dns_add_soa(&a, sizeof("lattice.internal") - 1, 5, 5, true);
	cr_expect(dns_end(&a) == sizeof(want) - 1);
	cr_expect(memcmp(room, want, sizeof(want) - 1) == 0);
}

Test(dns, says_when_not_all_fits)
{
	static const struct {
		unsigned naddrs;
		bool edns, cut;
	} rows[] = {
	    {28, false, false}, {29, false, false}, {30, false, true}, {28, true, false}, {29, true, true}};
	uint8_t room[DNS_UDP_MIN];
	struct dns_answer a;
	struct dns_query q;

	/* 12 + 27 bytes, then 16 an address; OPT takes 11. */
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t n;

		if (rows[i].edns)
			dns_parse(&q, WIRE(WITH_OPT Q_SHOP Q_A OPT_1232));
		else
			dns_parse(&q, WIRE(Q_HEAD Q_SHOP Q_A));
		dns_begin(&a, &q, DNS_NOERROR, (struct dns_style){0}, room, sizeof(room));
		for (unsigned k = 0; k < rows[i].naddrs; k++)
			dns_add_address(&a, 60, address("10.0.0.1"));
		n = dns_end(&a);
		cr_expect(n <= sizeof(room) && ((room[2] & 2) != 0) == rows[i].cut, "row %zu", i);
		cr_expect(dns_get16(room + 6) == rows[i].naddrs - rows[i].cut, "row %zu", i);
	}
}

Test(dns, tells_a_bad_version_in_both_parts)
{
	uint8_t room[DNS_UDP_MIN];
	struct dns_answer a;
	struct dns_query q;
	size_t n;

	dns_parse(&q, WIRE(WITH_OPT Q_SHOP Q_A "\x00\x00\x29\x04\xd0\x00\x01\x00\x00\x00\x00"));
	dns_begin(&a, &q, DNS_BADVERS, (struct dns_style){0}, room, sizeof(room));
	n = dns_end(&a);
	cr_expect((room[3] & 15) == 0 && room[n - 6] == 1);
}

Test(dns, knows_the_answer_to_its_question)
{
	static const char good[] = "\x12\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00" Q_SHOP Q_A;
	static const struct {
		size_t at;
		char with;
		bool want;
	} rows[] = {{0, 0x12, true}, {1, 0x35, false}, {2, 0x01, false}, {5, 0, false}, {13, 's', false},
	    {37, 2, false}};
	struct dns_query q;

	dns_parse(&q, WIRE(Q_HEAD Q_SHOP Q_A));
	for (size_t i = 0; i < COUNT(rows); i++) {
		char p[sizeof(good)];

		memcpy(p, good, sizeof(good));
		p[rows[i].at] = rows[i].with;
		cr_expect(dns_answers(p, sizeof(good) - 1, 0x1234, &q) == rows[i].want, "row %zu", i);
	}
	cr_expect(!dns_answers(good, sizeof(good) - 2, 0x1234, &q));
}
