/* wire.c - sockets on loopback, with TLS or without. */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <poll.h>
#include <sys/socket.h>

/* ------------------------------------------------------------------ contexts */

static const unsigned char h2_only[] = "\x02h2", h1_only[] = "\x08http/1.1";

static int
select_protocol(SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in,
    unsigned int inlen, void *arg)
{
	const unsigned char *mine = arg;
	unsigned char *found;

	if (SSL_select_next_proto(&found, outlen, mine, (unsigned)mine[0] + 1, in, inlen) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = found;
	return SSL_TLSEXT_ERR_OK;
}

static void
show(SSL_CTX *ctx, const struct paper *paper)
{
	BIO *chain = BIO_new_mem_buf(paper->chain, -1), *key = BIO_new_mem_buf(paper->key, -1);
	X509 *x = PEM_read_bio_X509(chain, NULL, NULL, NULL);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);

	if (SSL_CTX_use_certificate(ctx, x) != 1 || SSL_CTX_use_PrivateKey(ctx, k) != 1)
		abort();
	X509_free(x);
	EVP_PKEY_free(k);
	BIO_free(chain);
	BIO_free(key);
}

SSL_CTX *
wire_context(bool server, bool h2, const struct paper *paper)
{
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	const unsigned char *protocol = h2 ? h2_only : h1_only;

	if (ctx == NULL)
		abort();
	if (paper != NULL)
		show(ctx, paper);
	if (server)
		SSL_CTX_set_alpn_select_cb(ctx, select_protocol, (void *)protocol);
	else
		SSL_CTX_set_alpn_protos(ctx, protocol, (unsigned)protocol[0] + 1);
	return ctx;
}

/* ------------------------------------------------------------------ sockets */

int
wire_occupy(uint16_t *port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof(in)) != 0 ||
	    getsockname(fd, (struct sockaddr *)&in, &len) != 0)
		abort();
	*port = ntohs(in.sin_port);
	return fd;
}

int
wire_listen(uint16_t *port)
{
	int fd = wire_occupy(port);

	if (listen(fd, 64) != 0)
		abort();
	return fd;
}

/* Freeing the ring that the engine probes with can interrupt a call of this thread. */
static bool
await(const struct wire *w, short events)
{
	struct pollfd p = {.fd = w->fd, .events = events};

	return TEMP_FAILURE_RETRY(poll(&p, 1, WIRE_LIMIT_MS)) == 1;
}

/* What a call of OpenSSL waits for; 0: nothing will come. */
static short
wanted(const struct wire *w, int rc)
{
	switch (SSL_get_error(w->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		return POLLIN;
	case SSL_ERROR_WANT_WRITE:
		return POLLOUT;
	default:
		return 0;
	}
}

static bool
shake(struct wire *w)
{
	for (;;) {
		short events;
		int rc;

		ERR_clear_error();
		rc = SSL_do_handshake(w->ssl);
		if (rc == 1)
			return true;
		events = wanted(w, rc);
		if (events == 0 || !await(w, events))
			return false;
	}
}

static void
secure(struct wire *w, SSL_CTX *ctx)
{
	w->ssl = SSL_new(ctx);
	if (w->ssl == NULL || SSL_set_fd(w->ssl, w->fd) != 1)
		abort();
}

bool
wire_connect(struct wire *w, uint16_t port, SSL_CTX *ctx, const char *name, SSL_SESSION *session)
{
	struct sockaddr_in in = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, rc;

	*w = (struct wire){.fd = fd};
	rc = connect(fd, (struct sockaddr *)&in, sizeof(in));
	/* An interrupted one goes on by itself. */
	if (rc != 0 && (errno != EINTR || !await(w, POLLOUT)))
		goto fail;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (ctx == NULL)
		return true;
	secure(w, ctx);
	SSL_set_connect_state(w->ssl);
	SSL_set_tlsext_host_name(w->ssl, name);
	if (session != NULL)
		SSL_set_session(w->ssl, session);
	if (shake(w))
		return true;
fail:
	wire_close(w);
	return false;
}

bool
wire_accept(struct wire *w, int fd, SSL_CTX *ctx)
{
	int one = 1;

	*w = (struct wire){.fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)};
	if (w->fd < 0)
		return false;
	setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (ctx == NULL)
		return true;
	secure(w, ctx);
	SSL_set_accept_state(w->ssl);
	return true;
}

void
wire_close(struct wire *w)
{
	if (w->ssl != NULL && SSL_is_init_finished(w->ssl)) {
		ERR_clear_error();
		SSL_shutdown(w->ssl);
	}
	SSL_free(w->ssl);
	if (w->fd >= 0)
		close(w->fd);
	*w = (struct wire){.fd = -1};
}

/* ------------------------------------------------------------------ bytes */

ssize_t
wire_read(struct wire *w, char *out, size_t max)
{
	ssize_t n;

	if (w->ssl == NULL) {
		n = TEMP_FAILURE_RETRY(recv(w->fd, out, max, MSG_DONTWAIT));
		return n < 0 && errno != EAGAIN ? 0 : n;
	}
	ERR_clear_error();
	n = SSL_read(w->ssl, out, (int)max);
	if (n > 0)
		return n;
	return wanted(w, (int)n) != 0 ? -1 : 0;
}

ssize_t
wire_wait(struct wire *w, char *out, size_t max)
{
	for (;;) {
		ssize_t n;

		if ((w->ssl == NULL || SSL_pending(w->ssl) == 0) && !await(w, POLLIN))
			return 0;
		n = wire_read(w, out, max);
		if (n >= 0)
			return n;
	}
}

bool
wire_write(struct wire *w, const char *p, size_t n)
{
	for (size_t at = 0; at < n;) {
		short events = POLLOUT;
		ssize_t done;

		ERR_clear_error();
		done = w->ssl != NULL ? SSL_write(w->ssl, p + at, (int)(n - at))
				      : send(w->fd, p + at, n - at, MSG_NOSIGNAL);
		if (done > 0) {
			at += (size_t)done;
			continue;
		}
		if (w->ssl != NULL)
			events = wanted(w, (int)done);
		else if (errno != EAGAIN && errno != EINTR)
			return false;
		if (events == 0 || !await(w, events))
			return false;
	}
	return true;
}

void
wire_peer(const struct wire *w, char *out, size_t max)
{
	X509 *x = SSL_get1_peer_certificate(w->ssl);

	out[0] = '\0';
	if (x != NULL)
		X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, out, (int)max);
	X509_free(x);
}
