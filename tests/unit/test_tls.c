/* test_tls.c - our end of TLS against OpenSSL's own, over a real ring. */
#include "tls_bed.h"

#define ALPN_BOTH "\2h2\10http/1.1"

static struct bed bed;
static struct card ca, shop, cart, plain;
static struct tls_held *of_shop, *of_cart;
static char asked[256];

static struct tls_held *
choose(struct conn *c, struct str sni)
{
	snprintf(asked, sizeof(asked), STR_FMT, STR_ARG(sni));
	if (sni.len == 0 || str_eq(sni, STR("shop.example")) || str_eq(sni, STR("x.shop.example")))
		return of_shop;
	return str_eq(sni, STR("cart.example")) ? of_cart : NULL;
}

static struct tls_held *
identity(const struct tls_world *w, const struct card *a, const struct card *b, struct str client_ca,
    uint32_t edition, uint64_t id)
{
	struct tls_pem pem[2] = {{str_of(a->pem), str_of(a->key_pem)}};

	if (b != NULL)
		pem[1] = (struct tls_pem){str_of(b->pem), str_of(b->key_pem)};
	return tls_identity_new((struct tls_world *)w, pem, b != NULL ? 2 : 1, client_ca, edition, id);
}

static void
set_up(void)
{
	bed_init(&bed);
	ca = card_new("Test CA", NULL, NULL, false, 10);
	shop = card_new("shop", "DNS:shop.example", &ca, false, 10);
	plain = card_new("wild", "DNS:*.shop.example", &ca, true, 10);
	cart = card_new("cart", "DNS:cart.example", &ca, true, 10);
	of_shop = identity(bed.world, &shop, &plain, (struct str){"", 0}, 1, 7);
	of_cart = identity(bed.world, &cart, NULL, (struct str){"", 0}, 1, 8);
	cr_assert(of_shop != NULL && of_cart != NULL);
}

static void
tear_down(void)
{
	struct card *all[] = {&ca, &shop, &cart, &plain};

	tls_held_free(of_shop);
	tls_held_free(of_cart);
	for (size_t i = 0; i < COUNT(all); i++)
		card_fini(all[i]);
	bed_fini(&bed);
}

TestSuite(tls, .init = set_up, .fini = tear_down, .timeout = 60);

/* ------------------------------------------------------------------ servers */

Test(tls, serves_both_versions_and_picks_the_certificate_by_name)
{
	static const struct {
		int version;
		const char *sni, *alpn, *cn, *got_alpn;
	} rows[] = {
	    {TLS1_3_VERSION, "shop.example", ALPN_BOTH, "shop", "h2"},
	    {TLS1_2_VERSION, "shop.example", ALPN_BOTH, "shop", "h2"},
	    {TLS1_3_VERSION, "CART.Example", "\10http/1.1", "cart", "http/1.1"},
	    {TLS1_2_VERSION, "cart.example", "\10http/1.1\2h2", "cart", "h2"},
	    {TLS1_3_VERSION, "x.shop.example", "\3foo\10http/1.1", "wild", "http/1.1"},
	    {TLS1_3_VERSION, NULL, NULL, "shop", ""},
	    {TLS1_2_VERSION, NULL, NULL, "shop", ""},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct peer p = {
		    .version = rows[i].version, .sni = rows[i].sni, .alpn = rows[i].alpn, .say = "hello\n"};

		bed_run(&bed, &p, choose, NULL);
		cr_expect(p.up && bed.connected && bed.error == 0, "row %zu: %d", i, p.reason);
		cr_expect(p.got_version == rows[i].version && !p.resumed);
		cr_expect_str_eq(p.cn, rows[i].cn, "row %zu", i);
		cr_expect_str_eq(p.got_alpn, rows[i].got_alpn, "row %zu", i);
		cr_expect(bed.h2 == (strcmp(rows[i].got_alpn, "h2") == 0));
		cr_expect_str_eq(bed.got.p, "hello\n");
		cr_expect_str_eq(p.reply.p, "echo: hello\n");
		cr_expect(bed.ended && bed.end == 0, "row %zu: close_notify is an orderly end", i);
		cr_expect(rows[i].sni == NULL ? asked[0] == '\0' : strcasecmp(asked, rows[i].sni) == 0);
		peer_fini(&p);
	}
}

Test(tls, refuses_in_the_handshake_with_the_right_alert)
{
	const struct {
		int version;
		const char *sni, *alpn;
		int reason;
		enum tls_failure failure;
	} rows[] = {
	    {TLS1_3_VERSION, "other.example", NULL, SSL_R_TLSV1_UNRECOGNIZED_NAME, TLS_FAILURE_NAME},
	    {TLS1_2_VERSION, "other.example", NULL, SSL_R_TLSV1_UNRECOGNIZED_NAME, TLS_FAILURE_NAME},
	    {TLS1_3_VERSION, "shop.example", "\3foo", SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL,
		TLS_FAILURE_PROTOCOL},
	    {TLS1_2_VERSION, "shop.example", "\3foo", SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL,
		TLS_FAILURE_PROTOCOL},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct peer p = {.version = rows[i].version, .sni = rows[i].sni, .alpn = rows[i].alpn};

		bed_run(&bed, &p, choose, NULL);
		cr_expect(!p.up && p.reason == rows[i].reason, "row %zu: %d", i, p.reason);
		cr_expect(
		    bed.connected && bed.error == -EPROTO && bed.failure == rows[i].failure, "row %zu", i);
		peer_fini(&p);
	}
}

Test(tls, every_cut_of_the_bytes_gives_the_same)
{
	for (size_t step = 1; step < 400; step = step * 3 + 1) {
		struct peer p = {
		    .sni = "shop.example", .step = step, .say = "hello\n", .groups = "P-521:X25519"};

		bed_run(&bed, &p, choose, NULL);
		cr_expect(p.up && bed.error == 0, "step %zu, with a retry request: %d", step, p.reason);
		cr_expect_str_eq(p.reply.p, "echo: hello\n", "step %zu", step);
		peer_fini(&p);
	}
}

Test(tls, resumes_at_every_worker_until_the_keys_are_forgotten)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	struct tls_world *first = bed.world, *other = bed_world();

	for (size_t i = 0; i < COUNT(versions); i++) {
		static const struct {
			unsigned hours;
			const char *sni;
			bool other, resumed;
		} rows[] = {
		    {0, "shop.example", false, true},
		    {0, "shop.example", true, true},
		    {1, "shop.example", true, true},
		    {0, "cart.example", false, false}, /* another service's */
		    {2, "shop.example", true, false},
		};

		for (size_t j = 0; j < COUNT(rows); j++) {
			struct peer p = {.version = versions[i], .sni = "shop.example", .say = "one\n"}, q;
			struct tls_held *held = of_shop;

			bed_run(&bed, &p, choose, NULL);
			cr_assert(p.session != NULL && !p.resumed);
			bed.net.now_ms += rows[j].hours * 3600000ul;
			bed.world = rows[j].other ? other : first;
			if (rows[j].other)
				of_shop = identity(other, &shop, &plain, (struct str){"", 0}, 1, 7);
			q = (struct peer){
			    .version = versions[i], .sni = rows[j].sni, .say = "two\n", .resume = p.session};
			bed_run(&bed, &q, choose, NULL);
			cr_expect(q.up && q.resumed == rows[j].resumed, "version %zu row %zu", i, j);
			cr_expect(bed.resumed == rows[j].resumed);
			cr_expect_str_eq(q.reply.p, "echo: two\n");
			if (rows[j].other)
				tls_held_free(of_shop);
			of_shop = held;
			bed.world = first;
			peer_fini(&p);
			peer_fini(&q);
		}
	}
	tls_world_free(other);
}

Test(tls, a_new_edition_resumes_no_old_session)
{
	struct peer p = {.sni = "shop.example", .say = "one\n"}, q;

	bed_run(&bed, &p, choose, NULL);
	tls_held_free(of_shop);
	of_shop = identity(bed.world, &shop, NULL, (struct str){"", 0}, 2, 7);
	cr_expect(tls_held_edition(of_shop) == 2);
	q = (struct peer){.sni = "shop.example", .say = "two\n", .resume = p.session};
	bed_run(&bed, &q, choose, NULL);
	cr_expect(q.up && !q.resumed);
	peer_fini(&p);
	peer_fini(&q);
}

/* ------------------------------------------------------------------ clients' certificates */

/* A client with the card asks the service whose clients' certificates are signed by these. */
static int
visit(struct str bundle, const struct card *card, int version)
{
	static uint32_t edition = 10;
	struct peer p = {.version = version, .sni = "shop.example", .say = "a\n", .card = card};

	tls_held_free(of_shop);
	of_shop = identity(bed.world, &shop, NULL, bundle, edition++, 7);
	cr_assert(of_shop != NULL);
	bed_run(&bed, &p, choose, NULL);
	cr_expect((p.reply.len > 0) == (bed.error == 0));
	cr_expect(bed.failure == (bed.error == 0 ? TLS_FAILURE_NONE : TLS_FAILURE_CERTIFICATE));
	peer_fini(&p);
	return bed.error;
}

Test(tls, lets_in_clients_of_its_authorities_that_are_not_revoked)
{
	struct card foreign_ca = card_new("Foreign CA", NULL, NULL, false, 10);
	struct card good = card_new("anna", "DNS:anna.example", &ca, false, 10);
	struct card revoked = card_new("eve", "DNS:eve.example", &ca, false, 10);
	struct card foreign = card_new("mallory", "DNS:anna.example", &foreign_ca, false, 10);
	struct card expired = card_new("old", "DNS:old.example", &ca, false, 0);
	struct card *const cards[] = {&foreign_ca, &good, &revoked, &foreign, &expired};
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	struct text bundle = {0};
	char *crl = crl_text(&ca, &revoked);

	for (size_t v = 0; v < COUNT(versions); v++) {
		struct str alone = str_of(ca.pem);

		cr_expect(visit(alone, &revoked, versions[v]) == 0, "without a list nobody is revoked");
		cr_expect(visit(alone, NULL, versions[v]) == -EPROTO);
		text_clear(&bundle);
		text_printf(&bundle, "%s%s", ca.pem, crl);
		alone = (struct str){bundle.p, (uint32_t)bundle.len};
		cr_expect(visit(alone, &good, versions[v]) == 0);
		cr_expect(visit(alone, &revoked, versions[v]) == -EPROTO);
		cr_expect(visit(alone, &foreign, versions[v]) == -EPROTO);
		cr_expect(visit(alone, &expired, versions[v]) == -EPROTO);
		text_printf(&bundle, "%s", foreign_ca.pem);
		alone = (struct str){bundle.p, (uint32_t)bundle.len};
		cr_expect(visit(alone, &foreign, versions[v]) == 0, "its issuer has no list");
		cr_expect(visit(alone, &revoked, versions[v]) == -EPROTO);
	}
	text_fini(&bundle);
	free(crl);
	for (size_t i = 0; i < COUNT(cards); i++)
		card_fini(cards[i]);
}

Test(tls, tells_who_the_client_is_also_when_resumed)
{
	static const char want[] =
	    "X509Issuer/OU=unit; X509SAN/DNS=anna.example; X509SAN/DNS=b.example; "
	    "X509SAN/URI=spiffe://mesh/ns/a%253Bb%3BType=admin; X509Subject/CN=anna%3B evil=1 %C3%A9; "
	    "Type=X509; Fingerprint=sha256:";
	struct card anna = card_new("anna; evil=1 \xc3\xa9",
	    "DNS:anna.example,DNS:b.example,URI:spiffe://mesh/ns/a%3Bb;Type=admin", &ca, false, 10);
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	tls_held_free(of_shop);
	of_shop = identity(bed.world, &shop, NULL, str_of(ca.pem), 1, 7);
	for (size_t v = 0; v < COUNT(versions); v++) {
		SSL_SESSION *session = NULL;

		for (unsigned i = 0; i < 2; i++) {
			struct peer p = {
			    .version = versions[v], .sni = "shop.example", .say = "a\n", .resume = session};

			p.card = i == 0 ? &anna : NULL;
			bed_run(&bed, &p, choose, NULL);
			cr_expect(bed.resumed == (i == 1));
			cr_expect(strncmp(bed.identity.p, want, sizeof(want) - 1) == 0, "%s", bed.identity.p);
			cr_expect(bed.identity.len == sizeof(want) - 1 + 64);
			SSL_SESSION_free(session);
			session = p.session;
			p.session = NULL;
			peer_fini(&p);
		}
		SSL_SESSION_free(session);
	}
	card_fini(&anna);
}

Test(tls, an_identity_is_bounded_and_keeps_its_fingerprint)
{
	struct text san = {0};
	struct card big;

	for (unsigned i = 0; i < 200; i++)
		text_printf(&san, "%sDNS:host-%u.of.a.long.domain.example", i > 0 ? "," : "", i);
	big = card_new("big", san.p, &ca, false, 10);
	tls_held_free(of_shop);
	of_shop = identity(bed.world, &shop, NULL, str_of(ca.pem), 1, 7);
	{
		struct peer p = {.sni = "shop.example", .say = "a\n", .card = &big};

		bed_run(&bed, &p, choose, NULL);
		cr_expect(bed.error == 0 && bed.identity.len <= TLS_IDENTITY_MAX);
		cr_expect(strstr(bed.identity.p, "; Type=X509; Fingerprint=sha256:") != NULL);
		peer_fini(&p);
	}
	text_fini(&san);
	card_fini(&big);
}

Test(tls, what_does_not_load_is_no_identity)
{
	struct tls_pem wrong[] = {
	    {str_of(shop.pem), str_of(cart.key_pem)},
	    {str_of(shop.key_pem), str_of(shop.key_pem)},
	    {str_of(shop.pem), STR("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")},
	    {STR("nothing"), STR("nothing")},
	};

	for (size_t i = 0; i < COUNT(wrong); i++)
		cr_expect(tls_identity_new(bed.world, &wrong[i], 1, (struct str){"", 0}, 1, 1) == NULL,
		    "row %zu", i);
	cr_expect(identity(bed.world, &shop, NULL, STR("no ca"), 1, 1) == NULL);
	cr_expect(tls_trust_new(bed.world, STR("no ca"), false, 1) == NULL);
}

/* ------------------------------------------------------------------ bytes */

Test(tls, large_transfers_both_ways_under_back_pressure)
{
	static const struct {
		enum buf_class class;
		int version;
		unsigned slow_us, slow_turns;
		size_t bulk;
	} rows[] = {
	    {BUF_BIG, TLS1_3_VERSION, 0, 0, 3000000},
	    {BUF_MID, TLS1_2_VERSION, 0, 3, 1500000},
	    {BUF_SMALL, TLS1_3_VERSION, 0, 1, 300000},
	    {BUF_BIG, TLS1_3_VERSION, 500, 0, 1000000},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct peer p = {.version = rows[i].version,
		    .sni = "shop.example",
		    .slow_us = rows[i].slow_us,
		    .bulk = 100000};

		bed.class = rows[i].class;
		bed.slow_turns = rows[i].slow_turns;
		bed.bulk = p.bulk = rows[i].bulk;
		p.bulk = MIN(
		    p.bulk, 150000u); /* the peer writes it all before it reads: as the sockets can hold */
		bed_run(&bed, &p, choose, NULL);
		cr_expect(p.reply.len == p.bulk, "row %zu: %zu", i, p.reply.len);
		for (size_t k = 0; k < p.reply.len; k++)
			cr_assert(p.reply.p[k] == (char)(k * 31 >> 3), "row %zu: byte %zu", i, k);
		cr_expect(bed.ended && bed.end == 0);
		peer_fini(&p);
	}
}

Test(tls, one_send_may_be_larger_than_every_buffer)
{
	struct peer p = {.server = true, .card = &shop, .bulk = 3000000, .slow_us = 200};
	struct tls_target t = {.host = STR("shop.example")};
	char *much = xcalloc(1, p.bulk + 1);

	memset(much, 'x', p.bulk);
	bed.say = much;
	bed.class = BUF_MID;
	bed_run(&bed, &p, NULL, &t);
	cr_expect(p.reply.len == p.bulk && memcmp(p.reply.p, much, p.bulk) == 0);
	cr_expect(bed.got.len == p.bulk && bed.ended && bed.end == 0);
	free(much);
	peer_fini(&p);
}

/* Whatever the connection was doing: no memory of it is used or kept, as ASan and the pools say. */
Test(tls, can_be_closed_at_any_moment)
{
	for (unsigned turns = 0; turns < 24; turns++) {
		for (unsigned kind = 0; kind < 4; kind++) {
			struct peer p = {.sni = "shop.example",
			    .version = kind < 2 ? TLS1_3_VERSION : TLS1_2_VERSION,
			    .bulk = 600000,
			    .step = 1000};

			bed.bulk = 1;
			bed.class = turns % 2 ? BUF_MID : BUF_SMALL;
			bed.slow_turns = turns % 3;
			bed.turns = turns + 1;
			bed.now = kind % 2;
			bed_run(&bed, &p, choose, NULL);
			peer_fini(&p);
		}
	}
}

Test(tls, an_end_without_close_notify_is_told_from_an_orderly_one)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	for (size_t i = 0; i < 2 * COUNT(versions); i++) {
		struct peer p = {
		    .version = versions[i / 2], .sni = "shop.example", .say = "a\n", .cut = i % 2};

		bed_run(&bed, &p, choose, NULL);
		cr_expect_str_eq(bed.got.p, "a\n");
		cr_expect(bed.ended && bed.end == (p.cut ? -EPROTO : 0), "row %zu: %d", i, bed.end);
		peer_fini(&p);
	}
}

Test(tls, a_close_says_goodbye)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	for (size_t i = 0; i < COUNT(versions); i++) {
		struct peer p = {.version = versions[i], .sni = "shop.example", .say = "a\n"};

		bed.close_at_once = true;
		bed_run(&bed, &p, choose, NULL);
		cr_expect(p.up && p.clean && p.reply.len == 0, "row %zu", i);
		peer_fini(&p);
	}
}

Test(tls, one_half_may_end_before_the_other)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	bed.half = true;
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct peer p = {.version = versions[i], .sni = "shop.example", .say = "a\n", .half = true};

		bed_run(&bed, &p, choose, NULL);
		cr_expect(p.clean, "row %zu: our close_notify came before the end", i);
		cr_expect_str_eq(p.reply.p, "echo: a\n");
		cr_expect_str_eq(bed.got.p, "a\nmore\n");
		peer_fini(&p);
	}
}

Test(tls, renegotiation_is_refused)
{
	struct peer p = {.version = TLS1_2_VERSION, .sni = "shop.example", .say = "a\n", .renegotiate = true};

	bed_run(&bed, &p, choose, NULL);
	cr_expect(p.up && p.reason == SSL_R_NO_RENEGOTIATION, "%d", p.reason);
	peer_fini(&p);
}

Test(tls, key_updates_are_answered)
{
	struct peer p = {.version = TLS1_3_VERSION, .sni = "shop.example", .say = "a\n", .key_update = true};

	bed_run(&bed, &p, choose, NULL);
	cr_expect_str_eq(p.reply.p, "echo: a\n");
	peer_fini(&p);
}

/* ------------------------------------------------------------------ what is no TLS */

Test(tls, http_in_the_clear_is_answered_in_the_clear)
{
	static const char *const rows[] = {
	    "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n", "P"};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct peer p = {.raw = rows[i], .raw_len = strlen(rows[i])};

		bed_run(&bed, &p, choose, NULL);
		cr_expect(bed.error == -EPROTONOSUPPORT);
		cr_expect_str_eq(p.reply.p, "in the clear\n");
		peer_fini(&p);
	}
}

Test(tls, garbage_ends_in_an_error_and_bounded)
{
	static char endless[105 * 1310];
	static const struct str rows[] = {
	    {"", 0},
	    {"\x16", 1},
	    {"\x16\x03\x01\x00\x05hello", 10},
	    {"\x16\x03\x01\xff\xffxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 38},
	    {"\x80\x2e\x01\x03\x01", 5},
	    {"\0\0\0\0\0\0\0\0\0\0\0", 11},
	    {"\x15\x03\x01\x00\x02\x02\x28", 7},
	    {"\x17\x03\x03\x00\x02\x02\x28", 7},
	    {endless, sizeof(endless)},
	};

	/* One hello in small records, past the bound before it is whole. */
	for (size_t at = 0; at + 105 <= sizeof(endless); at += 105)
		memcpy(endless + at, "\x16\x03\x01\x00\x64", 5);
	memcpy(endless + 5, "\x01\x01\xff\xb4", 4);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct peer p = {.raw = rows[i].p, .raw_len = rows[i].len};

		bed_run(&bed, &p, choose, NULL);
		cr_expect(bed.connected && (bed.error == -EPROTO || bed.error == -ECONNRESET), "row %zu: %d",
		    i, bed.error);
		if (rows[i].p == endless)
			cr_expect(p.reply.len == 0, "it was read to its end, and judged");
		peer_fini(&p);
	}
}

/* The hello of OpenSSL's client with the bytes behind the name's place changed. */
static size_t
bent_hello(char out[static 4096], int at, const char *bytes, size_t n)
{
	struct peer p = {.sni = "shop.example"};
	SSL_CTX *ctx = peer_context(&p);
	SSL *ssl = SSL_new(ctx);
	BIO *wire = BIO_new(BIO_s_mem());
	char *name;
	int len;

	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), wire);
	SSL_set_tlsext_host_name(ssl, p.sni);
	SSL_set_connect_state(ssl);
	SSL_do_handshake(ssl);
	len = BIO_read(wire, out, 4096);
	cr_assert(len > 0);
	name = memmem(out, (size_t)len, p.sni, strlen(p.sni));
	cr_assert(name != NULL);
	memcpy(name + at, bytes, n);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return (size_t)len;
}

Test(tls, a_name_that_is_none_is_refused)
{
	static const struct {
		int at;
		const char *bytes;
		size_t n;
		char alert;
		enum tls_failure failure;
	} rows[] = {
	    {0, "S", 1, 0, TLS_FAILURE_NONE},
	    {4, "\0", 1, SSL_AD_UNRECOGNIZED_NAME, TLS_FAILURE_NAME},
	    {-2, "\0\0", 2, SSL_AD_DECODE_ERROR, TLS_FAILURE_PROTOCOL},
	    {-2, "\xff\xff", 2, SSL_AD_DECODE_ERROR, TLS_FAILURE_PROTOCOL},
	    {-3, "\1", 1, SSL_AD_DECODE_ERROR, TLS_FAILURE_PROTOCOL},
	    {-5, "\0\1", 2, SSL_AD_DECODE_ERROR, TLS_FAILURE_PROTOCOL},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char hello[4096];
		struct peer p = {
		    .raw = hello, .raw_len = bent_hello(hello, rows[i].at, rows[i].bytes, rows[i].n)};

		bed_run(&bed, &p, choose, NULL);
		cr_expect(bed.failure == rows[i].failure, "row %zu: %d", i, (int)bed.failure);
		if (rows[i].alert == 0)
			cr_expect(bed.error == -ECONNRESET && p.reply.p[0] == SSL3_RT_HANDSHAKE);
		else
			cr_expect(p.reply.len == 7 && p.reply.p[0] == SSL3_RT_ALERT &&
				      p.reply.p[6] == rows[i].alert,
			    "row %zu", i);
		peer_fini(&p);
	}
}

/* ------------------------------------------------------------------ targets */

static struct peer
target_peer(const struct card *card, int version)
{
	return (struct peer){.server = true, .card = card, .version = version, .say = "answer\n"};
}

Test(tls, verifies_a_target_as_far_as_it_is_told_to)
{
	struct card ip = card_new("ip", "IP:10.1.2.3,IP:fd00::7", &ca, false, 10);
	struct tls_held *good = tls_trust_new(bed.world, str_of(ca.pem), false, 1);
	struct tls_held *system = tls_trust_new(bed.world, (struct str){"", 0}, true, 1);
	struct tls_held *none = tls_trust_new(bed.world, (struct str){"", 0}, false, 1);
	struct addr v4, v6;
	const struct {
		struct tls_held *trust;
		const char *host;
		const struct card *card;
		const struct addr *addr;
		bool ok;
		const char *sni;
	} rows[] = {
	    {NULL, "any.example", &shop, NULL, true, "any.example"},
	    {none, "10.9.9.9", &shop, NULL, true, ""},
	    {good, "shop.example", &shop, NULL, true, "shop.example"},
	    {good, "cart.example", &shop, NULL, false, "cart.example"},
	    {good, "a.shop.example", &plain, NULL, true, "a.shop.example"},
	    {system, "shop.example", &shop, NULL, false, "shop.example"},
	    {good, "10.1.2.3", &ip, NULL, true, ""},
	    {good, "10.1.2.4", &ip, NULL, false, ""},
	    {good, "any.example", &ip, &v4, true, "any.example"},
	    {good, "", &ip, &v6, true, ""},
	    {good, "", &shop, &v4, false, ""},
	};

	addr_parse(STR("10.1.2.3:443"), &v4);
	addr_parse(STR("[fd00::7]:443"), &v6);
	bed.say = "request\n";
	for (size_t i = 0; i < 2 * COUNT(rows); i++) {
		struct tls_target t = {
		    .trust = rows[i / 2].trust, .host = str_of(rows[i / 2].host), .addr = rows[i / 2].addr};
		struct peer p = target_peer(rows[i / 2].card, i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION);

		bed_run(&bed, &p, NULL, &t);
		cr_expect((bed.error == 0) == rows[i / 2].ok, "row %zu: %d", i, bed.error);
		if (rows[i / 2].ok) {
			cr_expect_str_eq(bed.got.p, "answer\n", "row %zu", i);
			cr_expect_str_eq(p.reply.p, "request\n", "row %zu", i);
			cr_expect_str_eq(p.got_sni, rows[i / 2].sni, "row %zu", i);
		} else {
			cr_expect(bed.failure == TLS_FAILURE_CERTIFICATE, "row %zu", i);
		}
		peer_fini(&p);
	}
	tls_held_free(good);
	tls_held_free(system);
	tls_held_free(none);
	card_fini(&ip);
}

Test(tls, keeps_a_targets_session_for_its_name_and_trust)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	struct tls_held *trust = tls_trust_new(bed.world, str_of(ca.pem), false, 1);

	bed.say = "request\n";
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct tls_held *session = NULL;
		const struct {
			struct tls_held *trust;
			const char *host;
			bool resumed;
		} rows[] = {
		    {NULL, "shop.example", false},
		    {NULL, "shop.example", true},
		    {NULL, "other.example", false}, /* another name's */
		    {NULL, "shop.example", false},
		    {trust, "shop.example", false}, /* it was not verified */
		    {trust, "shop.example", true},
		};
		struct peer maker = target_peer(&shop, versions[v]);
		SSL_CTX *ctx = peer_context(&maker);

		for (size_t i = 0; i < COUNT(rows); i++) {
			struct tls_target t = {
			    .trust = rows[i].trust, .host = str_of(rows[i].host), .session = &session};
			struct peer p = target_peer(&shop, versions[v]);

			p.ctx = ctx;
			bed_run(&bed, &p, NULL, &t);
			cr_expect(
			    bed.error == 0 && bed.resumed == rows[i].resumed, "version %zu row %zu", v, i);
			cr_expect(session != NULL);
			peer_fini(&p);
		}
		tls_held_free(session);
		SSL_CTX_free(ctx);
	}
	tls_held_free(trust);
}

static int
no_h2(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len,
    void *arg)
{
	unsigned want = (unsigned)(uintptr_t)arg;

	if (in[0] != want)
		return SSL_TLSEXT_ERR_NOACK;
	*out = in + 1;
	*out_len = in[0];
	return SSL_TLSEXT_ERR_OK;
}

Test(tls, h2_to_a_target_must_be_agreed_on)
{
	static const struct {
		bool h2;
		unsigned server; /* the length of what it knows */
		bool ok;
	} rows[] = {{true, 2, true}, {true, 8, false}, {false, 8, true}, {false, 2, true}};

	bed.say = "request\n";
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tls_target t = {.host = STR("shop.example"), .h2 = rows[i].h2};
		struct peer p = target_peer(&shop, 0);
		SSL_CTX *ctx = peer_context(&p);

		SSL_CTX_set_alpn_select_cb(ctx, no_h2, (void *)(uintptr_t)rows[i].server);
		p.ctx = ctx;
		bed_run(&bed, &p, NULL, &t);
		cr_expect((bed.error == 0) == rows[i].ok, "row %zu: %d", i, bed.error);
		cr_expect(bed.h2 == (rows[i].ok && rows[i].h2), "row %zu", i);
		peer_fini(&p);
		SSL_CTX_free(ctx);
	}
}
