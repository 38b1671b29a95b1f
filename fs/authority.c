/* authority.c - the local CA: kept in the store, made once, and signing leaves. */
#include "authority.h"
#include "certificate.h"
#include "clock.h"
#include "limits.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define DAY_S (24 * 3600)
#define CA_S (3652LL * DAY_S) /* ten years */
#define LEAF_S (90LL * DAY_S)
#define RENEW_S (30LL * DAY_S) /* what is left of a leaf when it is signed anew */
#define EARLY_S 3600	       /* clocks of clients may be slow */
#define SERIAL_BYTES 16

/* Bits of keyUsage (RFC 5280 4.2.1.3). */
enum { USAGE_SIGNATURE = 0, USAGE_CERTIFICATES = 5, USAGE_CRLS = 6 };

#define AUTHORITY_MAGIC 0xca00ca00u
struct authority {
	unsigned magic;
	struct store *store;
	authority_clock_fn *now_s;
	X509 *ca;
	EVP_PKEY *key;
	/* Filled in anew for each leaf: setting the key of a certificate costs more than signing it. */
	X509 *leaf;
	char *ca_pem, *leaf_pem;
	int64_t not_after_s;
	EVP_MD *digest;
	bool broken; /* the files are there, and cannot be used */
	char why[256];
};

static int64_t
wall_clock(void)
{
	return (int64_t)(clock_unix_ms() / 1000);
}

struct authority *
authority_new(struct store *s, authority_clock_fn *now_s)
{
	struct authority *a = xcalloc(1, sizeof(*a));

	a->magic = AUTHORITY_MAGIC;
	a->store = s;
	a->now_s = now_s == NULL ? wall_clock : now_s;
	return a;
}

void
authority_free(struct authority *a)
{
	if (a == NULL)
		return;
	CHECK(a, AUTHORITY_MAGIC);
	X509_free(a->ca);
	EVP_PKEY_free(a->key);
	X509_free(a->leaf);
	EVP_MD_free(a->digest);
	free(a->ca_pem);
	free(a->leaf_pem);
	a->magic = 0;
	free(a);
}

int64_t
authority_now(const struct authority *a)
{
	CHECK(a, AUTHORITY_MAGIC);
	return a->now_s();
}

const char *
authority_why(const struct authority *a)
{
	CHECK(a, AUTHORITY_MAGIC);
	return a->why;
}

static int PRINTF(3, 4) fail(struct authority *a, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->why, sizeof(a->why), fmt, ap);
	va_end(ap);
	ERR_clear_error();
	return -err;
}

/* ------------------------------------------------------------------ texts */

static char *
take_bio(BIO *out)
{
	char *p, *text;
	long n = BIO_get_mem_data(out, &p);

	text = xstrndup(p, (size_t)n);
	BIO_free(out);
	return text;
}

static char *
certificate_text(X509 *x)
{
	BIO *out = BIO_new(BIO_s_mem());

	PEM_write_bio_X509(out, x);
	return take_bio(out);
}

static char *
key_text(EVP_PKEY *key)
{
	BIO *out = BIO_new(BIO_s_mem());

	PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
	return take_bio(out);
}

/* ------------------------------------------------------------------ certificates */

/* In the place of what x has of this kind. */
static void
add_extension(X509 *x, int nid, void *value, bool critical)
{
	/* Fails only without memory, which xcalloc does not survive either. */
	if (X509_add1_ext_i2d(x, nid, value, critical, X509V3_ADD_REPLACE) != 1)
		abort();
}

static void
add_basic(X509 *x, bool ca)
{
	BASIC_CONSTRAINTS *basic = BASIC_CONSTRAINTS_new();

	basic->ca = ca ? 0xff : 0;
	if (ca) {
		/* It signs leaves, and no other CA. */
		basic->pathlen = ASN1_INTEGER_new();
		ASN1_INTEGER_set(basic->pathlen, 0);
	}
	add_extension(x, NID_basic_constraints, basic, true);
	BASIC_CONSTRAINTS_free(basic);
}

static void
add_usage(X509 *x, int first_bit, int second_bit)
{
	ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();

	ASN1_BIT_STRING_set_bit(bits, first_bit, 1);
	ASN1_BIT_STRING_set_bit(bits, second_bit, 1);
	add_extension(x, NID_key_usage, bits, true);
	ASN1_BIT_STRING_free(bits);
}

/* The name that a CA's key goes by: a leaf says it, so that an older CA of the same name is not taken. */
static ASN1_OCTET_STRING *
key_name(X509 *x)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	ASN1_OCTET_STRING *name = ASN1_OCTET_STRING_new();

	X509_pubkey_digest(x, EVP_sha1(), digest, &n);
	ASN1_OCTET_STRING_set(name, digest, (int)n);
	return name;
}

static void
add_subject_key(X509 *x)
{
	ASN1_OCTET_STRING *name = key_name(x);

	add_extension(x, NID_subject_key_identifier, name, false);
	ASN1_OCTET_STRING_free(name);
}

static void
add_issuer_key(X509 *x, X509 *ca)
{
	AUTHORITY_KEYID *id = AUTHORITY_KEYID_new();

	id->keyid = key_name(ca);
	add_extension(x, NID_authority_key_identifier, id, false);
	AUTHORITY_KEYID_free(id);
}

static void
add_names(X509 *x, const struct str *names, uint32_t n)
{
	GENERAL_NAMES *all = GENERAL_NAMES_new();

	for (uint32_t i = 0; i < n; i++) {
		GENERAL_NAME *name = GENERAL_NAME_new();
		ASN1_IA5STRING *text = ASN1_IA5STRING_new();

		ASN1_STRING_set(text, names[i].p, (int)names[i].len);
		GENERAL_NAME_set0_value(name, GEN_DNS, text);
		sk_GENERAL_NAME_push(all, name);
	}
	add_extension(x, NID_subject_alt_name, all, false);
	GENERAL_NAMES_free(all);
}

/* Gives x its serial number, its name and its time. */
static void
fill_in(X509 *x, struct str subject, int64_t from_s, int64_t to_s)
{
	X509_NAME *name = X509_NAME_new();
	unsigned char serial[SERIAL_BYTES];
	BIGNUM *number;

	RAND_bytes(serial, sizeof(serial));
	serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and of one length */
	number = BN_bin2bn(serial, sizeof(serial), NULL);
	BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x));
	BN_free(number);
	X509_NAME_add_entry_by_NID(
	    name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)subject.p, (int)subject.len, -1, 0);
	X509_set_subject_name(x, name);
	X509_NAME_free(name);
	ASN1_TIME_set(X509_getm_notBefore(x), (time_t)from_s);
	ASN1_TIME_set(X509_getm_notAfter(x), (time_t)to_s);
}

/* ------------------------------------------------------------------ the CA's files */

static int
read_file(struct authority *a, const char *path, char **text)
{
	ssize_t n;

	*text = xcalloc(1, ATTRIBUTE_BYTES_MAX + 1);
	n = store_read(a->store, path, *text, ATTRIBUTE_BYTES_MAX);
	if (n >= 0)
		return 0;
	free(*text);
	*text = NULL;
	if (n == -ENOENT)
		return 0;
	a->broken = true;
	return fail(a, (int)-n, "%s cannot be read: %s", path, strerror((int)-n));
}

static int
check_files(struct authority *a, const char *ca_text, const char *text)
{
	BIO *in = BIO_new_mem_buf(ca_text, -1);
	char date[CERTIFICATE_DATE];
	struct tm tm = {0};

	a->ca = PEM_read_bio_X509(in, NULL, NULL, NULL);
	BIO_free(in);
	if (a->ca == NULL || X509_check_ca(a->ca) != 1)
		return fail(a, EINVAL, STORE_CA " is not a CA's certificate");
	in = BIO_new_mem_buf(text, -1);
	/* No passphrase is asked for. */
	a->key = PEM_read_bio_PrivateKey(in, NULL, NULL, (void *)"");
	BIO_free(in);
	if (a->key == NULL)
		return fail(a, EINVAL, STORE_CA_KEY " is not a private key");
	if (X509_check_private_key(a->ca, a->key) != 1)
		return fail(a, EINVAL, STORE_CA_KEY " is not the key of " STORE_CA);
	ASN1_TIME_to_tm(X509_get0_notAfter(a->ca), &tm);
	a->not_after_s = timegm(&tm);
	if (a->now_s() <= a->not_after_s)
		return 0;
	certificate_date(a->not_after_s, date);
	return fail(a, EINVAL, STORE_CA " expired on %s", date);
}

/* Forgets the CA, but not why. */
static void
forget(struct authority *a)
{
	X509_free(a->ca);
	EVP_PKEY_free(a->key);
	a->ca = NULL;
	a->key = NULL;
}

/* Both files, none, or, after a crash between the two, the key alone. */
static int
load(struct authority *a)
{
	cleanup_free char *ca = NULL, *key = NULL;
	int rc = read_file(a, STORE_CA, &ca);

	if (rc == 0)
		rc = read_file(a, STORE_CA_KEY, &key);
	if (rc < 0 || ca == NULL)
		return rc;
	if (key == NULL)
		rc = fail(a, ENOENT, STORE_CA_KEY " is not there, but " STORE_CA " is");
	else
		rc = check_files(a, ca, key);
	if (key != NULL)
		explicit_bzero(key, strlen(key));
	a->broken = rc < 0;
	if (rc < 0)
		forget(a);
	else
		a->ca_pem = certificate_text(a->ca);
	return rc;
}

static int
make(struct authority *a)
{
	const struct owner open = {0644, geteuid(), getegid()}, secret = {0600, geteuid(), getegid()};
	cleanup_free char *text = NULL;
	int64_t now = a->now_s();
	int rc;

	if (a->store->read_only)
		return fail(a, EROFS, "there is none, and the store is read-only");
	a->not_after_s = now + CA_S;
	a->key = EVP_EC_gen("P-256");
	if (a->key == NULL)
		return fail(a, EIO, "its key cannot be made");
	a->ca = X509_new();
	X509_set_version(a->ca, X509_VERSION_3);
	X509_set_pubkey(a->ca, a->key);
	fill_in(a->ca, STR(AUTHORITY_NAME), now - EARLY_S, a->not_after_s);
	X509_set_issuer_name(a->ca, X509_get_subject_name(a->ca));
	add_basic(a->ca, true);
	add_usage(a->ca, USAGE_CERTIFICATES, USAGE_CRLS);
	add_subject_key(a->ca);
	if (X509_sign(a->ca, a->key, EVP_sha256()) == 0)
		return fail(a, EIO, "its certificate cannot be made");
	text = key_text(a->key);
	a->ca_pem = certificate_text(a->ca);
	/* The certificate last: while it is not there, nobody has seen the key. */
	rc = store_put(a->store, STORE_CA_KEY, str_of(text), &secret, true);
	explicit_bzero(text, strlen(text));
	if (rc == 0)
		rc = store_put(a->store, STORE_CA, str_of(a->ca_pem), &open, true);
	return rc < 0 ? fail(a, -rc, "it cannot be stored: %s", strerror(-rc)) : 0;
}

/* There is a CA when this returns 0. */
static int
ensure(struct authority *a)
{
	int rc;

	if (a->ca != NULL)
		return 0;
	if (a->broken)
		return -EINVAL;
	if ((rc = make(a)) < 0) {
		forget(a);
		free(a->ca_pem);
		a->ca_pem = NULL;
	}
	return rc;
}

const char *
authority_open(struct authority *a)
{
	CHECK(a, AUTHORITY_MAGIC);
	return load(a) < 0 ? a->why : NULL;
}

const char *
authority_pem(struct authority *a)
{
	CHECK(a, AUTHORITY_MAGIC);
	return ensure(a) < 0 ? NULL : a->ca_pem;
}

/* ------------------------------------------------------------------ leaves */

/* All of a leaf that is the same for all. */
static int
ensure_leaf(struct authority *a)
{
	EXTENDED_KEY_USAGE *purpose;
	EVP_PKEY *key;

	if (a->leaf != NULL)
		return 0;
	if ((key = EVP_EC_gen("P-256")) == NULL)
		return fail(a, EIO, "a key cannot be made");
	a->digest = EVP_MD_fetch(NULL, "SHA256", NULL);
	a->leaf_pem = key_text(key);
	a->leaf = X509_new();
	X509_set_version(a->leaf, X509_VERSION_3);
	X509_set_pubkey(a->leaf, key);
	X509_set_issuer_name(a->leaf, X509_get_subject_name(a->ca));
	EVP_PKEY_free(key);
	purpose = EXTENDED_KEY_USAGE_new();
	sk_ASN1_OBJECT_push(purpose, OBJ_nid2obj(NID_server_auth));
	add_extension(a->leaf, NID_ext_key_usage, purpose, false);
	sk_ASN1_OBJECT_pop_free(purpose, ASN1_OBJECT_free);
	add_basic(a->leaf, false);
	add_usage(a->leaf, USAGE_SIGNATURE, USAGE_SIGNATURE);
	add_issuer_key(a->leaf, a->ca);
	return 0;
}

int
authority_issue(struct authority *a, struct str subject, const struct str *names, uint32_t nnames,
    struct arena *arena, struct certificate *out)
{
	int64_t now;
	char *text;
	int rc;

	CHECK(a, AUTHORITY_MAGIC);
	if ((rc = ensure(a)) < 0 || (rc = ensure_leaf(a)) < 0)
		return rc;
	now = a->now_s();
	*out = (struct certificate){.local = true, .not_after_s = MIN(now + LEAF_S, a->not_after_s)};
	fill_in(a->leaf, subject, now - EARLY_S, out->not_after_s);
	add_names(a->leaf, names, nnames);
	if (X509_sign(a->leaf, a->key, a->digest) == 0)
		return fail(a, EIO, "it cannot sign a certificate");
	text = certificate_text(a->leaf);
	out->chain = arena_str(arena, str_of(text));
	out->key = arena_str(arena, str_of(a->leaf_pem));
	out->issuer = arena_str(arena, STR("CN=" AUTHORITY_NAME));
	free(text);
	return 0;
}

bool
authority_is_due(const struct authority *a, const struct certificate *leaf)
{
	CHECK(a, AUTHORITY_MAGIC);
	/* None outlives the CA, so then nothing would be gained. */
	return a->ca != NULL && leaf->not_after_s - a->now_s() < RENEW_S &&
	       leaf->not_after_s < a->not_after_s;
}
