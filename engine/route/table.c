/* table.c - the compiled routing table: a copy-on-write index over shared parts.
 *
 * Services, groups, places and the buckets of host names each stand in a persistent vector (vec.h). A build
 * starts by sharing those of the table before it and copies what it writes. So an edit costs a few nodes,
 * whatever the store holds, and a table that dies frees exactly what no other table has.
 */
#include "table.h"
#include "hosts.h"
#include "limits.h"
#include <errno.h>
#include <inttypes.h>

/* ------------------------------------------------------------------ parts */

struct service *
service_new(void)
{
	struct service *s = xcalloc(1, sizeof(*s));

	s->magic = SERVICE_MAGIC;
	s->refs = 1;
	return s;
}

void
service_put(struct service *s)
{
	CHECK(s, SERVICE_MAGIC);
	assert(s->refs > 0);
	if (--s->refs > 0)
		return;
	arena_fini(&s->arena);
	s->magic = 0;
	free(s);
}

struct group *
group_new(void)
{
	struct group *g = xcalloc(1, sizeof(*g));

	g->magic = GROUP_MAGIC;
	g->refs = 1;
	return g;
}

void
group_put(struct group *g)
{
	CHECK(g, GROUP_MAGIC);
	assert(g->refs > 0);
	if (--g->refs > 0)
		return;
	arena_fini(&g->arena);
	g->magic = 0;
	free(g);
}

struct place *
place_new(void)
{
	struct place *p = xcalloc(1, sizeof(*p));

	p->magic = PLACE_MAGIC;
	p->refs = 1;
	return p;
}

void
place_put(struct place *p)
{
	CHECK(p, PLACE_MAGIC);
	assert(p->refs > 0);
	if (--p->refs > 0)
		return;
	free(p->scopes);
	free(p->space);
	free(p->vpc_arn);
	p->magic = 0;
	free(p);
}

void
part_put(struct part *p)
{
	switch (p->magic) {
	case SERVICE_MAGIC:
		service_put((struct service *)p);
		break;
	case GROUP_MAGIC:
		group_put((struct group *)p);
		break;
	case PLACE_MAGIC:
		place_put((struct place *)p);
		break;
	default:
		assert(p->magic == BUCKET_MAGIC);
		if (--p->refs == 0)
			free(p);
	}
}

/* ------------------------------------------------------------------ reading */

#define TABLE_MAGIC 0x7ab1e000u
struct table {
	unsigned magic;
	uint64_t generation;
	struct vec services, groups, places;
	struct hosts hosts;
	struct zones *zones;
	uint32_t nservices, nplaces; /* one more than the largest index */
	uint32_t *retired;
	uint32_t nretired;
};

uint64_t
table_generation(const struct table *t)
{
	CHECK(t, TABLE_MAGIC);
	return t->generation;
}

const struct service *
table_service(const struct table *t, uint32_t index)
{
	CHECK(t, TABLE_MAGIC);
	return vec_at(&t->services, index);
}

const struct group *
table_group(const struct table *t, uint32_t index)
{
	CHECK(t, TABLE_MAGIC);
	return vec_at(&t->groups, index);
}

const struct place *
table_place(const struct table *t, uint32_t index)
{
	CHECK(t, TABLE_MAGIC);
	return vec_at(&t->places, index);
}

const struct service *
table_sole(const struct table *t, const struct place *p)
{
	return p->nusers == 1 ? table_service(t, p->sum) : NULL;
}

uint32_t
table_nplaces(const struct table *t)
{
	CHECK(t, TABLE_MAGIC);
	return t->nplaces;
}

uint32_t
table_nservices(const struct table *t)
{
	CHECK(t, TABLE_MAGIC);
	return t->nservices;
}

const struct zones *
table_zones(const struct table *t)
{
	CHECK(t, TABLE_MAGIC);
	return t->zones;
}

const uint32_t *
table_retired(const struct table *t, uint32_t *n)
{
	CHECK(t, TABLE_MAGIC);
	*n = t->nretired;
	return t->retired;
}

const struct service *
table_host_exact(const struct table *t, uint32_t scope, struct str host)
{
	CHECK(t, TABLE_MAGIC);
	return hosts_find(&t->hosts, scope, host);
}

const struct service *
table_host(const struct table *t, uint32_t scope, struct str host)
{
	char name[HOST_MAX + 1];
	const struct service *s;

	CHECK(t, TABLE_MAGIC);
	/* `shop.` is the same name, written absolute. */
	if (host.len > 0 && host.p[host.len - 1] == '.')
		host.len--;
	if (host.len == 0 || host.len > HOST_MAX)
		return NULL;
	for (uint32_t i = 0; i < host.len; i++)
		name[i] = ascii_lower(host.p[i]);
	s = hosts_find(&t->hosts, scope, (struct str){name, host.len});
	/* The leftmost dot leaves the longest suffix; the star takes the place of the byte before it. */
	for (uint32_t i = 1; s == NULL && t->hosts.nwild > 0 && i + 1 < host.len; i++) {
		if (name[i] != '.')
			continue;
		name[i - 1] = '*';
		s = hosts_find(&t->hosts, scope, (struct str){name + i - 1, host.len - i + 1});
	}
	return s;
}

void
table_free(struct table *t)
{
	if (t == NULL)
		return;
	CHECK(t, TABLE_MAGIC);
	vec_drop(&t->services);
	vec_drop(&t->groups);
	vec_drop(&t->places);
	vec_drop(&t->hosts.buckets);
	zones_put(t->zones);
	free(t->retired);
	t->magic = 0;
	free(t);
}

/* ------------------------------------------------------------------ building */

/* So many users more or less; 0 for a place that was only handed in. */
struct place_use {
	uint32_t place;
	int32_t delta;
	uint32_t service;
};

#define BUILD_MAGIC 0xb001d000u
struct build {
	unsigned magic;
	struct table *t;   /* what it will be */
	uint32_t *pending; /* services whose names are not in the index yet */
	uint32_t npending, pending_size;
	struct place_use *uses;
	uint32_t nuses, uses_size;
	uint32_t retired_size;
};

/* Room for one more of size bytes. */
static void *
room(void *items, uint32_t n, uint32_t *size, size_t each)
{
	if (n < *size)
		return items;
	*size = MAX(*size * 2, 8);
	return xrealloc(items, *size * each);
}

struct build *
build_new(const struct table *base)
{
	struct build *b = xcalloc(1, sizeof(*b));
	struct table *t = xcalloc(1, sizeof(*t));

	b->magic = BUILD_MAGIC;
	b->t = t;
	t->magic = TABLE_MAGIC;
	if (base == NULL)
		return b;
	CHECK(base, TABLE_MAGIC);
	t->generation = base->generation + 1;
	t->services = vec_share(&base->services);
	t->groups = vec_share(&base->groups);
	t->places = vec_share(&base->places);
	t->hosts = base->hosts;
	t->hosts.buckets = vec_share(&base->hosts.buckets);
	t->nservices = base->nservices;
	t->nplaces = base->nplaces;
	t->zones = base->zones;
	if (t->zones != NULL)
		t->zones->refs++;
	return b;
}

static void
use_add(struct build *b, uint32_t place, int32_t delta, uint32_t service)
{
	b->uses = room(b->uses, b->nuses, &b->uses_size, sizeof(*b->uses));
	b->uses[b->nuses++] = (struct place_use){place, delta, service};
}

void
build_service(struct build *b, uint32_t index, struct service *part)
{
	struct service *old;

	CHECK(b, BUILD_MAGIC);
	old = vec_at(&b->t->services, index);
	if (old != NULL) {
		for (uint32_t i = 0; i < old->nplaces; i++)
			use_add(b, old->places[i], -1, index);
		for (uint32_t i = 0; old->named && i < old->nhosts; i++)
			hosts_del(&b->t->hosts, &old->hosts[i], old);
	}
	if (part != NULL) {
		CHECK(part, SERVICE_MAGIC);
		assert(!part->named && part->index == index);
		for (uint32_t i = 0; i < part->nplaces; i++)
			use_add(b, part->places[i], 1, index);
		b->pending = room(b->pending, b->npending, &b->pending_size, sizeof(*b->pending));
		b->pending[b->npending++] = index;
		b->t->nservices = MAX(b->t->nservices, index + 1);
	}
	vec_set(&b->t->services, index, part);
}

void
build_group(struct build *b, uint32_t index, struct group *part)
{
	CHECK(b, BUILD_MAGIC);
	if (part != NULL) {
		CHECK(part, GROUP_MAGIC);
		assert(part->index == index);
	}
	vec_set(&b->t->groups, index, part);
}

void
build_place(struct build *b, struct place *part)
{
	const struct place *old;

	CHECK(b, BUILD_MAGIC);
	CHECK(part, PLACE_MAGIC);
	old = vec_at(&b->t->places, part->index);
	part->nusers = old == NULL ? 0 : old->nusers;
	part->sum = old == NULL ? 0 : old->sum;
	use_add(b, part->index, 0, 0);
	b->t->nplaces = MAX(b->t->nplaces, part->index + 1);
	vec_set(&b->t->places, part->index, part);
}

void
build_retire(struct build *b, uint32_t slot)
{
	CHECK(b, BUILD_MAGIC);
	assert(slot != SLOT_NONE);
	b->t->retired = room(b->t->retired, b->t->nretired, &b->retired_size, sizeof(*b->t->retired));
	b->t->retired[b->t->nretired++] = slot;
}

void
build_zones(struct build *b, struct zones *zones)
{
	CHECK(b, BUILD_MAGIC);
	for (uint32_t i = 1; zones != NULL && i < zones->n; i++)
		assert(zones->all[i - 1].vpc < zones->all[i].vpc);
	zones_put(b->t->zones);
	b->t->zones = zones;
}

/* ------------------------------------------------------------------ sealing */

static void
service_unname(struct hosts *h, struct service *s, uint32_t nhosts)
{
	while (nhosts > 0)
		hosts_del(h, &s->hosts[--nhosts], s);
	s->named = false;
}

static int
service_name(struct hosts *h, struct service *s, struct clash *clash)
{
	for (uint32_t i = 0; i < s->nhosts; i++) {
		const struct host_name *name = &s->hosts[i];
		struct service *theirs = hosts_find(h, name->scope, name->name);

		if (theirs != NULL) {
			*clash = (struct clash){name->scope, name->name, s, theirs};
			service_unname(h, s, i);
			return -EEXIST;
		}
		hosts_add(h, name, s);
	}
	s->named = true;
	return 0;
}

/* Enters the names of all pending services, or of none. */
static int
names_add(struct build *b, struct clash *clash)
{
	struct table *t = b->t;
	uint32_t more = 0;
	int rc = 0;

	for (uint32_t i = 0; i < b->npending; i++) {
		const struct service *s = vec_at(&t->services, b->pending[i]);

		more += s != NULL && !s->named ? s->nhosts : 0;
	}
	if (more > 0)
		hosts_reserve(&t->hosts, more);
	for (uint32_t i = 0; i < b->npending; i++) {
		struct service *s = vec_at(&t->services, b->pending[i]);

		if (s == NULL || s->named)
			continue;
		rc = service_name(&t->hosts, s, clash);
		if (rc == 0)
			continue;
		/* Every named service among those before it was named here: pending ones begin unnamed. */
		while (i > 0) {
			s = vec_at(&t->services, b->pending[--i]);
			if (s != NULL && s->named)
				service_unname(&t->hosts, s, s->nhosts);
		}
		return rc;
	}
	return 0;
}

static int
use_compare(const void *a, const void *b)
{
	const struct place_use *x = a, *y = b;

	return x->place < y->place ? -1 : x->place > y->place;
}

static struct place *
place_own(struct vec *places, uint32_t index)
{
	void **cell = vec_cell(places, index);
	struct place *p = *cell, *own;

	if (p->refs == 1)
		return p;
	own = xcalloc(1, sizeof(*own));
	*own = *p;
	own->refs = 1;
	own->scopes = xcalloc(MAX(p->nscopes, 1), sizeof(*p->scopes));
	if (p->nscopes > 0)
		memcpy(own->scopes, p->scopes, p->nscopes * sizeof(*p->scopes));
	own->space = p->space == NULL ? NULL : xstrdup(p->space);
	own->vpc_arn = p->vpc_arn == NULL ? NULL : xstrdup(p->vpc_arn);
	place_put(p);
	*cell = own;
	return own;
}

/* Counts the users of every place touched; who has none left goes. */
static void
places_count(struct build *b)
{
	struct table *t = b->t;

	if (b->nuses > 1)
		qsort(b->uses, b->nuses, sizeof(*b->uses), use_compare);
	for (uint32_t i = 0, next; i < b->nuses; i = next) {
		uint32_t index = b->uses[i].place;
		const struct place *p = vec_at(&t->places, index);
		int64_t delta = 0, users;
		struct place *mine;
		uint32_t sum = 0;

		for (next = i; next < b->nuses && b->uses[next].place == index; next++) {
			delta += b->uses[next].delta;
			sum += (uint32_t)b->uses[next].delta * b->uses[next].service;
		}
		assert(p != NULL);
		users = (int64_t)p->nusers + delta;
		assert(users >= 0 && users <= UINT32_MAX);
		if (users == 0) {
			vec_set(&t->places, index, NULL);
		} else if (delta != 0 || sum != 0) {
			mine = place_own(&t->places, index);
			mine->nusers = (uint32_t)users;
			mine->sum += sum;
		}
	}
}

int
build_seal(struct build *b, struct table **t, struct clash *clash)
{
	int rc;

	CHECK(b, BUILD_MAGIC);
	rc = names_add(b, clash);
	if (rc != 0)
		return rc;
	places_count(b);
	b->t->nservices = vec_end(&b->t->services, b->t->nservices);
	b->t->nplaces = vec_end(&b->t->places, b->t->nplaces);
	*t = b->t;
	b->t = NULL;
	build_abort(b);
	return 0;
}

void
build_abort(struct build *b)
{
	if (b == NULL)
		return;
	CHECK(b, BUILD_MAGIC);
	table_free(b->t);
	free(b->pending);
	free(b->uses);
	b->magic = 0;
	free(b);
}

/* ------------------------------------------------------------------ printing */

/* As it is, or in quotes when a blank, a quote or an unprintable byte would make the line unclear. */
static void
print_value(struct text *out, struct str s)
{
	bool plain = s.len > 0;

	for (uint32_t i = 0; i < s.len && plain; i++)
		plain = s.p[i] > ' ' && s.p[i] != 0x7f && s.p[i] != '"' && s.p[i] != '\\';
	if (plain) {
		text_str(out, s);
		return;
	}
	text_char(out, '"');
	for (uint32_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			text_printf(out, "\\%c", c);
		else if (c < ' ' || c >= 0x7f)
			text_printf(out, "\\x%02x", c);
		else
			text_char(out, (char)c);
	}
	text_char(out, '"');
}

static void
print_match(struct text *out, const struct match *m)
{
	static const char *const ops[] = {[MATCH_ANY] = "any",
	    [MATCH_EXACT] = "exact",
	    [MATCH_PREFIX] = "prefix",
	    [MATCH_CONTAINS] = "contains"};

	if (m->method.len > 0) {
		text_printf(out, " method=");
		print_value(out, m->method);
	}
	if (m->path_op != MATCH_ANY) {
		text_printf(out, " path-%s=", ops[m->path_op]);
		print_value(out, m->path);
		if (m->path_case)
			text_printf(out, " path-case-sensitive");
	}
	for (uint32_t i = 0; i < m->nheaders; i++) {
		const struct header_match *h = &m->headers[i];

		text_printf(out, " header-%s=" STR_FMT ":", ops[h->op], STR_ARG(h->name));
		print_value(out, h->value);
	}
	if (m->nheaders > 0 && m->header_case)
		text_printf(out, " header-case-sensitive");
}

/* What its targets speak, unless it is HTTP/1.1 without TLS. */
static void
print_group_protocol(struct text *out, const struct group *g)
{
	static const char *const protocols[] = {
	    [GROUP_HTTP] = "HTTP", [GROUP_HTTPS] = "HTTPS", [GROUP_TCP] = "TCP"};
	static const char *const versions[] = {
	    [GROUP_HTTP1] = "", [GROUP_HTTP2] = "/HTTP2", [GROUP_GRPC] = "/GRPC"};

	if (g->protocol == GROUP_HTTP && g->version == GROUP_HTTP1)
		return;
	text_printf(out, "/%s%s", protocols[g->protocol], versions[g->version]);
	if (g->protocol == GROUP_HTTPS && (g->ca.len > 0 || g->verify_system))
		text_printf(out, "/verified");
}

static void
print_action(struct text *out, const struct table *t, const struct action *a)
{
	char addr[ADDR_TEXT_MAX];

	if (a->kind == ACTION_FIXED) {
		text_printf(out, " -> fixed-response %u\n", a->status);
		return;
	}
	text_printf(out, " -> forward");
	for (uint32_t i = 0; i < a->nforwards; i++) {
		const struct forward *f = &a->forwards[i];
		const struct group *g = table_group(t, f->group);

		text_printf(out, " " STR_FMT ":%u{", STR_ARG(f->name), f->weight);
		for (uint32_t j = 0; g != NULL && j < g->ntargets; j++) {
			addr_print(&g->targets[j].addr, addr);
			text_printf(out, "%s%s", j > 0 ? "," : "", addr);
		}
		text_char(out, '}');
		if (g != NULL)
			print_group_protocol(out, g);
	}
	text_char(out, '\n');
}

static bool
place_has_scope(const struct place *p, uint32_t scope)
{
	for (uint32_t i = 0; i < p->nscopes; i++)
		if (p->scopes[i] == scope)
			return true;
	return false;
}

/* What all routes of a listener in a network share: ` HTTP places hosts`. False: it is offered nowhere. */
static bool
print_where(struct text *out, const struct table *t, const struct service *s, const struct listener *l,
    uint32_t scope)
{
	static const char *const protocols[] = {[PROTOCOL_HTTP] = "HTTP",
	    [PROTOCOL_HTTPS] = "HTTPS",
	    [PROTOCOL_TLS_PASSTHROUGH] = "TLS_PASSTHROUGH"};
	char addr[ADDR_TEXT_MAX];
	const char *before = " ";

	text_printf(out, " %s", protocols[l->protocol]);
	for (uint32_t i = 0; i < s->nplaces; i++) {
		const struct place *p = table_place(t, s->places[i]);

		if (p == NULL || addr_port(&p->addr) != l->port || !place_has_scope(p, scope))
			continue;
		addr_print(&p->addr, addr);
		text_printf(out, "%s%s", before, addr);
		if (p->space != NULL)
			text_printf(out, "@%s", p->space);
		before = ",";
	}
	if (*before == ' ')
		return false;
	before = " ";
	for (uint32_t i = 0; i < s->nhosts; i++) {
		if (s->hosts[i].scope != scope)
			continue;
		text_printf(out, "%s" STR_FMT, before, STR_ARG(s->hosts[i].name));
		before = ",";
	}
	if (s->idle_timeout_s != IDLE_TIMEOUT_DEFAULT)
		text_printf(out, " idle-timeout=%" PRIu32, s->idle_timeout_s);
	return true;
}

static void
print_listener(struct text *out, const struct table *t, const struct service *s, const struct listener *l,
    const struct scope_name *scope)
{
	struct text where = {0};
	bool offered = print_where(&where, t, s, l, scope->scope);

	for (uint32_t i = 0; offered && i <= l->nrules; i++) {
		const struct rule *r = i < l->nrules ? &l->rules[i] : &l->fallback;

		text_printf(out, STR_FMT " " STR_FMT "/" STR_FMT " ", STR_ARG(scope->name), STR_ARG(s->name),
		    STR_ARG(l->name));
		if (i < l->nrules)
			text_printf(out, "%" PRIu32, r->priority);
		else
			text_printf(out, "default");
		text_printf(out, " " STR_FMT, STR_ARG(r->name));
		text_add(out, where.p, where.len);
		print_match(out, &r->match);
		print_action(out, t, &r->action);
	}
	text_fini(&where);
}

static void
print_scope(struct text *out, const struct table *t, const struct service *s, const struct scope_name *scope)
{
	uint32_t done = 0, least;

	/* By port; a service has one listener a port. */
	for (uint32_t n = 0; n < s->nlisteners; n++) {
		const struct listener *l = NULL;

		least = UINT32_MAX;
		for (uint32_t i = 0; i < s->nlisteners; i++) {
			if (s->listeners[i].port > done && s->listeners[i].port < least) {
				l = &s->listeners[i];
				least = l->port;
			}
		}
		if (l == NULL)
			return;
		print_listener(out, t, s, l, scope);
		done = least;
	}
}

void
table_print_service(const struct table *t, const struct service *s, struct text *out)
{
	CHECK(t, TABLE_MAGIC);
	CHECK(s, SERVICE_MAGIC);
	for (uint32_t i = 0; i < s->nscopes; i++)
		print_scope(out, t, s, &s->scopes[i]);
}

struct print_row {
	const struct service *service;
	const struct scope_name *scope;
};

static int
str_compare(struct str a, struct str b)
{
	int order = memcmp(a.p, b.p, MIN(a.len, b.len));

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int
row_compare(const void *a, const void *b)
{
	const struct print_row *x = a, *y = b;
	int order = str_compare(x->scope->name, y->scope->name);

	return order != 0 ? order : str_compare(x->service->name, y->service->name);
}

void
table_print(const struct table *t, struct text *out)
{
	struct print_row *rows = NULL;
	uint32_t n = 0, size = 0;

	CHECK(t, TABLE_MAGIC);
	for (uint32_t i = 0; i < t->nservices; i++) {
		const struct service *s = vec_at(&t->services, i);

		for (uint32_t j = 0; s != NULL && j < s->nscopes; j++) {
			rows = room(rows, n, &size, sizeof(*rows));
			rows[n++] = (struct print_row){s, &s->scopes[j]};
		}
	}
	if (n > 1)
		qsort(rows, n, sizeof(*rows), row_compare);
	for (uint32_t i = 0; i < n; i++)
		print_scope(out, t, rows[i].service, rows[i].scope);
	free(rows);
}
