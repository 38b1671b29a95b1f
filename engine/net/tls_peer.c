/* tls_peer.c - who a client is, by its certificate: text for x-amzn-lattice-identity. */
#include "tls_own.h"

#include <openssl/x509v3.h>
#include <stdio.h>

#define ENTRY_MAX 1024u /* a longer one is no name that anybody decides by */

struct identity {
	char *out;
	uint32_t len, max;
};

static bool
is_plain(unsigned char c)
{
	return c >= ' ' && c < 0x7f && c != ';' && c != '%';
}

/* KEY=VALUE with what could end the entry or the field as %XX; all of it or nothing. */
static void
add(struct identity *id, const char *key, const unsigned char *p, size_t n)
{
	char entry[ENTRY_MAX + 4];
	size_t len = (size_t)snprintf(entry, sizeof(entry), "%s%s=", id->len > 0 ? "; " : "", key);

	for (size_t i = 0; i < n; i++) {
		if (len >= ENTRY_MAX)
			return;
		if (is_plain(p[i]))
			entry[len++] = (char)p[i];
		else
			len += (size_t)sprintf(entry + len, "%%%02X", p[i]);
	}
	if (id->len + len > id->max)
		return;
	memcpy(id->out + id->len, entry, len);
	id->len += (uint32_t)len;
}

static void
add_string(struct identity *id, const char *key, const ASN1_STRING *s)
{
	unsigned char *utf8;
	int n = ASN1_STRING_to_UTF8(&utf8, s);

	if (n < 0)
		return;
	add(id, key, utf8, (size_t)n);
	OPENSSL_free(utf8);
}

/* All of a name's parts of one kind. */
static void
add_parts(struct identity *id, const char *key, const X509_NAME *name, int nid)
{
	for (int i = -1; (i = X509_NAME_get_index_by_NID(name, nid, i)) >= 0;)
		add_string(id, key, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));
}

static void
add_alternatives(struct identity *id, const char *key, const GENERAL_NAMES *names, int type)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != type)
			continue;
		if (type == GEN_DIRNAME)
			add_parts(id, key, name->d.directoryName, NID_commonName);
		else
			add(id, key, ASN1_STRING_get0_data(name->d.ia5),
			    (size_t)ASN1_STRING_length(name->d.ia5));
	}
}

static void
add_fingerprint(struct identity *id, const X509 *x)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char text[8 + 2 * EVP_MAX_MD_SIZE] = "sha256:";
	unsigned n = 0;
	int len = 7;

	if (X509_digest(x, EVP_sha256(), digest, &n) != 1)
		return;
	for (unsigned i = 0; i < n; i++)
		len += sprintf(text + len, "%02x", digest[i]);
	add(id, "Fingerprint", (const unsigned char *)text, (size_t)len);
}

uint32_t
tls_peer_print(X509 *x, char out[static TLS_IDENTITY_MAX])
{
	static const char type[] = "X509";
	/* What tells this certificate from all others has its room kept. */
	struct identity id = {.out = out, .max = TLS_IDENTITY_MAX - 128};
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);

	add_parts(&id, "X509Issuer/OU", X509_get_issuer_name(x), NID_organizationalUnitName);
	add_alternatives(&id, "X509SAN/DNS", names, GEN_DNS);
	add_alternatives(&id, "X509SAN/NameCN", names, GEN_DIRNAME);
	add_alternatives(&id, "X509SAN/URI", names, GEN_URI);
	add_parts(&id, "X509Subject/CN", X509_get_subject_name(x), NID_commonName);
	id.max = TLS_IDENTITY_MAX;
	add(&id, "Type", (const unsigned char *)type, sizeof(type) - 1);
	add_fingerprint(&id, x);
	GENERAL_NAMES_free(names);
	return id.len;
}
