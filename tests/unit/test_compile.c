/* test_compile.c - trees to tables: the golden trees, and what a part keeps of the one before it. */
#include "../../fs/authority.h"
#include "storedir.h"
#include "tree.h"
#include <criterion/criterion.h>

#define GOLDEN "tests/golden"

static bool
same_as_file(const char *path, const char *text)
{
	static char want[64 * 1024];
	bool update = getenv("GOLDEN_UPDATE") != NULL;
	FILE *f = fopen(path, update ? "w" : "r");
	size_t n = 0;

	if (update && f != NULL)
		fwrite(text, 1, strlen(text), f);
	else if (f != NULL)
		n = fread(want, 1, sizeof(want) - 1, f);
	want[n] = '\0';
	if (f != NULL)
		fclose(f);
	return update || (f != NULL && strcmp(want, text) == 0);
}

/* A tree as it is loaded at start: its table in want.table, its problems, if its name says so, in
 * want.errors. */
static void
replay(const char *name, struct authority *authority)
{
	const struct model_config config = {
	    .suffix = "lattice.internal", .account = "123456789012", .region = "x", .authority = authority};
	char root[600], path[700];
	struct dir_source from = dir_source(root);
	struct world w = {0};
	struct diags ds = {0};
	struct text table = {0}, errors = {0};

	w.model = model_new(&config, &w.slots);
	snprintf(root, sizeof(root), GOLDEN "/%s/lattice", name);
	cr_assert(world_load(&w, &from.source, &ds) == 0);
	for (size_t i = 0; i < ds.n; i++)
		diag_print(&ds.all[i], &errors);
	text_printf(&table, "%s", "");
	text_printf(&errors, "%s", "");
	if (w.served != NULL)
		table_print(w.served, &table);
	snprintf(path, sizeof(path), GOLDEN "/%s/want.table", name);
	cr_expect(same_as_file(path, table.p), "%s:\n%s", path, table.p);
	cr_expect((ds.n > 0) == (strncmp(name, "refuses-", 8) == 0), "%s has %zu problems:\n%s", name, ds.n,
	    errors.p);
	snprintf(path, sizeof(path), GOLDEN "/%s/want.errors", name);
	cr_expect(same_as_file(path, errors.p), "%s:\n%s", path, errors.p);
	text_fini(&table);
	text_fini(&errors);
	diags_fini(&ds);
	world_fini(&w);
}

Test(compile, gives_the_golden_tables_and_errors)
{
	struct dirent **all;
	int n = scandir(GOLDEN, &all, NULL, alphasort);
	unsigned cases = 0;
	struct authority *authority;

	cr_assert(n > 0, "run from the root of the sources");
	storedir_up();
	authority = authority_new(&store, NULL);
	for (int i = 0; i < n; i++) {
		if (all[i]->d_type == DT_DIR && all[i]->d_name[0] != '.') {
			replay(all[i]->d_name, authority);
			cases++;
		}
		free(all[i]);
	}
	free(all);
	authority_free(authority);
	store_remove(&store, STORE_CA);
	store_remove(&store, STORE_CA_KEY);
	storedir_down();
	cr_expect(cases >= 15, "%u", cases);
}

static const struct leaf pair[] = {
    {"vpcs/local/netns", "host\n"},
    {"@networks/main/vpcs/local", "../../../vpcs/local"},
    {"@networks/main/services/a", "../../../services/a"},
    {"@networks/main/services/b", "../../../services/b"},
    {"services/a/listeners/web/port", "80\n"},
    {"services/a/listeners/web/default-action", "forward = g\n"},
    {"services/b/listeners/web/port", "80\n"},
    {"services/b/listeners/web/default-action", "forward = g\n"},
    {"target-groups/g/targets/10.0.0.1", ""},
    {NULL, NULL},
};

static void
put(struct world *w, const char *path, const char *text)
{
	struct edit *e = edit_new(w->model, EDIT_STRICT);
	struct diags ds = {0};
	struct diag d = {0};

	cr_assert(world_end(w, e, edit_put(e, path, str_of(text), &d), &ds) == 0, "%s: %s", path,
	    ds.n > 0 ? ds.all[0].message : d.message);
	diags_fini(&ds);
}

Test(compile, makes_only_what_changed)
{
	struct leaf_source from = leaf_source(pair);
	struct diags ds = {0};
	const struct service *a, *b;
	const struct group *g;
	const struct place *p;
	struct world w;

	world_init(&w);
	cr_assert(world_load(&w, &from.source, &ds) == 0 && ds.n == 0);
	a = table_service(w.served, 0);
	b = table_service(w.served, 1);
	g = table_group(w.served, 0);
	p = table_place(w.served, 0);
	put(&w, "services/a/listeners/web/default-action", "forward = g:3\n");
	cr_expect(table_service(w.served, 0) != a && table_service(w.served, 1) == b);
	cr_expect(table_group(w.served, 0) == g && table_place(w.served, 0) == p && p->nusers == 2);
	a = table_service(w.served, 0);
	put(&w, "target-groups/g/targets/10.0.0.2", "");
	cr_expect(table_service(w.served, 0) == a && table_service(w.served, 1) == b,
	    "a target is the group's matter");
	cr_expect(table_group(w.served, 0) != g && table_group(w.served, 0)->ntargets == 2);
	world_fini(&w);
}

/* A socket stays the same socket while anybody uses it: its index and its serial tell. */
Test(compile, keeps_places_open_across_changes)
{
	struct leaf_source from = leaf_source(pair);
	struct diags ds = {0};
	uint32_t index, serial;
	struct world w;

	world_init(&w);
	cr_assert(world_load(&w, &from.source, &ds) == 0 && ds.n == 0);
	index = table_service(w.served, 0)->places[0];
	serial = table_place(w.served, index)->serial;
	put(&w, "services/a/listeners/web/port", "81\n");
	cr_expect(
	    table_service(w.served, 1)->places[0] == index && table_place(w.served, index)->serial == serial);
	cr_expect(table_place(w.served, index)->nusers == 1);
	put(&w, "services/b/listeners/web/port", "81\n");
	cr_expect(table_place(w.served, index) == NULL, "nobody is left on port 80");
	put(&w, "services/b/listeners/web/port", "80\n");
	index = table_service(w.served, 1)->places[0];
	cr_expect(table_place(w.served, index)->serial != serial, "opened again, it is another");
	put(&w, "vpcs/local/listen", "127.0.0.1\n");
	cr_expect(table_service(w.served, 1)->nplaces == 1);
	world_fini(&w);
}

Test(compile, gives_up_what_an_abandoned_try_took)
{
	struct leaf_source from = leaf_source(pair);
	struct diags ds = {0};
	struct diag d = {0};
	struct table *next = NULL;
	struct world w;
	uint32_t used;

	world_init(&w);
	cr_assert(world_load(&w, &from.source, &ds) == 0 && ds.n == 0);
	used = w.slots.next - w.slots.nspare;
	for (int i = 0; i < 3; i++) {
		struct edit *e = edit_new(w.model, EDIT_STRICT);

		cr_assert(edit_put(e, "services/a/listeners/more/port", STR("82\n"), &d) == 0);
		cr_assert(
		    edit_put(e, "services/a/listeners/more/default-action", STR("forward = g\n"), &d) == 0);
		cr_assert(edit_try(e, w.served, &next, &ds) == 0 && next != NULL);
		cr_expect(table_nplaces(next) == 4 && w.slots.next - w.slots.nspare == used + 2);
		table_free(next);
		edit_abort(e);
		cr_expect(w.slots.next - w.slots.nspare == used);
	}
	world_fini(&w);
}
