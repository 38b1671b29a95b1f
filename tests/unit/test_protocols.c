/* test_protocols.c - which protocols go together, whichever edit comes last; and who may share a place. */
#include "tree.h"
#include <criterion/criterion.h>

#define REMIND " (touch .hold to change several things at once)"
#define WEB "services/shop/listeners/web/"
#define RAW "services/shop/listeners/raw/"

static const struct leaf shop[] = {
    {"vpcs/local/netns", "host\n"},
    {"@networks/main/vpcs/local", "../../../vpcs/local"},
    {"@networks/main/services/shop", "../../../services/shop"},
    {"@networks/main/services/cart", "../../../services/cart"},
    {WEB "port", "80\n"},
    {WEB "default-action", "forward = requests\n"},
    {WEB "rules/one/priority", "1\n"},
    {WEB "rules/one/match", "method = GET\n"},
    {WEB "rules/one/action", "forward = requests\n"},
    {RAW "port", "443\n"},
    {RAW "protocol", "TLS_PASSTHROUGH\n"},
    {RAW "default-action", "forward = bytes\n"},
    {"services/cart/listeners/web/port", "80\n"},
    {"services/cart/listeners/web/default-action", "fixed-response = 404\n"},
    {"services/alone/listeners/tls/port", "80\n"},
    {"services/alone/listeners/tls/protocol", "HTTPS\n"},
    {"services/alone/listeners/tls/default-action", "fixed-response = 404\n"},
    {"target-groups/requests/targets/10.0.0.5", ""},
    {"target-groups/bytes/protocol", "TCP\n"},
    {"target-groups/bytes/targets/10.0.0.5", ""},
    {NULL, NULL},
};

static struct world w;

static void
init(void)
{
	struct leaf_source from = leaf_source(shop);
	struct diags ds = {0};

	world_init(&w);
	cr_assert(world_load(&w, &from.source, &ds) == 0 && ds.n == 0);
}

static void
fini(void)
{
	world_fini(&w);
}

TestSuite(protocols, .init = init, .fini = fini);

static void
good(const char *path, const char *text)
{
	struct diag d;

	cr_expect(world_change(&w, path, text, &d) == 0, "%s: %s", path, d.message);
}

static void
wrong(const char *path, const char *text, int err, const char *at, const char *says)
{
	uint64_t generation = table_generation(w.served);
	char where[1100];
	struct diag d;

	cr_expect(world_change(&w, path, text, &d) == -err && d.err == err, "%s: %s", path, d.message);
	snprintf(where, sizeof(where), "%s:%u:%u", d.path, d.line, d.column);
	cr_expect(strcmp(where, at) == 0, "%s: at %s", path, where);
	cr_expect(
	    strncmp(d.message, says, strlen(says)) == 0 && strcmp(d.message + strlen(says), REMIND) == 0,
	    "%s: %s", path, d.message);
	cr_expect(table_generation(w.served) == generation, "%s changed the table", path);
}

static const struct place *
place_at(const char *service, uint16_t port)
{
	for (uint32_t i = 0; i < table_nservices(w.served); i++) {
		const struct service *s = table_service(w.served, i);

		for (uint32_t k = 0; s != NULL && str_eq(s->name, str_of(service)) && k < s->nplaces; k++)
			if (addr_port(&table_place(w.served, s->places[k])->addr) == port)
				return table_place(w.served, s->places[k]);
	}
	return NULL;
}

static const struct group *
group_by_name(const char *name)
{
	for (uint32_t i = 0; i < 8; i++) {
		const struct group *g = table_group(w.served, i);

		if (g != NULL && str_eq(g->name, str_of(name)))
			return g;
	}
	return NULL;
}

/* ------------------------------------------------------------------ listeners and groups */

Test(protocols, refuses_groups_that_a_listener_cannot_forward_to)
{
	wrong(WEB "default-action", "forward = requests:9 bytes:1\n", EINVAL, WEB "default-action:1:22",
	    "an HTTP listener cannot forward to target group 'bytes', which is TCP");
	wrong(WEB "rules/one/action", "forward = bytes\n", EINVAL, WEB "rules/one/action:1:11",
	    "an HTTP listener cannot forward to target group 'bytes', which is TCP");
	wrong(RAW "default-action", "forward = requests\n", EINVAL, RAW "default-action:1:11",
	    "a TLS_PASSTHROUGH listener cannot forward to target group 'requests', which is HTTP");
	good("target-groups/requests/protocol", "HTTPS\n");
	wrong(RAW "default-action", "forward = bytes requests\n", EINVAL, RAW "default-action:1:17",
	    "a TLS_PASSTHROUGH listener cannot forward to target group 'requests', which is HTTPS");
	good(WEB "rules/two/priority", "2\n");
	wrong(WEB "rules/two/action", "forward = bytes\n", EINVAL, WEB "rules/two/action:1:11",
	    "an HTTP listener cannot forward to target group 'bytes', which is TCP");
}

Test(protocols, refuses_a_listeners_protocol_that_its_actions_do_not_go_with)
{
	good("target-groups/bytes/protocol", "tcp\n");
	wrong(RAW "protocol", "HTTPS\n", EINVAL, RAW "protocol:1:1",
	    "an HTTPS listener cannot forward to target group 'bytes', which is TCP");
	wrong(RAW "protocol", NULL, EINVAL, RAW "default-action:1:11",
	    "an HTTP listener cannot forward to target group 'bytes', which is TCP");
	wrong(WEB "protocol", "TLS_PASSTHROUGH\n", EINVAL, WEB "protocol:1:1",
	    "a TLS_PASSTHROUGH listener has no rules, and rule 'one' is there");
	good(WEB "rules/", NULL);
	wrong(WEB "protocol", "TLS_PASSTHROUGH\n", EINVAL, WEB "protocol:1:1",
	    "a TLS_PASSTHROUGH listener cannot forward to target group 'requests', which is HTTP");
	good(WEB "default-action", "fixed-response = 404\n");
	wrong(WEB "protocol", "TLS_PASSTHROUGH\n", EINVAL, WEB "protocol:1:1",
	    "a TLS_PASSTHROUGH listener can only forward: it sees no requests to answer");
	good(WEB "default-action", NULL);
	good(WEB "protocol", "TLS_PASSTHROUGH\n");
	wrong(WEB "default-action", "fixed-response = 404\n", EINVAL, WEB "default-action:1:1",
	    "a TLS_PASSTHROUGH listener can only forward: it sees no requests to answer");
	wrong(WEB "rules/one/", "", EINVAL, WEB "rules/one:0:0", "a TLS_PASSTHROUGH listener has no rules");
	good(WEB "port", "81\n");
	good(WEB "default-action", "forward = bytes\n");
}

Test(protocols, refuses_a_groups_protocol_that_its_users_do_not_go_with)
{
	wrong("target-groups/requests/protocol", "TCP\n", EINVAL, "target-groups/requests/protocol:1:1",
	    "it cannot be TCP: services/shop/listeners/web forwards to it, and is HTTP");
	wrong("target-groups/bytes/protocol", "HTTPS\n", EINVAL, "target-groups/bytes/protocol:1:1",
	    "it cannot be HTTPS: services/shop/listeners/raw forwards to it, and is TLS_PASSTHROUGH");
	/* What is at fault is not there any more, so who forwards to it is told. */
	wrong("target-groups/bytes/protocol", NULL, EINVAL, RAW "default-action:1:11",
	    "a TLS_PASSTHROUGH listener cannot forward to target group 'bytes', which is HTTP");
	good(RAW "default-action", NULL);
	good("target-groups/bytes/protocol", "HTTPS\n");
}

Test(protocols, refuses_a_version_of_tcp)
{
	wrong("target-groups/bytes/protocol-version", "HTTP2\n", EINVAL,
	    "target-groups/bytes/protocol-version:1:1", "protocol TCP has no protocol-version HTTP2");
	good("target-groups/bytes/protocol-version", "HTTP1\n");
	good("target-groups/new/protocol-version", "GRPC\n");
	wrong("target-groups/new/protocol", "TCP\n", EINVAL, "target-groups/new/protocol:1:1",
	    "protocol TCP has no protocol-version GRPC");
	good("target-groups/new/protocol", "HTTPS\n");
	good("target-groups/new/verify", "SYSTEM\n");
	good("target-groups/new/protocol", NULL);
}

/* In a hold anything may stand; at its end who came later is told. */
Test(protocols, judges_a_hold_at_its_end)
{
	static const struct {
		const char *path, *text;
	} steps[] = {
	    {"target-groups/bytes/protocol", NULL},
	    {RAW "protocol", "HTTPS\n"},
	    {WEB "default-action", "forward = bytes\n"},
	    {"target-groups/bytes/protocol", "TCP\n"},
	};
	struct diags ds = {0};
	struct diag d = {0};
	struct edit *e;

	for (size_t i = 0; i < COUNT(steps); i++) {
		e = edit_new(w.model, EDIT_HELD);
		cr_assert(edit_step(e, steps[i].path, steps[i].text, &d) == 0, "%s", d.message);
		edit_commit(e, false);
	}
	e = edit_new(w.model, EDIT_HELD);
	cr_expect(world_end(&w, e, 0, &ds) == -EINVAL && ds.n == 1, "%zu", ds.n);
	cr_expect(
	    ds.n > 0 && strcmp(ds.all[0].path, "target-groups/bytes/protocol") == 0, "%s", ds.all[0].path);
	ds.n = 0;
	e = edit_new(w.model, EDIT_HELD);
	cr_assert(edit_step(e, "target-groups/bytes/protocol", "HTTPS\n", &d) == 0);
	cr_expect(world_end(&w, e, 0, &ds) == 0, "%s", ds.n > 0 ? ds.all[0].message : "");
	diags_fini(&ds);
}

/* ------------------------------------------------------------------ places */

Test(protocols, refuses_two_at_one_place)
{
	static const char says[] =
	    "HTTPS cannot be offered on 127.0.0.1:80: service 'cart' offers HTTP there";

	wrong(WEB "protocol", "HTTPS\n", EEXIST, WEB "protocol:1:1", says);
	wrong("@networks/main/services/alone", "../../../services/alone", EEXIST,
	    "services/alone/listeners/tls/protocol:1:1",
	    "HTTPS cannot be offered on 127.0.0.1:80: service 'cart' offers HTTP there");
	good("services/alone/listeners/tls/port", "443\n");
	wrong("@networks/main/services/alone", "../../../services/alone", EEXIST,
	    "services/alone/listeners/tls/port:1:1",
	    "HTTPS cannot be offered on 127.0.0.1:443: service 'shop' offers TLS_PASSTHROUGH there");
	good("services/alone/listeners/tls/port", "8443\n");
	good("@networks/main/services/alone", "../../../services/alone");
	wrong("services/alone/listeners/tls/port", "443\n", EEXIST, "services/alone/listeners/tls/port:1:1",
	    "HTTPS cannot be offered on 127.0.0.1:443: service 'shop' offers TLS_PASSTHROUGH there");
	good("services/alone/listeners/tls/protocol", "HTTP\n");
	good("services/alone/listeners/tls/port", "80\n");
	wrong("services/alone/listeners/tls/protocol", "TLS_PASSTHROUGH\n", EINVAL,
	    "services/alone/listeners/tls/protocol:1:1",
	    "a TLS_PASSTHROUGH listener can only forward: it sees no requests to answer");
	good("services/alone/listeners/tls/protocol", NULL);
}

/* Two networks reach the same address by two VPCs of one namespace. */
Test(protocols, refuses_two_at_a_place_of_two_networks)
{
	good("vpcs/second/netns", "host\n");
	good("vpcs/second/listen", "127.0.0.2\n");
	good("@networks/other/vpcs/second", "../../../vpcs/second");
	good("@networks/other/services/alone", "../../../services/alone");
	wrong("vpcs/second/listen", "127.0.0.1\n", EEXIST, "services/alone/listeners/tls/protocol:1:1",
	    "HTTPS cannot be offered on 127.0.0.1:80: service 'cart' offers HTTP there");
	wrong("vpcs/second/listen", NULL, EEXIST, "services/alone/listeners/tls/protocol:1:1",
	    "HTTPS cannot be offered on 127.0.0.1:80: service 'cart' offers HTTP there");
	good("services/alone/listeners/tls/protocol", NULL);
	good("vpcs/second/listen", "127.0.0.1\n");
}

/* The socket stays, so who looks at a connection must look at the protocol, too. */
Test(protocols, changes_at_a_place_with_its_last_user)
{
	const struct place *before = place_at("shop", 80), *after;
	uint32_t serial = before->serial, index = before->index;

	cr_expect(
	    before->protocol == PROTOCOL_HTTP && place_at("shop", 443)->protocol == PROTOCOL_TLS_PASSTHROUGH);
	good("services/cart/listeners/web/port", "81\n");
	good(WEB "protocol", "https\n");
	after = place_at("shop", 80);
	cr_expect(after->protocol == PROTOCOL_HTTPS && after->serial == serial && after->index == index);
	cr_expect(after->nusers == 1 && place_at("cart", 81)->protocol == PROTOCOL_HTTP);
	wrong("services/cart/listeners/web/port", "80\n", EEXIST, "services/cart/listeners/web/port:1:1",
	    "HTTP cannot be offered on 127.0.0.1:80: service 'shop' offers HTTPS there");
	good("vpcs/local/listen", "127.0.0.1\n");
	cr_expect(
	    place_at("shop", 80)->protocol == PROTOCOL_HTTPS, "and stays when networks reach elsewhere");
}

Test(protocols, lets_a_hold_turn_all_of_a_place)
{
	struct diags ds = {0};
	struct diag d = {0};
	struct edit *e = edit_new(w.model, EDIT_HELD);

	cr_assert(edit_step(e, WEB "protocol", "HTTPS\n", &d) == 0);
	cr_assert(edit_step(e, "services/cart/listeners/web/protocol", "HTTPS\n", &d) == 0);
	cr_assert(edit_step(e, "@networks/main/services/alone", "../../../services/alone", &d) == 0);
	cr_expect(world_end(&w, e, 0, &ds) == 0, "%s", ds.n > 0 ? ds.all[0].message : "");
	cr_expect(place_at("cart", 80)->protocol == PROTOCOL_HTTPS && place_at("cart", 80)->nusers == 3);
	diags_fini(&ds);
}

/* Whatever else is done to it in the same edit. */
Test(protocols, who_has_a_place_keeps_it)
{
	struct diags ds = {0};
	struct diag d = {0};
	struct edit *e;

	good("services/cart/listeners/web/port", "81\n");
	e = edit_new(w.model, EDIT_HELD);
	cr_assert(edit_step(e, "@networks/main/services/alone", "../../../services/alone", &d) == 0);
	edit_commit(e, false);
	e = edit_new(w.model, EDIT_HELD);
	cr_assert(edit_step(e, WEB "protocol", "HTTP\n", &d) == 0);
	cr_expect(world_end(&w, e, 0, &ds) == -EEXIST && ds.n == 1);
	cr_expect(strcmp(ds.all[0].path, "services/alone/listeners/tls/protocol") == 0, "%s", ds.all[0].path);
	diags_fini(&ds);
}

/* What the load at start left out stays out, and keeps nobody from changing what is served. */
Test(protocols, leaves_out_at_start_who_is_at_odds)
{
	static const struct leaf more[] = {
	    {"@networks/main/services/zoo", "../../../services/zoo"},
	    {"services/zoo/listeners/web/port", "80\n"},
	    {"services/zoo/listeners/web/protocol", "HTTPS\n"},
	    {"services/zoo/listeners/web/default-action", "fixed-response = 404\n"},
	    {NULL, NULL},
	};
	struct leaf leaves[COUNT(shop) + COUNT(more) - 1];
	struct leaf_source from = leaf_source(leaves);
	struct diags ds = {0};

	memcpy(leaves, shop, sizeof(shop));
	memcpy(leaves + COUNT(shop) - 1, more, sizeof(more));
	world_fini(&w);
	world_init(&w);
	cr_assert(world_load(&w, &from.source, &ds) == 0 && ds.n == 1);
	cr_expect(strcmp(ds.all[0].path, "services/zoo/listeners/web/protocol") == 0, "%s", ds.all[0].path);
	diags_fini(&ds);
	cr_expect(place_at("zoo", 80) == NULL);
	good("services/cart/listeners/web/port", "81\n");
	cr_expect(place_at("zoo", 80) == NULL, "shop has the place still");
	good(WEB "port", "82\n");
	cr_expect(place_at("zoo", 80) != NULL && place_at("zoo", 80)->protocol == PROTOCOL_HTTPS);
}

/* ------------------------------------------------------------------ groups in the table */

Test(protocols, of_a_group_are_in_the_table)
{
	const struct group *g = group_by_name("requests");
	uint32_t slot = g->targets[0].slot, edition = g->tls_edition;

	cr_expect(g->protocol == GROUP_HTTP && g->version == GROUP_HTTP1 && !g->verify_system);
	cr_expect(addr_port(&g->targets[0].addr) == 80);
	good("target-groups/requests/protocol-version", "HTTP2\n");
	g = group_by_name("requests");
	cr_expect(g->version == GROUP_HTTP2 && g->targets[0].slot != slot, "another version, another pool");
	slot = g->targets[0].slot;
	good("target-groups/requests/verify", "SYSTEM\n");
	g = group_by_name("requests");
	cr_expect(g->verify_system && g->tls_edition != edition);
	cr_expect(g->targets[0].slot == slot, "without TLS there is nothing to verify");
	edition = g->tls_edition;
	good("target-groups/requests/targets/10.0.0.6", "");
	cr_expect(group_by_name("requests")->tls_edition == edition, "nothing was changed of it");
	good("target-groups/requests/port", "8443\n");
	slot = group_by_name("requests")->targets[0].slot;
	good("target-groups/requests/protocol", "HTTPS\n");
	g = group_by_name("requests");
	cr_expect(g->protocol == GROUP_HTTPS && g->targets[0].slot != slot, "another protocol, another pool");
	slot = g->targets[0].slot;
	good("target-groups/requests/verify", "NONE\n");
	g = group_by_name("requests");
	cr_expect(!g->verify_system && g->targets[0].slot != slot, "nor may what was not verified be used");
	good("target-groups/requests/port", NULL);
	cr_expect(addr_port(&group_by_name("requests")->targets[0].addr) == 443);
}

/* 10.0.0.5 and 10.0.0.5:443 are one target when the group is HTTPS. */
Test(protocols, give_targets_a_port)
{
	good("target-groups/requests/targets/10.0.0.5:443", "");
	wrong("target-groups/requests/protocol", "HTTPS\n", EEXIST,
	    "target-groups/requests/targets/10.0.0.5:443:0:0", "10.0.0.5:443 is target '10.0.0.5' already");
}
