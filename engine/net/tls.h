/* tls.h - TLS 1.2 and 1.3 on a connection of conn.h. Only tls*.c include OpenSSL here.
 *
 * The bytes that the ring received are read where they lie, and what is to be sent is encrypted into one
 * buffer and sent at once. All of it belongs to one worker.
 */
#ifndef TLS_H
#define TLS_H

#include "conn.h"
#include "str.h"

struct tls_world; /* a worker's: contexts, ticket keys */

/* secret: the same for all workers, so that each resumes the others' sessions; it is not kept, and the caller
 * wipes it once all workers began. A worker derives its ticket keys from it, an hour's from those of the hour
 * before, and knows the last two hours' alone; all are in step by net's clock. -errno, then *why in one
 * sentence. */
#define TLS_SECRET 32u
int tls_world_new(struct tls_world **w, const uint8_t secret[static TLS_SECRET], const char **why);
void tls_world_free(struct tls_world *w);

/* Something that a worker loaded from PEM and keeps in a slot: an identity, a trust, or the sessions of a
 * target. */
struct tls_held;
uint32_t tls_held_edition(const struct tls_held *h);
void tls_held_free(struct tls_held *h); /* NULL is fine; handshakes that use it go on */

struct tls_pem {
	struct str chain, key;
};
/* What a service shows: the first of certs that covers the name asked for, else the first. client_ca: a
 * client certificate signed by one of these is required; len 0: none is asked for. CRLs among them count for
 * their issuers' certificates; one that has run out lets nobody in. A session is resumed only under its own
 * id and edition. NULL: what was checked before does not load. */
struct tls_held *tls_identity_new(struct tls_world *w, const struct tls_pem *certs, uint32_t ncerts,
    struct str client_ca, uint32_t edition, uint64_t id);
/* What a target's certificate is verified by; neither: it is not. */
struct tls_held *tls_trust_new(struct tls_world *w, struct str ca, bool system, uint32_t edition);

/* Who serves the name (lower case, len 0: none was sent, valid for the call); NULL: nobody, alert
 * unrecognized_name. Called once, in the middle of the handshake: c is not to be closed here. */
typedef struct tls_held *tls_choose_fn(struct conn *c, struct str sni);

/* c was accepted and initialized: the handshake begins with its next bytes, and ends in events->connected;
 * until then no other event but timeout is told. The owner keeps a deadline, and arms no receive. Errors of
 * connected: -EPROTONOSUPPORT: this is HTTP in the clear, and what is sent now goes out so; -EPROTO:
 * tls_failure says more; else the connection's own, -ECONNRESET when it ends. -ENOMEM.
 *
 * From then on a connection with TLS is like any other but for its end: 0 is the peer's close_notify, and
 * -EPROTO an end without it, which anybody on the way can make, or broken records. */
int tls_accept(struct conn *c, struct tls_world *w, tls_choose_fn *choose);

struct tls_target {
	struct tls_held *trust;
	/* Where the last session is kept, resumed for the same host and trust; outlives c. NULL: nowhere. */
	struct tls_held **session;
	struct str host;	 /* SNI, and the name that is verified; an address is not sent */
	const struct addr *addr; /* a certificate that has it is as good; or NULL */
	bool h2;		 /* ALPN: h2 alone; else http/1.1 */
};
/* Before conn_connect, whose `connected` then comes after the handshake. -EPROTO also when h2 was asked for
 * and not agreed on. */
int tls_connect(struct conn *c, struct tls_world *w, const struct tls_target *t);

enum tls_failure {
	TLS_FAILURE_NONE,
	TLS_FAILURE_NAME,	 /* no service by the SNI */
	TLS_FAILURE_CERTIFICATE, /* the peer's is missing, foreign, revoked, expired, or for another name */
	TLS_FAILURE_PROTOCOL,	 /* anything else: garbage, versions, no common cipher */
};
/* After a handshake that failed: what the peer still sends is told as it comes, to be thrown away, so that
 * closing does not reset the alert away. */
void tls_drop(struct conn *c);
enum tls_failure tls_failure(const struct conn *c);
/* Once connected(0) was told. */
bool tls_is_h2(const struct conn *c); /* ALPN agreed on h2 */
bool tls_is_resumed(const struct conn *c);
/* Of a verified client certificate, as x-amzn-lattice-identity has it: `X509Subject/CN=...; X509SAN/URI=...;
 * ...` len 0: there is none. Lives as long as c. */
struct str tls_identity(const struct conn *c);

#endif
