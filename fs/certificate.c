/* certificate.c - certificates and keys out of PEM, through OpenSSL: what is good enough to be shown in a
 * handshake, and what is in it. */
#include "certificate.h"
#include "clock.h"
#include "pem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

#define RSA_BITS_MIN 2048
#define SIGNATURE_BITS_MIN 112 /* OpenSSL's security level 2, Debian's default: SHA-1 has less */
#define DAY_S 86400

enum holds { HOLDS_CHAIN, HOLDS_KEY, HOLDS_CA };

/* A list of revoked certificates, and where it stands. */
struct placed_crl {
	X509_CRL *crl;
	unsigned line;
};

/* A file as far as it is read. */
struct reading {
	struct pem pem;
	enum holds holds;
	struct diag *d;
	STACK_OF(X509) * certificates;
	EVP_PKEY *key;
	struct placed_crl *crls;
	uint32_t ncrls;
};

static enum holds
holds_of(const struct attribute *a)
{
	if (a->kind == KIND_SERVICE && a->index == SERVICE_PRIVATE_KEY)
		return HOLDS_KEY;
	return a->kind == KIND_SERVICE && a->index == SERVICE_CERTIFICATE ? HOLDS_CHAIN : HOLDS_CA;
}

#define bad(r, line, ...) pem_bad(&(r)->pem, (r)->d, line, (line) > 0, __VA_ARGS__)

/* OpenSSL's first reason, in its words. */
static const char *
openssl_reason(void)
{
	unsigned long err = ERR_get_error();
	const char *reason = err == 0 ? NULL : ERR_reason_error_string(err);

	ERR_clear_error();
	return reason == NULL ? "it cannot be read" : reason;
}

/* ------------------------------------------------------------------ keys */

/* A key's strength and kind. NULL: it is good; else what is wrong with it, in buf. */
static const char *
key_fault(const EVP_PKEY *key, char buf[static 160])
{
	char curve[64] = "";

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		if (EVP_PKEY_get_bits(key) >= RSA_BITS_MIN)
			return NULL;
		snprintf(buf, 160, "an RSA key of %d bits is too short: it needs %d", EVP_PKEY_get_bits(key),
		    RSA_BITS_MIN);
		return buf;
	case EVP_PKEY_EC:
		EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL);
		if (strcmp(curve, SN_X9_62_prime256v1) == 0 || strcmp(curve, SN_secp384r1) == 0)
			return NULL;
		snprintf(buf, 160, "an EC key on %s is not supported: P-256 and P-384 are",
		    curve[0] == '\0' ? "a curve without a name" : curve);
		return buf;
	case EVP_PKEY_ED25519:
		return NULL;
	default:
		snprintf(buf, 160, "a key of type %s is not supported: RSA, ECDSA and Ed25519 are",
		    OBJ_nid2sn(EVP_PKEY_get_base_id(key)));
		return buf;
	}
}

static void
key_id(EVP_PKEY *key, uint8_t id[static CERTIFICATE_KEY_ID])
{
	unsigned char *der = NULL;
	int n;

	/* One point is written in two ways. */
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC)
		EVP_PKEY_set_utf8_string_param(
		    key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed");
	n = i2d_PUBKEY(key, &der);
	assert(n > 0); /* key_fault knows the kind of key */
	SHA256(der, (size_t)n, id);
	OPENSSL_free(der);
}

static enum verdict
read_key(struct reading *r, const struct pem_block *b)
{
	const unsigned char *at = b->der;
	bool known = str_eq(b->label, STR("PRIVATE KEY")) || str_eq(b->label, STR("RSA PRIVATE KEY")) ||
		     str_eq(b->label, STR("EC PRIVATE KEY"));
	char fault[160];

	/* `openssl ecparam -genkey` puts them before the key. */
	if (str_eq(b->label, STR("EC PARAMETERS")))
		return VERDICT_GOOD;
	if (b->encrypted || str_eq(b->label, STR("ENCRYPTED PRIVATE KEY")))
		return bad(r, b->line,
		    "the private key is encrypted, and nobody is there to ask for its passphrase: "
		    "write it without one, as openssl pkey does");
	if (!known)
		return bad(r, b->line, "only a private key stands here, not a " STR_FMT, STR_ARG(b->label));
	if (r->key != NULL)
		return bad(r, b->line, "one private key stands here, not two");
	r->key = d2i_AutoPrivateKey(NULL, &at, (long)b->len);
	if (r->key == NULL)
		return bad(r, b->line, "the private key that begins here is broken: %s", openssl_reason());
	if (at != b->der + b->len)
		return bad(r, b->line, "bytes follow the private key that begins here");
	if (key_fault(r->key, fault) != NULL)
		return bad(r, b->line, "%s", fault);
	return VERDICT_GOOD;
}

/* ------------------------------------------------------------------ names */

static struct str
bio_text(struct arena *arena, BIO *out)
{
	char *p;
	long n = BIO_get_mem_data(out, &p);

	return arena_str(arena, (struct str){p, (uint32_t)n});
}

static struct str
name_text(struct arena *arena, const X509_NAME *name)
{
	BIO *out = BIO_new(BIO_s_mem());
	struct str s;

	/* As in LDAP, the most special first; what does not print is escaped, but for UTF-8. */
	X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
	s = bio_text(arena, out);
	BIO_free(out);
	return s;
}

/* ------------------------------------------------------------------ lists of revoked certificates */

/* What OpenSSL would refuse every certificate for, in a handshake. NULL: nothing. */
static const char *
crl_fault(const X509_CRL *crl)
{
	for (int i = -1; (i = X509_CRL_get_ext_by_critical(crl, 1, i)) >= 0;) {
		int nid = OBJ_obj2nid(X509_EXTENSION_get_object(X509_CRL_get_ext(crl, i)));

		if (nid != NID_issuing_distribution_point && nid != NID_authority_key_identifier)
			return OBJ_nid2ln(nid);
	}
	return NULL;
}

static enum verdict
read_crl(struct reading *r, const struct pem_block *b)
{
	const unsigned char *at = b->der;
	X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)b->len);

	if (crl == NULL)
		return bad(
		    r, b->line, "the revocation list that begins here is broken: %s", openssl_reason());
	r->crls = xrealloc(r->crls, (r->ncrls + 1) * sizeof(*r->crls));
	r->crls[r->ncrls++] = (struct placed_crl){crl, b->line};
	if (at != b->der + b->len)
		return bad(r, b->line, "bytes follow the revocation list that begins here");
	if (crl_fault(crl) != NULL)
		return bad(r, b->line, "a revocation list with a critical extension '%s' is not supported",
		    crl_fault(crl));
	return VERDICT_GOOD;
}

/* Each is signed by a certificate of the file that may do so. */
static enum verdict
check_crl(const struct reading *r, const struct placed_crl *c)
{
	const X509_NAME *issuer = X509_CRL_get_issuer(c->crl);
	const char *fault = "whose certificate is not in this file";
	struct arena arena = {0};
	bool good = false;

	for (int i = 0; i < sk_X509_num(r->certificates) && !good; i++) {
		X509 *x = sk_X509_value(r->certificates, i);

		if (X509_NAME_cmp(issuer, X509_get_subject_name(x)) != 0)
			continue;
		if (X509_CRL_verify(c->crl, X509_get0_pubkey(x)) != 1)
			fault = "but not signed by the one of this file";
		else if ((X509_get_key_usage(x) & KU_CRL_SIGN) == 0)
			fault = "who may not sign one: its certificate's key usage lacks cRLSign";
		else
			good = true;
	}
	ERR_clear_error();
	if (!good)
		bad(r, c->line, "this revocation list is of %.200s, %s", name_text(&arena, issuer).p, fault);
	arena_fini(&arena);
	return good ? VERDICT_GOOD : VERDICT_BAD;
}

/* ------------------------------------------------------------------ certificates */

static bool
is_self_signed(X509 *x)
{
	return (X509_get_extension_flags(x) & EXFLAG_SS) != 0;
}

/* NULL: x may be shown in a handshake as the i-th of its chain. */
static const char *
chain_fault(const struct reading *r, X509 *x, int i, char buf[static 160])
{
	int digest = NID_undef, bits = 0;
	EVP_PKEY *key = X509_get0_pubkey(x);

	if (key == NULL)
		return "its public key cannot be read";
	if (i == 0 && key_fault(key, buf) != NULL)
		return buf;
	if (!is_self_signed(x) && X509_get_signature_info(x, &digest, NULL, &bits, NULL) == 1 &&
	    bits < SIGNATURE_BITS_MIN) {
		snprintf(buf, 160, "a signature with %s is too weak", OBJ_nid2sn(digest));
		return buf;
	}
	for (int k = 0; k < i; k++)
		if (X509_check_issued(x, sk_X509_value(r->certificates, k)) == X509_V_OK)
			return NULL;
	return i == 0 ? NULL : "it signed none of those before it: the leaf stands first, then who signed it";
}

static enum verdict
read_certificate(struct reading *r, const struct pem_block *b)
{
	const unsigned char *at = b->der;
	const char *fault = NULL;
	char buf[160];
	X509 *x;
	int n = sk_X509_num(r->certificates);

	if (str_contains(b->label, STR("PRIVATE KEY")))
		return bad(r, b->line, "a private key must not stand here: it belongs in private-key");
	if (r->holds == HOLDS_CA && str_eq(b->label, STR("X509 CRL")))
		return read_crl(r, b);
	if (!str_eq(b->label, STR("CERTIFICATE")))
		return bad(r, b->line, "only certificates stand here, not a " STR_FMT, STR_ARG(b->label));
	x = d2i_X509(NULL, &at, (long)b->len);
	if (x == NULL)
		return bad(r, b->line, "the certificate that begins here is broken: %s", openssl_reason());
	if (sk_X509_push(r->certificates, x) <= 0)
		X509_free(x);
	if (at != b->der + b->len)
		return bad(r, b->line, "bytes follow the certificate that begins here");
	/* This reads the extensions, once. */
	if (X509_check_purpose(x, -1, 0) != 1)
		fault = "its extensions are broken";
	else if (r->holds == HOLDS_CHAIN)
		fault = chain_fault(r, x, n, buf);
	else if (X509_check_ca(x) == 0)
		fault = "it is not a CA's";
	ERR_clear_error();
	if (fault != NULL)
		return bad(r, b->line, "certificate %d: %s", n + 1, fault);
	return VERDICT_GOOD;
}

/* ------------------------------------------------------------------ whole files */

/* An ASN.1 time of the years 1 to 9999 in seconds since 1970. */
static int64_t
unix_time(const ASN1_TIME *t)
{
	struct tm tm = {0};

	return ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
}

static void
lists_fill(struct credential *c, const struct reading *r, struct arena *arena)
{
	c->nlists = r->ncrls;
	c->lists = arena_alloc(arena, r->ncrls * sizeof(*c->lists));
	for (uint32_t i = 0; i < r->ncrls; i++) {
		const X509_CRL *crl = r->crls[i].crl;
		const ASN1_TIME *until = X509_CRL_get0_nextUpdate(crl);

		c->lists[i] = (struct revocations){.issuer = name_text(arena, X509_CRL_get_issuer(crl)),
		    .line = r->crls[i].line,
		    .from_s = unix_time(X509_CRL_get0_lastUpdate(crl)),
		    .until_s = until == NULL ? INT64_MAX : unix_time(until)};
	}
}

#define MARK_DIGITS 8

static void
mark_add(struct text *mark, const unsigned char digest[static SHA256_DIGEST_LENGTH])
{
	if (mark->len > 0)
		text_char(mark, '+');
	for (int i = 0; i < MARK_DIGITS / 2; i++)
		text_printf(mark, "%02x", digest[i]);
}

static struct str
credential_mark(const struct credential *c, const struct reading *r, struct arena *arena)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	struct text mark = {0};
	struct str s;

	if (r->holds == HOLDS_CA) {
		SHA256((const unsigned char *)c->pem.p, c->pem.len, digest);
		mark_add(&mark, digest);
	}
	for (uint32_t i = 0; r->holds == HOLDS_CHAIN && i < c->ncertificates; i++) {
		X509_digest(sk_X509_value(r->certificates, (int)i), EVP_sha256(), digest, NULL);
		mark_add(&mark, digest);
	}
	s = arena_str(arena, str_of(mark.p));
	text_fini(&mark);
	return s;
}

static void
credential_fill(struct credential *c, const struct reading *r, struct arena *arena)
{
	BIO *out = BIO_new(BIO_s_mem());
	X509 *first = sk_X509_value(r->certificates, 0);

	c->ncertificates = (uint32_t)sk_X509_num(r->certificates);
	for (uint32_t i = 0; i < c->ncertificates; i++)
		PEM_write_bio_X509(out, sk_X509_value(r->certificates, (int)i));
	for (uint32_t i = 0; i < r->ncrls; i++)
		PEM_write_bio_X509_CRL(out, r->crls[i].crl);
	if (r->key != NULL)
		PEM_write_bio_PKCS8PrivateKey(out, r->key, NULL, NULL, 0, NULL, NULL);
	c->pem = bio_text(arena, out);
	BIO_free(out);
	if (first == NULL)
		return;
	c->issuer = name_text(arena, X509_get_issuer_name(first));
	c->not_before_s = unix_time(X509_get0_notBefore(first));
	c->not_after_s = unix_time(X509_get0_notAfter(first));
	c->mark = credential_mark(c, r, arena);
	lists_fill(c, r, arena);
}

/* The blocks of the file, each judged as it comes. PARTIAL: there is no more. */
static enum verdict
read_blocks(struct reading *r, bool final)
{
	enum verdict verdict;
	struct pem_block b;

	do {
		verdict = pem_next(&r->pem, final, &b, r->d);
		if (verdict == VERDICT_GOOD)
			verdict = r->holds == HOLDS_KEY ? read_key(r, &b) : read_certificate(r, &b);
	} while (verdict == VERDICT_GOOD);
	return verdict;
}

static enum verdict
bad_without_block(const struct reading *r)
{
	return bad(r, 0, "no -----BEGIN %s-----", r->holds == HOLDS_KEY ? "PRIVATE KEY" : "CERTIFICATE");
}

static enum verdict
file_end(struct reading *r, struct arena *arena, struct credential **out)
{
	struct str text = str_trim(r->pem.text);
	X509 *first = sk_X509_value(r->certificates, 0);
	struct credential *c;

	while (text.len > 0 && *text.p == '\n')
		text = str_trim((struct str){text.p + 1, text.len - 1});
	if (text.len == 0)
		return VERDICT_GOOD;
	if (first == NULL && r->key == NULL)
		return bad_without_block(r);
	/* Only now: a list may stand before who signed it. */
	for (uint32_t i = 0; i < r->ncrls; i++)
		if (check_crl(r, &r->crls[i]) == VERDICT_BAD)
			return VERDICT_BAD;
	c = arena_alloc(arena, sizeof(*c));
	credential_fill(c, r, arena);
	if (r->holds != HOLDS_CA)
		key_id(r->key != NULL ? r->key : X509_get0_pubkey(first), c->key_id);
	*out = c;
	return VERDICT_GOOD;
}

enum verdict
certificate_parse(const struct attribute *a, const char *path, struct str text, bool final,
    struct arena *arena, struct credential **out, struct diag *d)
{
	struct reading r = {.holds = holds_of(a), .d = d};
	enum verdict verdict;

	assert(a->type == TYPE_PEM);
	*out = NULL;
	pem_init(&r.pem, path, text, r.holds == HOLDS_KEY);
	r.certificates = sk_X509_new_null();
	ERR_clear_error();
	/* A SEQUENCE with a long length. */
	if (text.len > 1 && text.p[0] == 0x30 && (text.p[1] & 0x80) != 0)
		verdict = bad(&r, 0, "this is DER, not PEM: openssl %s -inform DER translates it",
		    r.holds == HOLDS_KEY ? "pkey" : "x509");
	else
		verdict = read_blocks(&r, final);
	if (verdict == VERDICT_PARTIAL && final)
		verdict = file_end(&r, arena, out);
	else if (verdict == VERDICT_PARTIAL && pem_is_foreign(&r.pem))
		verdict = bad_without_block(&r);
	sk_X509_pop_free(r.certificates, X509_free);
	for (uint32_t i = 0; i < r.ncrls; i++)
		X509_CRL_free(r.crls[i].crl);
	free(r.crls);
	EVP_PKEY_free(r.key);
	pem_fini(&r.pem);
	return verdict;
}

bool
certificate_is_pair(const struct credential *chain, const struct credential *key)
{
	return memcmp(chain->key_id, key->key_id, sizeof(key->key_id)) == 0;
}

int
certificate_check_dates(const struct credential *c, int64_t now_s, const char *path, struct diag *d)
{
	char date[CERTIFICATE_DATE];

	if (c->ncertificates == 0)
		return 0;
	if (now_s > c->not_after_s) {
		certificate_date(c->not_after_s, date);
		return diag_set(d, EINVAL, path, 0, 0, "the certificate expired on %s", date);
	}
	if (now_s < c->not_before_s) {
		certificate_date(c->not_before_s, date);
		return diag_set(d, EINVAL, path, 0, 0, "the certificate is not valid before %s", date);
	}
	return 0;
}

int
certificate_check_lists(const struct credential *c, int64_t now_s, const char *path, struct diag *d)
{
	char date[CERTIFICATE_DATE];

	for (uint32_t i = 0; i < c->nlists; i++) {
		const struct revocations *l = &c->lists[i];

		if (now_s >= l->from_s && now_s <= l->until_s)
			continue;
		certificate_date(now_s < l->from_s ? l->from_s : l->until_s, date);
		return diag_set(d, EINVAL, path, l->line, 1, "the revocation list of %.200s %s %s",
		    l->issuer.p, now_s < l->from_s ? "is not valid before" : "expired on", date);
	}
	return 0;
}

/* ------------------------------------------------------------------ telling */

void
certificate_date(int64_t unix_s, char out[static CERTIFICATE_DATE])
{
	char whole[25];

	clock_iso(whole, (uint64_t)MAX(unix_s, 0) * 1000);
	memcpy(out, whole, CERTIFICATE_DATE - 2);
	strcpy(out + CERTIFICATE_DATE - 2, "Z");
}

/* A name out of a certificate may have anything in it. */
static void
print_bytes(const ASN1_STRING *s, struct text *out)
{
	const unsigned char *p = ASN1_STRING_get0_data(s);

	text_char(out, ' ');
	for (int i = 0; i < ASN1_STRING_length(s); i++)
		text_char(out, p[i] > ' ' && p[i] < 0x7f ? (char)p[i] : '?');
}

static void
print_names(X509 *x, struct text *out)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);

	text_printf(out, "names");
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		int type;
		const ASN1_STRING *s = GENERAL_NAME_get0_value(name, &type);
		char address[INET6_ADDRSTRLEN];

		if (type == GEN_DNS || type == GEN_URI || type == GEN_EMAIL)
			print_bytes(s, out);
		else if (type == GEN_IPADD && (ASN1_STRING_length(s) == 4 || ASN1_STRING_length(s) == 16))
			text_printf(out, " %s",
			    inet_ntop(ASN1_STRING_length(s) == 4 ? AF_INET : AF_INET6,
				ASN1_STRING_get0_data(s), address, sizeof(address)));
	}
	text_char(out, '\n');
	GENERAL_NAMES_free(names);
}

void
certificate_print(struct str chain, int64_t now_s, struct text *out)
{
	BIO *in = BIO_new_mem_buf(chain.p, (int)chain.len);
	X509 *x = PEM_read_bio_X509(in, NULL, NULL, NULL);
	struct arena arena = {0};
	char before[CERTIFICATE_DATE], after[CERTIFICATE_DATE];
	int64_t not_after_s;

	BIO_free(in);
	assert(x != NULL);
	not_after_s = unix_time(X509_get0_notAfter(x));
	certificate_date(unix_time(X509_get0_notBefore(x)), before);
	certificate_date(not_after_s, after);
	text_printf(out, "subject %s\n", name_text(&arena, X509_get_subject_name(x)).p);
	text_printf(out, "issuer %s\n", name_text(&arena, X509_get_issuer_name(x)).p);
	print_names(x, out);
	text_printf(out, "not-before %s\nnot-after %s\nexpires-in %" PRId64 "\n", before, after,
	    (not_after_s - now_s) / DAY_S);
	X509_free(x);
	arena_fini(&arena);
}

void
certificate_print_cas(const char *key, const struct credential *c, int64_t now_s, struct text *out)
{
	char date[CERTIFICATE_DATE];

	text_printf(
	    out, "%s %" PRIu32 " certificate%s", key, c->ncertificates, c->ncertificates == 1 ? "" : "s");
	if (c->nlists > 0)
		text_printf(out, ", %" PRIu32 " revocation list%s", c->nlists, c->nlists == 1 ? "" : "s");
	text_char(out, '\n');
	for (uint32_t i = 0; i < c->nlists; i++) {
		if (now_s <= c->lists[i].until_s)
			continue;
		certificate_date(c->lists[i].until_s, date);
		text_printf(out, "%s expired %s: the revocation list of " STR_FMT "\n", key, date,
		    STR_ARG(c->lists[i].issuer));
	}
}
