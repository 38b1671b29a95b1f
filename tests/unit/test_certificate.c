/* test_certificate.c - PEM texts: which are taken, why others are not, and what is in them. */
#include "../../fs/certificate.h"
#include "keys.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#define CHAIN "services/shop/certificate"
#define KEY "services/shop/private-key"
#define CA "services/shop/client-ca"

static EVP_PKEY *ec, *other, *rsa;
static X509 *root, *leaf;
static char *ec_text, *self_text, *leaf_text, *root_text;

static void
init(void)
{
	ec = EVP_EC_gen("P-256");
	other = EVP_EC_gen("P-384");
	rsa = EVP_RSA_gen(1024);
	root = keys_certificate(&(struct wanted){.name = "root", .key = other, .ca = true});
	leaf = keys_certificate(&(struct wanted){.name = "shop", .key = ec, .by = root, .by_key = other});
	ec_text = keys_text(ec, FORM_PKCS8);
	self_text = keys_self("shop.example", ec);
	leaf_text = keys_pem(leaf);
	root_text = keys_pem(root);
}

static void
fini(void)
{
	EVP_PKEY_free(ec);
	EVP_PKEY_free(other);
	EVP_PKEY_free(rsa);
	X509_free(root);
	X509_free(leaf);
	free(ec_text);
	free(self_text);
	free(leaf_text);
	free(root_text);
}

TestSuite(certificate, .init = init, .fini = fini);

static enum verdict
judge(
    const char *path, struct str text, bool final, struct arena *arena, struct credential **c, struct diag *d)
{
	struct spot spot;

	schema_spot(path, false, &spot);
	*d = (struct diag){0};
	return certificate_parse(spot.attribute, path, text, final, arena, c, d);
}

/* want NULL: it is good; else how the sentence begins. line 0: the file as a whole. */
static void
expect(const char *path, const char *text, unsigned line, const char *want)
{
	struct arena arena = {0};
	struct credential *c;
	struct diag d;
	enum verdict got = judge(path, str_of(text), true, &arena, &c, &d);

	cr_expect(got == (want == NULL ? VERDICT_GOOD : VERDICT_BAD), "%s: %s", want, d.message);
	cr_expect((want == NULL) == (c != NULL), "%s", want);
	cr_expect(want == NULL || strncmp(d.message, want, strlen(want)) == 0, "got '%s'\nwant '%s'",
	    d.message, want);
	cr_expect(want == NULL || (d.line == line && d.err == EINVAL), "%s: line %u", want, d.line);
	/* Whatever is wrong: of a key nothing is shown. */
	cr_expect(strcmp(path, KEY) != 0 || d.source[0] == '\0', "%s", d.source);
	arena_fini(&arena);
}

/* Both, and frees them. */
static void
expect_taken(const char *path, char *a, char *b, unsigned line, const char *want)
{
	char *text = xasprintf("%s%s", a, b);

	expect(path, text, line, want);
	free(a);
	free(b);
	free(text);
}

Test(certificate, takes_keys_of_these_kinds)
{
	EVP_PKEY *good = EVP_RSA_gen(2048), *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
		 *keys[] = {ec, other, good, ed};

	for (size_t i = 0; i < COUNT(keys); i++) {
		expect_taken(KEY, keys_text(keys[i], FORM_PKCS8), xstrdup(""), 0, NULL);
		if (keys[i] != ed)
			expect_taken(KEY, keys_text(keys[i], FORM_TRADITIONAL), xstrdup("\n"), 0, NULL);
		expect_taken(CHAIN, keys_self("a", keys[i]), xstrdup(""), 0, NULL);
	}
	expect_taken(KEY,
	    xstrdup("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"),
	    keys_text(ec, FORM_TRADITIONAL), 0, NULL);
	EVP_PKEY_free(good);
	EVP_PKEY_free(ed);
}

Test(certificate, refuses_other_keys)
{
	EVP_PKEY *curve = EVP_EC_gen("P-521"), *x = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");

	expect_taken(KEY, keys_text(rsa, FORM_PKCS8), xstrdup(""), 1,
	    "an RSA key of 1024 bits is too short: it needs 2048");
	expect_taken(KEY, keys_text(curve, FORM_PKCS8), xstrdup(""), 1,
	    "an EC key on secp521r1 is not supported: P-256 and P-384 are");
	expect_taken(KEY, keys_text(x, FORM_PKCS8), xstrdup(""), 1, "a key of type X25519 is not supported");
	expect_taken(KEY, keys_text(ec, FORM_ENCRYPTED), xstrdup(""), 1, "the private key is encrypted");
	expect_taken(
	    KEY, keys_text(ec, FORM_TRADITIONAL_ENCRYPTED), xstrdup(""), 1, "the private key is encrypted");
	expect_taken(KEY, xstrdup(ec_text), xstrdup(ec_text), 6, "one private key stands here, not two");
	expect_taken(KEY, xstrdup(ec_text), xstrdup(self_text), 6,
	    "only a private key stands here, not a CERTIFICATE");
	expect_taken(KEY, xstrdup("hello\n"), xstrdup(""), 0, "no -----BEGIN PRIVATE KEY-----");
	EVP_PKEY_free(curve);
	EVP_PKEY_free(x);
}

Test(certificate, refuses_what_no_handshake_should_show)
{
	X509 *weak = keys_certificate(&(struct wanted){.name = "weak", .key = rsa});
	X509 *sha1 = keys_certificate(
	    &(struct wanted){.name = "sha1", .key = ec, .by = root, .by_key = other, .digest = EVP_sha1()});

	expect_taken(CHAIN, keys_pem(weak), xstrdup(""), 1,
	    "certificate 1: an RSA key of 1024 bits is too short: it needs 2048");
	expect_taken(
	    CHAIN, keys_pem(sha1), xstrdup(""), 1, "certificate 1: a signature with SHA1 is too weak");
	expect_taken(CHAIN, xstrdup(leaf_text), xstrdup(root_text), 0, NULL);
	expect_taken(CHAIN, xstrdup(root_text), xstrdup(leaf_text), 11,
	    "certificate 2: it signed none of those before it: the leaf stands first, then who signed it");
	expect_taken(CHAIN, xstrdup(leaf_text), xstrdup(ec_text), 10,
	    "a private key must not stand here: it belongs in private-key");
	expect_taken(CHAIN, xstrdup("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"), xstrdup(""),
	    1, "only certificates stand here, not a X509 CRL");
	X509_free(weak);
	X509_free(sha1);
}

Test(certificate, takes_a_bundle_of_cas_only)
{
	struct arena arena = {0};
	struct credential *c;
	struct diag d;
	char *two = xasprintf("%s# the same\n%s", root_text, root_text);

	cr_assert(judge(CA, str_of(two), true, &arena, &c, &d) == VERDICT_GOOD, "%s", d.message);
	cr_expect(c->ncertificates == 2);
	free(two);
	expect_taken(CA, xstrdup(root_text), xstrdup(leaf_text), 11, "certificate 2: it is not a CA's");
	expect_taken(
	    "target-groups/g/ca", xstrdup(leaf_text), xstrdup(""), 1, "certificate 1: it is not a CA's");
	expect(CA, " \n# none\n", 0, "no -----BEGIN CERTIFICATE-----");
	arena_fini(&arena);
}

Test(certificate, takes_lists_of_the_files_own_cas)
{
	X509 *mute = keys_certificate(
	    &(struct wanted){.name = "mute", .key = other, .ca = true, .usage = "critical,keyCertSign"});
	char *good = keys_crl(root, other, -1, 30, 0), *delta = keys_crl(root, other, -1, 30, NID_delta_crl);
	char *both = xasprintf("%s%s%s", good, root_text, good);
	char *broken = xasprintf("%s-----BEGIN X509 CRL-----\nMAMCAQA=\n-----END X509 CRL-----\n", root_text);
	struct arena arena = {0};
	struct credential *c;
	struct diag d;

	cr_assert(judge(CA, str_of(both), true, &arena, &c, &d) == VERDICT_GOOD, "%s", d.message);
	cr_assert(c->ncertificates == 1 && c->nlists == 2 && c->lists[1].line == 17, "%u", c->lists[1].line);
	cr_expect(str_eq(c->lists[0].issuer, STR("CN=root")));
	cr_expect(c->lists[0].until_s - c->lists[0].from_s == 31 * 86400);
	cr_expect(
	    c->pem.len == strlen(both) && str_contains(c->pem, str_of(good)), "the engine has them, too");
	expect_taken("target-groups/g/ca", xstrdup(root_text), xstrdup(good), 0, NULL);
	expect_taken(
	    CHAIN, xstrdup(root_text), xstrdup(good), 11, "only certificates stand here, not a X509 CRL");
	expect_taken(CA, xstrdup(good), xstrdup(""), 0, "no -----BEGIN CERTIFICATE-----");
	expect(CA, broken, 11, "the revocation list that begins here is broken: ");
	expect_taken(CA, xstrdup(root_text), delta, 11,
	    "a revocation list with a critical extension 'X509v3 Delta CRL Indicator' is not supported");
	expect_taken(CA, xstrdup(root_text), keys_crl(root, ec, -1, 30, 0), 11,
	    "this revocation list is of CN=root, but not signed by the one of this file");
	expect_taken(CA, xstrdup(root_text), keys_crl(leaf, other, -1, 30, 0), 11,
	    "this revocation list is of CN=shop, whose certificate is not in this file");
	expect_taken(CA, keys_pem(mute), keys_crl(mute, other, -1, 30, 0), 11,
	    "this revocation list is of CN=mute, who may not sign one: its certificate's key usage lacks "
	    "cRLSign");
	X509_free(mute);
	free(good);
	free(both);
	free(broken);
	arena_fini(&arena);
}

Test(certificate, judges_and_tells_the_dates_of_lists)
{
	static const struct {
		int64_t now;
		const char *want, *status;
	} rows[] = {
	    {999, "the revocation list of CN=a is not valid before 1970-01-01T00:16:40Z",
		"ca 1 certificate, 2 revocation lists\n"},
	    {1000, NULL, "ca 1 certificate, 2 revocation lists\n"},
	    {2000, NULL, "ca 1 certificate, 2 revocation lists\n"},
	    {2001, "the revocation list of CN=a expired on 1970-01-01T00:33:20Z",
		"ca 1 certificate, 2 revocation lists\n"
		"ca expired 1970-01-01T00:33:20Z: the revocation list of CN=a\n"},
	};
	struct revocations lists[] = {{STR("CN=b"), 11, 0, INT64_MAX}, {STR("CN=a"), 21, 1000, 2000}};
	const struct credential c = {.ncertificates = 1, .nlists = 2, .lists = lists};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct diag d = {0};
		struct text out = {0};
		int rc = certificate_check_lists(&c, rows[i].now, CA, &d);

		cr_expect(rc == (rows[i].want == NULL ? 0 : -EINVAL), "row %zu", i);
		cr_expect(rows[i].want == NULL || (strcmp(d.message, rows[i].want) == 0 && d.line == 21),
		    "row %zu: %s", i, d.message);
		certificate_print_cas("ca", &c, rows[i].now, &out);
		cr_expect(strcmp(out.p, rows[i].status) == 0, "row %zu: %s", i, out.p);
		text_fini(&out);
	}
}

Test(certificate, says_where_a_text_is_broken)
{
	static const struct {
		const char *text;
		unsigned line, column;
		const char *want;
	} rows[] = {
	    {"a\n-----BEGIN CERTIFICATE-----\nAAA!\n", 3, 4, "the base64 is broken here"},
	    {"-----BEGIN CERTIFICATE-----\n  AA=A\n", 2, 6, "the base64 is broken here"},
	    {"-----BEGIN CERTIFICATE-----\nA=\n", 2, 2, "the base64 is broken here"},
	    {"-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n", 3, 1,
		"the base64 before this line is not whole"},
	    {"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", 2, 1,
		"the base64 before this line is not whole"},
	    {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END PRIVATE KEY-----\n", 3, 1,
		"the block that begins in line 1 ends with another label"},
	    {"-----BEGIN CERTIFICATE-----\nAAAA\n-----BEGIN CERTIFICATE-----\n", 3, 1,
		"the block that begins in line 1 has no -----END"},
	    {"-----BEGIN CERTIFICATE----\n", 1, 1,
		"a block begins with -----BEGIN LABEL-----, five hyphens each"},
	    {"-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n", 1, 1,
		"the certificate that begins here is broken: "},
	    {"\x30\x82\x01\x0a", 0, 0, "this is DER, not PEM: openssl x509 -inform DER translates it"},
	};
	struct arena arena = {0};
	struct credential *c;
	struct diag d;

	for (size_t i = 0; i < COUNT(rows); i++) {
		/* Nothing that follows makes it good, so it is refused before the end. */
		cr_expect(
		    judge(CHAIN, str_of(rows[i].text), false, &arena, &c, &d) == VERDICT_BAD, "row %zu", i);
		cr_expect(
		    strncmp(d.message, rows[i].want, strlen(rows[i].want)) == 0, "row %zu: %s", i, d.message);
		cr_expect(d.line == rows[i].line && d.column == rows[i].column, "row %zu: %u:%u", i, d.line,
		    d.column);
		cr_expect((d.source[0] != '\0') == (d.line > 0), "row %zu", i);
	}
	expect(CHAIN, "-----BEGIN CERTIFICATE-----\nAAAA\n", 1, "the block that begins here has no -----END");
	arena_fini(&arena);
}

Test(certificate, waits_for_the_rest_of_a_text)
{
	char *text = xasprintf("subject: shop\r\n%s\r\n%s", leaf_text, root_text);
	struct arena arena = {0};
	struct credential *c;
	struct diag d;
	struct str s = str_of(text);

	for (uint32_t n = 0; n <= s.len; n++)
		cr_assert(judge(CHAIN, (struct str){text, n}, false, &arena, &c, &d) == VERDICT_PARTIAL,
		    "%u: %s", n, d.message);
	for (uint32_t n = 0; n <= strlen(ec_text); n++)
		cr_assert(judge(KEY, (struct str){ec_text, n}, false, &arena, &c, &d) == VERDICT_PARTIAL,
		    "%u: %s", n, d.message);
	cr_expect(judge(CHAIN, s, true, &arena, &c, &d) == VERDICT_GOOD && c->ncertificates == 2);
	free(text);
	cr_expect(judge(CHAIN, STR("\n \n"), true, &arena, &c, &d) == VERDICT_GOOD && c == NULL, "unset");
	arena_fini(&arena);
}

/* Words, as far as they are written. */
Test(certificate, refuses_words_that_no_tool_writes_before_a_block)
{
	static const struct {
		const char *text;
		enum verdict want;
	} rows[] = {
	    {"hello\n", VERDICT_BAD},
	    {"\n \t\nhello\nsubject=CN = shop\n", VERDICT_BAD},
	    {"/etc/ssl/shop.pem\r\n", VERDICT_BAD},
	    {"MIIBszCCAVmgAwIBAgIUQ2\n", VERDICT_BAD},
	    {"MIIBszCCAVmgAwIBAgIUQ2==\n", VERDICT_BAD},
	    {" -----BEGIN CERTIFICATE-----\n", VERDICT_BAD},
	    {"hello", VERDICT_PARTIAL},
	    {"hello\nwor", VERDICT_PARTIAL},
	    {"\n\n", VERDICT_PARTIAL},
	    {"Certificate:\n", VERDICT_PARTIAL},
	    {"    Data:\n", VERDICT_PARTIAL},
	    {"subject=CN = shop\nhello\n", VERDICT_PARTIAL},
	    {"issuer=\n", VERDICT_PARTIAL},
	    {" 0 s:CN = shop\n", VERDICT_PARTIAL},
	    {"\nBag Attributes\n", VERDICT_PARTIAL},
	    {"CONNECTED(00000003)\n---\n", VERDICT_PARTIAL},
	    {"# shop\n", VERDICT_PARTIAL},
	    {"hello\n-----BEGIN CERTIFICATE-----\n", VERDICT_PARTIAL},
	};
	struct arena arena = {0};
	struct credential *c;
	struct diag d;

	for (size_t i = 0; i < COUNT(rows); i++) {
		cr_expect(judge(CHAIN, str_of(rows[i].text), false, &arena, &c, &d) == rows[i].want,
		    "row %zu: %s", i, d.message);
		cr_expect(judge(KEY, str_of(rows[i].text), false, &arena, &c, &d) ==
			      (i + 1 == COUNT(rows) ? VERDICT_PARTIAL : rows[i].want),
		    "row %zu: %s", i, d.message);
		cr_expect(
		    rows[i].want != VERDICT_BAD || strcmp(d.message, "no -----BEGIN PRIVATE KEY-----") == 0,
		    "row %zu: %s", i, d.message);
	}
	arena_fini(&arena);
}

Test(certificate, gives_its_blocks_alone)
{
	struct arena arena = {0};
	struct credential *c;
	struct diag d;
	struct text crlf = {0}, whole = {0};

	text_printf(&whole, "some words\n%sand some more\n%s", leaf_text, root_text);
	for (size_t i = 0; i < whole.len; i++)
		text_printf(&crlf, whole.p[i] == '\n' ? "  \r\n" : "%c", whole.p[i]);
	cr_assert(
	    judge(CHAIN, (struct str){crlf.p, (uint32_t)crlf.len}, true, &arena, &c, &d) == VERDICT_GOOD,
	    "%s", d.message);
	text_clear(&whole);
	text_printf(&whole, "%s%s", leaf_text, root_text);
	cr_expect(str_eq(c->pem, str_of(whole.p)), STR_FMT, STR_ARG(c->pem));
	cr_expect(str_eq(c->issuer, STR("CN=root")));
	text_fini(&whole);
	text_fini(&crlf);
	arena_fini(&arena);
}

Test(certificate, knows_a_pair)
{
	struct arena arena = {0};
	struct credential *chain, *key;
	struct diag d;
	char *text;

	cr_assert(judge(CHAIN, str_of(leaf_text), true, &arena, &chain, &d) == VERDICT_GOOD);
	cr_assert(judge(KEY, str_of(ec_text), true, &arena, &key, &d) == VERDICT_GOOD);
	cr_expect(certificate_is_pair(chain, key));
	text = keys_text(other, FORM_TRADITIONAL);
	cr_assert(judge(KEY, str_of(text), true, &arena, &key, &d) == VERDICT_GOOD);
	cr_expect_not(certificate_is_pair(chain, key));
	free(text);
	/* The same point, written shorter. */
	EVP_PKEY_set_utf8_string_param(ec, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed");
	text = keys_text(ec, FORM_PKCS8);
	cr_assert(judge(KEY, str_of(text), true, &arena, &key, &d) == VERDICT_GOOD);
	cr_expect(certificate_is_pair(chain, key));
	free(text);
	arena_fini(&arena);
}

Test(certificate, has_dates)
{
	static const struct {
		int64_t now;
		const char *want;
	} rows[] = {
	    {999, "the certificate is not valid before 1970-01-01T00:16:40Z"},
	    {1000, NULL},
	    {2000, NULL},
	    {2001, "the certificate expired on 1970-01-01T00:33:20Z"},
	};
	const struct credential c = {.ncertificates = 1, .not_before_s = 1000, .not_after_s = 2000};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct diag d = {0};
		int rc = certificate_check_dates(&c, rows[i].now, CHAIN, &d);

		cr_expect(rc == (rows[i].want == NULL ? 0 : -EINVAL), "row %zu", i);
		cr_expect(rows[i].want == NULL || strcmp(d.message, rows[i].want) == 0, "row %zu: %s", i,
		    d.message);
	}
}

Test(certificate, is_told_of)
{
	static const char first[] =
	    "subject CN=a\\0A\\\"b\\\"\nissuer CN=a\\0A\\\"b\\\"\n"
	    "names shop.example *.shop.example 10.0.0.1 fd00::1 spiffe://a/b\nnot-before 20";
	X509 *x = keys_certificate(&(struct wanted){.name = "a\n\"b\"",
	    .key = ec,
	    .from_days = -1,
	    .alt = "DNS:shop.example,DNS:*.shop.example,IP:10.0.0.1,IP:fd00::1,URI:spiffe://a/b"});
	char *pem = keys_pem(x);
	struct text out = {0};
	int64_t now = (int64_t)time(NULL);

	certificate_print(str_of(pem), now, &out);
	cr_expect(strncmp(out.p, first, strlen(first)) == 0, "%s", out.p);
	cr_expect(strstr(out.p, "Z\nexpires-in 30\n") != NULL || strstr(out.p, "Z\nexpires-in 29\n") != NULL,
	    "%s", out.p);
	text_clear(&out);
	certificate_print(str_of(pem), now + 40 * 86400, &out);
	cr_expect(strstr(out.p, "\nexpires-in -") != NULL, "%s", out.p);
	text_fini(&out);
	free(pem);
	X509_free(x);
}
