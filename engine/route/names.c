/* names.c - names of services as resolvers tell them, and as hosts(5) does. */
#include "names.h"
#include "limits.h"

/* ------------------------------------------------------------------ zones */

struct zones *
zones_new(void)
{
	struct zones *z = xcalloc(1, sizeof(*z));

	z->magic = ZONES_MAGIC;
	z->refs = 1;
	return z;
}

void
zones_put(struct zones *z)
{
	if (z == NULL)
		return;
	CHECK(z, ZONES_MAGIC);
	assert(z->refs > 0);
	if (--z->refs > 0)
		return;
	arena_fini(&z->arena);
	z->magic = 0;
	free(z);
}

const struct zone *
table_zone(const struct table *t, uint32_t vpc)
{
	const struct zones *zones = table_zones(t);
	uint32_t low = 0, high = zones == NULL ? 0 : zones->n;

	while (low < high) {
		uint32_t at = low + (high - low) / 2;
		const struct zone *z = &zones->all[at];

		if (z->vpc == vpc)
			return z;
		if (z->vpc < vpc)
			low = at + 1;
		else
			high = at;
	}
	return NULL;
}

/* ------------------------------------------------------------------ looking */

/* `shop` is the name of shop, and `shop.localhost`: everybody's own machine. */
static bool
is_for_host_alone(const struct service *s, struct str name)
{
	struct str rest = {name.p + s->name.len, name.len - s->name.len};

	return str_starts(name, s->name) && (rest.len == 0 || str_eq(rest, STR(".localhost")));
}

static bool
is_below(struct str name, struct str suffix)
{
	struct str end;

	if (name.len < suffix.len)
		return false;
	end = (struct str){name.p + name.len - suffix.len, suffix.len};
	return str_eq(end, suffix) && (name.len == suffix.len || end.p[-1] == '.');
}

struct name_found
names_find(const struct table *t, const struct zone *z, struct str suffix, struct str name)
{
	struct name_found f = {.below = is_below(name, suffix)};

	for (uint32_t i = 0; i < z->nscopes; i++) {
		const struct service *s = table_host(t, z->scopes[i], name);

		if (s == NULL || is_for_host_alone(s, name))
			continue;
		f.kind = NAME_SERVICE;
		f.service = s;
		f.scope = z->scopes[i];
		return f;
	}
	if (f.below)
		f.kind = name.len == suffix.len ? NAME_SUFFIX : NAME_NONE;
	return f;
}

static bool
is_offered(const struct place *p, uint32_t vpc, uint32_t scope, int family)
{
	if (p == NULL || p->vpc != vpc || p->addr.sa.sa_family != family)
		return false;
	for (uint32_t i = 0; i < p->nscopes; i++) {
		if (p->scopes[i] == scope)
			return true;
	}
	return false;
}

/* 0.0.0.0 is an address to listen on, not one to connect to. */
static bool
is_unspecified(const struct addr *a)
{
	return a->sa.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr)
					   : a->in.sin_addr.s_addr == INADDR_ANY;
}

uint32_t
names_addresses(const struct table *t, const struct service *s, uint32_t vpc, uint32_t scope, int family,
    struct addr *out, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->nplaces && n < max; i++) {
		const struct place *p = table_place(t, s->places[i]);
		bool known = false;

		if (!is_offered(p, vpc, scope, family) || is_unspecified(&p->addr))
			continue;
		out[n] = p->addr;
		addr_set_port(&out[n], 0);
		for (uint32_t k = 0; k < n && !known; k++)
			known = addr_eq(&out[k], &out[n]);
		n += !known;
	}
	return n;
}

/* ------------------------------------------------------------------ hosts(5) */

static bool
is_wild(struct str name)
{
	return str_starts(name, STR("*."));
}

static void
print_address(const struct service *s, uint32_t scope, const char *addr, struct text *out)
{
	text_printf(out, "%s", addr);
	for (uint32_t i = 0; i < s->nhosts; i++) {
		struct str name = s->hosts[i].name;

		if (s->hosts[i].scope == scope && !is_for_host_alone(s, name) && !is_wild(name))
			text_printf(out, " " STR_FMT, STR_ARG(name));
	}
	text_char(out, '\n');
}

static void
print_service(const struct table *t, const struct service *s, uint32_t vpc, uint32_t scope, struct text *out)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct addr all[NAME_ADDRESSES_MAX];
	char addr[ADDR_TEXT_MAX];

	for (size_t f = 0; f < COUNT(families); f++) {
		uint32_t n = names_addresses(t, s, vpc, scope, families[f], all, COUNT(all));

		for (uint32_t i = 0; i < n; i++) {
			addr_print_host(&all[i], addr);
			print_address(s, scope, addr, out);
		}
	}
	for (uint32_t i = 0; i < s->nhosts; i++)
		if (s->hosts[i].scope == scope && is_wild(s->hosts[i].name))
			text_printf(out, "# " STR_FMT " is " STR_FMT " too, which no hosts file can say\n",
			    STR_ARG(s->hosts[i].name), STR_ARG(s->name));
}

static int
service_compare(const void *a, const void *b)
{
	const struct service *const *x = a, *const *y = b;
	int order = memcmp((*x)->name.p, (*y)->name.p, MIN((*x)->name.len, (*y)->name.len));

	return order != 0 ? order : ((*x)->name.len > (*y)->name.len) - ((*x)->name.len < (*y)->name.len);
}

void
table_print_hosts(const struct table *t, uint32_t vpc, uint32_t scope, struct text *out)
{
	uint32_t max = table_nservices(t), n = 0;
	const struct service **all = xcalloc(MAX(max, 1u), sizeof(struct service *));

	for (uint32_t i = 0; i < max; i++) {
		const struct service *s = table_service(t, i);
		bool in = false;

		for (uint32_t k = 0; s != NULL && k < s->nscopes; k++)
			in = in || s->scopes[k].scope == scope;
		if (in)
			all[n++] = s;
	}
	if (n > 1)
		qsort(all, n, sizeof(struct service *), service_compare);
	for (uint32_t i = 0; i < n; i++)
		print_service(t, all[i], vpc, scope, out);
	free(all);
}
