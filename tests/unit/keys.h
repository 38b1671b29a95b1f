/* keys.h - for tests: keys and certificates, made with OpenSSL, as PEM texts on the heap. */
#ifndef KEYS_H
#define KEYS_H

#include "../../include/str.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

enum key_form { FORM_PKCS8, FORM_TRADITIONAL, FORM_ENCRYPTED, FORM_TRADITIONAL_ENCRYPTED };

static inline char *
keys_take(BIO *out)
{
	char *p, *text;
	long n = BIO_get_mem_data(out, &p);

	text = xstrndup(p, (size_t)n);
	BIO_free(out);
	return text;
}

static inline char *
keys_text(EVP_PKEY *key, enum key_form form)
{
	BIO *out = BIO_new(BIO_s_mem());
	const EVP_CIPHER *cipher = form >= FORM_ENCRYPTED ? EVP_aes_128_cbc() : NULL;
	unsigned char word[] = "secret";
	unsigned char *pass = cipher == NULL ? NULL : word;
	int len = cipher == NULL ? 0 : 6;

	if (form == FORM_PKCS8 || form == FORM_ENCRYPTED)
		PEM_write_bio_PKCS8PrivateKey(out, key, cipher, (char *)pass, len, NULL, NULL);
	else
		PEM_write_bio_PrivateKey_traditional(out, key, cipher, pass, len, NULL, NULL);
	return keys_take(out);
}

/* What a test wants of a certificate; 0 and NULL are what is usual. */
struct wanted {
	const char *name, *alt; /* alt as in openssl.cnf: DNS:a,IP:10.0.0.1 */
	EVP_PKEY *key;
	X509 *by; /* NULL: itself */
	EVP_PKEY *by_key;
	bool ca;
	int from_days, to_days; /* from now; 0: now and 30 */
	const EVP_MD *digest;
	const char *usage; /* keyUsage */
};

static inline void
keys_extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

static inline X509 *
keys_certificate(const struct wanted *w)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	const EVP_MD *digest = w->digest != NULL ? w->digest : EVP_sha256();

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)w->name, -1, -1, 0);
	X509_set_issuer_name(x, w->by == NULL ? name : X509_get_subject_name(w->by));
	X509_gmtime_adj(X509_getm_notBefore(x), 86400L * w->from_days);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400L * (w->to_days != 0 ? w->to_days : 30));
	X509_set_pubkey(x, w->key);
	if (w->ca)
		keys_extend(x, NID_basic_constraints, "critical,CA:TRUE");
	if (w->usage != NULL)
		keys_extend(x, NID_key_usage, w->usage);
	if (w->alt != NULL)
		keys_extend(x, NID_subject_alt_name, w->alt);
	if (EVP_PKEY_get_base_id(w->by_key != NULL ? w->by_key : w->key) == EVP_PKEY_ED25519)
		digest = NULL;
	X509_sign(x, w->by_key != NULL ? w->by_key : w->key, digest);
	return x;
}

static inline char *
keys_pem(X509 *x)
{
	BIO *out = BIO_new(BIO_s_mem());

	PEM_write_bio_X509(out, x);
	return keys_take(out);
}

/* The text of a CA's list that revokes nothing; of these days, seen from now. critical: an extension that
 * makes it useless alone, or 0. */
static inline char *
keys_crl(X509 *ca, EVP_PKEY *key, int from_days, int to_days, int critical)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *t = ASN1_TIME_new();
	ASN1_INTEGER *one = ASN1_INTEGER_new();
	BIO *out = BIO_new(BIO_s_mem());

	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca));
	X509_CRL_set1_lastUpdate(crl, X509_gmtime_adj(t, 86400L * from_days));
	X509_CRL_set1_nextUpdate(crl, X509_gmtime_adj(t, 86400L * to_days));
	ASN1_INTEGER_set(one, 1);
	if (critical != 0)
		X509_CRL_add1_ext_i2d(crl, critical, one, 1, 0);
	X509_CRL_sign(crl, key, EVP_sha256());
	PEM_write_bio_X509_CRL(out, crl);
	X509_CRL_free(crl);
	ASN1_TIME_free(t);
	ASN1_INTEGER_free(one);
	return keys_take(out);
}

/* The text of a certificate that signs itself. */
static inline char *
keys_self(const char *name, EVP_PKEY *key)
{
	X509 *x = keys_certificate(&(struct wanted){.name = name, .key = key, .alt = "DNS:shop.example"});
	char *text = keys_pem(x);

	X509_free(x);
	return text;
}

#endif
