/* hellos.h - ClientHellos as OpenSSL makes them. */
#ifndef HELLOS_H
#define HELLOS_H

#include "base.h"
#include <criterion/criterion.h>
#include <openssl/ssl.h>

#define WIRE_MAX (64u * 1024)

struct hello {
	uint8_t p[WIRE_MAX];
	size_t n;
};

/* What a client sends first; alpn: so many bytes of protocol names make it big. */
static inline void
hello_make(struct hello *h, int version, const char *name, size_t alpn)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	unsigned char protocols[16 * 1024];
	char *p;

	SSL_set_min_proto_version(ssl, version);
	SSL_set_max_proto_version(ssl, version);
	if (name != NULL)
		cr_assert(SSL_set_tlsext_host_name(ssl, name) == 1);
	memset(protocols, 'p', sizeof(protocols));
	for (size_t at = 0, n; at < alpn; at += n) {
		n = alpn - at < 40 ? alpn - at : 20;
		protocols[at] = (unsigned char)(n - 1);
	}
	if (alpn > 0)
		cr_assert(SSL_set_alpn_protos(ssl, protocols, (unsigned)alpn) == 0);
	SSL_set_options(ssl, SSL_OP_TLSEXT_PADDING);
	SSL_set_bio(ssl, in, out);
	cr_assert(SSL_connect(ssl) < 0);
	h->n = (size_t)BIO_get_mem_data(out, &p);
	cr_assert(h->n > 0 && h->n < WIRE_MAX);
	memcpy(h->p, p, h->n);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

#endif
