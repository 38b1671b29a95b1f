/* test_groups.c - target groups in the model: what goes together, instances, use, quotas. */
#include "limits.h"
#include "tree.h"
#include <criterion/criterion.h>

static const struct leaf site[] = {
    {"vpcs/local/netns", "host\n"},
    {"vpcs/local/instances/i-01234567", "10.0.0.7\nfd00::7\n"},
    {"@networks/main/vpcs/local", "../../../vpcs/local"},
    {"@networks/main/services/a", "../../../services/a"},
    {"services/a/listeners/web/port", "80\n"},
    {"services/a/listeners/web/default-action", "forward = g\n"},
    {"target-groups/g/targets/10.0.0.1", ""},
    {"target-groups/g/targets/10.0.0.2", ""},
    {"target-groups/m/type", "INSTANCE\n"},
    {"target-groups/m/vpc", "local\n"},
    {"target-groups/m/targets/i-01234567:8080", ""},
    {NULL, NULL},
};

static void
load(struct world *w)
{
	struct leaf_source from = leaf_source(site);
	struct diags ds = {0};

	world_init(w);
	cr_assert(world_load(w, &from.source, &ds) == 0 && ds.n == 0);
}

static const struct group *
group(const struct world *w, const char *name)
{
	for (uint32_t i = 0; i < 8; i++) {
		const struct group *g = table_group(w->served, i);

		if (g != NULL && str_eq(g->name, str_of(name)))
			return g;
	}
	return NULL;
}

static void
good(struct world *w, const char *path, const char *text)
{
	struct diag d;

	cr_expect(world_change(w, path, text, &d) == 0, "%s: %s", path, d.message);
}

static void
bad(struct world *w, const char *path, const char *text, int err, const char *says)
{
	const struct table *before = w->served;
	struct diag d;

	cr_expect(
	    world_change(w, path, text, &d) == -err && d.err == err, "%s: %d %s", path, d.err, d.message);
	cr_expect(strncmp(d.message, says, strlen(says)) == 0, "%s: %s", path, d.message);
	cr_expect(w->served == before);
}

Test(groups, keep_a_targets_slot_while_weight_and_admin_change)
{
	const struct group *g;
	struct world w;
	uint32_t first, second;

	load(&w);
	g = group(&w, "g");
	first = g->targets[0].slot;
	second = g->targets[1].slot;
	good(&w, "target-groups/g/targets/10.0.0.1", "admin = drain\nweight = 5\n");
	g = group(&w, "g");
	cr_expect(g->targets[0].slot == second && g->targets[0].admin == ADMIN_UP, "up first");
	cr_expect(
	    g->targets[1].slot == first && g->targets[1].admin == ADMIN_DRAIN && g->targets[1].weight == 5);
	good(&w, "target-groups/g/drain", "7\n");
	g = group(&w, "g");
	cr_expect(g->targets[1].slot == first && g->drain_ms == 7000);
	world_fini(&w);
}

Test(groups, know_whether_they_are_used)
{
	struct world w;

	load(&w);
	cr_expect(group(&w, "g")->used && !group(&w, "m")->used);
	good(&w, "services/a/listeners/web/default-action", "forward = m\n");
	cr_expect(!group(&w, "g")->used && group(&w, "m")->used);
	good(&w, "services/a/listeners/web/default-action", "forward = m:0 g\n");
	cr_expect(group(&w, "g")->used && group(&w, "m")->used);
	good(&w, "@networks/main/services/a", NULL);
	cr_expect(!group(&w, "g")->used && !group(&w, "m")->used, "in no network nobody serves it");
	world_fini(&w);
}

Test(groups, follow_the_addresses_of_instances)
{
	const struct group *g;
	struct world w;
	uint32_t slot;

	load(&w);
	g = group(&w, "m");
	cr_assert(g->type == GROUP_INSTANCE && g->ntargets == 2);
	cr_expect(
	    addr_port(&g->targets[0].addr) == 8080 && str_eq(g->targets[1].name, STR("i-01234567:8080")));
	slot = g->targets[0].slot;
	good(&w, "vpcs/local/instances/i-01234567", "10.0.0.9\n10.0.0.7\n");
	g = group(&w, "m");
	cr_expect(g->ntargets == 2 && g->targets[1].slot == slot, "10.0.0.7 is the target it was");
	good(&w, "target-groups/m/ip-address-type", "IPV6\n");
	cr_expect(group(&w, "m")->ntargets == 0);
	bad(&w, "vpcs/local/instances/i-01234567", NULL, EBUSY,
	    "instance 'i-01234567' is in use by target group 'm' (touch .hold");
	bad(&w, "target-groups/m/targets/i-01234568", "", EINVAL,
	    "no instance 'i-01234568' in VPC 'local' (did you mean 'i-01234567'?)");
	good(&w, "target-groups/m/targets/i-01234567:8080", NULL);
	good(&w, "vpcs/local/instances/i-01234567", NULL);
	world_fini(&w);
}

Test(groups, refuse_what_does_not_go_with_their_type)
{
	struct world w;

	load(&w);
	bad(&w, "target-groups/g/type", "LAMBDA\n", EINVAL, "target '10.0.0.1' is of type IP");
	bad(&w, "target-groups/g/targets/f.lambda", "", EINVAL,
	    "target group 'g' is of type IP: it takes no target of type LAMBDA");
	good(&w, "target-groups/f/type", "LAMBDA\n");
	bad(&w, "target-groups/f/health-check", "path = /\n", EINVAL,
	    "a target group of type LAMBDA has no health-check");
	good(&w, "target-groups/f/targets/f.lambda", "");
	cr_expect(group(&w, "f")->ntargets == 0, "its url is not there yet");
	bad(&w, "target-groups/f/targets/h.lambda", "", EINVAL,
	    "a target group of type LAMBDA has one target, and 'f.lambda' is there");
	good(&w, "target-groups/p/port", "80\n");
	bad(&w, "target-groups/p/type", "LAMBDA\n", EINVAL,
	    "a target group of type LAMBDA has no port, and this one has");
	bad(&w, "target-groups/g/hash-key", "source\n", EINVAL, "hash-key goes with the algorithm");
	good(&w, "target-groups/g/algorithm", "consistent-hash\n");
	cr_expect(group(&w, "g")->algorithm == ALGORITHM_ROUND_ROBIN, "until there is a key");
	good(&w, "target-groups/g/hash-key", "path\n");
	cr_expect(group(&w, "g")->algorithm == ALGORITHM_CONSISTENT_HASH);
	bad(&w, "target-groups/g/algorithm", "round-robin\n", EINVAL, "hash-key goes with the algorithm");
	world_fini(&w);
}

Test(groups, have_checks_of_what_they_speak)
{
	static const struct {
		const char *protocol, *version;
		bool enabled, http2;
		enum check_protocol check;
	} rows[] = {{"HTTP", "HTTP1", true, false, CHECK_HTTP}, {"HTTPS", "HTTP1", true, false, CHECK_HTTPS},
	    {"HTTPS", "HTTP2", false, true, CHECK_HTTPS}, {"HTTP", "GRPC", false, false, CHECK_GRPC},
	    {"TCP", "HTTP1", false, false, CHECK_TCP}};
	struct world w;

	load(&w);
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct health_check *c;

		good(&w, "target-groups/h/protocol-version", NULL);
		good(&w, "target-groups/h/protocol", rows[i].protocol);
		good(&w, "target-groups/h/protocol-version", rows[i].version);
		c = &group(&w, "h")->check;
		cr_expect(c->enabled == rows[i].enabled && c->http2 == rows[i].http2 &&
			      c->protocol == rows[i].check && c->interval_ms == 30000 && c->ncodes == 1,
		    "row %zu", i);
	}
	good(&w, "target-groups/h/health-check", "enabled = true\ninterval = 100ms\n");
	cr_expect(group(&w, "h")->check.enabled && group(&w, "h")->check.protocol == CHECK_TCP &&
		  group(&w, "h")->check.interval_ms == 100 && !group(&w, "h")->passive.enabled);
	world_fini(&w);
}

Test(groups, take_no_more_than_the_quotas)
{
	struct model_config config = {.suffix = "lattice.internal",
	    .account = "123456789012",
	    .region = "eu-north-1",
	    .quotas = {.services = 1, .targets_per_group = 1, .rules_per_listener = 1}};
	struct leaf_source from = leaf_source(site);
	struct diags ds = {0};
	struct world w = {0};

	w.model = model_new(&config, &w.slots);
	cr_assert(world_load(&w, &from.source, &ds) == 0);
	cr_expect(ds.n == 1 && ds.all[0].err == EDQUOT &&
		  strcmp(ds.all[0].path, "target-groups/g/targets/10.0.0.2") == 0);
	cr_expect(group(&w, "g")->ntargets == 2, "it is told of, and served");
	good(&w, "target-groups/g/targets/10.0.0.2", "weight = 2\n");
	bad(&w, "target-groups/g/targets/10.0.0.3", "", EDQUOT,
	    "a target group has at most 1 targets (targets-per-group in the configuration's [limits])");
	bad(&w, "services/b/", "", EDQUOT, "there are at most 1 services");
	good(&w, "services/a/listeners/web/rules/r/", "");
	bad(&w, "services/a/listeners/web/rules/s/", "", EDQUOT, "a listener has at most 1 rules");
	diags_fini(&ds);
	world_fini(&w);
}
