/* test_vpcs.c - VPCs in namespaces of their own, which come and go: what the tables say then. */
#include "tree.h"
#include <criterion/criterion.h>

/* Namespaces by name, as the test has them. */
struct fake {
	struct netns_source source;
	uint32_t blue, green;
	const char *refusal;
};

static uint32_t
fake_find(struct netns_source *s, const char *name, bool listens)
{
	struct fake *f = container_of(s, struct fake, source);

	return strcmp(name, "blue") == 0 ? f->blue : strcmp(name, "green") == 0 ? f->green : SLOT_NONE;
}

static const char *
fake_why(struct netns_source *s, const char *name)
{
	return "";
}

static const char *
fake_refusal(const struct netns_source *s)
{
	return container_of(s, struct fake, source)->refusal;
}

static struct fake
fake(uint32_t blue, uint32_t green)
{
	return (struct fake){{fake_find, fake_why, fake_refusal}, blue, green, NULL};
}

static const struct leaf site[] = {
    {"vpcs/b/netns", "blue\n"},
    {"vpcs/g/netns", "green\n"},
    {"@networks/main/vpcs/b", "../../../vpcs/b"},
    {"@networks/main/vpcs/g", "../../../vpcs/g"},
    {"@networks/main/services/shop", "../../../services/shop"},
    {"services/shop/listeners/web/port", "80\n"},
    {"services/shop/listeners/web/default-action", "forward = one two\n"},
    {"target-groups/one/vpc", "b\n"},
    {"target-groups/one/targets/10.0.0.5:8080", ""},
    {"target-groups/two/vpc", "g\n"},
    {"target-groups/two/targets/10.0.0.5:8080", ""},
    {NULL, NULL},
};

static void
load(struct world *w, struct fake *f)
{
	struct leaf_source from = leaf_source(site);
	struct diags ds = {0};

	world_init_in(w, &f->source);
	cr_assert(
	    world_load(w, &from.source, &ds) == 0 && ds.n == 0, "%s", ds.n > 0 ? ds.all[0].message : "");
}

static void
move(struct world *w, uint32_t *which, uint32_t number, const char *name)
{
	struct diags ds = {0};

	*which = number;
	model_netns_moved(w->model, name);
	cr_assert(world_end(w, edit_new(w->model, EDIT_BROKEN), 0, &ds) == 0 && ds.n == 0);
}

static uint32_t
places_in(const struct world *w, uint32_t vpc)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < table_nplaces(w->served); i++)
		n += table_place(w->served, i) != NULL && table_place(w->served, i)->vpc == vpc;
	return n;
}

static const struct group *
group_called(const struct world *w, const char *name)
{
	for (uint32_t i = 0; i < 8; i++) {
		const struct group *g = table_group(w->served, i);

		if (g != NULL && str_eq(g->name, str_of(name)))
			return g;
	}
	cr_assert_fail("no group %s", name);
	return NULL;
}

Test(vpcs, offer_a_service_on_its_pair_in_each_namespace)
{
	struct fake f = fake(1, 2);
	struct world w;

	load(&w, &f);
	cr_expect(places_in(&w, 1) == 2 && places_in(&w, 2) == 2 && places_in(&w, 0) == 0);
	cr_expect(group_called(&w, "one")->vpc == 1 && group_called(&w, "two")->vpc == 2);
	cr_expect(group_called(&w, "one")->targets[0].slot != group_called(&w, "two")->targets[0].slot,
	    "equal addresses in two VPCs share no connections");
	world_fini(&w);
}

Test(vpcs, wait_for_their_namespaces_alone)
{
	struct fake f = fake(SLOT_NONE, 2);
	struct world w;

	load(&w, &f);
	cr_expect(places_in(&w, 2) == 2 && table_nplaces(w.served) == 2);
	cr_expect(group_called(&w, "one")->ntargets == 0 && group_called(&w, "two")->ntargets == 1);
	move(&w, &f.blue, 1, "blue");
	cr_expect(places_in(&w, 1) == 2 && places_in(&w, 2) == 2);
	cr_expect(group_called(&w, "one")->vpc == 1 && group_called(&w, "one")->ntargets == 1);
	move(&w, &f.blue, SLOT_NONE, "blue");
	cr_expect(places_in(&w, 1) == 0 && places_in(&w, 2) == 2);
	cr_expect(group_called(&w, "one")->ntargets == 0);
	world_fini(&w);
}

Test(vpcs, are_opened_anew_in_another_namespace_of_the_name)
{
	struct fake f = fake(1, 2);
	uint32_t slot, kept;
	struct world w;

	load(&w, &f);
	slot = group_called(&w, "one")->targets[0].slot;
	kept = group_called(&w, "two")->targets[0].slot;
	move(&w, &f.blue, 3, "blue");
	cr_expect(places_in(&w, 1) == 0 && places_in(&w, 3) == 2 && places_in(&w, 2) == 2);
	cr_expect(group_called(&w, "one")->vpc == 3);
	cr_expect(group_called(&w, "one")->targets[0].slot != slot, "idle connections lead to the old one");
	cr_expect(group_called(&w, "two")->targets[0].slot == kept);
	world_fini(&w);
}

Test(vpcs, that_name_one_namespace_share_its_places)
{
	struct fake f = fake(1, 1);
	struct world w;

	load(&w, &f);
	cr_expect(places_in(&w, 1) == 2 && table_nplaces(w.served) == 2);
	world_fini(&w);
}

/* Of each place of the pair the sole user is known, until a second one comes. */
Test(vpcs, know_who_is_alone_on_an_address)
{
	struct fake f = fake(1, SLOT_NONE);
	struct diags ds = {0};
	struct diag d = {0};
	const struct place *p;
	struct edit *e;
	struct world w;

	load(&w, &f);
	p = table_place(w.served, 0);
	cr_assert(p->open && table_sole(w.served, p) != NULL);
	cr_expect(str_eq(table_sole(w.served, p)->name, STR("shop")));
	e = edit_new(w.model, EDIT_STRICT);
	cr_assert(edit_put(e, "vpcs/b/listen", STR("10.0.0.1\n"), &d) == 0 && world_end(&w, e, 0, &ds) == 0);
	for (uint32_t i = 0; i < table_nplaces(w.served); i++)
		cr_expect(table_place(w.served, i) == NULL || !table_place(w.served, i)->open,
		    "not its own address");
	e = edit_new(w.model, EDIT_STRICT);
	cr_assert(edit_put(e, "services/cart/listeners/web/port", STR("80\n"), &d) == 0 &&
		  edit_put(e, "services/cart/listeners/web/default-action", STR("fixed-response = 204\n"),
		      &d) == 0 &&
		  edit_link(e, "networks/main/services/cart", "../../../services/cart", &d) == 0 &&
		  world_end(&w, e, 0, &ds) == 0);
	for (uint32_t i = 0; i < table_nplaces(w.served); i++)
		cr_expect(table_place(w.served, i) == NULL ||
			  table_sole(w.served, table_place(w.served, i)) == NULL);
	world_fini(&w);
}

Test(vpcs, are_refused_where_the_capability_is_missing)
{
	struct fake f = fake(1, 2);
	struct diags ds = {0};
	struct diag d = {0};
	struct edit *e;
	struct world w;

	f.refusal = "latticefs runs without CAP_NET_ADMIN";
	world_init_in(&w, &f.source);
	e = edit_new(w.model, EDIT_STRICT);
	cr_assert(edit_put(e, "vpcs/b/netns", STR("blue\n"), &d) == 0);
	cr_expect(world_end(&w, e, 0, &ds) == -EPERM);
	cr_expect(strstr(ds.all[0].message,
		      "needs CAP_SYS_ADMIN and CAP_NET_ADMIN: latticefs runs without CAP_NET_ADMIN") != NULL,
	    "%s", ds.all[0].message);
	e = edit_new(w.model, EDIT_STRICT);
	cr_assert(edit_put(e, "vpcs/b/netns", STR("host\n"), &d) == 0);
	cr_expect(world_end(&w, e, 0, &ds) == 0);
	diags_fini(&ds);
	world_fini(&w);
}
