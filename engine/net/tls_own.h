/* tls_own.h - what tls*.c share among themselves: the structures, in OpenSSL's terms. */
#ifndef TLS_OWN_H
#define TLS_OWN_H

#include "limits.h"
#include "tls.h"

#include <openssl/ssl.h>

#define TLS_RECORD_MAX 16384u /* plaintext of a record, RFC 8446 5.1 */

/* Of one hour. */
struct tls_keys {
	uint8_t name[16], cipher[32], mac[32];
};

struct tls_world {
	OSSL_LIB_CTX *lib; /* a worker's own: the global one's locks are shared by all threads */
	SSL_CTX *server, *client;
	BIO_METHOD *bio;
	EVP_CIPHER *cipher;
	uint64_t hour;
	uint8_t chain[TLS_SECRET]; /* the next hour's keys come from it, past ones cannot */
	struct tls_keys now, before;
	char scratch[TLS_RECORD_MAX];
};

/* What is held: an identity has pairs, a trust a store or none, a session the rest. */
struct tls_held {
	uint32_t refs, edition;
	struct tls_pair {
		X509 *leaf;
		STACK_OF(X509) * chain;
		EVP_PKEY *key;
	} * pairs;
	uint32_t npairs;
	X509_STORE *store; /* of an identity: what clients are verified by, or NULL */
	STACK_OF(X509_NAME) * names;
	uint8_t context[12]; /* id and edition: what a session is good for */
	SSL_SESSION *session;
	struct tls_held *trust; /* that verified it, or NULL */
	char *host;		/* that it was verified for */
};

struct tls {
	struct tls_world *world;
	tls_choose_fn *choose; /* NULL: a client */
	struct tls_held *held; /* a server's identity once it was chosen, a client's trust */
	struct tls_held **session;
	SSL *ssl;	    /* of a server: NULL until the client's first bytes */
	struct buf *in;	    /* received and not read */
	struct buf *out;    /* encrypted and not sent */
	struct buf *flight; /* being sent */
	char *host;	    /* a client's: "" when there is none */
	struct addr addr;
	bool has_addr;
	bool h2;	 /* a client's: to be agreed on */
	bool up;	 /* the handshake is over */
	bool tickets;	 /* out has nothing but tickets: they may wait for an answer's company */
	bool out_owned;	 /* the owner's send is in out */
	bool sent_owned; /* and in flight */
	bool broken;	 /* what the owner sends cannot be encrypted any more */
	bool shut;	 /* no more data from us once all is sent */
	bool deaf;	 /* tls_drop */
	bool over;	 /* the peer's last byte was read: */
	int end;	 /* how it ended */
	uint8_t failure;
	uint32_t received; /* bytes of the handshake */
	char *identity;	   /* made when asked for */
	uint32_t identity_len;
};

/* tls_world.c */
struct tls_keys *tls_world_keys(struct tls_world *w, uint64_t now_ms);

/* tls_held.c */
struct tls_held *tls_held_ref(struct tls_held *h);
/* Shows the certificate for the name, and asks for the client's. */
int tls_held_show(const struct tls_held *h, SSL *ssl, struct str sni);
/* Verifies the server. The callbacks find the connection by SSL_get_app_data. */
int tls_held_verify(const struct tls_held *h, SSL *ssl);
/* Takes the session. NULL: out of memory, and the session is not taken. */
struct tls_held *tls_held_session(SSL_SESSION *session, struct tls_held *trust, const char *host);

/* tls.c, called by the contexts of tls_world.c */
int tls_on_hello(SSL *ssl, int *alert, void *arg);
int tls_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
    unsigned in_len, void *arg);
int tls_on_session(SSL *ssl, SSL_SESSION *session);
int tls_bio_read(BIO *bio, char *out, int n);
int tls_bio_write(BIO *bio, const char *p, int n);
long tls_bio_ctrl(BIO *bio, int command, long n, void *p);

/* tls_peer.c: the text for the certificate into out; its length. */
uint32_t tls_peer_print(X509 *x, char out[static TLS_IDENTITY_MAX]);

#endif
