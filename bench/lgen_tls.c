/* lgen_tls.c - TLS 1.3 of a client: one cipher suite, one group, so that every server does the same
 * arithmetic.
 *
 * OpenSSL reads straight from the ring's buffer and writes straight to what the connection has to send.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "lgen.h"

struct tls {
	SSL *ssl;
	struct lgen *lgen;
	struct conn *conn;
	struct span in; /* what came and was not read yet */
	bool done;	/* with the handshake */
	bool resumes;	/* it must: this client has been here before */
};

/* What a client keeps between its connections, with -r. */
struct memory {
	SSL_SESSION *session; /* of the newest ticket */
	bool met;	      /* a handshake went well */
};

static SSL_CTX *context;
static BIO_METHOD *pipe_method;
static struct memory *memories; /* by client; NULL without -r */

static const unsigned char alpn_h1[] = "\x08http/1.1", alpn_h2[] = "\x02h2";

/* ------------------------------------------------------------------ OpenSSL's end of the connection */

static int
pipe_read(BIO *bio, char *bytes, int size)
{
	struct tls *t = BIO_get_data(bio);
	size_t len = t->in.len < (size_t)size ? t->in.len : (size_t)size;

	BIO_clear_retry_flags(bio);
	if (len == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(bytes, t->in.at, len);
	t->in.at += len;
	t->in.len -= len;
	return (int)len;
}

static int
pipe_write(BIO *bio, const char *bytes, int len)
{
	struct tls *t = BIO_get_data(bio);

	memcpy(outbox_room(&t->conn->waiting, (size_t)len), bytes, (size_t)len);
	t->conn->waiting.len += (size_t)len;
	conn_queue(t->lgen, t->conn);
	return len;
}

static long
pipe_control(BIO *bio, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH;
}

static BIO *
pipe_new(struct tls *t)
{
	BIO *bio = BIO_new(pipe_method);

	if (bio == NULL)
		die("BIO_new", ENOMEM);
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	return bio;
}

/* ------------------------------------------------------------------ start */

static int
session_came(SSL *ssl, SSL_SESSION *session)
{
	struct tls *t = SSL_get_app_data(ssl);
	struct memory *mine = &memories[t->conn->index];

	SSL_SESSION_free(mine->session);
	mine->session = session;
	return 1; /* it is ours now */
}

/* Whose certificate it is matters to nobody here; OpenSSL would build its chain even unasked. */
static int
certificate_came(X509_STORE_CTX *store, void *argument)
{
	return 1;
}

static SSL_CTX *
context_new(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1 ||
	    SSL_CTX_set1_groups_list(ctx, "X25519") != 1)
		die("SSL_CTX_new", EINVAL);
	SSL_CTX_set_cert_verify_callback(ctx, certificate_came, NULL);
	SSL_CTX_set_read_ahead(ctx, 1);
	return ctx;
}

void
tls_prepare(struct lgen *g)
{
	bool h2 = g->opt.streams > 0;

	context = context_new();
	pipe_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "ring");
	if (pipe_method == NULL)
		die("BIO_meth_new", ENOMEM);
	BIO_meth_set_read(pipe_method, pipe_read);
	BIO_meth_set_write(pipe_method, pipe_write);
	BIO_meth_set_ctrl(pipe_method, pipe_control);
	SSL_CTX_set_alpn_protos(
	    context, h2 ? alpn_h2 : alpn_h1, h2 ? sizeof(alpn_h2) - 1 : sizeof(alpn_h1) - 1);
	if (!g->opt.resume)
		return;
	memories = calloc(CONNS_MAX, sizeof(*memories));
	if (memories == NULL)
		die("calloc", errno);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, session_came);
}

struct message
tls_hello(const char *host)
{
	SSL_CTX *ctx = context_new();
	SSL *ssl = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	struct message m = {0};
	char *bytes;

	if (ssl == NULL || in == NULL || out == NULL)
		die("SSL_new", ENOMEM);
	SSL_set_bio(ssl, in, out);
	SSL_set_tlsext_host_name(ssl, host);
	SSL_connect(ssl);
	m.len = (size_t)BIO_get_mem_data(out, &bytes);
	m.bytes = malloc(m.len);
	if (m.bytes == NULL || m.len == 0)
		die("a ClientHello", EINVAL);
	memcpy(m.bytes, bytes, m.len);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return m;
}

/* ------------------------------------------------------------------ a connection */

void
tls_open(struct lgen *g, struct conn *c)
{
	struct tls *t = calloc(1, sizeof(*t));
	BIO *bio;

	if (t == NULL || (t->ssl = SSL_new(context)) == NULL)
		die("SSL_new", ENOMEM);
	t->lgen = g;
	t->conn = c;
	c->tls = t;
	SSL_set_app_data(t->ssl, t);
	bio = pipe_new(t);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_tlsext_host_name(t->ssl, g->opt.host);
	SSL_set_connect_state(t->ssl);
	t->resumes = memories != NULL && memories[c->index].met;
	if (t->resumes && memories[c->index].session != NULL)
		SSL_set_session(t->ssl, memories[c->index].session);
	tls_handshake(g, c, (struct span){0});
}

void
tls_close(struct conn *c)
{
	/* OpenSSL calls a session bad whose connection ended without a word */
	SSL_set_shutdown(c->tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(c->tls->ssl);
	free(c->tls);
	c->tls = NULL;
}

/* The handshake is over: was it the one that was asked for? */
static bool
handshake_is_right(const struct lgen *g, const struct tls *t)
{
	const unsigned char *wanted = g->opt.streams > 0 ? alpn_h2 : alpn_h1, *alpn;
	unsigned len;

	SSL_get0_alpn_selected(t->ssl, &alpn, &len);
	return len == wanted[0] && memcmp(alpn, wanted + 1, len) == 0 &&
	       (SSL_session_reused(t->ssl) == 1) == t->resumes;
}

bool
tls_handshake(struct lgen *g, struct conn *c, struct span data)
{
	struct tls *t = c->tls;
	int rc;

	t->in = data;
	if (t->done)
		return true;
	ERR_clear_error();
	rc = SSL_do_handshake(t->ssl);
	if (rc == 1 && handshake_is_right(g, t)) {
		t->done = true;
		if (memories != NULL)
			memories[c->index].met = true;
		if (g->phase == PHASE_MEASURE)
			g->handshakes++;
	} else if (rc == 1 || SSL_get_error(t->ssl, rc) != SSL_ERROR_WANT_READ) {
		client_wrong(g, &g->errors);
		conn_abort(c);
	}
	return t->done;
}

void
tls_seal(struct lgen *g, struct conn *c)
{
	size_t written;

	if (SSL_write_ex(c->tls->ssl, c->clear.bytes, c->clear.len, &written) != 1) {
		client_wrong(g, &g->errors);
		conn_abort(c);
	}
	c->clear.len = 0;
}

size_t
tls_read(struct conn *c, char *bytes, size_t size)
{
	size_t len;

	return SSL_read_ex(c->tls->ssl, bytes, size, &len) == 1 ? len : 0;
}
