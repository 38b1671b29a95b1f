/* test_identity.c - what services show in a handshake: pairs that are swapped, leaves that are kept. */
#include "../../fs/authority.h"
#include "../../fs/identity.h"
#include "keys.h"
#include "storedir.h"
#include "tree.h"
#include <openssl/sha.h>
#include <stdio.h>

#define DAY_S (24 * 3600)
#define CHAIN "services/shop/certificate"
#define KEY "services/shop/private-key"
#define DOMAIN "services/shop/domain"
#define WEB "services/shop/listeners/web/"

static const struct leaf leaves[] = {
    {"vpcs/local/netns", "host\n"},
    {"@networks/main/vpcs/local", "../../../vpcs/local"},
    {"@networks/main/services/shop", "../../../services/shop"},
    {"services/shop/domain", "shop.example\n"},
    {WEB "port", "8443\n"},
    {WEB "protocol", "HTTPS\n"},
    {WEB "default-action", "fixed-response = 404\n"},
    {"services/shop/listeners/plain/port", "8080\n"},
    {"services/shop/listeners/plain/default-action", "fixed-response = 404\n"},
    {NULL, NULL},
};

static int64_t now_s;

static int64_t
clock_of_test(void)
{
	return now_s;
}

static struct world w;
static struct authority *authority;
/* Two pairs. */
static char *chains[2], *keys[2];

static void
load(void)
{
	const struct model_config config = {
	    .suffix = "lattice.internal", .account = "123456789012", .region = "x", .authority = authority};
	struct leaf_source from = leaf_source(leaves);
	struct diags ds = {0};

	w = (struct world){0};
	w.model = model_new(&config, &w.slots);
	cr_assert(world_load(&w, &from.source, &ds) == 0 && ds.n == 0);
	diags_fini(&ds);
}

static void
init(void)
{
	storedir_up();
	now_s = (int64_t)time(NULL);
	authority = authority_new(&store, clock_of_test);
	for (size_t i = 0; i < COUNT(chains); i++) {
		EVP_PKEY *key = EVP_EC_gen("P-256");

		chains[i] = keys_self(i == 0 ? "first" : "second", key);
		keys[i] = keys_text(key, FORM_PKCS8);
		EVP_PKEY_free(key);
	}
	load();
}

static void
fini(void)
{
	world_fini(&w);
	authority_free(authority);
	for (size_t i = 0; i < COUNT(chains); i++) {
		free(chains[i]);
		free(keys[i]);
	}
	store_remove(&store, STORE_CA);
	store_remove(&store, STORE_CA_KEY);
	storedir_down();
}

TestSuite(identity, .init = init, .fini = fini);

/* text NULL: removed. */
static int
change(const char *path, const char *text)
{
	struct edit *e = edit_new(w.model, EDIT_STRICT);
	struct diags ds = {0};
	struct diag d = {0};
	int rc = text == NULL ? edit_remove(e, path, &d) : edit_put(e, path, str_of(text), &d);

	rc = world_end(&w, e, rc, &ds);
	diags_fini(&ds);
	return rc;
}

static const struct service *
shop(void)
{
	const struct service *s = table_service(w.served, 0);

	cr_assert_not_null(s);
	return s;
}

/* What is shown: pair 0 or 1, or -1: the local CA's alone. And the line of .status that tells what is waited
 * for. */
static void
expect(int pair, const char *waiting)
{
	const struct service *s = shop();
	struct text out = {0};
	const char *at;

	cr_assert(s->ncertificates == (pair < 0 ? 1 : 2), "%u", s->ncertificates);
	cr_expect(s->certificates[s->ncertificates - 1].local);
	cr_expect(
	    pair < 0 || (str_eq(s->certificates[0].chain, str_of(chains[pair])) &&
			    str_eq(s->certificates[0].key, str_of(keys[pair])) && !s->certificates[0].local));
	identity_print(w.model, node_find(w.model, "services/shop"), s, &out);
	at = strstr(out.p, "waiting ");
	cr_expect(
	    waiting == NULL ? at == NULL : at != NULL && strcmp(at, waiting) == 0, "%s\n%s", waiting, at);
	text_fini(&out);
}

Test(identity, takes_a_pair_when_both_match)
{
	for (int key_first = 0; key_first < 2; key_first++) {
		const char *first = key_first ? KEY : CHAIN, *second = key_first ? CHAIN : KEY;
		const char *missing = key_first ? "waiting certificate\n" : "waiting private-key\n";
		const char *mismatch = key_first
					   ? "waiting certificate: the one that is there does not match the "
					     "private-key\n"
					   : "waiting private-key: the one that is there does not match the "
					     "certificate\n";
		char **firsts = key_first ? keys : chains, **seconds = key_first ? chains : keys;

		expect(-1, NULL);
		cr_assert(change(first, firsts[0]) == 0);
		expect(-1, missing);
		cr_assert(change(second, seconds[0]) == 0);
		expect(0, NULL);
		cr_assert(change(first, firsts[1]) == 0);
		expect(0, mismatch);
		cr_assert(change(second, seconds[1]) == 0);
		expect(1, NULL);
		/* Half of it goes: the pair stays until the other half goes, too. */
		cr_assert(change(second, NULL) == 0);
		expect(1, missing);
		cr_assert(change(first, NULL) == 0);
	}
	expect(-1, NULL);
}

Test(identity, is_restored_by_an_abort)
{
	struct table *next = NULL, *served;
	struct diags ds = {0};
	struct diag d = {0};
	struct edit *e;

	cr_assert(change(CHAIN, chains[0]) == 0 && change(KEY, keys[0]) == 0 && change(KEY, keys[1]) == 0);
	served = w.served;
	e = edit_new(w.model, EDIT_STRICT);
	cr_assert(edit_put(e, CHAIN, str_of(chains[1]), &d) == 0);
	cr_assert(edit_try(e, w.served, &next, &ds) == 0 && next != NULL);
	cr_expect(str_eq(table_service(next, 0)->certificates[0].chain, str_of(chains[1])));
	edit_abort(e);
	table_free(next);
	cr_expect(w.served == served);
	expect(0, "waiting certificate: the one that is there does not match the private-key\n");
	cr_assert(change(KEY, keys[0]) == 0);
	expect(0, NULL);
}

Test(identity, is_judged_at_the_end_of_a_hold)
{
	struct edit *e;
	struct diags ds = {0};
	struct diag d = {0};

	cr_assert(change(CHAIN, chains[0]) == 0 && change(KEY, keys[0]) == 0);
	e = edit_new(w.model, EDIT_HELD);
	cr_assert(edit_put(e, CHAIN, str_of(chains[1]), &d) == 0);
	edit_commit(e, false);
	e = edit_new(w.model, EDIT_HELD);
	cr_assert(edit_put(e, KEY, str_of(keys[1]), &d) == 0);
	cr_assert(world_end(&w, e, 0, &ds) == 0);
	expect(1, NULL);
	diags_fini(&ds);
}

Test(identity, has_an_edition_that_follows_what_is_shown)
{
	uint32_t edition = shop()->tls_edition, last;
	const struct service *s = shop();

	cr_assert(change(WEB "default-action", "fixed-response = 403\n") == 0);
	cr_expect(shop() != s && shop()->tls_edition == edition, "another action is nothing to TLS");
	s = shop();
	cr_assert(change(CHAIN, chains[0]) == 0);
	cr_expect(shop() == s, "half a pair changes nothing");
	cr_assert(change(KEY, keys[0]) == 0);
	cr_expect(shop()->tls_edition > edition);
	edition = shop()->tls_edition;
	cr_assert(change("services/shop/client-ca", chains[0]) < 0, "not a CA's");
	cr_assert(change(DOMAIN, "shop.example\nwww.example\n") == 0);
	cr_expect(shop()->tls_edition > edition, "the leaf has other names");
	last = shop()->tls_edition;
	cr_assert(change(WEB "protocol", "HTTP\n") == 0);
	cr_expect(shop()->ncertificates == 0 && shop()->client_ca.len == 0, "nothing to show without HTTPS");
	cr_assert(change(WEB "protocol", "HTTPS\n") == 0);
	cr_expect(shop()->tls_edition > last);
}

Test(identity, keeps_a_leaf_until_it_is_due)
{
	char *before = xstrndup(shop()->certificates[0].chain.p, shop()->certificates[0].chain.len);
	struct diags ds = {0};
	uint32_t at = 0;

	cr_assert(change("services/shop/idle-timeout", "5\n") == 0);
	cr_expect(str_eq(shop()->certificates[0].chain, str_of(before)));
	now_s += 60 * DAY_S;
	cr_expect_not(model_mark_renewals(w.model, w.served, &at));
	now_s += DAY_S;
	cr_expect(model_mark_renewals(w.model, w.served, &at) && at == 0);
	cr_assert(world_end(&w, edit_new(w.model, EDIT_BROKEN), 0, &ds) == 0);
	cr_expect_not(str_eq(shop()->certificates[0].chain, str_of(before)));
	cr_expect(shop()->certificates[0].not_after_s == now_s + 90 * DAY_S);
	cr_expect_not(model_mark_renewals(w.model, w.served, &at));
	diags_fini(&ds);
	free(before);
}

/* The table's lines of the HTTPS listener end so before the arrow. */
static void
expect_line(const char *want)
{
	struct text out = {0};
	char *arrow = NULL;

	table_print(w.served, &out);
	cr_assert(out.len > 0 && (arrow = strstr(strstr(out.p, "shop/web"), " -> ")) != NULL, "%s", out.p);
	*arrow = '\0';
	cr_expect(
	    strlen(out.p) > strlen(want) && strcmp(arrow - strlen(want), want) == 0, "%s\n%s", want, out.p);
	text_fini(&out);
}

/* As openssl x509 -fingerprint -sha256 begins, without colons and in lower case. */
static void
fingerprint(const X509 *x, char out[static 9])
{
	unsigned char digest[32];

	X509_digest(x, EVP_sha256(), digest, NULL);
	snprintf(out, 9, "%02x%02x%02x%02x", digest[0], digest[1], digest[2], digest[3]);
}

Test(identity, is_told_apart_by_the_table)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *ca = keys_certificate(&(struct wanted){.name = "ca", .key = key, .ca = true});
	X509 *leaf = keys_certificate(&(struct wanted){.name = "leaf", .key = key, .by = ca, .by_key = key});
	char *ca_text = keys_pem(ca), *leaf_text = keys_pem(leaf), *key_text = keys_text(key, FORM_PKCS8);
	char *chain = xasprintf("%s%s", leaf_text, ca_text), *noted = xasprintf("# ours\n%s", ca_text);
	unsigned char sum[32];
	char digits[2][9], want[100];

	fingerprint(leaf, digits[0]);
	fingerprint(ca, digits[1]);
	SHA256((unsigned char *)ca_text, strlen(ca_text), sum);
	expect_line(",shop certificate=local-ca");
	cr_assert(change(CHAIN, leaf_text) == 0 && change(KEY, key_text) == 0);
	snprintf(want, sizeof(want), ",shop certificate=own:%s", digits[0]);
	expect_line(want);
	cr_assert(change(CHAIN, chain) == 0);
	snprintf(want, sizeof(want), ",shop certificate=own:%s+%s", digits[0], digits[1]);
	expect_line(want);
	/* What waits is not shown, and what is served keeps its digits. */
	cr_assert(change(CHAIN, chains[0]) == 0);
	cr_assert(change(WEB "default-action", "fixed-response = 403\n") == 0);
	expect_line(want);
	cr_assert(change(KEY, keys[0]) == 0 && change(CHAIN, NULL) == 0 && change(KEY, NULL) == 0);
	cr_assert(change("services/shop/client-ca", noted) == 0);
	snprintf(want, sizeof(want), " certificate=local-ca client-ca=%02x%02x%02x%02x", sum[0], sum[1],
	    sum[2], sum[3]);
	expect_line(want);
	cr_assert(change("target-groups/blue/ca", ca_text) == 0);
	cr_expect(str_eq(table_group(w.served, 0)->ca_mark, str_of(strrchr(want, '=') + 1)));
	X509_free(ca);
	X509_free(leaf);
	EVP_PKEY_free(key);
	free(ca_text);
	free(leaf_text);
	free(key_text);
	free(chain);
	free(noted);
}

Test(identity, asks_for_clients_certificates_and_verifies_targets)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = keys_certificate(&(struct wanted){.name = "ca", .key = key, .ca = true});
	char *ca = keys_pem(x);
	struct text out = {0};

	cr_assert(change("services/shop/client-ca", ca) == 0);
	cr_expect(str_eq(shop()->client_ca, str_of(ca)));
	identity_print(w.model, node_find(w.model, "services/shop"), shop(), &out);
	cr_expect_not_null(strstr(out.p, "\nclient-ca 1 certificate\n"));
	cr_assert(change("target-groups/blue/ca", ca) == 0);
	cr_expect(str_eq(table_group(w.served, 0)->ca, str_of(ca)));
	cr_assert(change("target-groups/blue/ca", NULL) == 0);
	cr_expect(table_group(w.served, 0)->ca.len == 0);
	text_fini(&out);
	free(ca);
	X509_free(x);
	EVP_PKEY_free(key);
}

Test(identity, is_told_of_in_metrics)
{
	struct text out = {0}, want = {0};

	cr_assert(change(CHAIN, chains[0]) == 0 && change(KEY, keys[0]) == 0);
	text_printf(&want,
	    "latticefs_certificate_not_after_seconds{service=\"shop\",issuer=\"CN=first\"} %lld\n"
	    "latticefs_certificate_not_after_seconds{service=\"shop\",issuer=\"CN=latticefs local CA\"} "
	    "%lld\n",
	    (long long)shop()->certificates[0].not_after_s, (long long)(now_s + 90 * DAY_S));
	identity_print_metrics(w.served, &out);
	cr_expect_not_null(strstr(out.p, want.p), "%s", out.p);
	text_fini(&out);
	text_fini(&want);
}

/* A full disk, say: what could not be signed then is signed when it can be. */
Test(identity, comes_when_the_ca_can_be_made)
{
	struct diags ds = {0};
	uint32_t at = 0;

	world_fini(&w);
	store_remove(&store, STORE_CA);
	store_remove(&store, STORE_CA_KEY);
	authority_free(authority);
	authority = authority_new(&store, clock_of_test);
	store.read_only = true;
	load();
	cr_expect(shop()->ncertificates == 0 && shop()->nlisteners == 1);
	cr_expect_not(model_mark_renewals(w.model, w.served, &at));
	store.read_only = false;
	cr_expect(model_mark_renewals(w.model, w.served, &at));
	cr_assert(world_end(&w, edit_new(w.model, EDIT_BROKEN), 0, &ds) == 0);
	cr_expect(shop()->nlisteners == 2);
	expect(-1, NULL);
	diags_fini(&ds);
}

/* Then HTTPS is served by who has a pair of its own. */
Test(identity, is_missing_without_a_ca)
{
	const char *why;

	world_fini(&w);
	storedir_put(STORE_CA, "nonsense\n");
	authority_free(authority);
	authority = authority_new(&store, clock_of_test);
	cr_assert_not_null(authority_open(authority));
	load();
	cr_assert(shop()->nlisteners == 1 && shop()->listeners[0].port == 8080);
	why = identity_why(w.model, node_find(w.model, "services/shop"), shop());
	cr_expect(why != NULL && strcmp(why, ".ca.pem is not a CA's certificate") == 0, "%s", why);
	cr_assert(change(CHAIN, chains[0]) == 0 && change(KEY, keys[0]) == 0);
	cr_assert(shop()->nlisteners == 2 && shop()->ncertificates == 1);
	cr_expect_null(identity_why(w.model, node_find(w.model, "services/shop"), shop()));
	cr_assert(change(KEY, NULL) == 0);
	cr_expect(shop()->nlisteners == 2 && shop()->ncertificates == 1, "the pair in force stays");
}
