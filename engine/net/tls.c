/* tls.c - TLS on a connection: the handshake, then bytes in, plaintext out, and back. */
#include "tls_conn.h"
#include "tls_own.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>

#define RECORD_EXTRA 64u /* what encryption adds to a record at most: CBC with SHA-1 in TLS 1.2 has 57 */

/* ------------------------------------------------------------------ OpenSSL's reads and writes */

int
tls_bio_read(BIO *bio, char *out, int n)
{
	struct conn *c = BIO_get_data(bio);
	struct buf *b = c->tls->in;
	uint32_t take;

	BIO_clear_retry_flags(bio);
	if (b == NULL) {
		BIO_set_retry_read(bio);
		return -1;
	}
	take = MIN(b->len, (uint32_t)n);
	memcpy(out, buf_data(b), take);
	b->off += take;
	b->len -= take;
	if (b->len == 0) {
		c->tls->in = NULL;
		buf_put(c->net->pools, b);
	}
	return (int)take;
}

static struct buf *
get_room(struct conn *c, uint32_t room)
{
	for (int class = BUF_SMALL; class < BUF_CLASSES; class ++)
		if (room <= c->net->pools[class].room)
			return buf_get(&c->net->pools[class]);
	return buf_heap(room);
}

/* So that n more bytes fit into what is to be sent. */
static int
reserve(struct conn *c, uint32_t n)
{
	struct buf *old = c->tls->out, *b;

	if (old != NULL && old->len + n <= old->room)
		return 0;
	b = get_room(c, old == NULL ? n : MAX(old->len + n, 2 * old->len));
	if (b == NULL)
		return -ENOMEM;
	if (old != NULL) {
		memcpy(buf_data(b), buf_data(old), old->len);
		b->len = old->len;
		buf_put(c->net->pools, old);
	}
	c->tls->out = b;
	return 0;
}

int
tls_bio_write(BIO *bio, const char *p, int n)
{
	struct conn *c = BIO_get_data(bio);
	struct buf *b;

	BIO_clear_retry_flags(bio);
	if (reserve(c, (uint32_t)n) != 0)
		return -1;
	b = c->tls->out;
	memcpy(buf_data(b) + b->len, p, (size_t)n);
	b->len += (uint32_t)n;
	return n;
}

long
tls_bio_ctrl(BIO *bio, int command, long n, void *p)
{
	return command == BIO_CTRL_FLUSH;
}

static SSL *
new_ssl(struct conn *c, SSL_CTX *ctx)
{
	SSL *ssl = SSL_new(ctx);
	BIO *bio = ssl != NULL ? BIO_new(c->tls->world->bio) : NULL;

	if (bio == NULL) {
		SSL_free(ssl);
		return NULL;
	}
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_app_data(ssl, c);
	return ssl;
}

/* ------------------------------------------------------------------ sending */

static void
flush(struct conn *c)
{
	struct tls *t = c->tls;

	if (t->out == NULL || c->writing)
		return;
	t->flight = t->out;
	t->sent_owned = t->out_owned;
	t->out = NULL;
	t->out_owned = t->tickets = false;
	conn_write(c, buf_data(t->flight), t->flight->len);
}

/* Nothing can be encrypted any more: the owner learns it as of any broken connection, by the ring. */
static void
give_up(struct conn *c)
{
	c->tls->broken = true;
	shutdown(c->fd, SHUT_RDWR);
	if (!c->writing)
		conn_write(c, "", 1);
}

static int
encrypt(struct conn *c, const void *p, size_t n)
{
	size_t written;

	return n == 0 || SSL_write_ex(c->tls->ssl, p, n, &written) == 1 ? 0 : -EPIPE;
}

void
tls_send(struct conn *c)
{
	struct tls *t = c->tls;
	const struct iovec *a = &c->parts[0], *b = &c->parts[1];
	size_t n = a->iov_len + b->iov_len;
	int rc;

	ERR_clear_error();
	t->out_owned = true;
	rc = reserve(c, (uint32_t)(n + (n / TLS_RECORD_MAX + 2) * RECORD_EXTRA));
	if (rc == 0 && b->iov_len > 0 && n <= sizeof(t->world->scratch)) {
		/* One record costs less than two and a copy. */
		memcpy(t->world->scratch, a->iov_base, a->iov_len);
		memcpy(t->world->scratch + a->iov_len, b->iov_base, b->iov_len);
		rc = encrypt(c, t->world->scratch, n);
	} else if (rc == 0) {
		rc = encrypt(c, a->iov_base, a->iov_len);
		if (rc == 0)
			rc = encrypt(c, b->iov_base, b->iov_len);
	}
	if (rc != 0)
		give_up(c);
	else
		flush(c);
}

void
tls_sent(struct conn *c, int error)
{
	struct tls *t = c->tls;
	bool owned = t->sent_owned;

	if (t->flight != NULL)
		buf_put(c->net->pools, t->flight);
	t->flight = NULL;
	t->sent_owned = false;
	if (t->broken)
		error = -EPIPE;
	if (error != 0) {
		owned = owned || t->out_owned;
		t->out_owned = false;
	} else if (!t->tickets) {
		flush(c);
	}
	if (t->shut && !c->writing)
		shutdown(c->fd, SHUT_WR);
	if (!owned)
		return;
	conn_unhold(c);
	c->events->sent(c, error);
}

/* Puts close_notify, and what waited for company, into out. */
static void
say_goodbye(struct tls *t)
{
	ERR_clear_error();
	if (t->up && !t->broken && !(t->over && t->end != 0))
		SSL_shutdown(t->ssl);
}

void
tls_shutdown(struct conn *c)
{
	struct tls *t = c->tls;

	say_goodbye(t);
	t->shut = true;
	flush(c);
	if (!c->writing)
		shutdown(c->fd, SHUT_WR);
}

/* The write is tried once: the cancellation that follows takes back what the socket has no room for. */
void
tls_close(struct conn *c)
{
	struct tls *t = c->tls;

	if (c->writing || c->cut || t->broken)
		return;
	if (!t->shut)
		say_goodbye(t);
	flush(c);
}

/* ------------------------------------------------------------------ receiving */

static void
finish(struct conn *c, int error)
{
	c->ended = true;
	c->error = error;
	c->events->end(c, error);
}

static bool
has_more(const struct tls *t)
{
	return t->in != NULL || t->over || SSL_pending(t->ssl) > 0;
}

/* What SSL_read could not do: 0 when it only needs more bytes. */
static void
judge_read(struct conn *c, int rc)
{
	struct tls *t = c->tls;

	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		if (t->out == NULL || t->out_owned || t->out->len <= TLS_UNSENT_MAX)
			return;
		t->end = -EPROTO;
		break;
	case SSL_ERROR_ZERO_RETURN:
		t->end = 0;
		break;
	default:
		t->end = -EPROTO;
	}
	t->over = true;
}

/* Fills b as far as there is something. */
static void
read_into(struct conn *c, struct buf *b)
{
	struct tls *t = c->tls;
	uint32_t unsent = t->out != NULL ? t->out->len : 0;

	ERR_clear_error();
	while (b->len < b->room && has_more(t) && !t->over) {
		size_t got = 0;
		int rc = SSL_read_ex(t->ssl, buf_data(b) + b->len, b->room - b->len, &got);

		b->len += (uint32_t)got;
		if (rc != 1) {
			judge_read(c, rc);
			break;
		}
	}
	/* Answers to what is no data: alerts, key updates. */
	if (t->out != NULL && t->out->len != unsent)
		flush(c);
}

/* Gives the owner, who waits, what there is; else a receive is armed. */
static void
deliver(struct conn *c)
{
	struct tls *t = c->tls;
	struct buf *b = NULL;

	if (!t->over && (b = buf_get(&c->net->pools[c->recv_class])) == NULL) {
		t->over = true;
		t->end = -ENOMEM;
	}
	if (b != NULL)
		read_into(c, b);
	if (b != NULL && b->len > 0) {
		c->receiving = false;
		c->more =
		    SSL_pending(t->ssl) > 0; /* what is in the socket may be no data, or a part of a record */
		c->events->data(c, b);
		return;
	}
	if (b != NULL)
		buf_put(c->net->pools, b);
	if (!t->over) {
		conn_arm(c, false);
		return;
	}
	c->receiving = false;
	finish(c, t->end);
}

/* A Finished that has to go waits for the turn's end: what the owner sends meanwhile goes with it. */
static bool
has_unsent(const struct conn *c)
{
	return c->tls->out != NULL && !c->tls->tickets && !c->writing;
}

void
tls_recv(struct conn *c, bool later)
{
	if (!c->tls->deaf && (has_more(c->tls) || has_unsent(c))) {
		c->receiving = true;
		list_append(&c->net->ready, &c->starved);
	} else {
		conn_arm(c, later);
	}
}

void
tls_ready(struct conn *c)
{
	if (has_unsent(c))
		flush(c);
	if (has_more(c->tls))
		deliver(c);
	else
		conn_arm(c, true);
}

/* ------------------------------------------------------------------ the handshake */

static void
fail(struct conn *c, int error, enum tls_failure failure)
{
	struct tls *t = c->tls;

	if (t->failure == TLS_FAILURE_NONE)
		t->failure = (uint8_t)failure;
	t->over = true;
	t->end = error;
	c->ended = true;
	flush(c); /* an alert */
	c->events->connected(c, error);
}

static enum tls_failure
last_failure(void)
{
	switch (ERR_GET_REASON(ERR_peek_error())) {
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return TLS_FAILURE_CERTIFICATE;
	default:
		return TLS_FAILURE_PROTOCOL;
	}
}

/* A certificate may have expired since the session that it stands in was made. */
static bool
is_stale(const struct tls *t)
{
	const X509 *x = SSL_session_reused(t->ssl) ? SSL_get0_peer_certificate(t->ssl) : NULL;

	return t->choose != NULL && x != NULL && X509_cmp_current_time(X509_get0_notAfter(x)) <= 0;
}

static void
handshake_over(struct conn *c)
{
	struct tls *t = c->tls;

	t->up = true;
	if (is_stale(t)) {
		fail(c, -EPROTO, TLS_FAILURE_CERTIFICATE);
		return;
	}
	if (t->h2 && !tls_is_h2(c)) {
		fail(c, -EPROTO, TLS_FAILURE_PROTOCOL);
		return;
	}
	/* Nobody waits for them, unlike for a Finished. */
	t->tickets = t->choose != NULL && SSL_version(t->ssl) == TLS1_3_VERSION;
	c->events->connected(c, 0);
}

static void
handshake(struct conn *c)
{
	struct tls *t = c->tls;
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake(t->ssl);
	if (rc == 1) {
		handshake_over(c);
	} else if (SSL_get_error(t->ssl, rc) != SSL_ERROR_WANT_READ) {
		fail(c, -EPROTO, last_failure());
	} else if (t->received > TLS_HANDSHAKE_MAX) {
		fail(c, -EPROTO, TLS_FAILURE_PROTOCOL);
	} else {
		flush(c);
		c->recv_class = t->choose != NULL ? BUF_SMALL : BUF_MID;
		conn_arm(c, false);
	}
}

void
tls_connected(struct conn *c)
{
	handshake(c);
}

/* A method's name: the client does not know that this port has TLS. */
static bool
is_http(const struct buf *b)
{
	char c = *buf_data(b);

	return c >= 'A' && c <= 'Z';
}

static void
begin_server(struct conn *c)
{
	struct tls *t = c->tls;

	if (is_http(t->in)) {
		tls_free(c);
		c->events->connected(c, -EPROTONOSUPPORT);
		return;
	}
	t->ssl = new_ssl(c, t->world->server);
	if (t->ssl == NULL) {
		fail(c, -ENOMEM, TLS_FAILURE_NONE);
		return;
	}
	SSL_set_accept_state(t->ssl);
	handshake(c);
}

void
tls_received(struct conn *c, struct buf *b)
{
	struct tls *t = c->tls;

	if (t->deaf) {
		c->receiving = false;
		c->events->data(c, b);
		return;
	}
	assert(t->in == NULL);
	t->in = b;
	if (t->up) {
		deliver(c);
		return;
	}
	t->received += b->len;
	if (t->ssl == NULL)
		begin_server(c);
	else
		handshake(c);
}

void
tls_ended(struct conn *c, int error)
{
	struct tls *t = c->tls;

	if (t->deaf) {
		finish(c, error);
		return;
	}
	if (!t->up) {
		fail(c, error != 0 ? error : -ECONNRESET, TLS_FAILURE_NONE);
		return;
	}
	/* Without close_notify nobody knows whether it was the peer who ended it. */
	t->over = true;
	t->end = error != 0 ? error : -EPROTO;
	finish(c, t->end);
}

/* ------------------------------------------------------------------ servers */

/* RFC 6066 3. 0, or the alert. *sni: in lower case. */
static int
read_sni(SSL *ssl, char name[static HOST_MAX + 1], struct str *sni)
{
	const unsigned char *p;
	size_t n, len;

	*sni = (struct str){"", 0};
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n) != 1)
		return 0;
	if (n < 5 || (size_t)(p[0] << 8 | p[1]) != n - 2 || p[2] != TLSEXT_NAMETYPE_host_name ||
	    (len = (size_t)(p[3] << 8 | p[4])) != n - 5)
		return SSL_AD_DECODE_ERROR;
	if (len == 0 || len > HOST_MAX || memchr(p + 5, '\0', len) != NULL)
		return SSL_AD_UNRECOGNIZED_NAME;
	for (size_t i = 0; i < len; i++)
		name[i] = ascii_lower((char)p[5 + i]);
	*sni = (struct str){name, (uint32_t)len};
	return 0;
}

/* Before a ticket is looked at, which the service's context decides upon. */
int
tls_on_hello(SSL *ssl, int *alert, void *arg)
{
	struct conn *c = SSL_get_app_data(ssl);
	struct tls *t = c->tls;
	char name[HOST_MAX + 1];
	struct str sni;

	if (t->held != NULL) /* a second one, after a retry request: the choice stands */
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = read_sni(ssl, name, &sni);
	if (*alert == 0) {
		t->held = tls_held_ref(t->choose(c, sni));
		if (t->held == NULL)
			*alert = SSL_AD_UNRECOGNIZED_NAME;
		else if (tls_held_show(t->held, ssl, sni) != 0)
			*alert = SSL_AD_INTERNAL_ERROR;
	}
	if (*alert == SSL_AD_UNRECOGNIZED_NAME)
		t->failure = TLS_FAILURE_NAME;
	return *alert == 0 ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

int
tls_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
    unsigned in_len, void *arg)
{
	static const unsigned char ours[] = "\2h2\10http/1.1";
	unsigned char *chosen;

	if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static struct tls *
new_tls(struct conn *c, struct tls_world *w)
{
	struct tls *t = calloc(1, sizeof(*t));

	assert(c->tls == NULL && !conn_is_stream(c));
	if (t != NULL)
		t->world = w;
	c->tls = t;
	return t;
}

int
tls_accept(struct conn *c, struct tls_world *w, tls_choose_fn *choose)
{
	struct tls *t = new_tls(c, w);

	if (t == NULL)
		return -ENOMEM;
	t->choose = choose;
	c->recv_class = BUF_SMALL;
	conn_arm(c, false);
	return 0;
}

/* ------------------------------------------------------------------ clients */

int
tls_on_session(SSL *ssl, SSL_SESSION *session)
{
	struct conn *c = SSL_get_app_data(ssl);
	struct tls *t = c->tls;
	struct tls_held *h;

	if (t->session == NULL)
		return 0;
	h = tls_held_session(session, t->held, t->host);
	if (h == NULL)
		return 0;
	tls_held_free(*t->session);
	*t->session = h;
	return 1;
}

/* A session is good for the name that it was made for, and under the trust that it was verified by. */
static void
resume(struct tls *t)
{
	const struct tls_held *h = t->session != NULL ? *t->session : NULL;

	if (h != NULL && h->trust == t->held && strcmp(h->host, t->host) == 0)
		SSL_set_session(t->ssl, h->session);
}

static int
set_up(struct conn *c, const struct tls_target *target)
{
	static const unsigned char h1[] = "\10http/1.1", h2[] = "\2h2";
	struct tls *t = c->tls;
	struct addr literal;

	t->held = tls_held_ref(target->trust);
	t->session = target->session;
	t->h2 = target->h2;
	if (target->addr != NULL) {
		t->addr = *target->addr;
		t->has_addr = true;
	}
	t->host = strndup(target->host.p, target->host.len);
	t->ssl = new_ssl(c, t->world->client);
	if (t->host == NULL || t->ssl == NULL)
		return -ENOMEM;
	if (t->host[0] != '\0' && addr_parse(target->host, &literal) != 0 &&
	    SSL_set_tlsext_host_name(t->ssl, t->host) != 1)
		return -EINVAL;
	if (SSL_set_alpn_protos(t->ssl, t->h2 ? h2 : h1, t->h2 ? sizeof(h2) - 1 : sizeof(h1) - 1) != 0)
		return -ENOMEM;
	SSL_set_connect_state(t->ssl);
	resume(t);
	return tls_held_verify(t->held, t->ssl);
}

int
tls_connect(struct conn *c, struct tls_world *w, const struct tls_target *target)
{
	int rc = new_tls(c, w) != NULL ? set_up(c, target) : -ENOMEM;

	if (rc != 0 && c->tls != NULL)
		tls_free(c);
	return rc;
}

/* ------------------------------------------------------------------ what is known */

void
tls_drop(struct conn *c)
{
	assert(c->tls->over);
	c->tls->deaf = true;
	c->ended = false;
}

enum tls_failure
tls_failure(const struct conn *c)
{
	return c->tls != NULL ? c->tls->failure : TLS_FAILURE_NONE;
}

bool
tls_is_h2(const struct conn *c)
{
	const unsigned char *p;
	unsigned n;

	SSL_get0_alpn_selected(c->tls->ssl, &p, &n);
	return n == 2 && memcmp(p, "h2", 2) == 0;
}

bool
tls_is_resumed(const struct conn *c)
{
	return SSL_session_reused(c->tls->ssl) == 1;
}

struct str
tls_identity(const struct conn *c)
{
	struct tls *t = c->tls;
	char text[TLS_IDENTITY_MAX];
	X509 *x;

	/* Without client-ca none was asked for, and none was verified. */
	x = t->choose != NULL && t->held->store != NULL ? SSL_get0_peer_certificate(t->ssl) : NULL;
	if (t->identity == NULL && x != NULL) {
		uint32_t n = tls_peer_print(x, text);

		t->identity = malloc(n);
		if (t->identity != NULL) {
			memcpy(t->identity, text, n);
			t->identity_len = n;
		}
	}
	return (struct str){t->identity != NULL ? t->identity : "", t->identity_len};
}

void
tls_free(struct conn *c)
{
	struct tls *t = c->tls;
	struct buf *bufs[] = {t->in, t->out, t->flight};

	c->tls = NULL;
	SSL_free(t->ssl);
	for (size_t i = 0; i < COUNT(bufs); i++)
		if (bufs[i] != NULL)
			buf_put(c->net->pools, bufs[i]);
	tls_held_free(t->held);
	free(t->host);
	free(t->identity);
	free(t);
}
