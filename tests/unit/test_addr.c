/* test_addr.c - addr.h */
#include "addr.h"
#include <criterion/criterion.h>
#include <errno.h>

Test(addr, reads_and_prints_addresses)
{
	static const struct {
		const char *text, *want, *host;
		uint16_t port;
	} rows[] = {
	    {"10.0.0.5", "10.0.0.5", "10.0.0.5", 0},
	    {"10.0.0.5:80", "10.0.0.5:80", "10.0.0.5", 80},
	    {"0.0.0.0:65535", "0.0.0.0:65535", "0.0.0.0", 65535},
	    {"fd00::5", "fd00::5", "fd00::5", 0},
	    {"[fd00::5]", "fd00::5", "fd00::5", 0},
	    {"[fd00::5]:8080", "[fd00::5]:8080", "fd00::5", 8080},
	    {"FD00:0:0:0:0:0:0:5", "fd00::5", "fd00::5", 0},
	    {"::", "::", "::", 0},
	    {"[::1]:1", "[::1]:1", "::1", 1},
	    {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1", 0},
	    {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1", "2001:0:0:1::1", 0},
	    {"[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535",
		"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		65535},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct addr a, b;
		char text[ADDR_TEXT_MAX];

		cr_assert(addr_parse(str_of(rows[i].text), &a) == 0, "row %zu", i);
		cr_expect(addr_port(&a) == rows[i].port, "row %zu", i);
		addr_print(&a, text);
		cr_expect(strcmp(text, rows[i].want) == 0, "row %zu: %s", i, text);
		cr_expect(addr_parse(str_of(text), &b) == 0 && addr_eq(&a, &b), "row %zu", i);
		addr_print_host(&a, text);
		cr_expect(strcmp(text, rows[i].host) == 0, "row %zu: %s", i, text);
	}
}

Test(addr, refuses_everything_else)
{
	static const char *const rows[] = {"", " ", "localhost", "10.0.0", "10.0.0.5.6", "10.0.0.256",
	    "010.0.0.1", "10.0.0.5:", "10.0.0.5:0", "10.0.0.5:65536", "10.0.0.5:080", "10.0.0.5:+80",
	    "10.0.0.5:80 ", " 10.0.0.5", "0x7f.0.0.1", "127.1", "[10.0.0.5]", "[10.0.0.5]:80", "[fd00::5",
	    "fd00::5]", "[]", "[]:80", "[fd00::5]80", "[fd00::5]:", "[fd00::5]:0", "[fd00::5]x",
	    "fe80::1%eth0", "[fe80::1%1]:80", "fd00::5::1", "1:2:3:4:5:6:7:8:9", "12345::", ":", "::g",
	    "[[::1]]"};
	struct addr a;

	for (size_t i = 0; i < COUNT(rows); i++)
		cr_expect(addr_parse(str_of(rows[i]), &a) == -EINVAL, "%s", rows[i]);
	cr_expect(addr_parse((struct str){"10.0.0.5\0", 9}, &a) == -EINVAL);
}

Test(addr, compares_family_address_and_port)
{
	static const struct {
		const char *a, *b;
		bool eq;
	} rows[] = {
	    {"10.0.0.5:80", "10.0.0.5:80", true},
	    {"10.0.0.5:80", "10.0.0.5:81", false},
	    {"10.0.0.5:80", "10.0.0.6:80", false},
	    {"[::1]:80", "[::1]:80", true},
	    {"[::1]:80", "[::2]:80", false},
	    {"0.0.0.0:80", "[::]:80", false},
	    {"[::ffff:10.0.0.5]:80", "10.0.0.5:80", false},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct addr a, b;

		cr_assert(addr_parse(str_of(rows[i].a), &a) == 0 && addr_parse(str_of(rows[i].b), &b) == 0);
		cr_expect(addr_eq(&a, &b) == rows[i].eq, "row %zu", i);
	}
}

Test(addr, sets_the_port_and_knows_its_length)
{
	struct addr a;

	cr_assert(addr_parse(STR("10.0.0.5"), &a) == 0);
	addr_set_port(&a, 443);
	cr_expect(addr_port(&a) == 443 && addr_len(&a) == sizeof(struct sockaddr_in));
	cr_assert(addr_parse(STR("::1"), &a) == 0);
	addr_set_port(&a, 443);
	cr_expect(addr_port(&a) == 443 && addr_len(&a) == sizeof(struct sockaddr_in6));
}
