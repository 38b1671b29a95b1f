/* tls_held.c - what was loaded: identities, trusts, and the sessions of targets. */
#include "tls_own.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

/* A wildcard is a whole label, as in ACM's certificates. */
#define HOST_FLAGS X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS

/* ------------------------------------------------------------------ PEM */

/* OpenSSL would ask at the terminal. */
static int
no_password(char *out, int size, int writing, void *arg)
{
	return -1;
}

static BIO *
text_bio(struct str s)
{
	return BIO_new_mem_buf(s.p, (int)s.len);
}

/* The certificates of a text in their order, its CRLs too. NULL: malformed. */
static STACK_OF(X509_INFO) * read_infos(const struct tls_world *w, struct str pem)
{
	BIO *bio = text_bio(pem);
	STACK_OF(X509_INFO) *infos =
	    bio != NULL ? PEM_X509_INFO_read_bio_ex(bio, NULL, no_password, NULL, w->lib, NULL) : NULL;

	BIO_free(bio);
	return infos;
}

static void
free_infos(STACK_OF(X509_INFO) * infos)
{
	sk_X509_INFO_pop_free(infos, X509_INFO_free);
}

static EVP_PKEY *
read_key(const struct tls_world *w, struct str pem)
{
	BIO *bio = text_bio(pem);
	EVP_PKEY *key =
	    bio != NULL ? PEM_read_bio_PrivateKey_ex(bio, NULL, no_password, NULL, w->lib, NULL) : NULL;

	BIO_free(bio);
	return key;
}

static int
read_chain(const struct tls_world *w, struct str pem, struct tls_pair *pair)
{
	STACK_OF(X509_INFO) *infos = read_infos(w, pem);
	int rc = infos != NULL ? 0 : -EINVAL;

	pair->chain = sk_X509_new_null();
	if (pair->chain == NULL)
		rc = -ENOMEM;
	for (int i = 0; rc == 0 && i < sk_X509_INFO_num(infos); i++) {
		X509_INFO *info = sk_X509_INFO_value(infos, i);

		if (info->x509 == NULL)
			continue;
		if (pair->leaf == NULL)
			pair->leaf = info->x509;
		else if (sk_X509_push(pair->chain, info->x509) == 0)
			rc = -ENOMEM;
		if (rc == 0)
			info->x509 = NULL;
	}
	free_infos(infos);
	return rc == 0 && pair->leaf == NULL ? -EINVAL : rc;
}

/* ------------------------------------------------------------------ life */

static void
free_pair(struct tls_pair *p)
{
	X509_free(p->leaf);
	sk_X509_pop_free(p->chain, X509_free);
	EVP_PKEY_free(p->key);
}

void
tls_held_free(struct tls_held *h)
{
	if (h == NULL || --h->refs > 0)
		return;
	for (uint32_t i = 0; i < h->npairs; i++)
		free_pair(&h->pairs[i]);
	free(h->pairs);
	X509_STORE_free(h->store);
	sk_X509_NAME_pop_free(h->names, X509_NAME_free);
	SSL_SESSION_free(h->session);
	tls_held_free(h->trust);
	free(h->host);
	free(h);
}

static struct tls_held *
new_held(uint32_t edition)
{
	struct tls_held *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->refs = 1;
	h->edition = edition;
	return h;
}

struct tls_held *
tls_held_ref(struct tls_held *h)
{
	if (h != NULL)
		h->refs++;
	return h;
}

uint32_t
tls_held_edition(const struct tls_held *h)
{
	return h->edition;
}

/* Gives h when it was made without a mistake. */
static struct tls_held *
judge(struct tls_held *h, int rc)
{
	ERR_clear_error();
	if (rc == 0)
		return h;
	tls_held_free(h);
	return NULL;
}

/* ------------------------------------------------------------------ stores */

/* 0: everything of the text is in the store; -EINVAL also when there is no certificate in it. */
static int
fill_store(const struct tls_world *w, struct tls_held *h, struct str pem)
{
	STACK_OF(X509_INFO) *infos = read_infos(w, pem);
	unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;
	int found = 0, rc = infos != NULL ? 0 : -EINVAL;

	for (int i = 0; rc == 0 && i < sk_X509_INFO_num(infos); i++) {
		const X509_INFO *info = sk_X509_INFO_value(infos, i);
		X509_NAME *name = NULL;

		if (info->x509 != NULL) {
			found++;
			name = X509_NAME_dup(X509_get_subject_name(info->x509));
			if (name == NULL || X509_STORE_add_cert(h->store, info->x509) != 1 ||
			    sk_X509_NAME_push(h->names, name) == 0) {
				X509_NAME_free(name);
				rc = -EINVAL;
			}
		}
		if (info->crl != NULL) {
			flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
			if (X509_STORE_add_crl(h->store, info->crl) != 1)
				rc = -EINVAL;
		}
	}
	free_infos(infos);
	X509_STORE_set_flags(h->store, flags);
	return rc == 0 && found == 0 ? -EINVAL : rc;
}

static int
make_store(const struct tls_world *w, struct tls_held *h, struct str pem, bool system)
{
	h->store = X509_STORE_new();
	h->names = sk_X509_NAME_new_null();
	if (h->store == NULL || h->names == NULL)
		return -ENOMEM;
	if (system && X509_STORE_set_default_paths_ex(h->store, w->lib, NULL) != 1)
		return -ENOENT;
	return pem.len > 0 ? fill_store(w, h, pem) : 0;
}

/* ------------------------------------------------------------------ identities */

static int
make_pair(const struct tls_world *w, const struct tls_pem *pem, struct tls_pair *pair)
{
	int rc = read_chain(w, pem->chain, pair);

	if (rc != 0)
		return rc;
	pair->key = read_key(w, pem->key);
	return pair->key != NULL && X509_check_private_key(pair->leaf, pair->key) == 1 ? 0 : -EINVAL;
}

struct tls_held *
tls_identity_new(struct tls_world *w, const struct tls_pem *certs, uint32_t ncerts, struct str client_ca,
    uint32_t edition, uint64_t id)
{
	struct tls_held *h = new_held(edition);
	int rc = ncerts > 0 ? 0 : -EINVAL;

	if (h == NULL)
		return NULL;
	memcpy(h->context, &id, sizeof(id));
	memcpy(h->context + sizeof(id), &edition, sizeof(edition));
	h->pairs = calloc(MAX(ncerts, 1u), sizeof(*h->pairs));
	if (h->pairs == NULL)
		return judge(h, -ENOMEM);
	h->npairs = ncerts;
	for (uint32_t i = 0; rc == 0 && i < ncerts; i++)
		rc = make_pair(w, &certs[i], &h->pairs[i]);
	if (rc == 0 && client_ca.len > 0)
		rc = make_store(w, h, client_ca, false);
	return judge(h, rc);
}

static const struct tls_pair *
choose_pair(const struct tls_held *h, struct str sni)
{
	for (uint32_t i = 0; sni.len > 0 && i < h->npairs; i++)
		if (X509_check_host(h->pairs[i].leaf, sni.p, sni.len, HOST_FLAGS, NULL) == 1)
			return &h->pairs[i];
	return &h->pairs[0];
}

/* A CRL is asked for only where the bundle has one of that issuer. */
static int
on_verify_client(int ok, X509_STORE_CTX *ctx)
{
	STACK_OF(X509_CRL) * crls;

	if (ok == 1 || X509_STORE_CTX_get_error(ctx) != X509_V_ERR_UNABLE_TO_GET_CRL)
		return ok;
	crls = X509_STORE_CTX_get1_crls(ctx, X509_get_issuer_name(X509_STORE_CTX_get_current_cert(ctx)));
	if (sk_X509_CRL_num(crls) > 0) {
		sk_X509_CRL_pop_free(crls, X509_CRL_free);
		return 0;
	}
	sk_X509_CRL_free(crls);
	X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return 1;
}

static int
ask_client(const struct tls_held *h, SSL *ssl)
{
	STACK_OF(X509_NAME) *names = sk_X509_NAME_deep_copy(h->names, X509_NAME_dup, X509_NAME_free);

	if (names == NULL || SSL_set1_verify_cert_store(ssl, h->store) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return -ENOMEM;
	}
	SSL_set_client_CA_list(ssl, names);
	SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_verify_client);
	return 0;
}

int
tls_held_show(const struct tls_held *h, SSL *ssl, struct str sni)
{
	const struct tls_pair *p = choose_pair(h, sni);

	assert(h->npairs > 0);
	if (SSL_use_cert_and_key(ssl, p->leaf, p->key, p->chain, 1) != 1 ||
	    SSL_set_session_id_context(ssl, h->context, sizeof(h->context)) != 1)
		return -EINVAL;
	return h->store != NULL ? ask_client(h, ssl) : 0;
}

/* ------------------------------------------------------------------ trusts */

struct tls_held *
tls_trust_new(struct tls_world *w, struct str ca, bool system, uint32_t edition)
{
	struct tls_held *h = new_held(edition);

	if (h == NULL)
		return NULL;
	return judge(h, ca.len > 0 || system ? make_store(w, h, ca, system) : 0);
}

static bool
is_for(X509 *x, const struct tls *t)
{
	const struct sockaddr *sa = &t->addr.sa;
	struct addr literal;

	if (t->has_addr && sa->sa_family == AF_INET &&
	    X509_check_ip(x, (const void *)&t->addr.in.sin_addr, sizeof(struct in_addr), 0) == 1)
		return true;
	if (t->has_addr && sa->sa_family == AF_INET6 &&
	    X509_check_ip(x, (const void *)&t->addr.in6.sin6_addr, sizeof(struct in6_addr), 0) == 1)
		return true;
	if (t->host[0] == '\0' || addr_parse(str_of(t->host), &literal) == 0)
		return t->host[0] != '\0' && X509_check_ip_asc(x, t->host, 0) == 1;
	return X509_check_host(x, t->host, 0, HOST_FLAGS, NULL) == 1;
}

static int
on_verify_target(int ok, X509_STORE_CTX *ctx)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	const struct conn *c = SSL_get_app_data(ssl);

	if (ok == 1 && X509_STORE_CTX_get_error_depth(ctx) == 0 &&
	    !is_for(X509_STORE_CTX_get_current_cert(ctx), c->tls)) {
		X509_STORE_CTX_set_error(ctx, X509_V_ERR_HOSTNAME_MISMATCH);
		return 0;
	}
	return on_verify_client(ok, ctx);
}

int
tls_held_verify(const struct tls_held *h, SSL *ssl)
{
	if (h == NULL || h->store == NULL)
		return 0;
	if (SSL_set1_verify_cert_store(ssl, h->store) != 1)
		return -ENOMEM;
	SSL_set_verify(ssl, SSL_VERIFY_PEER, on_verify_target);
	return 0;
}

struct tls_held *
tls_held_session(SSL_SESSION *session, struct tls_held *trust, const char *host)
{
	struct tls_held *h = new_held(trust != NULL ? trust->edition : 0);

	if (h == NULL)
		return NULL;
	h->host = strdup(host);
	if (h->host == NULL) {
		tls_held_free(h);
		return NULL;
	}
	h->trust = tls_held_ref(trust);
	h->session = session;
	return h;
}
