/* test_model.c - edits: what they refuse, what they undo, and that they come to what a load comes to. */
#include "tree.h"
#include <criterion/criterion.h>

#define REMIND " (touch .hold to change several things at once)"

static const struct leaf shop[] = {
    {"vpcs/local/netns", "host\n"},
    {"@networks/main/vpcs/local", "../../../vpcs/local"},
    {"@networks/main/services/shop", "../../../services/shop"},
    {"services/shop/listeners/web/port", "8080\n"},
    {"services/shop/listeners/web/default-action", "forward = blue\n"},
    {"services/shop/listeners/web/rules/cart/priority", "10\n"},
    {"services/shop/listeners/web/rules/cart/match", "path-prefix = /cart\n"},
    {"services/shop/listeners/web/rules/cart/action", "forward = green:5\n"},
    {"services/other/listeners/web/port", "8080\n"},
    {"target-groups/blue/targets/10.0.0.5", ""},
    {"target-groups/green/targets/10.0.0.6", ""},
    {NULL, NULL},
};

static struct world w;

static void
load(const struct leaf *leaves)
{
	struct leaf_source from = leaf_source(leaves);
	struct diags ds = {0};

	world_init(&w);
	cr_assert(world_load(&w, &from.source, &ds) == 0);
	cr_assert(ds.n == 0, "%s: %s", ds.n > 0 ? ds.all[0].path : "", ds.n > 0 ? ds.all[0].message : "");
	diags_fini(&ds);
}

static void
load_shop(void)
{
	load(shop);
}

static void
fini(void)
{
	world_fini(&w);
}

TestSuite(model, .fini = fini);

static int
change(const char *path, const char *text, struct diag *d)
{
	return world_change(&w, path, text, d);
}

static char *
printed(const struct table *t)
{
	struct text out = {0};

	if (t != NULL)
		table_print(t, &out);
	text_printf(&out, "%s", "");
	return text_take(&out);
}

Test(model, says_what_is_wrong_and_where, .init = load_shop)
{
	static const struct {
		const char *path, *text;
		int rc;
		const char *at; /* path:line:column */
		const char *says;
	} rows[] = {
	    {"services/shop/listeners/web/default-action", "forward = blue:90 gren:10\n", -EINVAL,
		"services/shop/listeners/web/default-action:1:19",
		"no target group 'gren' (did you mean 'green'?)"},
	    {"services/shop/listeners/web/default-action", "forward = yellow\n", -EINVAL,
		"services/shop/listeners/web/default-action:1:11", "no target group 'yellow'" REMIND},
	    {"services/shop/listeners/web/rules/pay/priority", "10\n", -EEXIST,
		"services/shop/listeners/web/rules/pay/priority:1:1",
		"priority 10 is taken by rule 'cart'" REMIND},
	    {"services/shop/listeners/two/port", "8080\n", -EEXIST, "services/shop/listeners/two/port:1:1",
		"port 8080 is taken by listener 'web'" REMIND},
	    {"services/shop/listeners/web/port", "x\n", -EINVAL, "services/shop/listeners/web/port:1:1",
		"port must be a number from 1 to 65535, not 'x'"},
	    {"target-groups/blue/targets/10.0.0.5:80", "", -EEXIST,
		"target-groups/blue/targets/10.0.0.5:80:0:0",
		"10.0.0.5:80 is target '10.0.0.5' already" REMIND},
	    {"target-groups/blue/ip-address-type", "IPV6\n", -EINVAL,
		"target-groups/blue/ip-address-type:1:1", "target '10.0.0.5' is no IPV6 address" REMIND},
	    {"target-groups/blue/vpc", "locl\n", -EINVAL, "target-groups/blue/vpc:1:1",
		"no VPC 'locl' (did you mean 'local'?)"},
	    {"target-groups/blue/", NULL, -EBUSY, "target-groups/blue:0:0",
		"target group 'blue' is in use by services/shop/listeners/web/default-action" REMIND},
	    {"target-groups/", NULL, -EBUSY, NULL, NULL},
	    {"services/shop/", NULL, -EBUSY, "services/shop:0:0",
		"service 'shop' is in use by networks/main/services/shop" REMIND},
	    {"vpcs/local/", NULL, -EBUSY, "vpcs/local:0:0",
		"VPC 'local' is in use by networks/main/vpcs/local" REMIND},
	    {"@networks/main/services/again", "../../../services/shop", -EEXIST,
		"networks/main/services/again:0:0",
		"service 'shop' is in this network already, as 'shop'" REMIND},
	    {"@networks/main/services/shap", "../../../services/shap", -EINVAL,
		"networks/main/services/shap:0:0", "no service 'shap' (did you mean 'shop'?)"},
	    {"@networks/main/services/x", "../../services/shop", -EINVAL, "networks/main/services/x:0:0",
		"a link here points at a service, like ../../../services/NAME, not at '../../services/shop'"},
	    {"@networks/main/services/x", "../../../../services/shop", -EINVAL,
		"networks/main/services/x:0:0",
		"the link points outside of the tree: '../../../../services/shop'"},
	    {"@networks/main/services/x", "/services/shop", -EINVAL, "networks/main/services/x:0:0",
		"the link points outside of the tree: '/services/shop'"},
	    {"@networks/main/services/x", "../../../vpcs/local", -EINVAL, NULL, NULL},
	    {"@networks/other/vpcs/local", "../../../vpcs/local", -EEXIST, "networks/other/vpcs/local:0:0",
		"VPC 'local' is in network 'main' already" REMIND},
	};
	char *before = printed(w.served), at[1100];

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct diag d;
		char *after;
		int rc = change(rows[i].path, rows[i].text, &d);

		cr_expect(rc == rows[i].rc && d.err == -rc, "row %zu: %d %s", i, rc, d.message);
		snprintf(at, sizeof(at), "%s:%u:%u", d.path, d.line, d.column);
		cr_expect(rows[i].at == NULL || strcmp(at, rows[i].at) == 0, "row %zu: %s", i, at);
		cr_expect(rows[i].says == NULL || strcmp(d.message, rows[i].says) == 0, "row %zu: %s", i,
		    d.message);
		after = printed(w.served);
		cr_expect(strcmp(before, after) == 0, "row %zu changed the table", i);
		free(after);
	}
	cr_expect(!model_has(w.model, "services/shop/listeners/two"), "a refused object is gone");
	cr_expect(!model_has(w.model, "networks/other"));
	free(before);
}

Test(model, prints_the_contracts_example, .init = load_shop)
{
	struct text out = {0};
	struct diag d;

	change("services/shop/listeners/web/default-action", "forward = blue:90 gren:10\n", &d);
	diag_print(&d, &out);
	cr_expect(strcmp(out.p,
		      "services/shop/listeners/web/default-action:1:18: no target group 'gren' (did you mean "
		      "'green'?)\n"
		      "  forward = blue:90 gren:10\n"
		      "                    ^\n") == 0,
	    "%s", out.p);
	text_fini(&out);
}

Test(model, refuses_names_that_another_service_of_the_network_has, .init = load_shop)
{
	struct diag d;

	cr_assert(change("@networks/main/services/other", "../../../services/other", &d) == 0);
	cr_assert(change("services/shop/domain", "shop.example\n", &d) == 0);
	cr_expect(change("services/other/domain", "a.example\nSHOP.example\n", &d) == -EEXIST);
	cr_expect(strcmp(d.message,
		      "domain 'shop.example' is taken by service 'shop' in network 'main'" REMIND) == 0,
	    "%s", d.message);
	cr_expect(d.line == 2 && d.column == 1 && strcmp(d.path, "services/other/domain") == 0);
	cr_expect(change("services/other/domain", "shop\n", &d) == -EEXIST, "a generated name");
	cr_expect(change("services/other/domain", "other\n", &d) == 0, "its own generated name");
	/* In a network of its own it may, as long as the sockets are others. */
	cr_expect(change("@networks/two/services/other", "../../../services/other", &d) == 0);
	cr_expect(change("@networks/main/services/other", NULL, &d) == 0);
	cr_expect(change("services/other/domain", "shop.example\n", &d) == 0);
	cr_expect(change("services/other/listeners/web/default-action", "fixed-response = 404\n", &d) == 0);
	/* A VPC on the same loopback makes both meet at 127.0.0.1:8080. */
	cr_expect(change("vpcs/second/netns", "host\n", &d) == 0);
	cr_expect(change("@networks/two/vpcs/second", "../../../vpcs/second", &d) == -EEXIST);
	cr_expect(strcmp(d.path, "services/other/domain") == 0 &&
		      strcmp(d.message,
			  "domain 'shop.example' is taken by service 'shop' in network 'main'" REMIND) == 0,
	    "%s", d.message);
	cr_expect(change("services/other/listeners/web/port", "8081\n", &d) == 0);
	cr_expect(change("@networks/two/vpcs/second", "../../../vpcs/second", &d) == 0, "%s", d.message);
	cr_expect(change("services/other/listeners/web/port", "8080\n", &d) == -EEXIST);
}

Test(model, swaps_domains_in_one_edit, .init = load_shop)
{
	struct edit *e;
	struct diags ds = {0};
	struct diag d;

	cr_assert(change("@networks/main/services/other", "../../../services/other", &d) == 0);
	cr_assert(change("services/shop/domain", "a.example\n", &d) == 0);
	cr_assert(change("services/other/domain", "b.example\n", &d) == 0);
	e = edit_new(w.model, EDIT_HELD);
	cr_assert(edit_put(e, "services/shop/domain", STR("b.example\n"), &d) == 0);
	cr_assert(edit_put(e, "services/other/domain", STR("a.example\n"), &d) == 0);
	cr_assert(world_end(&w, e, 0, &ds) == 0);
	cr_expect(
	    str_eq(table_host(w.served, w.served == NULL ? 0 : table_service(w.served, 0)->hosts[0].scope,
		       STR("a.example"))
		       ->name,
		STR("other")));
}

Test(model, publishes_nothing_when_nothing_that_serves_changed, .init = load_shop)
{
	static const struct {
		const char *path, *text;
	} rows[] = {
	    {"services/shop/listeners/web/default-action", "forward = blue\n"},
	    {"services/shop/listeners/web/default-action", "# the same\nforward = blue:100\n"},
	    {"services/shop/listeners/web/rules/half/priority", "20\n"},
	    {"services/new/", ""},
	    {"services/new/listeners/web/port", "99\n"},
	    {"services/new/domain", "new.example\n"},
	    {"services/shop/notes", "hello\n"},
	    {"services/shop/notes", NULL},
	    {"services/.draft/listeners/web/port", "x\n"},
	    {"services/nothing/", NULL},
	    {"networks/empty/", ""},
	    {"vpcs/unused/netns", "host\n"},
	    {"services/shop/idle-timeout", "60\n"},
	    {"services/shop/idle-timeout", ""},
	};
	uint64_t generation = table_generation(w.served);
	struct diag d;

	for (size_t i = 0; i < COUNT(rows); i++) {
		cr_expect(change(rows[i].path, rows[i].text, &d) == 0, "row %zu: %s", i, d.message);
		cr_expect(table_generation(w.served) == generation, "row %zu", i);
	}
	cr_expect(change("services/shop/idle-timeout", "61\n", &d) == 0);
	cr_expect(table_generation(w.served) == generation + 1);
}

Test(model, keeps_counters_for_as_long_as_the_object_stays, .init = load_shop)
{
	const struct service *before = table_service(w.served, 0), *after;
	uint32_t slot = before->slot, rule = before->listeners[0].rules[0].slot, n,
		 forward = before->listeners[0].rules[0].action.forwards[0].slot,
		 edition = before->listeners[0].rules[0].action.edition,
		 fallback = before->listeners[0].fallback.action.edition;
	const uint32_t *retired;
	struct diag d;

	cr_assert(
	    change("services/shop/listeners/web/rules/cart/action", "forward = blue:1 green:6\n", &d) == 0);
	after = table_service(w.served, 0);
	cr_expect(after->slot == slot && after->listeners[0].rules[0].slot == rule);
	cr_expect(after->listeners[0].rules[0].action.forwards[1].slot == forward);
	cr_expect(after->listeners[0].rules[0].action.edition != edition, "the cycle starts anew");
	cr_expect(after->listeners[0].fallback.action.edition == fallback, "that of the other goes on");
	table_retired(w.served, &n);
	cr_expect(n == 0);
	cr_assert(change("services/shop/listeners/web/rules/cart/action", "forward = blue:1\n", &d) == 0);
	retired = table_retired(w.served, &n);
	cr_expect(n == 1 && retired[0] == forward);
	cr_assert(change("target-groups/blue/port", "81\n", &d) == 0);
	table_retired(w.served, &n);
	cr_expect(n == 1, "another address is another pool");
	cr_assert(change("services/shop/listeners/web/rules/cart/", NULL, &d) == 0);
	table_retired(w.served, &n);
	cr_expect(n == 2, "the rule and its forward");
}

Test(model, undoes_an_edit_exactly, .init = load_shop)
{
	static const struct {
		const char *path, *text;
	} rows[] = {
	    {"services/shop/listeners/web/", NULL},
	    {"services/shop/listeners/web/port", "9\n"},
	    {"services/", NULL},
	    {"services/shop/domain", "x.example\n"},
	    {"networks/", NULL},
	    {"@networks/main/services/other", "../../../services/other"},
	    {"target-groups/blue/targets/", NULL},
	    {"target-groups/blue/targets/10.1.1.1", ""},
	    {"vpcs/local/netns", NULL},
	    {"vpcs/", NULL},
	    {"services/shop/listeners/web/rules/cart/action", "forward = nowhere\n"},
	};
	char *before = printed(w.served), *after;
	uint32_t slots = w.slots.next - w.slots.nspare;
	struct diags ds = {0};

	/* Every run of these steps, tried and taken back. */
	for (size_t first = 0; first < COUNT(rows); first++) {
		struct edit *e = edit_new(w.model, EDIT_HELD);
		struct table *next = NULL;
		struct diag d = {0};

		for (size_t i = first; i < COUNT(rows); i++) {
			cr_assert(edit_step(e, rows[i].path, rows[i].text, &d) == 0, "%s", d.message);
			if (edit_try(e, w.served, &next, &ds) == 0)
				table_free(next);
		}
		edit_abort(e);
		e = edit_new(w.model, EDIT_HELD);
		ds.n = 0;
		cr_expect(
		    edit_try(e, w.served, &next, &ds) == 0 && next == NULL && ds.n == 0, "run %zu", first);
		edit_abort(e);
		cr_expect(w.slots.next - w.slots.nspare == slots, "run %zu leaks counters", first);
		cr_expect(model_count(w.model, KIND_RULE) == 1 && model_count(w.model, KIND_SERVICE) == 2);
	}
	diags_fini(&ds);
	after = printed(w.served);
	cr_expect(strcmp(before, after) == 0);
	free(before);
	free(after);
}

Test(model, collects_all_problems_of_a_hold_and_then_applies_it, .init = load_shop)
{
	struct edit *e = edit_new(w.model, EDIT_HELD);
	struct diags ds = {0};
	struct table *next = NULL;
	struct diag d = {0};

	cr_expect(edit_put(e, "services/shop/listeners/web/default-action", STR("forward = red\n"), &d) == 0);
	cr_expect(edit_put(e, "services/shop/listeners/two/port", STR("8080\n"), &d) == 0);
	cr_expect(
	    edit_put(e, "services/shop/listeners/two/port", STR("x\n"), &d) == -EINVAL, "texts must parse");
	edit_abort(e);
	e = edit_new(w.model, EDIT_HELD);
	cr_expect(edit_put(e, "services/shop/listeners/web/default-action", STR("forward = red\n"), &d) == 0);
	cr_expect(edit_put(e, "services/shop/listeners/two/port", STR("8080\n"), &d) == 0);
	cr_expect(edit_remove(e, "target-groups/green", &d) == 0, "in use, but held");
	edit_commit(e, false);
	e = edit_new(w.model, EDIT_HELD);
	cr_expect(edit_try(e, w.served, &next, &ds) == -EEXIST && next == NULL);
	cr_assert(ds.n == 3, "%zu", ds.n);
	cr_expect(ds.all[0].err == EEXIST && ds.all[1].err == EINVAL && ds.all[2].err == EINVAL);
	cr_expect(strstr(ds.all[0].message, ".hold") == NULL, "no reminder in a hold");
	edit_abort(e);
	ds.n = 0;
	e = edit_new(w.model, EDIT_HELD);
	edit_mkdir(e, "target-groups/red", &d);
	edit_put(e, "services/shop/listeners/two/port", STR("8081\n"), &d);
	edit_put(e, "services/shop/listeners/web/rules/cart/action", STR("forward = red\n"), &d);
	edit_commit(e, false);
	e = edit_new(w.model, EDIT_HELD);
	cr_expect(world_end(&w, e, 0, &ds) == 0, "%s", ds.n > 0 ? ds.all[0].message : "");
	cr_expect(
	    str_eq(table_service(w.served, 0)->listeners[0].fallback.action.forwards[0].name, STR("red")));
	diags_fini(&ds);
}

Test(model, serves_the_rest_of_a_broken_store_and_lets_it_be_repaired)
{
	static const struct leaf broken[] = {
	    {"vpcs/local/netns", "host\n"},
	    {"@networks/main/vpcs/local", "../../../vpcs/local"},
	    {"@networks/main/services/a", "../../../services/a"},
	    {"@networks/main/services/b", "../../../services/b"},
	    {"@networks/main/services/gone", "../../../services/gone"},
	    {"@networks/main/services/odd", "/etc/passwd"},
	    {"services/a/domain", "x.example\n"},
	    {"services/a/listeners/web/port", "80\n"},
	    {"services/a/listeners/web/default-action", "fixed-response = 404\n"},
	    {"services/a/listeners/web/rules/r/priority", "1\n"},
	    {"services/a/listeners/web/rules/r/match", "nonsense\n"},
	    {"services/a/listeners/web/rules/r/action", "forward = missing\n"},
	    {"services/b/domain", "x.example\n"},
	    {"services/b/listeners/web/port", "80\n"},
	    {"services/b/listeners/web/default-action", "fixed-response = 405\n"},
	    {NULL, NULL},
	};
	struct leaf_source from = leaf_source(broken);
	struct diags ds = {0};
	struct diag d;
	char *text;

	world_init(&w);
	cr_assert(world_load(&w, &from.source, &ds) == 0);
	cr_expect(ds.n == 5, "%zu", ds.n);
	text = printed(w.served);
	cr_expect(strcmp(text, "main a/web default default HTTP 127.0.0.1:80,[::1]:80 "
			       "x.example,a.lattice.internal,a.localhost,a -> fixed-response 404\n") == 0,
	    "%s", text);
	free(text);
	/* What was wrong before does not stand in the way of what is right. */
	cr_expect(
	    change("services/a/listeners/web/rules/r/match", "path-exact = /\n", &d) == 0, "%s", d.message);
	cr_expect(change("services/a/listeners/web/rules/r/action", "forward = lost\n", &d) == -EINVAL);
	cr_expect(change("services/a/listeners/web/rules/r/action", "fixed-response = 500\n", &d) == 0, "%s",
	    d.message);
	cr_expect(change("services/a/domain", "y.example\n", &d) == 0);
	text = printed(w.served);
	cr_expect(strcmp(text,
		      "main a/web 1 r HTTP 127.0.0.1:80,[::1]:80 y.example,a.lattice.internal,a.localhost,a "
		      "path-exact=/ -> fixed-response 500\n"
		      "main a/web default default HTTP 127.0.0.1:80,[::1]:80 "
		      "y.example,a.lattice.internal,a.localhost,a -> fixed-response 404\n"
		      "main b/web default default HTTP 127.0.0.1:80,[::1]:80 "
		      "x.example,b.lattice.internal,b.localhost,b -> fixed-response 405\n") == 0,
	    "%s", text);
	free(text);
	diags_fini(&ds);
}

Test(model, takes_over_a_renamed_object, .init = load_shop)
{
	static const struct leaf renamed[] = {
	    {"services/store/listeners/web/port", "8080\n"},
	    {"services/store/listeners/web/default-action", "forward = blue\n"},
	    {NULL, NULL},
	};
	struct leaf_source from = leaf_source(renamed);
	struct edit *e = edit_new(w.model, EDIT_HELD);
	struct diags ds = {0};
	struct diag d = {0};

	cr_assert(edit_remove(e, "services/shop", &d) == 0);
	cr_assert(edit_remove(e, "networks/main/services/shop", &d) == 0);
	cr_assert(edit_sync(e, "services/store", &from.source, "services/store", &d) == 0);
	cr_assert(edit_link(e, "networks/main/services/store", "/lattice/services/store", &d) == 0);
	cr_assert(world_end(&w, e, 0, &ds) == 0, "%s", ds.n > 0 ? ds.all[0].message : "");
	cr_expect(model_has(w.model, "services/store/listeners/web") && !model_has(w.model, "services/shop"));
	cr_expect(model_count(w.model, KIND_LISTENER) == 2 && model_count(w.model, KIND_RULE) == 0);
	cr_expect(
	    table_host(w.served, 0, STR("store")) != NULL && table_host(w.served, 0, STR("shop")) == NULL);
}

Test(model, finds_the_listener_of_a_place, .init = load_shop)
{
	const struct place *p = table_place(w.served, 0);
	struct diag d = {0};

	model_explain_place(w.model, p->index, EADDRINUSE, &d);
	cr_expect(
	    strcmp(d.path, "services/shop/listeners/web/port") == 0 && d.line == 1 && d.err == EADDRINUSE);
	cr_expect(strcmp(d.message, "cannot listen on 127.0.0.1:8080: Address already in use") == 0, "%s",
	    d.message);
	d = (struct diag){0};
	model_explain_place(w.model, 4711, EMFILE, &d);
	cr_expect(d.err == EMFILE);
}

/* ------------------------------------------------------------------ at random */

enum { LEAVES_MAX = 400 };
static struct leaf tree[LEAVES_MAX + 1];
static size_t nleaves;

static void
tree_remove(const char *path)
{
	size_t len = strlen(path), kept = 0;

	for (size_t i = 0; i < nleaves; i++) {
		if (strncmp(tree[i].path, path, len) == 0 &&
		    (tree[i].path[len] == '\0' || path[len - 1] == '/')) {
			free((char *)tree[i].path);
			free((char *)tree[i].text);
		} else {
			tree[kept++] = tree[i];
		}
	}
	nleaves = kept;
	tree[nleaves] = (struct leaf){NULL, NULL};
}

static void
tree_clear(void)
{
	for (size_t i = 0; i < nleaves; i++) {
		free((char *)tree[i].path);
		free((char *)tree[i].text);
	}
	nleaves = 0;
}

static void
tree_put(const char *path, const char *text)
{
	tree_remove(path);
	cr_assert(nleaves < LEAVES_MAX);
	tree[nleaves++] = (struct leaf){xstrdup(path), xstrdup(text)};
	tree[nleaves] = (struct leaf){NULL, NULL};
}

/* Files stand in directories, which stay when the file goes. */
static void
tree_put_with_dirs(const char *path, const char *text)
{
	for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		char *dir = xstrndup(path + (path[0] == '@'), (size_t)(slash + 1 - path - (path[0] == '@')));
		bool there = false;

		for (size_t i = 0; i < nleaves; i++)
			there = there || strcmp(tree[i].path, dir) == 0;
		if (!there)
			tree_put(dir, "");
		free(dir);
	}
	if (path[strlen(path) - 1] != '/')
		tree_put(path, text);
}

static void
tree_remove_all(const char *path)
{
	char link[256];

	tree_remove(path);
	snprintf(link, sizeof(link), "@%s", path);
	if (path[strlen(path) - 1] == '/')
		tree_remove(link);
}

static unsigned seed;

static const char *
one_of(const char *a, const char *b, const char *c)
{
	const char *all[] = {a, b, c};

	return all[rand_r(&seed) % 3];
}

/* A random path, and a random text for it or NULL to remove it. */
static const char *
random_step(char *path, size_t pn, char *text, size_t tn)
{
	const char *s = one_of("ant", "bee", "cat"), *l = one_of("x", "y", "y"),
		   *g = one_of("gnu", "hen", "ibis");
	const char *n = one_of("main", "net", "net"), *v = one_of("up", "van", "van");
	unsigned r = (unsigned)rand_r(&seed) % 30;

	snprintf(text, tn, "%s", "");
	if (r < 3) {
		snprintf(path, pn, "services/%s/listeners/%s/port", s, l);
		snprintf(text, tn, "%s\n", one_of("80", "81", "82"));
	} else if (r < 6) {
		snprintf(path, pn, "services/%s/listeners/%s/default-action", s, l);
		if (r == 3)
			snprintf(text, tn, "fixed-response = 404\n");
		else
			snprintf(text, tn, "forward = %s:%d\n", g, rand_r(&seed) % 9);
	} else if (r < 9) {
		static const char *const files[] = {"priority", "match", "action"};

		snprintf(path, pn, "services/%s/listeners/%s/rules/%s/%s", s, l, one_of("q", "r", "s"),
		    files[r - 6]);
		if (r == 6)
			snprintf(text, tn, "%s\n", one_of("1", "2", "3"));
		else if (r == 7)
			snprintf(text, tn, "path-prefix = /%s\n", one_of("a", "b", "c"));
		else
			snprintf(text, tn, "forward = %s:3 %s\n", g, one_of("gnu", "hen", "ibis"));
	} else if (r < 11) {
		snprintf(path, pn, "services/%s/domain", s);
		snprintf(text, tn, "%s\n", one_of("a.example", "b.example", "bee"));
	} else if (r < 13) {
		snprintf(path, pn, "@networks/%s/services/%s", n, s);
		snprintf(text, tn, "../../../services/%s", rand_r(&seed) % 4 > 0 ? s : "bee");
	} else if (r < 15) {
		snprintf(path, pn, "@networks/%s/vpcs/%s", n, v);
		snprintf(text, tn, "../../../vpcs/%s", v);
	} else if (r < 16) {
		snprintf(path, pn, "vpcs/%s/netns", v);
		snprintf(text, tn, "host\n");
	} else if (r < 17) {
		snprintf(path, pn, "vpcs/%s/listen", v);
		snprintf(text, tn, "%s\n", one_of("127.0.0.1", "127.0.0.2", "::1"));
	} else if (r < 19) {
		snprintf(path, pn, "target-groups/%s/targets/%s", g,
		    one_of("10.0.0.1", "10.0.0.1:80", "10.0.0.2"));
	} else if (r < 20) {
		snprintf(path, pn, "target-groups/%s/port", g);
		snprintf(text, tn, "%s\n", one_of("80", "81", "82"));
	} else if (r < 21) {
		snprintf(path, pn, "target-groups/%s/vpc", g);
		snprintf(text, tn, "%s\n", v);
	} else if (r < 22) {
		snprintf(path, pn, "target-groups/%s/", g);
	} else if (r < 26) {
		snprintf(path, pn, "services/%s/listeners/%s/protocol", s, l);
		snprintf(text, tn, "%s\n", one_of("HTTP", "HTTPS", "TLS_PASSTHROUGH"));
	} else if (r < 28) {
		snprintf(path, pn, "target-groups/%s/protocol", g);
		snprintf(text, tn, "%s\n", one_of("HTTP", "HTTPS", "TCP"));
	} else if (r < 29) {
		snprintf(path, pn, "target-groups/%s/protocol-version", g);
		snprintf(text, tn, "%s\n", one_of("HTTP1", "HTTP2", "GRPC"));
	} else {
		snprintf(path, pn, "%s/", one_of("services/ant", "networks/net", "services/bee/listeners/x"));
		return NULL;
	}
	return rand_r(&seed) % 4 == 0 ? NULL : text;
}

static void
apply(const char *path, const char *text)
{
	if (text == NULL)
		tree_remove_all(path);
	else
		tree_put_with_dirs(path, text);
}

/* What a mount of this tree would serve. */
static char *
loaded(size_t *nproblems)
{
	struct leaf_source from = leaf_source(tree);
	struct world other;
	struct diags ds = {0};
	char *text;

	world_init(&other);
	cr_assert(world_load(&other, &from.source, &ds) == 0);
	*nproblems = ds.n;
	text = printed(other.served);
	diags_fini(&ds);
	world_fini(&other);
	return text;
}

static void
compare(unsigned at, const char *path, const char *text)
{
	size_t nproblems;
	char *want = loaded(&nproblems), *got = printed(w.served);

	cr_assert(nproblems == 0, "step %u accepted what a load refuses: %s <- %s", at, path, text);
	cr_assert(strcmp(want, got) == 0, "step %u, %s <- %s\n%s---\n%s", at, path,
	    text == NULL ? "nothing" : text, got, want);
	free(want);
	free(got);
}

Test(model, comes_step_by_step_to_what_a_load_gives)
{
	enum { STEPS = 4000 };
	unsigned accepted = 0;
	char path[256], buf[256];

	world_init(&w);
	seed = 11;
	for (unsigned i = 0; i < STEPS; i++) {
		const char *text = random_step(path, sizeof(path), buf, sizeof(buf));
		struct diag d;

		if (change(path, text, &d) != 0)
			continue;
		accepted++;
		apply(path, text);
		compare(i, path, text);
	}
	cr_expect(accepted > STEPS / 4, "%u", accepted);
	tree_clear();
}

/* Holds of several steps: applied when right, else the tree is read back as it was. */
Test(model, comes_by_holds_to_what_a_load_gives)
{
	enum { HOLDS = 600, LENGTH = 6 };
	unsigned applied = 0;

	world_init(&w);
	seed = 5;
	for (unsigned i = 0; i < HOLDS; i++) {
		struct leaf_source from = leaf_source(tree);
		char paths[LENGTH][256], bufs[LENGTH][256];
		const char *texts[LENGTH];
		struct diags ds = {0};
		struct diag d = {0};
		struct edit *e;

		for (unsigned k = 0; k < LENGTH; k++) {
			bool parses;

			e = edit_new(w.model, EDIT_HELD);
			texts[k] = random_step(paths[k], sizeof(paths[k]), bufs[k], sizeof(bufs[k]));
			parses = edit_step(e, paths[k], texts[k], &d) == 0;
			if (parses)
				edit_commit(e, false);
			else
				edit_abort(e);
			if (!parses)
				k--;
		}
		e = edit_new(w.model, EDIT_HELD);
		if (world_end(&w, e, 0, &ds) == 0) {
			applied++;
			for (unsigned k = 0; k < LENGTH; k++)
				apply(paths[k], texts[k]);
		} else {
			uint64_t generation = w.served == NULL ? 0 : table_generation(w.served);

			e = edit_new(w.model, EDIT_HELD);
			cr_assert(edit_sync(e, "", &from.source, "", &d) == 0, "%s", d.message);
			ds.n = 0;
			cr_assert(world_end(&w, e, 0, &ds) == 0, "%s", ds.n > 0 ? ds.all[0].message : "");
			cr_expect((w.served == NULL ? 0 : table_generation(w.served)) == generation,
			    "hold %u: back to what is served is no change", i);
		}
		compare(i, "hold", "hold");
		diags_fini(&ds);
	}
	cr_expect(applied > HOLDS / 10, "%u", applied);
	tree_clear();
}
