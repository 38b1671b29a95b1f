/* publish.c - a thousand tables published under load, for the thread sanitizer.
 *
 * The real engine with two workers, targets and clients of every protocol that keep their connections for a
 * while, and a control thread that replaces services, certificates, groups and places: targets come, drain
 * and leave, are checked in changing ways, and one of each group is dead. After every publish it asks: the
 * new table must answer. Exit 0 when nothing failed; the sanitizer speaks for itself. A plain main: Criterion
 * aborts under TSan.
 */
#include "caller.h"
#include "site.h"

#include "../unit/keys.h"
#include <signal.h>
#include <stdio.h>

#define ROUNDS 1000
#define QUESTIONS 4  /* streams at the same time */
#define PATIENCE 20u /* times that a connection asks them */

static atomic_bool stopping;
static atomic_uint failed;
static struct paper visitor; /* what clients show, asked to */

/* ------------------------------------------------------------------ clients */

struct client {
	const char *name; /* for printing */
	unsigned place;
	bool tls, h2;
	uint16_t port;
	pthread_t thread;
	unsigned served, resumed;
};

static struct client clients[] = {
    {.name = "HTTP/1.1", .place = PLACE_HTTP},
    {.name = "h2c", .place = PLACE_HTTP, .h2 = true},
    {.name = "HTTPS", .place = PLACE_HTTPS, .tls = true},
    {.name = "h2", .place = PLACE_HTTPS, .tls = true, .h2 = true},
    {.name = "passthrough", .place = PLACE_PASS, .tls = true},
};

static void
fail(const char *who, const char *what, unsigned status)
{
	fprintf(stderr, "%s: %s (%u)\n", who, what, status);
	atomic_fetch_add(&failed, 1);
}

/* Four questions more. */
static void
ask(struct client *c, struct caller *caller, unsigned turn)
{
	struct question q[QUESTIONS] = {0};
	unsigned n;

	for (unsigned i = 0; i < QUESTIONS; i++)
		q[i].post = (turn + i) % 4 == 0;
	n = caller_ask(caller, q, QUESTIONS);
	for (unsigned i = 0; i < n; i++) {
		if (q[i].status == 200 || (q[i].status == 404 && c->place != PLACE_PASS))
			c->served++;
		else if (q[i].status == 421 && c->place == PLACE_HTTPS)
			caller->over =
			    true; /* older than the wish for certificates: on another one, please */
		else
			fail(c->name, "a wrong answer", q[i].status);
	}
}

/* One connection's life. */
static void
visit(struct client *c, SSL_CTX *ctx, SSL_SESSION **session)
{
	struct caller caller;
	struct wire w;

	if (!wire_connect(&w, c->port, ctx, c->place == PLACE_PASS ? "pass" : "shop", *session)) {
		fail(c->name, "no connection", 0);
		return;
	}
	caller_begin(&caller, &w, c->h2);
	for (unsigned i = 0; i < PATIENCE && !caller.over && !atomic_load(&stopping); i++)
		ask(c, &caller, i);
	if (ctx != NULL) {
		c->resumed += (unsigned)SSL_session_reused(caller.wire.ssl);
		SSL_SESSION_free(*session);
		*session = SSL_get1_session(caller.wire.ssl);
	}
	caller_end(&caller);
}

static void *
client_run(void *arg)
{
	struct client *c = arg;
	SSL_CTX *ctx = c->tls ? wire_context(false, c->h2, &visitor) : NULL;
	SSL_SESSION *session = NULL;

	while (!atomic_load(&stopping) && atomic_load(&failed) == 0)
		visit(c, ctx, &session);
	SSL_SESSION_free(session);
	SSL_CTX_free(ctx);
	return NULL;
}

/* ------------------------------------------------------------------ what a new table must answer */

static SSL_CTX *known, *unknown; /* those who show a certificate, and those who do not */

static void
check_plain(const struct site *s, unsigned place)
{
	struct question q = {0};
	struct caller c;
	struct wire w;

	if (!wire_connect(&w, s->ports[place], NULL, NULL, NULL)) {
		fail("check", "no connection", place);
		return;
	}
	caller_begin(&c, &w, s->round % 2 == 0);
	caller_ask(&c, &q, 1);
	if (q.status != (site_is_fixed(s) ? 404 : 200))
		fail("check", "a wrong answer", q.status);
	caller_end(&c);
}

/* The certificate shown is this round's, and so is who is let in: in TLS 1.3 a client learns that from what
 * it reads. */
static void
check_secure(const struct site *s, SSL_CTX *ctx)
{
	bool welcome = ctx == known || !site_has_client_ca(s);
	struct question q = {0};
	struct caller c;
	struct wire w;
	char want[16], got[16] = "";

	snprintf(want, sizeof(want), "shop-%u", site_paper(s));
	if (!wire_connect(&w, s->ports[PLACE_HTTPS], ctx, "shop", NULL)) {
		fail("check", "no TLS", s->round);
		return;
	}
	wire_peer(&w, got, sizeof(got));
	if (strcmp(got, want) != 0)
		fail(got, "an old certificate", s->round);
	caller_begin(&c, &w, false);
	caller_ask(&c, &q, 1);
	if (q.status != (!welcome ? 0 : site_is_fixed(s) ? 404 : 200))
		fail("check", welcome ? "not let in" : "let in", q.status);
	caller_end(&c);
}

static unsigned healthy, draining, ejected;

static void
hear(void *ctx, const struct target_event *event)
{
	healthy += event->to == TARGET_HEALTHY;
	draining += event->to == TARGET_DRAINING;
	ejected += event->reason == REASON_EJECTED;
}

/* What .status and .events ask for. */
static void
look(const struct site *s)
{
	const struct table *t = engine_table(s->engine);
	enum target_reason reason;
	struct draining d;

	for (unsigned i = 0; i < NGROUPS; i++) {
		const struct group *g = table_group(t, i);

		for (uint32_t k = 0; k < g->ntargets; k++) {
			engine_inflight(s->engine, g->targets[k].slot);
			engine_target(s->engine, &g->targets[k], &reason);
			engine_draining(s->engine, g->targets[k].slot, &d);
		}
		for (uint32_t at = 0; engine_removed(s->engine, g->slot, &at, &d);)
			;
	}
	engine_events(s->engine, hear, NULL);
}

static void
round_check(struct site *s)
{
	struct engine_stats stats;

	check_plain(s, PLACE_HTTP);
	if (s->ports[PLACE_SECOND] != 0)
		check_plain(s, PLACE_SECOND);
	if (site_is_fresh(s)) {
		check_secure(s, known);
		check_secure(s, unknown);
	}
	engine_stats(s->engine, &stats);
	look(s);
	if (s->round % 100 == 99)
		printf("round %u: %llu requests, %llu tables\n", s->round + 1,
		    (unsigned long long)stats.requests, (unsigned long long)stats.tables);
}

/* ------------------------------------------------------------------ papers */

static struct paper
paper_make(const char *name, X509 *root, EVP_PKEY *root_key)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = keys_certificate(
	    &(struct wanted){.name = name, .alt = "DNS:shop", .key = key, .by = root, .by_key = root_key});
	struct paper p = {keys_pem(x), keys_text(key, FORM_PKCS8)};

	X509_free(x);
	EVP_PKEY_free(key);
	return p;
}

static void
paper_free(struct paper *p)
{
	free(p->chain);
	free(p->key);
}

/* One CA for all: services, targets and clients. */
static void
papers_make(struct site *s, struct origins *o)
{
	static const char *const names[NPAPERS] = {"shop-0", "shop-1", "shop-2"};
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *root = keys_certificate(&(struct wanted){.name = "root", .key = key, .ca = true});

	s->ca = str_of(keys_pem(root));
	for (unsigned i = 0; i < NPAPERS; i++)
		s->papers[i] = paper_make(names[i], root, key);
	o->paper = paper_make("target", root, key);
	visitor = paper_make("visitor", root, key);
	X509_free(root);
	EVP_PKEY_free(key);
}

static void
papers_free(struct site *s, struct origins *o)
{
	free((char *)s->ca.p);
	for (unsigned i = 0; i < NPAPERS; i++)
		paper_free(&s->papers[i]);
	paper_free(&o->paper);
	paper_free(&visitor);
}

/* ------------------------------------------------------------------ main */

static void
clients_start(const struct site *s)
{
	for (unsigned i = 0; i < COUNT(clients); i++) {
		clients[i].port = s->ports[clients[i].place];
		pthread_create(&clients[i].thread, NULL, client_run, &clients[i]);
	}
}

/* Everybody was served, by every kind of target, and some sessions were resumed: else it shows nothing. */
static void
clients_stop(struct origins *o)
{
	atomic_store(&stopping, true);
	for (unsigned i = 0; i < COUNT(clients); i++) {
		struct client *c = &clients[i];

		pthread_join(c->thread, NULL);
		printf("%s: %u requests, %u sessions resumed\n", c->name, c->served, c->resumed);
		if (c->served < ROUNDS || (c->tls && c->resumed == 0))
			fail(c->name, "too little", c->served);
	}
	for (unsigned i = 0; i < NORIGINS; i++)
		if (atomic_load(&o->answered[i]) < ROUNDS)
			fail("a target", "too little", i);
	printf("events: %u healthy, %u draining, %u ejected\n", healthy, draining, ejected);
	if (healthy == 0 || draining == 0 || ejected == 0)
		fail("events", "too few", 0);
}

/* What the engine counted. */
static void
tell(const struct site *s)
{
	struct text out = {0};

	engine_metrics(s->engine, &out);
	fprintf(stderr, "%.*s", (int)out.len, out.p);
	text_fini(&out);
}

int
main(void)
{
	static struct site s;
	static struct origins o;

	/* OpenSSL writes to sockets that may be gone. */
	signal(SIGPIPE, SIG_IGN);
	papers_make(&s, &o);
	known = wire_context(false, false, &visitor);
	unknown = wire_context(false, false, NULL);
	origins_start(&o);
	s.origins = o.ports;
	site_start(&s);
	if (!site_publish(&s))
		return 1;
	clients_start(&s);
	for (s.round = 1; s.round < ROUNDS && atomic_load(&failed) == 0; s.round++)
		if (site_publish(&s))
			round_check(&s);
	/* The clients first: a request in flight needs its target to the end. */
	clients_stop(&o);
	if (atomic_load(&failed) > 0)
		tell(&s);
	site_stop(&s);
	origins_stop(&o);
	SSL_CTX_free(known);
	SSL_CTX_free(unknown);
	papers_free(&s, &o);
	printf("%u rounds, %u failed\n", s.round, atomic_load(&failed));
	return atomic_load(&failed) == 0 ? 0 : 1;
}
