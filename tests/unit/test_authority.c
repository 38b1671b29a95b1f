/* test_authority.c - the local CA: its files, what it signs, and when that is due. */
#include "../../fs/authority.h"
#include "keys.h"
#include "storedir.h"
#include <errno.h>

#define DAY_S (24 * 3600)

static int64_t now_s;

static int64_t
clock_of_test(void)
{
	return now_s;
}

static struct authority *a;
static struct arena arena;
static const struct str names[] = {{"*.shop.example", 14}, {"shop.localhost", 14}};

static void
init(void)
{
	storedir_up();
	now_s = (int64_t)time(NULL);
	a = authority_new(&store, clock_of_test);
}

static void
fini(void)
{
	authority_free(a);
	arena_fini(&arena);
	store_remove(&store, STORE_CA);
	store_remove(&store, STORE_CA_KEY);
	storedir_down();
}

TestSuite(authority, .init = init, .fini = fini);

static void
again(void)
{
	authority_free(a);
	a = authority_new(&store, clock_of_test);
}

static struct certificate
issue(void)
{
	struct certificate c = {0};

	cr_assert(
	    authority_issue(a, STR("shop"), names, COUNT(names), &arena, &c) == 0, "%s", authority_why(a));
	return c;
}

static X509 *
read_pem(const char *pem)
{
	BIO *in = BIO_new_mem_buf(pem, -1);
	X509 *x = PEM_read_bio_X509(in, NULL, NULL, NULL);

	BIO_free(in);
	cr_assert_not_null(x);
	return x;
}

/* The error of verifying the leaf for host, as a client does at the time of the test. */
static int
verify(const char *ca_pem, struct certificate c, const char *host)
{
	X509 *ca = read_pem(ca_pem), *leaf = read_pem(c.chain.p);
	X509_STORE *trust = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;
	int error;

	X509_STORE_add_cert(trust, ca);
	X509_STORE_CTX_init(ctx, trust, leaf, NULL);
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set1_host(param, host, 0);
	X509_VERIFY_PARAM_set_time(param, (time_t)now_s);
	X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
	X509_verify_cert(ctx);
	error = X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(trust);
	X509_free(ca);
	X509_free(leaf);
	return error;
}

Test(authority, is_made_when_needed_and_kept)
{
	struct stat st;
	char *pem;

	cr_assert_null(authority_open(a));
	cr_expect(store_stat(&store, STORE_CA, &st) == -ENOENT, "not yet");
	pem = xstrdup(authority_pem(a));
	cr_assert(store_stat(&store, STORE_CA, &st) == 0);
	cr_expect((st.st_mode & 07777) == 0644);
	cr_assert(store_stat(&store, STORE_CA_KEY, &st) == 0);
	cr_expect((st.st_mode & 07777) == 0600);
	again();
	cr_assert_null(authority_open(a));
	cr_expect_str_eq(authority_pem(a), pem);
	free(pem);
}

Test(authority, signs_what_clients_believe)
{
	struct certificate one = issue(), two = issue();
	const char *ca = authority_pem(a);
	BIO *in = BIO_new_mem_buf(one.key.p, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	X509 *x = read_pem(one.chain.p);

	cr_expect(verify(ca, one, "www.shop.example") == X509_V_OK);
	cr_expect(verify(ca, two, "shop.localhost") == X509_V_OK);
	cr_expect(verify(ca, one, "shop.example") == X509_V_ERR_HOSTNAME_MISMATCH);
	cr_expect(X509_check_private_key(x, key) == 1);
	cr_expect(one.local && one.not_after_s == now_s + 90 * DAY_S);
	cr_expect(str_eq(one.issuer, STR("CN=" AUTHORITY_NAME)));
	cr_expect_not(str_eq(one.chain, two.chain), "serial numbers differ");
	cr_expect(str_eq(one.key, two.key));
	now_s += 91 * DAY_S;
	cr_expect(verify(ca, one, "shop.localhost") == X509_V_ERR_CERT_HAS_EXPIRED);
	X509_free(x);
	EVP_PKEY_free(key);
	BIO_free(in);
}

Test(authority, says_when_a_leaf_is_due)
{
	struct certificate c = issue(), last;

	now_s += 60 * DAY_S;
	cr_expect_not(authority_is_due(a, &c));
	now_s += 1;
	cr_expect(authority_is_due(a, &c));
	c = issue();
	cr_expect_not(authority_is_due(a, &c));
	/* At the end of the CA nothing is to be gained any more. */
	now_s += 3560LL * DAY_S;
	last = issue();
	cr_expect(last.not_after_s < now_s + 90 * DAY_S);
	now_s += 20 * DAY_S;
	cr_expect_not(authority_is_due(a, &last));
}

Test(authority, says_what_is_wrong_with_its_files)
{
	static const struct {
		const char *ca, *key; /* NULL: as they were made; "": not there */
		const char *want;
	} rows[] = {
	    {"nonsense\n", NULL, ".ca.pem is not a CA's certificate"},
	    {NULL, "nonsense\n", ".ca.key is not a private key"},
	    {NULL, "", ".ca.key is not there, but .ca.pem is"},
	    {NULL, "-", ".ca.key is not the key of .ca.pem"},
	};
	EVP_PKEY *stranger = EVP_EC_gen("P-256");
	char *stranger_text = keys_text(stranger, FORM_PKCS8), key[512] = "";
	struct certificate c;
	char *ca = xstrdup(authority_pem(a));

	cr_assert(store_read(&store, STORE_CA_KEY, key, sizeof(key) - 1) > 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *why;

		again();
		storedir_put(STORE_CA, rows[i].ca == NULL ? ca : rows[i].ca);
		storedir_put(STORE_CA_KEY, rows[i].key == NULL	   ? key
					   : rows[i].key[0] == '-' ? stranger_text
								   : rows[i].key);
		if (rows[i].key != NULL && rows[i].key[0] == '\0')
			store_remove(&store, STORE_CA_KEY);
		why = authority_open(a);
		cr_expect(why != NULL && strcmp(why, rows[i].want) == 0, "row %zu: %s", i, why);
		cr_expect_null(authority_pem(a));
		cr_expect(authority_issue(a, STR("shop"), names, 1, &arena, &c) < 0);
		cr_expect_str_eq(authority_why(a), rows[i].want);
	}
	storedir_put(STORE_CA_KEY, key);
	now_s += 3653LL * DAY_S;
	again();
	cr_expect(strncmp(authority_open(a), ".ca.pem expired on 20", 21) == 0);
	free(ca);
	free(stranger_text);
	EVP_PKEY_free(stranger);
}

/* A crash between the two writes: nobody has seen the certificate. */
Test(authority, is_made_anew_when_only_its_key_is_there)
{
	char *before = xstrdup(authority_pem(a));

	store_remove(&store, STORE_CA);
	again();
	cr_assert_null(authority_open(a));
	cr_assert_not_null(authority_pem(a));
	cr_expect_str_neq(authority_pem(a), before);
	again();
	cr_expect_null(authority_open(a));
	free(before);
}

Test(authority, is_not_made_where_nothing_may_be_written)
{
	store.read_only = true;
	cr_expect_null(authority_open(a));
	cr_expect_null(authority_pem(a));
	cr_expect_str_eq(authority_why(a), "there is none, and the store is read-only");
	store.read_only = false;
	cr_expect_not_null(authority_pem(a), "and when that is over, it is");
}
