/* test_names.c - what a resolver answers, from a table alone. */
#include "../../engine/proxy/resolve.h"
#include "../../engine/route/names.h"
#include <criterion/criterion.h>

enum { VPC = 3, OTHER_VPC = 4, NET = 1, OTHER_NET = 2 };

static struct place *
make_place(uint32_t index, uint32_t vpc, uint32_t scope, const char *addr)
{
	struct place *p = place_new();

	p->index = index;
	p->serial = index + 1;
	p->vpc = vpc;
	cr_assert(addr_parse(str_of(addr), &p->addr) == 0);
	p->scopes = xcalloc(1, sizeof(*p->scopes));
	p->scopes[0] = scope;
	p->nscopes = 1;
	return p;
}

static struct service *
make_service(uint32_t index, const char *name, uint32_t scope, const char *const *hosts,
    const uint32_t *places, uint32_t nplaces)
{
	struct service *s = service_new();

	s->index = s->slot = index;
	s->name = arena_str(&s->arena, str_of(name));
	s->hosts = arena_alloc(&s->arena, 8 * sizeof(*s->hosts));
	for (; *hosts != NULL; hosts++)
		s->hosts[s->nhosts++] = (struct host_name){scope, arena_str(&s->arena, str_of(*hosts))};
	s->places = arena_copy(&s->arena, places, nplaces * sizeof(*places));
	s->nplaces = nplaces;
	s->scopes = arena_alloc(&s->arena, sizeof(*s->scopes));
	s->scopes[s->nscopes++] = (struct scope_name){.scope = scope, .name = STR("net")};
	return s;
}

static struct zones *
make_zones(void)
{
	static uint32_t net[] = {NET}, other[] = {OTHER_NET};
	static const struct zone rows[] = {{VPC, 1, net}, {OTHER_VPC, 1, other}};
	struct zones *z = zones_new();

	z->n = COUNT(rows);
	z->all = arena_copy(&z->arena, rows, sizeof(rows));
	return z;
}

/* shop in NET, at two ports of a pair in VPC; cart in OTHER_NET, in OTHER_VPC. */
static struct table *
make_table(void)
{
	static const char *const shop[] = {
	    "shop.example", "*.wild.example", "intranet", "shop.corp", "shop.localhost", "shop", NULL};
	static const char *const cart[] = {"cart.corp", "cart.localhost", "cart", NULL};
	static const char *const addrs[] = {
	    "10.0.0.1:80", "10.0.0.1:81", "[fd00::1]:80", "0.0.0.0:82", "10.0.0.9:80"};
	struct build *b = build_new(NULL);
	struct table *t = NULL;
	struct clash clash;

	for (uint32_t i = 0; i < 4; i++)
		build_place(b, make_place(i, VPC, NET, addrs[i]));
	build_place(b, make_place(4, OTHER_VPC, OTHER_NET, addrs[4]));
	build_service(b, 0, make_service(0, "shop", NET, shop, (uint32_t[]){0, 1, 2, 3}, 4));
	build_service(b, 1, make_service(1, "cart", OTHER_NET, cart, (uint32_t[]){4}, 1));
	build_zones(b, make_zones());
	cr_assert(build_seal(b, &t, &clash) == 0);
	return t;
}

Test(names, finds_what_its_network_has)
{
	static const struct {
		uint32_t vpc;
		const char *name;
		enum name_kind want;
		bool below;
	} rows[] = {
	    {VPC, "shop.corp", NAME_SERVICE, true},
	    {VPC, "shop.example", NAME_SERVICE, false},
	    {VPC, "a.b.wild.example", NAME_SERVICE, false},
	    {VPC, "intranet", NAME_SERVICE, false},
	    {VPC, "wild.example", NAME_FOREIGN, false},
	    {VPC, "shop", NAME_FOREIGN, false},
	    {VPC, "shop.localhost", NAME_FOREIGN, false},
	    {VPC, "corp", NAME_SUFFIX, true},
	    {VPC, "cart.corp", NAME_NONE, true},
	    {VPC, "x.shop.corp", NAME_NONE, true},
	    {VPC, "xcorp", NAME_FOREIGN, false},
	    {VPC, "", NAME_FOREIGN, false},
	    {OTHER_VPC, "cart.corp", NAME_SERVICE, true},
	    {OTHER_VPC, "shop.corp", NAME_NONE, true},
	    {OTHER_VPC, "shop.example", NAME_FOREIGN, false},
	};
	struct table *t = make_table();

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct name_found f =
		    names_find(t, table_zone(t, rows[i].vpc), STR("corp"), str_of(rows[i].name));

		cr_expect(f.kind == rows[i].want && f.below == rows[i].below, "row %zu", i);
	}
	cr_expect(table_zone(t, 0) == NULL && table_zone(t, 5) == NULL);
	table_free(t);
}

Test(names, gives_each_address_once_and_none_to_listen_on)
{
	struct table *t = make_table();
	const struct service *s = table_service(t, 0);
	struct addr all[4];
	char text[ADDR_TEXT_MAX];

	cr_assert(names_addresses(t, s, VPC, NET, AF_INET, all, COUNT(all)) == 1);
	addr_print(&all[0], text);
	cr_expect_str_eq(text, "10.0.0.1");
	cr_assert(names_addresses(t, s, VPC, NET, AF_INET6, all, COUNT(all)) == 1);
	addr_print(&all[0], text);
	cr_expect_str_eq(text, "fd00::1");
	cr_expect(names_addresses(t, s, OTHER_VPC, NET, AF_INET, all, COUNT(all)) == 0);
	cr_expect(names_addresses(t, s, VPC, OTHER_NET, AF_INET, all, COUNT(all)) == 0);
	table_free(t);
}

Test(names, prints_a_hosts_file)
{
	struct table *t = make_table();
	struct text out = {0};

	table_print_hosts(t, VPC, NET, &out);
	cr_expect_str_eq(out.p, "10.0.0.1 shop.example intranet shop.corp\n"
				"fd00::1 shop.example intranet shop.corp\n"
				"# *.wild.example is shop too, which no hosts file can say\n");
	text_fini(&out);
	table_free(t);
}

Test(names, zones_live_as_long_as_a_table_has_them)
{
	struct table *t = make_table(), *next = NULL, *last = NULL;
	struct clash clash;
	struct build *b = build_new(t);

	cr_assert(build_seal(b, &next, &clash) == 0);
	table_free(t);
	cr_expect(table_zones(next)->n == 2 && table_zone(next, VPC)->scopes[0] == NET);
	b = build_new(next);
	build_zones(b, NULL);
	cr_assert(build_seal(b, &last, &clash) == 0);
	cr_expect(table_zones(last) == NULL && table_zone(next, VPC) != NULL);
	table_free(next);
	table_free(last);
}

/* A question for a name of one or two labels below the root. */
static size_t
question(uint8_t *out, const char *name, uint16_t type, uint16_t class)
{
	static const uint8_t head[DNS_HEAD] = {0x12, 0x34, 1, 0, 0, 1};
	size_t n = sizeof(head);

	memcpy(out, head, n);
	while (*name != '\0') {
		size_t len = strcspn(name, ".");

		out[n++] = (uint8_t)len;
		memcpy(out + n, name, len);
		n += len;
		name += len + (name[len] == '.');
	}
	out[n++] = 0;
	dns_put16(out + n, type);
	dns_put16(out + n + 2, class);
	return n + 4;
}

Test(names, answers_or_forwards)
{
	static const struct {
		const char *name;
		uint16_t type, class;
		bool forwards;
		int rcode; /* -1: forwarded */
		unsigned answers, authorities;
	} rows[] = {
	    {"shop.corp", DNS_A, 1, false, DNS_NOERROR, 1, 0},
	    {"shop.corp", DNS_AAAA, 1, false, DNS_NOERROR, 1, 0},
	    {"shop.corp", DNS_ANY, 1, false, DNS_NOERROR, 2, 0},
	    {"shop.corp", 15, 1, false, DNS_NOERROR, 0, 1},
	    {"shop.example", 15, 1, false, DNS_NOERROR, 0, 0},
	    {"none.corp", DNS_A, 1, true, DNS_NXDOMAIN, 0, 1},
	    {"corp", DNS_SOA, 1, false, DNS_NOERROR, 1, 0},
	    {"corp", DNS_NS, 1, false, DNS_NOERROR, 1, 0},
	    {"corp", DNS_A, 1, false, DNS_NOERROR, 0, 1},
	    {"debian.org", DNS_A, 1, false, DNS_REFUSED, 0, 0},
	    {"debian.org", DNS_A, 1, true, -1, 0, 0},
	    {"shop.corp", DNS_A, 3, true, DNS_REFUSED, 0, 0},
	    {"corp", 252, 1, true, DNS_REFUSED, 0, 0},
	};
	struct table *t = make_table();
	uint8_t wire[512], room[NAME_ANSWER_MAX];

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct resolve r = {
		    .table = t, .suffix = STR("corp"), .ttl_s = 60, .forwards = rows[i].forwards};
		size_t n = question(wire, rows[i].name, rows[i].type, rows[i].class), len = 0;
		struct dns_query q;
		enum resolve_verdict v =
		    resolve_message(&r, table_zone(t, VPC), wire, n, false, &q, room, &len);

		cr_expect(v == (rows[i].rcode < 0 ? RESOLVE_FORWARD : RESOLVE_ANSWER), "row %zu", i);
		if (v != RESOLVE_ANSWER)
			continue;
		cr_expect((room[3] & 15) == rows[i].rcode, "row %zu", i);
		cr_expect(
		    dns_get16(room + 6) == rows[i].answers && dns_get16(room + 8) == rows[i].authorities,
		    "row %zu", i);
	}
	table_free(t);
}
