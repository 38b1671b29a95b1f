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
#include <stdatomic.h>

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
	static _Atomic uint64_t serial;
	struct group *g = xcalloc(1, sizeof(*g));

	g->serial = atomic_fetch_add(&serial, 1) + 1;
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

void
health_check_default(struct health_check *c)
{
	static struct code_range ok = {200, 200};

	*c = (struct health_check){.path = STR("/"),
	    .interval_ms = 30000,
	    .timeout_ms = 5000,
	    .healthy = 5,
	    .unhealthy = 2,
	    .ncodes = 1,
	    .codes = &ok};
}

void
passive_check_default(struct passive_check *c)
{
	*c = (struct passive_check){.failures = 5,
	    .errors = 5,
	    .ejection_ms = 30000,
	    .ejection_max_ms = 300000,
	    .ejected_percent = 10};
}

void
group_check_default(const struct group *g, struct health_check *c)
{
	bool sees = g->protocol != GROUP_TCP;

	health_check_default(c);
	c->enabled = (g->type == GROUP_IP || g->type == GROUP_INSTANCE) && sees && g->version == GROUP_HTTP1;
	if (!sees)
		c->protocol = CHECK_TCP;
	else if (g->version == GROUP_GRPC)
		c->protocol = CHECK_GRPC;
	else
		c->protocol = g->protocol == GROUP_HTTPS ? CHECK_HTTPS : CHECK_HTTP;
	c->http2 = g->version == GROUP_HTTP2;
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
	uint32_t nservices, ngroups, nplaces; /* one more than the largest index */
	uint32_t nnamed;		      /* groups with targets that are known by name */
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

uint32_t
table_group_differs(const struct table *a, const struct table *b, uint32_t from)
{
	CHECK(a, TABLE_MAGIC);
	CHECK(b, TABLE_MAGIC);
	return vec_differ(&a->groups, &b->groups, from);
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

uint32_t
table_ngroups(const struct table *t)
{
	CHECK(t, TABLE_MAGIC);
	return t->ngroups;
}

bool
table_has_names(const struct table *t)
{
	CHECK(t, TABLE_MAGIC);
	return t->nnamed > 0;
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
	t->ngroups = base->ngroups;
	t->nnamed = base->nnamed;
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

static uint32_t
has_names(const struct group *g)
{
	for (uint32_t i = 0; g != NULL && i < g->ntargets; i++)
		if (target_is_named(&g->targets[i]))
			return 1;
	return 0;
}

void
build_group(struct build *b, uint32_t index, struct group *part)
{
	CHECK(b, BUILD_MAGIC);
	if (part != NULL) {
		CHECK(part, GROUP_MAGIC);
		assert(part->index == index);
		b->t->ngroups = MAX(b->t->ngroups, index + 1);
	}
	b->t->nnamed += has_names(part) - has_names(vec_at(&b->t->groups, index));
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
	b->t->ngroups = vec_end(&b->t->groups, b->t->ngroups);
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
