/* tls_world.c - a worker's contexts, and the keys of its tickets. */
#include "tls_own.h"

#include "clock.h"
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#define HOUR_MS 3600000u
#define SESSION_SECONDS 3600 /* a ticket's keys are known for one to two hours */

/* As Lattice (reference 4.6), each with its ECDSA twin before it. */
#define SUITES_1_2                                                   \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"  \
	":ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"               \
	":ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384" \
	":ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"               \
	":AES128-GCM-SHA256:AES128-SHA:AES256-GCM-SHA384:AES256-SHA"
#define SUITES_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256:P-384"

/* ------------------------------------------------------------------ tickets */

static void
derive(const uint8_t chain[TLS_SECRET], const char *label, uint8_t *out, size_t n)
{
	uint8_t mac[32];
	unsigned len = 0;

	HMAC(EVP_sha256(), chain, TLS_SECRET, (const uint8_t *)label, strlen(label), mac, &len);
	assert(len == sizeof(mac) && n <= sizeof(mac));
	memcpy(out, mac, n);
	OPENSSL_cleanse(mac, sizeof(mac));
}

static void
derive_keys(const uint8_t chain[TLS_SECRET], struct tls_keys *k)
{
	derive(chain, "name", k->name, sizeof(k->name));
	derive(chain, "cipher", k->cipher, sizeof(k->cipher));
	derive(chain, "mac", k->mac, sizeof(k->mac));
}

/* Hours are counted from the machine's start: workers that begin in different hours are in step, and a year
 * is 8,760 steps of a microsecond. */
struct tls_keys *
tls_world_keys(struct tls_world *w, uint64_t now_ms)
{
	uint64_t hour = now_ms / HOUR_MS;

	if (w->hour >= hour)
		return &w->now;
	for (; w->hour < hour; w->hour++) {
		if (w->hour + 1 == hour)
			derive_keys(w->chain, &w->before);
		derive(w->chain, "next", w->chain, sizeof(w->chain));
	}
	derive_keys(w->chain, &w->now);
	return &w->now;
}

static int
start_ticket(const struct tls_world *w, const struct tls_keys *k, uint8_t *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, bool enc)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)k->mac, sizeof(k->mac)),
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
	    OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1 &&
		       EVP_CipherInit_ex2(cipher, w->cipher, k->cipher, iv, enc, NULL) == 1
		   ? 1
		   : -1;
}

/* 0: not ours, or too old: a full handshake. 1: good. 2: good, and a new one is due: always with TLS 1.3,
 * whose clients use a ticket once (RFC 8446 C.4). */
static int
on_ticket(
    SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int enc)
{
	struct conn *c = SSL_get_app_data(ssl);
	struct tls_world *w = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct tls_keys *k = tls_world_keys(w, c->net->now_ms);
	bool fresh;

	if (enc) {
		memcpy(name, k->name, sizeof(k->name));
		if (RAND_bytes_ex(w->lib, iv, EVP_MAX_IV_LENGTH, 0) != 1)
			return -1;
		return start_ticket(w, k, iv, cipher, mac, true);
	}
	fresh = memcmp(name, k->name, sizeof(k->name)) == 0;
	if (!fresh && memcmp(name, w->before.name, sizeof(w->before.name)) != 0)
		return 0;
	if (start_ticket(w, fresh ? k : &w->before, iv, cipher, mac, false) != 1)
		return -1;
	return fresh && SSL_version(ssl) != TLS1_3_VERSION ? 1 : 2;
}

/* ------------------------------------------------------------------ contexts */

static SSL_CTX *
new_context(struct tls_world *w, const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new_ex(w->lib, NULL, method);

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_app_data(ctx, w);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION);
	SSL_CTX_set_options(
	    ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_max_cert_list(ctx, TLS_CERTIFICATES_MAX);
	SSL_CTX_set_timeout(ctx, SESSION_SECONDS);
	if (SSL_CTX_set1_groups_list(ctx, GROUPS) != 1 || SSL_CTX_set_cipher_list(ctx, SUITES_1_2) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, SUITES_1_3) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static int
make_contexts(struct tls_world *w)
{
	w->server = new_context(w, TLS_server_method());
	w->client = new_context(w, TLS_client_method());
	if (w->server == NULL || w->client == NULL)
		return -ENOMEM;
	SSL_CTX_set_session_cache_mode(w->server, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(w->server, 1);
	SSL_CTX_set_client_hello_cb(w->server, tls_on_hello, NULL);
	SSL_CTX_set_alpn_select_cb(w->server, tls_on_alpn, NULL);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(w->server, on_ticket);
	SSL_CTX_set_session_cache_mode(w->client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(w->client, tls_on_session);
	return 0;
}

static int
make_bio(struct tls_world *w)
{
	w->bio = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "ring");
	return w->bio != NULL && BIO_meth_set_read(w->bio, tls_bio_read) == 1 &&
		       BIO_meth_set_write(w->bio, tls_bio_write) == 1 &&
		       BIO_meth_set_ctrl(w->bio, tls_bio_ctrl) == 1
		   ? 0
		   : -ENOMEM;
}

int
tls_world_new(struct tls_world **out, const uint8_t secret[static TLS_SECRET], const char **why)
{
	struct tls_world *w = calloc(1, sizeof(*w));

	*why = "OpenSSL cannot be set up: out of memory, or its library lacks the default provider";
	if (w == NULL)
		return -ENOMEM;
	w->lib = OSSL_LIB_CTX_new();
	w->cipher = w->lib != NULL ? EVP_CIPHER_fetch(w->lib, "AES-256-CBC", NULL) : NULL;
	if (w->cipher == NULL || make_bio(w) != 0 || make_contexts(w) != 0) {
		tls_world_free(w);
		return -ENOMEM;
	}
	memcpy(w->chain, secret, sizeof(w->chain));
	/* Of hour 0 there is nothing before; a ticket of nobody's keys is refused by its MAC. */
	derive_keys(w->chain, &w->now);
	RAND_bytes_ex(w->lib, (uint8_t *)&w->before, sizeof(w->before), 0);
	tls_world_keys(w, clock_ms());
	*out = w;
	return 0;
}

void
tls_world_free(struct tls_world *w)
{
	if (w == NULL)
		return;
	SSL_CTX_free(w->server);
	SSL_CTX_free(w->client);
	BIO_meth_free(w->bio);
	EVP_CIPHER_free(w->cipher);
	OSSL_LIB_CTX_free(w->lib);
	OPENSSL_cleanse(w, sizeof(*w));
	free(w);
}
