/* test_schema.c - what a path is, and which names may be made. */
#include "../../fs/schema.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

Test(schema, knows_what_a_path_is)
{
	static const struct {
		const char *path;
		bool is_dir;
		enum sort sort;
		enum kind kind;
	} rows[] = {
	    {"", true, SORT_ROOT, KIND_ROOT},
	    {"services", true, SORT_COLLECTION, KIND_ROOT},
	    {"services", false, SORT_INERT, KIND_ROOT},
	    {"services/shop", true, SORT_OBJECT, KIND_SERVICE},
	    {"services/Shop", true, SORT_INERT, 0},
	    {"services/shop", false, SORT_INERT, 0},
	    {"services/shop/domain", false, SORT_ATTRIBUTE, KIND_SERVICE},
	    {"services/shop/domain", true, SORT_INERT, 0},
	    {"services/shop/sedAbC123", false, SORT_INERT, 0},
	    {"services/shop/listeners", true, SORT_COLLECTION, KIND_SERVICE},
	    {"services/shop/listeners/web", true, SORT_OBJECT, KIND_LISTENER},
	    {"services/shop/listeners/web/port", false, SORT_ATTRIBUTE, KIND_LISTENER},
	    {"services/shop/listeners/web/rules/cart", true, SORT_OBJECT, KIND_RULE},
	    {"services/shop/listeners/web/rules/cart/match", false, SORT_ATTRIBUTE, KIND_RULE},
	    {"services/.draft/listeners/web/port", false, SORT_INERT, 0},
	    {".git/services/shop", true, SORT_INERT, 0},
	    {"services/shop/extra/port", false, SORT_INERT, 0},
	    {"networks/main/services/shop", false, SORT_ASSOCIATION, KIND_NETWORK},
	    {"networks/main/services/CuAbC123", false, SORT_INERT, 0},
	    {"networks/main/services/shop", true, SORT_INERT, 0},
	    {"networks/main/vpcs/local", false, SORT_ASSOCIATION, KIND_NETWORK},
	    {"target-groups/blue/ca", false, SORT_ATTRIBUTE, KIND_GROUP},
	    {"target-groups/blue/verify", false, SORT_ATTRIBUTE, KIND_GROUP},
	    {"target-groups/blue/targets", true, SORT_COLLECTION, KIND_GROUP},
	    {"target-groups/blue/targets/10.0.0.5", false, SORT_MEMBER, KIND_GROUP},
	    {"target-groups/blue/targets/10.0.0.5:8080", false, SORT_MEMBER, KIND_GROUP},
	    {"target-groups/blue/targets/[fd00::5]:8080", false, SORT_MEMBER, KIND_GROUP},
	    {"target-groups/blue/targets/fd00::5", false, SORT_MEMBER, KIND_GROUP},
	    {"target-groups/blue/targets/i-0123456789abcdef0", false, SORT_MEMBER, KIND_GROUP},
	    {"target-groups/blue/targets/hook.lambda", false, SORT_MEMBER, KIND_GROUP},
	    {"target-groups/blue/targets/4913", false, SORT_INERT, 0},
	    {"target-groups/blue/targets/10.0.0.5~", false, SORT_INERT, 0},
	    {".status", false, SORT_VIRTUAL, KIND_ROOT},
	    {".table", false, SORT_VIRTUAL, KIND_ROOT},
	    {".hold", false, SORT_VIRTUAL, KIND_ROOT},
	    {"services/shop/.status", false, SORT_VIRTUAL, KIND_SERVICE},
	    {"services/shop/.table", false, SORT_INERT, 0},
	    {"services/.status", false, SORT_INERT, 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct spot spot;

		schema_spot(rows[i].path, rows[i].is_dir, &spot);
		cr_expect(spot.sort == rows[i].sort, "'%s': sort %d, want %d", rows[i].path, spot.sort,
		    rows[i].sort);
		cr_expect(rows[i].sort == SORT_INERT || spot.kind == rows[i].kind, "'%s': kind %d",
		    rows[i].path, spot.kind);
		cr_expect(
		    (spot.sort == SORT_ATTRIBUTE || spot.sort == SORT_MEMBER) == (spot.attribute != NULL),
		    "'%s'", rows[i].path);
	}
}

Test(schema, knows_targets_and_instances)
{
	static const struct {
		const char *path;
		bool is_dir;
		enum sort sort;
		enum kind kind;
	} rows[] = {
	    {"target-groups/blue/targets/i-01234567:8080", false, SORT_MEMBER, KIND_GROUP},
	    {"target-groups/blue/targets/i-01234567:08080", false, SORT_INERT, 0},
	    {"target-groups/blue/targets/i-01234567:65536", false, SORT_INERT, 0},
	    {"target-groups/blue/targets/i-0123456A", false, SORT_INERT, 0},
	    {"target-groups/blue/targets/edge.alb", false, SORT_MEMBER, KIND_GROUP},
	    {"target-groups/blue/hash-key", false, SORT_ATTRIBUTE, KIND_GROUP},
	    {"vpcs/local/instances", true, SORT_COLLECTION, KIND_VPC},
	    {"vpcs/local/instances/i-0123456789abcdef0", false, SORT_MEMBER, KIND_VPC},
	    {"vpcs/local/instances/i-01234567", true, SORT_INERT, 0},
	    {"vpcs/local/instances/10.0.0.5", false, SORT_INERT, 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct spot spot;

		schema_spot(rows[i].path, rows[i].is_dir, &spot);
		cr_expect(spot.sort == rows[i].sort && (spot.sort == SORT_INERT || spot.kind == rows[i].kind),
		    "'%s': %d", rows[i].path, spot.sort);
	}
}

Test(schema, refuses_what_is_nearly_a_target_or_an_instance)
{
	static const struct {
		const char *path;
		bool is_dir;
		int rc;
		const char *says;
	} rows[] = {
	    {"target-groups/blue/targets/hook.lambda", false, 0, NULL},
	    {"target-groups/blue/targets/i-0123456789abcdef0:80", false, 0, NULL},
	    {"target-groups/blue/targets/i-0123456789abcdef", false, -EPERM,
		"'i-0123456789abcdef' is no instance (one is called i- and 8 or 17 hexadecimal digits, here "
		"also "
		"with :PORT)"},
	    {"target-groups/blue/targets/i-01234567:0", false, -EPERM, NULL},
	    {"vpcs/local/instances/i-01234567", false, 0, NULL},
	    {"vpcs/local/instances/i-01234567:80", false, -EPERM,
		"'i-01234567:80' is no instance (one is called i- and 8 or 17 hexadecimal digits)"},
	    {"vpcs/local/instances/i-0123456G~", false, 0, NULL},
	    {"vpcs/local/instance", false, -EPERM,
		"no file is called 'instance' here (did you mean 'instances'?)"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct diag d = {0};

		cr_expect(
		    schema_may_create(rows[i].path, rows[i].is_dir, &d) == rows[i].rc, "'%s'", rows[i].path);
		if (rows[i].says != NULL)
			cr_expect(strcmp(d.message, rows[i].says) == 0, "'%s': %s", rows[i].path, d.message);
	}
}

Test(schema, says_what_a_collection_holds)
{
	static const struct {
		const char *path;
		enum kind member;
	} rows[] = {{"vpcs", KIND_VPC}, {"networks", KIND_NETWORK}, {"services", KIND_SERVICE},
	    {"target-groups", KIND_GROUP}, {"services/a/listeners", KIND_LISTENER},
	    {"services/a/listeners/b/rules", KIND_RULE}, {"networks/a/services", KIND_SERVICE},
	    {"networks/a/vpcs", KIND_VPC}};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct spot spot;

		schema_spot(rows[i].path, true, &spot);
		cr_expect(
		    spot.sort == SORT_COLLECTION && spot.member == rows[i].member, "'%s'", rows[i].path);
	}
}

Test(schema, checks_names_by_lattices_grammar)
{
	static const struct {
		enum kind kind;
		const char *name;
		int rc;
	} rows[] = {
	    {KIND_SERVICE, "a", 0},
	    {KIND_SERVICE, "shop-2", 0},
	    {KIND_SERVICE, "2", 0},
	    {KIND_SERVICE, "", -EINVAL},
	    {KIND_SERVICE, "-a", -EINVAL},
	    {KIND_SERVICE, "a-", -EINVAL},
	    {KIND_SERVICE, "a--b", -EINVAL},
	    {KIND_SERVICE, "Shop", -EINVAL},
	    {KIND_SERVICE, "sh_op", -EINVAL},
	    {KIND_SERVICE, "svc-a", -EINVAL},
	    {KIND_SERVICE, "svca", 0},
	    {KIND_LISTENER, "listener-a", -EINVAL},
	    {KIND_RULE, "rule-a", -EINVAL},
	    {KIND_GROUP, "tg-a", -EINVAL},
	    {KIND_VPC, "svc-a", 0},
	    {KIND_SERVICE, "0123456789012345678901234567890123456789", 0},
	    {KIND_SERVICE, "01234567890123456789012345678901234567890", -EINVAL},
	    {KIND_NETWORK, "01234567890123456789012345678901234567890", 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *why = NULL;

		cr_expect(schema_name_check(rows[i].kind, str_of(rows[i].name), &why) == rows[i].rc, "'%s'",
		    rows[i].name);
		cr_expect((why != NULL) == (rows[i].rc != 0), "'%s'", rows[i].name);
	}
}

Test(schema, refuses_only_likely_typos)
{
	static const struct {
		const char *path;
		bool is_dir;
		int rc;
		const char *says;
	} rows[] = {
	    {"services/shop/listeners/web/port", false, 0, NULL},
	    {"services/shop/listeners/web/prot", false, -EPERM,
		"no file is called 'prot' here (did you mean 'port'?)"},
	    {"services/shop/listeners/web/ports", false, -EPERM,
		"no file is called 'ports' here (did you mean 'port'?)"},
	    {"services/shop/listeners/web/port~", false, 0, NULL},
	    {"services/shop/listeners/web/.port.swp", false, 0, NULL},
	    {"services/shop/listeners/web/p", false, 0, NULL},
	    {"services/shop/listeners/web/pr", false, 0, NULL},
	    {"services/shop/listeners/web/port.orig", false, 0, NULL},
	    {"services/shop/listeners/web/4913", false, 0, NULL},
	    {"services/shop/listeners/web/sedAbC123", false, 0, NULL},
	    {"services/shop/listeners/web/rules/cart/mtach", false, -EPERM,
		"no file is called 'mtach' here (did you mean 'match'?)"},
	    {"services/shop/README", false, 0, NULL},
	    {"services/shop/listener", false, -EPERM,
		"no file is called 'listener' here (did you mean 'listeners'?)"},
	    {"services/shop/notes", true, 0, NULL},
	    {"services/Shop", true, -EINVAL,
		"'Shop' is refused: a service name is made of lower-case letters, digits and single inner "
		"hyphens"},
	    {"services/.Shop", true, 0, NULL},
	    {"services/Shop", false, 0, NULL},
	    {"services/shop/domain", true, -EPERM, "'domain' is the name of a file here"},
	    {"services", false, -EPERM, "'services' is the name of a directory here"},
	    {"services/shop/.status", false, -EPERM, "the name '.status' is reserved"},
	    {".events", false, -EPERM, "the name '.events' is reserved"},
	    {".git", true, 0, NULL},
	    {"target-groups/blue/targets/10.0.0.5", false, 0, NULL},
	    {"target-groups/blue/targets/10.0.0.256", false, -EPERM,
		"'10.0.0.256' is no address (a target is called like 10.0.0.5, 10.0.0.5:8080 or "
		"[fd00::5]:8080)"},
	    {"target-groups/blue/targets/[fd00::5", false, -EPERM, NULL},
	    {"target-groups/blue/targets/10.0.0.5:99999", false, -EPERM, NULL},
	    {"target-groups/blue/targets/4913", false, 0, NULL},
	    {"target-groups/blue/targets/fd00.bak", false, 0, NULL},
	    {"anything/at/all", false, 0, NULL},
	};
	char name[300], path[400];

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct diag d = {0};

		cr_expect(
		    schema_may_create(rows[i].path, rows[i].is_dir, &d) == rows[i].rc, "'%s'", rows[i].path);
		cr_expect(d.err == -rows[i].rc, "'%s'", rows[i].path);
		if (rows[i].says != NULL)
			cr_expect(strcmp(d.message, rows[i].says) == 0, "'%s': %s", rows[i].path, d.message);
	}
	memset(name, 'a', 256);
	name[256] = '\0';
	snprintf(path, sizeof(path), "services/%s", name);
	cr_expect(schema_may_create(path, false, NULL) == -ENAMETOOLONG);
}

Test(schema, numbers_the_attributes_of_a_kind_in_order)
{
	for (int k = KIND_ROOT; k < KINDS; k++) {
		size_t n;
		const struct attribute *a = schema_attributes((enum kind)k, &n);

		cr_expect(n <= ATTRIBUTES_MAX);
		for (size_t i = 0; i < n; i++)
			cr_expect(a[i].index == i && a[i].kind == (enum kind)k && a[i].about != NULL, "%s",
			    a[i].name);
	}
}
