/* test_parse.c - texts of attribute files: judged whole, and as far as they are written. */
#include "judge.h"
#include "limits.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

Test(parse, reads_single_values)
{
	static const struct row rows[] = {
	    {LISTENER "port", "80\n", 0, 0, NULL},
	    {LISTENER "port", "80", 0, 0, NULL},
	    {LISTENER "port", "  80\t\r\n\n", 0, 0, NULL},
	    {LISTENER "port", "# the port\n80\n", 0, 0, NULL},
	    {LISTENER "port", "0\n", 1, 1, "port must be a number from 1 to 65535, not '0'"},
	    {LISTENER "port", "65536\n", 1, 1, "port must be a number from 1 to 65535, not '65536'"},
	    {LISTENER "port", " -1\n", 1, 2, "port must be a number from 1 to 65535, not '-1'"},
	    {LISTENER "port", "80 81\n", 1, 1, "port must be a number from 1 to 65535, not '80 81'"},
	    {LISTENER "port", "80\n81\n", 2, 1, "only one line can stand in port"},
	    {LISTENER "port", "", 0, 0, "port must not be empty"},
	    {LISTENER "port", "\n \n", 0, 0, "port must not be empty"},
	    {RULE "priority", "2001\n", 1, 1, "priority must be a number from 1 to 2000, not '2001'"},
	    {"services/shop/idle-timeout", "", 0, 0, NULL},
	    {"services/shop/idle-timeout", "86400\n", 0, 0, NULL},
	    {"services/shop/idle-timeout", "86401\n", 1, 1,
		"idle-timeout must be a number from 1 to 86400, not '86401'"},
	    {LISTENER "protocol", "http\n", 0, 0, NULL},
	    {LISTENER "protocol", "HTTPS\n", 0, 0, NULL},
	    {LISTENER "protocol", "tls_passthrough\n", 0, 0, NULL},
	    {LISTENER "protocol", "HTPT\n", 1, 1,
		"protocol must be HTTP, HTTPS or TLS_PASSTHROUGH, not 'HTPT' (did you mean 'HTTP'?)"},
	    {GROUP "type", "ip\n", 0, 0, NULL},
	    {GROUP "protocol", "https\n", 0, 0, NULL},
	    {GROUP "protocol", "TCP\n", 0, 0, NULL},
	    {GROUP "protocol", "TLS\n", 1, 1,
		"protocol must be HTTP, HTTPS or TCP, not 'TLS' (did you mean 'TCP'?)"},
	    {GROUP "protocol-version", "GRPC\n", 0, 0, NULL},
	    {GROUP "protocol-version", "HTTP3\n", 1, 1,
		"protocol-version must be HTTP1, HTTP2 or GRPC, not 'HTTP3' (did you mean 'HTTP1'?)"},
	    {GROUP "verify", "system\n", 0, 0, NULL},
	    {GROUP "verify", "true\n", 1, 1, "verify must be NONE or SYSTEM, not 'true'"},
	    {GROUP "vpc", "local\n", 0, 0, NULL},
	    {GROUP "vpc", "Local\n", 1, 1,
		"'Local' is no VPC: a VPC name is made of lower-case letters, digits and single inner "
		"hyphens"},
	    {"vpcs/local/netns", "host\n", 0, 0, NULL},
	    {"vpcs/local/netns", "blue\n", 0, 0, NULL},
	    {"vpcs/local/netns", "/proc/1/ns/net\n", 0, 0, NULL},
	    {"vpcs/local/netns", "a/b\n", 1, 1, "netns 'a/b' is no name: a path begins with '/'"},
	    {"vpcs/local/netns", "..\n", 1, 1, "netns '..' is no name"},
	    {"vpcs/local/netns", "a b\n", 1, 2, "netns 'a b' has a blank or a control character in it"},
	    {"networks/main/auth-type", "NONE\n", 0, 0, NULL},
	    {"networks/main/auth-type", "AWS_IAM\n", 1, 1, "auth-type AWS_IAM is not supported yet"},
	    {"services/shop/auth-policy", "{}\n", 1, 1, "auth-policy is not supported yet"},
	    {LISTENER "port",
		"\xef\xbb\xbf"
		"80\n",
		1, 1, "the text begins with a byte order mark: save it as UTF-8 without one"},
	};

	judge_rows(rows, COUNT(rows));
}

Test(parse, reads_actions)
{
	static const struct row rows[] = {
	    {RULE "action", "forward = blue:90 green:10\n", 0, 0, NULL},
	    {RULE "action", "forward: blue\n", 0, 0, NULL},
	    {RULE "action", "  forward=blue ; and no more\n", 0, 0, NULL},
	    {RULE "action", "# so\n; it is\nforward = a:0 b c d e f g h i j:999\n", 0, 0, NULL},
	    {RULE "action", "fixed-response = 404\n", 0, 0, NULL},
	    {RULE "action", "fixed-response = 199\n", 1, 18,
		"fixed-response must be a number from 200 to 599, not '199'"},
	    {RULE "action", "fixed-response = 600\n", 1, 18,
		"fixed-response must be a number from 200 to 599, not '600'"},
	    {RULE "action", "foward = blue\n", 1, 1, "unknown key 'foward' (did you mean 'forward'?)"},
	    {RULE "action", "forward blue\n", 1, 13, "'=' is missing: a line is written KEY = VALUE"},
	    {RULE "action", "[section]\n", 1, 1, "sections have no meaning here"},
	    {RULE "action", "forward =\n", 1, 10, "forward names no target group"},
	    {RULE "action", "forward = blue blue:1\n", 1, 16, "target group 'blue' stands here twice"},
	    {RULE "action", "forward = blue:1000\n", 1, 16,
		"weight must be a number from 0 to 999, not '1000'"},
	    {RULE "action", "forward = blue:\n", 1, 16, "weight must be a number from 0 to 999, not ''"},
	    {RULE "action", "forward = :1\n", 1, 11, "a target group stands before ':', as in blue:90"},
	    {RULE "action", "forward = a b c d e f g h i j k\n", 1, 31,
		"a forward has at most 10 target groups"},
	    {RULE "action", "forward = Blue\n", 1, 11,
		"'Blue' is no target group: a target group name is made of lower-case letters, digits and "
		"single inner "
		"hyphens"},
	    {RULE "action", "forward = a\nforward = b\n", 2, 1, "forward stands here twice"},
	    {RULE "action", "forward = a\nfixed-response = 404\n", 2, 1,
		"forward and fixed-response exclude each other"},
	    {RULE "action", "sticky = source\n", 0, 0, "an action needs forward or fixed-response"},
	    {RULE "action", "", 0, 0, "action must not be empty"},
	    {LISTENER "default-action", "# nothing\n", 0, 0, "default-action must not be empty"},
	};

	judge_rows(rows, COUNT(rows));
}

Test(parse, reads_matches)
{
	static const struct row rows[] = {
	    {RULE "match", "method = GET\npath-prefix = /api\nheader-exact = x-canary: yes\n", 0, 0, NULL},
	    {RULE "match", "    method = GET\n    path-exact = /\n", 0, 0, NULL},
	    {RULE "match", "header-contains = cookie: a=1; b=2\nheader-prefix = user-agent: curl/\n", 0, 0,
		NULL},
	    {RULE "match", "path-prefix = /\npath-case-sensitive = TRUE\nheader-case-sensitive=false\n", 0, 0,
		NULL},
	    {RULE "match", "path-prefix = api\n", 1, 15, "a path begins with '/', not 'api'"},
	    {RULE "match", "path-prefix = /a b\n", 1, 17, "' ' cannot be in a path: write it as %20"},
	    {RULE "match", "path-exact = /a\npath-prefix = /b\n", 2, 15,
		"path-exact and path-prefix exclude each other"},
	    {RULE "match", "method = GET\nmethod = PUT\n", 2, 1, "method stands here twice"},
	    {RULE "match", "method = G(T\n", 1, 10,
		"'G(T' is no method: it has 1 to 16 characters of a token"},
	    {RULE "match", "header-exact = x-canary\n", 1, 24, "a header match is written NAME: VALUE"},
	    {RULE "match", "header-exact = x y: z\n", 1, 16, "'x y' is no header name"},
	    {RULE "match", "header-exact = x:\n", 1, 18, "a header value has 1 to 2048 characters"},
	    {RULE "match", "path-case-sensitive = yes\npath-exact = /\n", 1, 23,
		"path-case-sensitive must be false or true, not 'yes'"},
	    {RULE "match", "path-case-sensitive = true\n", 0, 0, "match needs a method, a path or a header"},
	    {RULE "match", "header = x: y\n", 1, 1, "unknown key 'header'"},
	    {RULE "match", "", 0, 0, "match must not be empty"},
	};

	judge_rows(rows, COUNT(rows));
}

Test(parse, reads_names_and_addresses)
{
	static const struct row rows[] = {
	    {"services/shop/domain", "shop.example.com\n*.shop.example.com\n# old\n\nSHOP\n", 0, 0, NULL},
	    {"services/shop/domain", "", 0, 0, NULL},
	    {"services/shop/domain", "a.example\nA.example\n", 2, 1, "domain 'A.example' stands here twice"},
	    {"services/shop/domain", "10.0.0.1\n", 1, 1,
		"'10.0.0.1' is no domain name: an address is no domain name"},
	    {"services/shop/domain", "a.10\n", 1, 1,
		"'a.10' is no domain name: its last label must not be a number"},
	    {"services/shop/domain", "a..b\n", 1, 1,
		"'a..b' is no domain name: its labels have 1 to 63 letters, digits and inner hyphens"},
	    {"services/shop/domain", "x\n -a.b\n", 2, 2,
		"'-a.b' is no domain name: its labels have 1 to 63 letters, digits and inner hyphens"},
	    {"services/shop/domain", "*.\n", 1, 1,
		"'*.' is no domain name: its labels have 1 to 63 letters, digits and inner hyphens"},
	    {"services/shop/domain", "a.*.b\n", 1, 1,
		"'a.*.b' is no domain name: its labels have 1 to 63 letters, digits and inner hyphens"},
	    {"vpcs/local/listen", "127.0.0.1\n::1\n10.0.0.1\n", 0, 0, NULL},
	    {"vpcs/local/listen", "127.0.0.1:80\n", 1, 1,
		"'127.0.0.1:80' must not have a port: listeners have"},
	    {"vpcs/local/listen", "localhost\n", 1, 1, "'localhost' is no address"},
	    {"vpcs/local/listen", "::1\n0::1\n", 2, 1, "address '0::1' stands here twice"},
	    {GROUP "targets/10.0.0.5", "", 0, 0, NULL},
	    {GROUP "targets/10.0.0.5", "# the old one\n\n", 0, 0, NULL},
	    {"vpcs/local/instances/i-01234567", "10.0.0.5\nfd00::5\n", 0, 0, NULL},
	    {"vpcs/local/instances/i-01234567", "", 0, 0, NULL},
	    {"vpcs/local/instances/i-01234567", "10.0.0.5:80\n", 1, 1,
		"'10.0.0.5:80' must not have a port: targets have"},
	    {GROUP "targets/10.0.0.5", "wieght = 5\n", 1, 1, "unknown key 'wieght' (did you mean 'weight'?)"},
	};

	judge_rows(rows, COUNT(rows));
}

Test(parse, judges_what_is_written_so_far)
{
	static const struct {
		const char *path, *text;
		enum verdict want;
	} rows[] = {
	    {LISTENER "port", "", VERDICT_PARTIAL},
	    {LISTENER "port", "80", VERDICT_PARTIAL},
	    {LISTENER "port", "80 ", VERDICT_PARTIAL},
	    {LISTENER "port", "80\n", VERDICT_GOOD},
	    {LISTENER "port", "80\n\n", VERDICT_GOOD},
	    {LISTENER "port", "80\n9", VERDICT_BAD},
	    {LISTENER "port", "80\n# x", VERDICT_GOOD},
	    {LISTENER "port", "8x", VERDICT_BAD},
	    {LISTENER "port", "65536", VERDICT_BAD},
	    {LISTENER "port", "0", VERDICT_PARTIAL},
	    {LISTENER "port", "0 ", VERDICT_BAD},
	    {LISTENER "port", "80 8", VERDICT_BAD},
	    {LISTENER "protocol", "ht", VERDICT_PARTIAL},
	    {LISTENER "protocol", "ht ", VERDICT_BAD},
	    {LISTENER "protocol", "hx", VERDICT_BAD},
	    {LISTENER "protocol", "HTTPSX", VERDICT_BAD},
	    {LISTENER "protocol", "HTTP", VERDICT_PARTIAL},
	    {"vpcs/local/netns", "ho", VERDICT_PARTIAL},
	    {"vpcs/local/netns", "hx", VERDICT_PARTIAL},
	    {"vpcs/local/netns", "blue", VERDICT_PARTIAL},
	    {"vpcs/local/netns", ".", VERDICT_PARTIAL},
	    {"vpcs/local/netns", "a/", VERDICT_BAD},
	    {GROUP "vpc", "a-", VERDICT_PARTIAL},
	    {GROUP "vpc", "a--", VERDICT_BAD},
	    {RULE "action", "for", VERDICT_PARTIAL},
	    {RULE "action", "fro", VERDICT_BAD},
	    {RULE "action", "for ", VERDICT_BAD},
	    {RULE "action", "forward ", VERDICT_PARTIAL},
	    {RULE "action", "forward = ", VERDICT_PARTIAL},
	    {RULE "action", "forward = blue:90 gre", VERDICT_PARTIAL},
	    {RULE "action", "forward = blue:90 Gre", VERDICT_BAD},
	    {RULE "action", "forward = blue:1000", VERDICT_BAD},
	    {RULE "action", "forward = blue: ", VERDICT_BAD},
	    {RULE "action", "forward = blue:", VERDICT_PARTIAL},
	    {RULE "action", "forward = blue:90 green:10\n", VERDICT_PARTIAL},
	    {RULE "action", "fixed-response = 6000", VERDICT_BAD},
	    {RULE "action", "fixed-response = 1", VERDICT_PARTIAL},
	    {RULE "match", "method = GET\n", VERDICT_PARTIAL},
	    {RULE "match", "method = GET\npath", VERDICT_PARTIAL},
	    {RULE "match", "method = GET\npaht", VERDICT_BAD},
	    {RULE "match", "methods =", VERDICT_BAD},
	    {RULE "match", "path-exact = a", VERDICT_BAD},
	    {RULE "match", "header-exact = a", VERDICT_PARTIAL},
	    {RULE "match", "header-exact = a(", VERDICT_BAD},
	    {RULE "match", "# any", VERDICT_PARTIAL},
	    {"services/shop/domain", "shop.exa", VERDICT_PARTIAL},
	    {"services/shop/domain", "shop_", VERDICT_BAD},
	    {"services/shop/domain", "shop.example\n", VERDICT_PARTIAL},
	    {"vpcs/local/listen", "127.0.", VERDICT_PARTIAL},
	    {"vpcs/local/listen", "lo", VERDICT_BAD},
	    {GROUP "targets/10.0.0.5", "", VERDICT_PARTIAL},
	    {GROUP "targets/10.0.0.5", "wei", VERDICT_PARTIAL},
	    {"services/shop/certificate", "-", VERDICT_PARTIAL},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct diag d = {0};
		enum verdict got = model_judge(rows[i].path, str_of(rows[i].text), false, &d);

		cr_expect(got == rows[i].want, "row %zu '%s': %d, want %d %s", i, rows[i].text, got,
		    rows[i].want, d.message);
		cr_expect((got == VERDICT_BAD) == (d.err != 0), "row %zu", i);
	}
}

/* What the judge says early must agree with what it says in the end. */
Test(parse, never_calls_the_beginning_of_a_good_text_bad)
{
	static const struct {
		const char *path, *text;
	} rows[] = {
	    {LISTENER "port", "# a comment\r\n  8080 \r\n\r\n"},
	    {LISTENER "protocol", "\n Http\n; end"},
	    {RULE "action", "; x = y\nforward: blue-1:90\tgreen:0 ; tail: a = b\n\n"},
	    {RULE "match",
		"method = PROPFIND\npath-prefix = /a%20b/?x=1&y#z\nheader-prefix = A-b: c: d = e ; tail\n"},
	    {RULE "match", "header-case-sensitive = True\nheader-contains = Cookie:   x  y  \n"},
	    {"services/shop/domain", "Shop.Example.COM\n  *.a-b.c  \n# x\nlocalhost"},
	    {"vpcs/local/listen", "10.0.0.1\n fd00::5 \n"},
	    {"vpcs/local/netns", " host"},
	    {GROUP "vpc", "a-b-c9\n"},
	    {GROUP "ip-address-type", "ipv6"},
	    {GROUP "hash-key", " Cookie \t id \n"},
	    {GROUP "health-check",
		"# c\nenabled: TRUE ; x\nprotocol = http\ntimeout = 50ms\nmatcher = 200-299,404\n [passive] "
		"\nejection = 30\n"},
	    {GROUP "targets/10.0.0.5", "weight = 20\nadmin = drain"},
	    {GROUP "targets/edge.alb", "host = edge-1.example.com\nport = 443\n"},
	    {GROUP "targets/f.lambda", "url = http://h:9001/2015-03-31/functions/f_1/invocations\n"},
	    {RULE "action",
		"retries = 3\nretry-on = 5xx gateway-error ; y\nforward = a:0 b\nsticky = header X-A\n"
		"timeout = 1500ms"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t len = strlen(rows[i].text);
		struct diag d = {0};

		cr_expect(model_judge(rows[i].path, str_of(rows[i].text), true, &d) == VERDICT_GOOD,
		    "row %zu: %s", i, d.message);
		for (size_t n = 0; n <= len; n++) {
			/* In a block of its own, so that reading past the end shows. */
			char *part = xstrndup(rows[i].text, n);

			d = (struct diag){0};
			cr_expect(model_judge(rows[i].path, (struct str){part, (uint32_t)n}, false, &d) !=
				      VERDICT_BAD,
			    "row %zu, %zu bytes '%s': %s", i, n, part, d.message);
			free(part);
		}
	}
}

Test(parse, takes_long_lines)
{
	static char text[ATTRIBUTE_BYTES_MAX + 10];
	char group[130];
	struct diag d = {0};
	int n;

	/* A path of 2,048 characters, and ten groups of 128 with weights. */
	n = snprintf(text, sizeof(text), "path-prefix = /");
	memset(text + n, 'x', 2047);
	strcpy(text + n + 2047, "\n");
	cr_expect(model_judge(RULE "match", str_of(text), true, &d) == VERDICT_GOOD, "%s", d.message);
	text[n + 2048 - 1] = 'x';
	strcpy(text + n + 2048, "\n");
	cr_expect(model_judge(RULE "match", str_of(text), true, &d) == VERDICT_BAD);
	cr_expect(strcmp(d.message, "a path has at most 2048 characters") == 0, "%s", d.message);
	memset(group, 'g', 127);
	group[127] = '\0';
	n = snprintf(text, sizeof(text), "forward =");
	for (int i = 0; i < 10; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " %s%d:999", group, i);
	strcpy(text + n, "\n");
	d = (struct diag){0};
	cr_expect(model_judge(RULE "action", str_of(text), true, &d) == VERDICT_GOOD, "%s", d.message);
	/* A comment as long as a file may be; then one byte more. */
	memset(text, '#', sizeof(text));
	memcpy(text, "80\n", 3);
	cr_expect(
	    model_judge(LISTENER "port", (struct str){text, ATTRIBUTE_BYTES_MAX}, true, &d) == VERDICT_GOOD);
	cr_expect(model_judge(LISTENER "port", (struct str){text, ATTRIBUTE_BYTES_MAX + 1}, true, &d) ==
		  VERDICT_BAD);
	cr_expect(d.err == EFBIG);
}

Test(parse, refuses_nul_bytes)
{
	struct diag d = {0};

	cr_expect(model_judge(LISTENER "port", STR("80\n\0"), false, &d) == VERDICT_BAD);
	cr_expect(d.line == 2 && d.column == 1 && strcmp(d.message, "a NUL byte is no text") == 0);
}

Test(parse, points_at_the_place_with_a_caret)
{
	struct diag d = {0};
	struct text out = {0};

	model_judge(RULE "action", STR("# x\nforward = blue:90 Green:10\n"), true, &d);
	diag_print(&d, &out);
	cr_expect(
	    strcmp(out.p, RULE "action:2:18: 'Green' is no target group: a target group name is made of "
			       "lower-case letters, digits and single inner hyphens\n"
			       "  forward = blue:90 Green:10\n"
			       "                    ^\n") == 0,
	    "%s", out.p);
	text_fini(&out);
}
