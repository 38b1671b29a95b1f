/* tls_bed.h - what tests of TLS stand on: certificates, a ring with one connection of ours, and at its other
 * end OpenSSL alone, in a thread. */
#ifndef TLS_BED_H
#define TLS_BED_H

#include "../../engine/net/tls.h"
#include "clock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

/* ------------------------------------------------------------------ certificates */

struct card {
	EVP_PKEY *key;
	X509 *cert;
	char *pem, *key_pem;
};

static inline char *
bio_text(BIO *bio)
{
	char *p, *text;
	long n = BIO_get_mem_data(bio, &p);

	text = xstrndup(p, (size_t)n);
	BIO_free(bio);
	return text;
}

static inline void
card_fini(struct card *k)
{
	EVP_PKEY_free(k->key);
	X509_free(k->cert);
	free(k->pem);
	free(k->key_pem);
}

static inline void
add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	cr_assert(e != NULL, "%s", value);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

/* Signed by ca, NULL: by itself, and it is one. days: how long it is good, from yesterday on. */
static inline struct card
card_new(const char *cn, const char *san, const struct card *ca, bool rsa, int days)
{
	static long serial = 100;
	struct card k = {.key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"), .cert = X509_new()};
	X509_NAME *name = X509_get_subject_name(k.cert);
	BIO *bio;

	X509_set_version(k.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(k.cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(k.cert), -86400);
	X509_gmtime_adj(X509_getm_notAfter(k.cert), 86400L * days - 43200);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_UTF8, (const unsigned char *)"unit", -1, -1, 0);
	X509_set_issuer_name(k.cert, ca != NULL ? X509_get_subject_name(ca->cert) : name);
	X509_set_pubkey(k.cert, k.key);
	if (san != NULL)
		add_extension(k.cert, NID_subject_alt_name, san);
	if (ca == NULL)
		add_extension(k.cert, NID_basic_constraints, "critical,CA:TRUE");
	cr_assert(X509_sign(k.cert, ca != NULL ? ca->key : k.key, EVP_sha256()) > 0);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, k.cert);
	k.pem = bio_text(bio);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(bio, k.key, NULL, NULL, 0, NULL, NULL);
	k.key_pem = bio_text(bio);
	return k;
}

/* A list of ca's that revokes one certificate. */
static inline char *
crl_text(const struct card *ca, const struct card *revoked)
{
	X509_CRL *crl = X509_CRL_new();
	X509_REVOKED *r = X509_REVOKED_new();
	ASN1_TIME *t = ASN1_TIME_new();
	BIO *bio = BIO_new(BIO_s_mem());

	X509_CRL_set_version(crl, 1);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->cert));
	X509_CRL_set1_lastUpdate(crl, X509_gmtime_adj(t, -3600));
	X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(revoked->cert));
	X509_REVOKED_set_revocationDate(r, t);
	X509_CRL_add0_revoked(crl, r);
	X509_CRL_set1_nextUpdate(crl, X509_gmtime_adj(t, 86400));
	X509_CRL_sign(crl, ca->key, EVP_sha256());
	PEM_write_bio_X509_CRL(bio, crl);
	X509_CRL_free(crl);
	ASN1_TIME_free(t);
	return bio_text(bio);
}

/* ------------------------------------------------------------------ OpenSSL at the other end */

struct peer {
	/* what it does */
	bool server;
	int fd;
	size_t step;	    /* bytes of a write; 0: all */
	int version;	    /* the only one; 0: any */
	const char *sni;    /* NULL: none */
	const char *alpn;   /* as on the wire */
	const char *groups; /* NULL: the default */
	const struct card *card;
	SSL_SESSION *resume;
	SSL_CTX *ctx;	 /* a server's that is used again; NULL: its own */
	const char *raw; /* instead of TLS */
	size_t raw_len;
	const char *say; /* a client's line; a server's answer */
	size_t bulk;	 /* bytes to send and to get back */
	unsigned slow_us;
	bool cut; /* no close_notify */
	bool key_update, renegotiate;
	bool half; /* our end ends its data first */
	/* what it saw */
	bool up, resumed, clean;
	int reason; /* of the error, 0: none */
	int got_version;
	char cn[64], got_alpn[16], got_sni[256];
	SSL_SESSION *session;
	struct text reply;
	pthread_t thread;
	SSL *ssl;
};

static inline void
peer_flush(struct peer *p)
{
	char *out;
	long n = BIO_get_mem_data(SSL_get_wbio(p->ssl), &out), step = p->step > 0 ? (long)p->step : n;

	for (long at = 0, w; at < n; at += w) {
		w = send(p->fd, out + at, (size_t)MIN(step, n - at), MSG_NOSIGNAL);
		if (w <= 0)
			break;
		if (p->step > 0)
			usleep(50);
	}
	(void)BIO_reset(SSL_get_wbio(p->ssl));
}

/* After an operation that gave rc: true when it is worth to try again. */
static inline bool
peer_again(struct peer *p, int rc)
{
	int error = SSL_get_error(p->ssl, rc);
	char in[16384];
	ssize_t n;

	peer_flush(p);
	if (error == SSL_ERROR_ZERO_RETURN)
		p->clean = true;
	if (error == SSL_ERROR_SSL)
		p->reason = ERR_GET_REASON(ERR_peek_error());
	if (error != SSL_ERROR_WANT_READ)
		return false;
	if (p->slow_us > 0)
		usleep(p->slow_us);
	n = recv(p->fd, in, sizeof(in), 0);
	if (n <= 0)
		return false;
	BIO_write(SSL_get_rbio(p->ssl), in, (int)n);
	return true;
}

/* Our end may have closed: then what was said is in vain. */
static inline void
peer_say(struct peer *p, const char *s, size_t n)
{
	size_t written;

	if (SSL_write_ex(p->ssl, s, n, &written) == 1)
		peer_flush(p);
}

/* Reads until there is so much, or a line for 0. */
static inline void
peer_hear(struct peer *p, size_t want)
{
	char in[16384];

	for (;;) {
		int n = SSL_read(p->ssl, in, sizeof(in));

		if (n > 0)
			text_add(&p->reply, in, (size_t)n);
		else if (!peer_again(p, n))
			return;
		if (want > 0 ? p->reply.len >= want
			     : p->reply.len > 0 && p->reply.p[p->reply.len - 1] == '\n')
			return;
	}
}

static inline SSL_CTX *
peer_context(const struct peer *p)
{
	SSL_CTX *ctx = SSL_CTX_new(p->server ? TLS_server_method() : TLS_client_method());

	if (p->version != 0) {
		SSL_CTX_set_min_proto_version(ctx, p->version);
		SSL_CTX_set_max_proto_version(ctx, p->version);
	}
	if (p->groups != NULL)
		SSL_CTX_set1_groups_list(ctx, p->groups);
	if (p->card != NULL)
		cr_assert(SSL_CTX_use_cert_and_key(ctx, p->card->cert, p->card->key, NULL, 1) == 1);
	return ctx;
}

static inline void
peer_look(struct peer *p)
{
	const unsigned char *alpn;
	unsigned n;
	X509 *x = SSL_get0_peer_certificate(p->ssl);
	const char *sni = SSL_get_servername(p->ssl, TLSEXT_NAMETYPE_host_name);

	p->up = true;
	p->resumed = SSL_session_reused(p->ssl) == 1;
	p->got_version = SSL_version(p->ssl);
	if (x != NULL)
		X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, p->cn, sizeof(p->cn));
	SSL_get0_alpn_selected(p->ssl, &alpn, &n);
	snprintf(p->got_alpn, sizeof(p->got_alpn), "%.*s", (int)n, alpn != NULL ? (const char *)alpn : "");
	snprintf(p->got_sni, sizeof(p->got_sni), "%s", sni != NULL ? sni : "");
}

static inline void
peer_talk(struct peer *p)
{
	char *bulk;

	if (p->key_update)
		SSL_key_update(p->ssl, SSL_KEY_UPDATE_REQUESTED);
	if (p->renegotiate)
		SSL_renegotiate(p->ssl);
	if (p->server)
		peer_hear(p, p->bulk);
	if (p->bulk > 0) {
		bulk = xcalloc(1, p->bulk);
		for (size_t i = 0; i < p->bulk; i++)
			bulk[i] = (char)(i * 31 >> 3);
		/* No more under way than the sockets hold, or both would wait. */
		for (size_t at = 0; at < p->bulk; at += MIN(p->bulk - at, 30000)) {
			peer_say(p, bulk + at, MIN(p->bulk - at, 30000));
			if (!p->server && at > 90000)
				peer_hear(p, at - 90000);
		}
		free(bulk);
	} else if (p->say != NULL) {
		peer_say(p, p->say, strlen(p->say));
	}
	if (!p->server && (p->say != NULL || p->bulk > 0))
		peer_hear(p, p->bulk);
	if (p->half) {
		peer_hear(p, SIZE_MAX);
		peer_say(p, "more\n", 5);
	}
}

static inline void
peer_tls(struct peer *p)
{
	SSL_CTX *ctx = p->ctx != NULL ? p->ctx : peer_context(p);
	int rc;

	p->ssl = SSL_new(ctx);
	SSL_set_bio(p->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	BIO_set_mem_eof_return(SSL_get_rbio(p->ssl), -1);
	if (p->sni != NULL)
		SSL_set_tlsext_host_name(p->ssl, p->sni);
	if (p->alpn != NULL)
		SSL_set_alpn_protos(p->ssl, (const unsigned char *)p->alpn, (unsigned)strlen(p->alpn));
	if (p->resume != NULL)
		SSL_set_session(p->ssl, p->resume);
	if (p->server)
		SSL_set_accept_state(p->ssl);
	else
		SSL_set_connect_state(p->ssl);
	do
		rc = SSL_do_handshake(p->ssl);
	while (rc != 1 && peer_again(p, rc));
	if (rc == 1) {
		peer_flush(p);
		peer_look(p);
		peer_talk(p);
		p->session = SSL_get1_session(p->ssl);
		if (!p->cut) {
			SSL_shutdown(p->ssl);
			peer_flush(p);
		}
	}
	SSL_free(p->ssl);
	if (p->ctx == NULL)
		SSL_CTX_free(ctx);
}

static inline void *
peer_run(void *arg)
{
	struct peer *p = arg;
	char in[4096];
	ssize_t n;

	ERR_clear_error();
	if (p->raw == NULL) {
		peer_tls(p);
	} else {
		for (size_t at = 0; at < p->raw_len; at += MIN(p->raw_len - at, 65536))
			if (send(p->fd, p->raw + at, MIN(p->raw_len - at, 65536), MSG_NOSIGNAL) <= 0)
				break;
		shutdown(p->fd, SHUT_WR);
	}
	if (p->raw != NULL || p->cut)
		shutdown(p->fd, SHUT_WR);
	while (p->raw != NULL && (n = recv(p->fd, in, sizeof(in), 0)) > 0)
		text_add(&p->reply, in, (size_t)n);
	close(p->fd);
	return NULL;
}

static inline void
peer_fini(struct peer *p)
{
	SSL_SESSION_free(p->session);
	text_fini(&p->reply);
}

/* ------------------------------------------------------------------ our end */

struct bed {
	struct net net;
	struct tls_world *world;
	struct conn conn;
	/* what the owner is to do */
	enum buf_class class;
	const char *say;     /* sent once connected; else lines are answered */
	size_t bulk;	     /* all that is got is given back */
	bool close_at_once;  /* as soon as something is told */
	bool half;	     /* no more data from us after the first answer */
	unsigned slow_turns; /* before a receive is armed again */
	unsigned turns;	     /* after which the connection is closed, whatever it does; 0: never */
	bool now;	     /* its descriptor at once */
	/* what it saw */
	bool connected, ended, freed, h2, resumed;
	unsigned ndata, wait;
	int error, end;
	enum tls_failure failure;
	struct text got, identity;
	struct buf *reply;
	size_t sent;
};

static const uint8_t bed_secret[TLS_SECRET] = "a secret that all workers share";

static inline void
bed_close(struct bed *t)
{
	if (!t->conn.closing)
		conn_close(&t->conn);
}

static inline void
bed_on_connected(struct conn *c, int error)
{
	struct bed *t = container_of(c, struct bed, conn);
	struct str who;

	t->connected = true;
	t->error = error;
	t->failure = tls_failure(c);
	if (error == -EPROTONOSUPPORT) {
		conn_send(c, "in the clear\n", 13);
		return;
	}
	if (error != 0 || t->close_at_once) {
		conn_close(c);
		return;
	}
	t->h2 = tls_is_h2(c);
	t->resumed = tls_is_resumed(c);
	who = tls_identity(c);
	text_add(&t->identity, who.p, who.len);
	if (t->say != NULL)
		conn_send(c, t->say, strlen(t->say));
	conn_recv(c, t->class);
}

static inline void
bed_on_data(struct conn *c, struct buf *b)
{
	struct bed *t = container_of(c, struct bed, conn);
	bool line;

	cr_assert(b->len > 0);
	t->ndata++;
	text_add(&t->got, buf_data(b), b->len);
	line = buf_data(b)[b->len - 1] == '\n';
	if (t->bulk > 0) {
		conn_send(c, buf_data(b), b->len);
		conn_hold(c, b);
		return;
	}
	if (t->say == NULL && line && !(t->half && t->ndata > 1)) {
		struct buf *head = buf_get(&t->net.pools[BUF_SMALL]);

		memcpy(buf_data(head), "echo: ", 6);
		head->len = 6;
		conn_send_both(c, head, b);
		conn_hold(c, head);
		conn_hold(c, b);
		return;
	}
	buf_put(t->net.pools, b);
	conn_recv(c, t->class);
}

static inline void
bed_on_end(struct conn *c, int error)
{
	struct bed *t = container_of(c, struct bed, conn);

	t->ended = true;
	t->end = error;
	conn_close(c);
}

static inline void
bed_on_sent(struct conn *c, int error)
{
	struct bed *t = container_of(c, struct bed, conn);

	if (error != 0 || t->error == -EPROTONOSUPPORT) {
		conn_close(c);
		return;
	}
	if (t->half)
		conn_shutdown(c);
	t->wait = t->slow_turns;
	if (t->wait == 0)
		conn_recv(c, t->class);
}

static inline void
bed_on_timeout(struct conn *c)
{
	conn_close(c);
}

static inline void
bed_on_freed(struct conn *c)
{
	container_of(c, struct bed, conn)->freed = true;
}

static const struct conn_events bed_events = {
    .data = bed_on_data,
    .end = bed_on_end,
    .sent = bed_on_sent,
    .connected = bed_on_connected,
    .timeout = bed_on_timeout,
    .freed = bed_on_freed,
};

static inline struct tls_world *
bed_world(void)
{
	struct tls_world *w;
	const char *why;

	cr_assert(tls_world_new(&w, bed_secret, &why) == 0, "%s", why);
	return w;
}

static inline void
bed_init(struct bed *t)
{
	static const struct buf_sizes sizes[BUF_CLASSES] = {
	    [BUF_SMALL] = {.room = 2048, .max = 64, .want = 4, .want_max = 16},
	    [BUF_MID] = {.room = 80 * 1024, .max = 16, .want = 4, .want_max = 16},
	    [BUF_BIG] = {.room = 512 * 1024, .max = 8, .want = 2, .want_max = 2},
	};
	struct ring_features f;
	const char *why;

	*t = (struct bed){.class = BUF_SMALL};
	cr_assert(ring_probe(&f, &why) == 0, "%s", why);
	cr_assert(ring_new(&t->net.ring, 64, &f) == 0);
	for (int i = 0; i < BUF_CLASSES; i++)
		cr_assert(buf_pool_init(&t->net.pools[i], t->net.ring, (enum buf_class)i, &sizes[i]) == 0);
	list_init(&t->net.ready);
	t->net.now_ms = clock_ms();
	wheel_init(&t->net.wheel, t->net.now_ms);
	t->world = bed_world();
}

static inline void
bed_fini(struct bed *t)
{
	ring_free(t->net.ring);
	for (int i = 0; i < BUF_CLASSES; i++) {
		cr_expect(t->net.pools[i].held == 0, "%u buffers of class %d were not given back",
		    t->net.pools[i].held, i);
		buf_pool_fini(&t->net.pools[i]);
	}
	tls_world_free(t->world);
	text_fini(&t->got);
	text_fini(&t->identity);
}

static inline void
bed_turn(struct bed *t)
{
	ring_turn(t->net.ring, list_empty(&t->net.ready) && t->wait == 0 ? 50 : 0);
	for (int i = 0; i < BUF_CLASSES; i++)
		buf_refill(&t->net.pools[i]);
	conn_wake_starved(&t->net);
	conn_wake_ready(&t->net);
	if (t->turns > 0 && --t->turns == 0 && !t->freed && !t->conn.closing) {
		if (t->now)
			conn_close_now(&t->conn);
		else
			conn_close(&t->conn);
	}
	if (t->wait > 0 && --t->wait == 0 && !t->freed && !t->conn.closing)
		conn_recv(&t->conn, t->class);
}

/* A connection of ours as a server with p as its client, or the other way round, from begin to end. */
static inline void
bed_run(struct bed *t, struct peer *p, tls_choose_fn *choose, const struct tls_target *target)
{
	uint64_t until = clock_ms() + 20000;
	int fds[2];

	cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	p->fd = fds[1];
	text_clear(&t->got);
	text_clear(&t->identity);
	t->connected = t->ended = t->freed = t->h2 = t->resumed = false;
	t->error = t->end = 0;
	t->ndata = 0;
	conn_init(&t->conn, &t->net, fds[0], &bed_events);
	cr_assert(pthread_create(&p->thread, NULL, peer_run, p) == 0);
	if (choose != NULL) {
		cr_assert(tls_accept(&t->conn, t->world, choose) == 0);
	} else {
		cr_assert(tls_connect(&t->conn, t->world, target) == 0);
		t->conn.connecting = true;
		t->conn.connect_op.done(&t->conn.connect_op, 0, 0);
	}
	while (!t->freed && clock_ms() < until)
		bed_turn(t);
	cr_assert(t->freed, "the connection did not end");
	ring_turn(t->net.ring, 0);
	pthread_join(p->thread, NULL);
	cr_expect(t->net.nopen == 0);
}

#endif
