/* wire.h - for the stress test: one end of a connection on loopback, in the clear or with TLS.
 *
 * Nothing of OpenSSL's is shared between threads, which keeps its internals, where the sanitizer sees half
 * of what is done, out of the reports: papers are texts, and whoever needs a context loads its own.
 */
#ifndef WIRE_H
#define WIRE_H

#include "base.h"

#include <openssl/ssl.h>
#include <sys/types.h>

#define WIRE_LIMIT_MS 30000

/* A certificate and its key, PEM. */
struct paper {
	char *chain, *key;
};

/* paper NULL: none is shown. The protocol by ALPN: h2, or http/1.1. */
SSL_CTX *wire_context(bool server, bool h2, const struct paper *paper);

struct wire {
	int fd; /* -1: closed */
	SSL *ssl;
};

int wire_listen(uint16_t *port);
/* A socket with a port of its own where nobody listens. */
int wire_occupy(uint16_t *port);
/* ctx NULL: in the clear. name: the SNI. session: one to be resumed, or NULL. False: it did not come to be.
 */
bool wire_connect(struct wire *w, uint16_t port, SSL_CTX *ctx, const char *name, SSL_SESSION *session);
/* Of a listening socket; the handshake is part of the first read. */
bool wire_accept(struct wire *w, int fd, SSL_CTX *ctx);
void wire_close(struct wire *w);

/* Bytes; 0: the end, or broken; -1: none now. */
ssize_t wire_read(struct wire *w, char *out, size_t max);
/* The same, and it waits for them. */
ssize_t wire_wait(struct wire *w, char *out, size_t max);
/* All of them. */
bool wire_write(struct wire *w, const char *p, size_t n);
/* The common name of the peer's certificate. */
void wire_peer(const struct wire *w, char *out, size_t max);

#endif
