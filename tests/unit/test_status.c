/* test_status.c - what .status says. Without an engine here: its counters are 0. */
#include "../../fs/status.h"
#include "tree.h"
#include <criterion/criterion.h>
#include <regex.h>

static const struct leaf leaves[] = {
    {"vpcs/local/netns", "host\n"},
    {"vpcs/bare/", ""},
    {"@networks/main/vpcs/local", "../../../vpcs/local"},
    {"@networks/main/services/shop", "../../../services/shop"},
    {"services/shop/domain", "shop.example\n"},
    {"services/shop/listeners/web/port", "8080\n"},
    {"services/shop/listeners/web/default-action", "forward = blue\n"},
    {"services/shop/listeners/web/rules/cart/priority", "10\n"},
    {"services/shop/listeners/web/rules/cart/match", "path-prefix = /cart\n"},
    {"services/shop/listeners/web/rules/cart/action", "forward = blue:90 green:10\n"},
    {"services/shop/listeners/web/rules/admin/priority", "5\n"},
    {"services/shop/listeners/web/rules/wrong/priority", "10\n"},
    {"services/shop/listeners/half/port", "81\n"},
    {"services/shop/listeners/half/protocol", "https\n"},
    {"services/alone/listeners/web/port", "80\n"},
    {"services/alone/listeners/web/default-action", "fixed-response = 404\n"},
    {"target-groups/blue/targets/10.0.0.5", ""},
    {"target-groups/blue/targets/10.0.0.5:443", ""},
    {"target-groups/blue/protocol", "HTTPS\n"},
    {"target-groups/blue/protocol-version", "HTTP2\n"},
    {"target-groups/green/", ""},
    {"target-groups/spare/targets/10.0.0.9", ""},
    {"target-groups/spare/protocol", "tcp\n"},
    {NULL, NULL},
};

static int
list_files(void *ctx, const char *path, void (*each)(void *, const char *name, bool is_dir), void *arg)
{
	if (strcmp(path, "services/shop") == 0) {
		each(arg, "domain", false);
		each(arg, "listeners", true);
		each(arg, "notes", false);
		each(arg, "domian", false);
		each(arg, "domain~", false);
		each(arg, ".domain.swp", false);
	} else if (strcmp(path, "services/shop/listeners") == 0) {
		each(arg, "web", true);
		each(arg, "README", false);
	}
	return 0;
}

static struct world w;

static void
init(void)
{
	struct leaf_source from = leaf_source(leaves);
	struct diags ds = {0};

	world_init(&w);
	cr_assert(world_load(&w, &from.source, &ds) == 0 && ds.n == 2);
	diags_fini(&ds);
}

static void
fini(void)
{
	world_fini(&w);
}

TestSuite(status, .init = init, .fini = fini);

/* Without the id and arn lines, which a test of their own looks at. */
static void
expect(const char *path, const char *want)
{
	struct status_context c = {.model = w.model, .list = list_files};
	struct text out = {0}, rest = {0};

	cr_assert(status_print(&c, path, &out) == 0, "%s", path);
	for (char *line = strtok(out.p, "\n"); line != NULL; line = strtok(NULL, "\n"))
		if (strncmp(line, "id ", 3) != 0 && strncmp(line, "arn ", 4) != 0)
			text_printf(&rest, "%s\n", line);
	cr_expect(strcmp(rest.p, want) == 0, "%s:\n%s", path, rest.p);
	text_fini(&out);
	text_fini(&rest);
}

Test(status, of_a_service)
{
	expect("services/shop",
	    "status ACTIVE\n"
	    "name shop.example\nname shop.lattice.internal\nname shop.localhost\nname shop\n"
	    "network main\n"
	    "listener half CREATE_IN_PROGRESS missing default-action\n"
	    "listener web ACTIVE\n"
	    "requests 0\n"
	    "ignored domain~\n"
	    "ignored domian did you mean domain\n"
	    "ignored listeners/README\n"
	    "ignored notes\n");
	expect("services/alone", "status CREATE_IN_PROGRESS\nwaiting network\n"
				 "name alone.lattice.internal\nname alone.localhost\nname alone\n"
				 "network none\n"
				 "listener web ACTIVE\n"
				 "requests 0\n");
}

Test(status, of_a_listener_and_its_rules)
{
	expect("services/shop/listeners/web",
	    "status ACTIVE\n"
	    "protocol HTTP\n"
	    "rule admin 5 CREATE_IN_PROGRESS 0 missing match action\n"
	    "rule cart 10 ACTIVE 0\n"
	    "rule wrong 10 CREATE_FAILED 0 priority 10 is taken by rule 'cart'\n"
	    "default 0\n");
	expect("services/shop/listeners/half",
	    "status CREATE_IN_PROGRESS\nmissing default-action\nprotocol HTTPS\ndefault 0\n");
	expect("services/shop/listeners/web/rules/cart",
	    "status ACTIVE\nrequests 0\nforward blue 90 0\nforward green 10 0\n");
	expect("services/shop/listeners/web/rules/wrong",
	    "status CREATE_FAILED\nreason priority 10 is taken by rule 'cart'\nrequests 0\n");
}

Test(status, of_groups_networks_and_vpcs)
{
	expect("target-groups/blue", "status ACTIVE\n"
				     "protocol HTTPS\n"
				     "protocol-version HTTP2\n"
				     "used-by services/shop/listeners/web/default-action\n"
				     "used-by services/shop/listeners/web/rules/cart/action\n"
				     "target 10.0.0.5 UNAVAILABLE HealthCheckDisabled requests 0 inflight 0\n"
				     "target 10.0.0.5:443 UNAVAILABLE 10.0.0.5:443 is target '10.0.0.5' "
				     "already requests 0 inflight 0\n");
	expect("target-groups/spare", "status ACTIVE\nprotocol TCP\ntarget 10.0.0.9 UNUSED "
				      "TargetGroupNotInUse requests 0 inflight 0\n");
	expect("networks/main", "status ACTIVE\nservice shop ACTIVE\nvpc local ACTIVE\n");
	expect("vpcs/local", "status ACTIVE\nnetns host\nlisten 127.0.0.1\nlisten ::1\nnetwork main\n");
	expect("vpcs/bare", "status CREATE_IN_PROGRESS\nmissing netns\nnetwork none\n");
}

Test(status, has_identities_that_stay)
{
	static const struct {
		const char *path, *id, *arn;
	} rows[] = {
	    {"services/shop", "svc", "arn:aws:vpc-lattice:eu-north-1:123456789012:service/svc-[0-9a-z]{17}$"},
	    {"services/shop/listeners/web", "listener",
		"service/svc-[0-9a-z]{17}/listener/listener-[0-9a-z]{17}$"},
	    {"services/shop/listeners/web/rules/cart", "rule",
		"service/svc-[0-9a-z]{17}/listener/listener-[0-9a-z]{17}/rule/rule-[0-9a-z]{17}$"},
	    {"target-groups/blue", "tg", "targetgroup/tg-[0-9a-z]{17}$"},
	    {"networks/main", "sn", "servicenetwork/sn-[0-9a-z]{17}$"},
	    {"vpcs/local", "vpc", "arn:aws:ec2:eu-north-1:123456789012:vpc/vpc-[0-9a-z]{17}$"},
	};
	struct status_context c = {.model = w.model};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct text one = {0}, two = {0};
		char pattern[256];
		regex_t regex;

		cr_assert(
		    status_print(&c, rows[i].path, &one) == 0 && status_print(&c, rows[i].path, &two) == 0);
		cr_expect(strcmp(one.p, two.p) == 0);
		snprintf(pattern, sizeof(pattern), "^id %s-[0-9a-z]{17}$", rows[i].id);
		cr_assert(regcomp(&regex, pattern, REG_EXTENDED | REG_NEWLINE) == 0);
		cr_expect(regexec(&regex, one.p, 0, NULL, 0) == 0, "%s", one.p);
		regfree(&regex);
		cr_assert(regcomp(&regex, rows[i].arn, REG_EXTENDED | REG_NEWLINE) == 0);
		cr_expect(regexec(&regex, one.p, 0, NULL, 0) == 0, "%s", one.p);
		regfree(&regex);
		text_fini(&one);
		text_fini(&two);
	}
}

Test(status, is_of_objects_only)
{
	static const char *const paths[] = {"", "services", "services/none", "services/shop/listeners",
	    "services/shop/domain", "networks/main/services/shop", "target-groups/blue/targets/10.0.0.5",
	    "nonsense"};
	struct status_context c = {.model = w.model};
	struct text out = {0};

	for (size_t i = 0; i < COUNT(paths); i++)
		cr_expect(status_print(&c, paths[i], &out) == -ENOENT, "%s", paths[i]);
	status_print_objects(&c, &out);
	cr_expect(
	    strcmp(out.p, "objects vpcs 2 networks 1 services 2 listeners 3 rules 3 target-groups 3\n") == 0,
	    "%s", out.p);
	text_fini(&out);
}
