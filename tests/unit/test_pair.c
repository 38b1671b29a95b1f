/* test_pair.c - the link-local addresses of services are in their ranges, agree, and stay. */
#include "../../fs/pair.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(pair, ipv6_ends_in_the_ipv4)
{
	for (unsigned i = 0; i < 2000; i++) {
		char name[16];
		struct addr pair[2];

		snprintf(name, sizeof(name), "s%u", i);
		pair_make("123456789012", str_of(name), pair);
		cr_assert(pair_has(&pair[0]) && pair_has(&pair[1]), "%s", name);
		cr_assert(
		    memcmp(&pair[1].in6.sin6_addr.s6_addr[12], &pair[0].in.sin_addr, 4) == 0, "%s", name);
	}
}

/* Written down: these must never change, since clients and name servers remember them. */
Test(pair, is_the_same_for_ever)
{
	static const struct {
		const char *account, *name, *v4, *v6;
	} rows[] = {
	    {"000000000000", "shop", "169.254.171.3", "fd00:ec2:80::a9fe:ab03"},
	    {"000000000000", "cart", "169.254.171.43", "fd00:ec2:80::a9fe:ab2b"},
	    {"123456789012", "shop", "169.254.171.88", "fd00:ec2:80::a9fe:ab58"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char text[ADDR_TEXT_MAX];
		struct addr pair[2];

		pair_make(rows[i].account, str_of(rows[i].name), pair);
		addr_print_host(&pair[0], text);
		cr_expect_str_eq(text, rows[i].v4);
		addr_print_host(&pair[1], text);
		cr_expect_str_eq(text, rows[i].v6);
	}
}

Test(pair, knows_its_own)
{
	static const struct {
		const char *addr;
		bool own;
	} rows[] = {{"169.254.171.1", true}, {"169.254.171.254:80", true}, {"169.254.171.0", false},
	    {"169.254.171.255", false}, {"169.254.172.1", false}, {"10.0.0.1", false},
	    {"fd00:ec2:80::a9fe:ab01", true}, {"[fd00:ec2:80::a9fe:ab01]:80", true},
	    {"fd00:ec2:81::a9fe:ab01", false}, {"fd00:ec2:80::a9fe:abff", false}, {"fd00:ec2:80::1", false}};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct addr a;

		cr_assert(addr_parse(str_of(rows[i].addr), &a) == 0);
		cr_expect(pair_has(&a) == rows[i].own, "%s", rows[i].addr);
	}
}

Test(pair, is_spread_over_the_range)
{
	bool seen[256] = {false};
	unsigned n = 0;

	for (unsigned i = 0; i < 2000; i++) {
		char name[16];
		struct addr pair[2];

		snprintf(name, sizeof(name), "svc-%u", i);
		pair_make("000000000000", str_of(name), pair);
		seen[ntohl(pair[0].in.sin_addr.s_addr) & 255] = true;
	}
	for (unsigned i = 0; i < 256; i++)
		n += seen[i];
	cr_expect(n > 240, "%u addresses of 254 used by 2000 services", n);
}
