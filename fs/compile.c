/* compile.c - the model as parts of a table: what changed is made anew, with the numbers it had before.
 *
 * Counter slots and editions are found in the served table by name, so nothing has to be remembered or taken
 * back beside the model. A part that comes out as it was is dropped again.
 */
#include "compile.h"
#include "arn.h"
#include "certificate.h"
#include "check.h"
#include "equal.h"
#include "groups.h"
#include "identity.h"
#include "limits.h"
#include "meet.h"
#include "zones.h"
#include "pair.h"
#include <errno.h>
#include <stdio.h>

/* ------------------------------------------------------------------ places */

static void
place_touch(struct edit *e, struct place_record *r)
{
	if (r->touched)
		return;
	r->touched = true;
	e->places = array_room(e->places, e->nplaces, &e->places_size, sizeof(struct place_record *));
	e->places[e->nplaces++] = r;
}

static struct place_record *
place_get(struct edit *e, const struct addr *a, uint32_t vpc)
{
	struct place_key bytes;
	struct str key = place_key(a, vpc, &bytes);
	struct model *m = e->m;
	struct place_record *r = map_find(&m->places, key);

	if (r == NULL) {
		r = xcalloc(1, sizeof(*r));
		*r = (struct place_record){.addr = *a, .vpc = vpc, .index = slots_take(&m->place_indices)};
		r->serial = ++m->place_serial;
		map_put(&m->places, key, r);
		place_touch(e, r);
	}
	return r;
}

static bool
table_has_place(const struct table *t, const struct place_record *r)
{
	const struct place *p = t == NULL ? NULL : table_place(t, r->index);

	return p != NULL && p->serial == r->serial;
}

void
compile_forget(struct edit *e, const struct table *now)
{
	struct model *m = e->m;
	struct place_key bytes;

	while (e->ntaken > 0)
		slots_recycle(m->counters, e->taken[--e->ntaken]);
	while (e->nplaces > 0) {
		struct place_record *r = e->places[--e->nplaces];

		r->touched = false;
		if (table_has_place(now, r))
			continue;
		map_del(&m->places, place_key(&r->addr, r->vpc, &bytes));
		slots_recycle(&m->place_indices, r->index);
		free(r);
	}
	e->next = NULL;
	e->tried = false;
}

/* ------------------------------------------------------------------ what was there before */

uint32_t
compile_slot(struct edit *e)
{
	e->taken = array_room(e->taken, e->ntaken, &e->taken_size, sizeof(*e->taken));
	return e->taken[e->ntaken++] = slots_take(e->m->counters);
}

static const struct group *
old_group(const struct check *c, const struct entry *e)
{
	return c->served != NULL && e->served ? table_group(c->served, e->index) : NULL;
}

static const struct listener *
old_listener(const struct service *s, const char *name)
{
	for (uint32_t i = 0; s != NULL && i < s->nlisteners; i++)
		if (str_eq(s->listeners[i].name, str_of(name)))
			return &s->listeners[i];
	return NULL;
}

/* Rules mostly stand where they stood: the search goes on behind the last one found. */
static const struct rule *
old_rule(const struct listener *l, const char *name, uint32_t *cursor)
{
	for (uint32_t i = 0; l != NULL && i < l->nrules; i++) {
		uint32_t at = (*cursor + i) % l->nrules;

		if (!str_eq(l->rules[at].name, str_of(name)))
			continue;
		*cursor = at + 1;
		return &l->rules[at];
	}
	return NULL;
}

/* ------------------------------------------------------------------ parts */

static void
match_build(struct arena *arena, struct match *out, const struct match *m)
{
	*out = *m;
	out->method = arena_str(arena, m->method);
	out->path = arena_str(arena, m->path);
	out->headers = arena_copy(arena, m->headers, m->nheaders * sizeof(*m->headers));
	for (uint32_t i = 0; i < m->nheaders; i++) {
		out->headers[i].name = arena_str(arena, m->headers[i].name);
		out->headers[i].value = arena_str(arena, m->headers[i].value);
	}
}

static void
action_build(
    struct check *c, struct arena *arena, struct action *out, const struct value *v, const struct action *old)
{
	out->kind = v->action.kind;
	out->status = v->action.status;
	out->sticky = caller_build(arena, &v->action.sticky);
	out->on_empty_fail = v->action.on_empty_fail;
	out->resilience = v->action.resilience;
	out->nforwards = v->nrefs;
	out->forwards = arena_alloc(arena, v->nrefs * sizeof(*out->forwards));
	for (uint32_t i = 0; i < v->nrefs; i++) {
		const struct reference *r = &v->refs[i];
		struct forward *f = &out->forwards[i];

		*f = (struct forward){
		    .group = r->entry->index, .slot = SLOT_NONE, .weight = (uint16_t)r->weight};
		f->name = arena_str(arena, r->name);
		for (uint32_t k = 0; old != NULL && k < old->nforwards; k++)
			if (old->forwards[k].group == f->group && str_eq(old->forwards[k].name, f->name))
				f->slot = old->forwards[k].slot;
		if (f->slot == SLOT_NONE)
			f->slot = compile_slot(c->e);
	}
	action_spread(out, arena);
	out->edition = old != NULL && action_equal(old, out) ? old->edition : ++c->m->edition;
}

static void
rule_build(
    struct check *c, struct arena *arena, struct rule *out, const struct node *n, const struct rule *old)
{
	const struct match *match = &n->values[RULE_MATCH]->match;

	out->name = arena_str(arena, str_of(n->name));
	out->priority = n->values[RULE_PRIORITY]->number;
	out->slot = old != NULL ? old->slot : compile_slot(c->e);
	match_build(arena, &out->match, match);
	action_build(c, arena, &out->action, n->values[RULE_ACTION], old == NULL ? NULL : &old->action);
}

static int
rule_compare(const void *a, const void *b)
{
	const struct rule *x = a, *y = b;

	return (int)x->priority - (int)y->priority;
}

static void
listener_build(struct check *c, struct arena *arena, struct listener *out, const struct node *n,
    const struct listener *old)
{
	const struct rule *fallback = old == NULL ? NULL : &old->fallback;
	uint32_t cursor = 0;

	out->name = arena_str(arena, str_of(n->name));
	out->port = (uint16_t)n->values[LISTENER_PORT]->number;
	out->protocol = (enum protocol)node_number(n, LISTENER_PROTOCOL, PROTOCOL_HTTP);
	out->rules = arena_alloc(arena, n->kids[0].n * sizeof(*out->rules));
	for (uint32_t i = 0; i < n->kids[0].n; i++) {
		const struct node *rule = n->kids[0].at[i];

		if (node_is_complete(rule))
			rule_build(
			    c, arena, &out->rules[out->nrules++], rule, old_rule(old, rule->name, &cursor));
	}
	if (out->nrules > 1)
		qsort(out->rules, out->nrules, sizeof(*out->rules), rule_compare);
	out->fallback.name = arena_str(arena, STR("default"));
	out->fallback.slot = fallback != NULL ? fallback->slot : compile_slot(c->e);
	action_build(c, arena, &out->fallback.action, n->values[LISTENER_DEFAULT_ACTION],
	    fallback == NULL ? NULL : &fallback->action);
	match_index_build(out, arena);
}

static int
listener_compare(const void *a, const void *b)
{
	const struct listener *x = a, *y = b;

	return (int)x->port - (int)y->port;
}

static int
record_compare(const void *a, const void *b)
{
	const struct place_record *const *x = a, *const *y = b;

	return (*x)->vpc != (*y)->vpc ? ((*x)->vpc < (*y)->vpc ? -1 : 1)
				      : addr_compare(&(*x)->addr, &(*y)->addr);
}

/* Every address that a network of it reaches, with every port of it; networks may reach the same. */
static void
places_build(struct check *c, const struct job *j, struct service *s)
{
	size_t max = (size_t)j->noffers * s->nlisteners, n = 0;
	struct place_record **records = arena_alloc(&c->arena, max * sizeof(struct place_record *));

	for (uint32_t i = 0; i < j->noffers; i++) {
		for (uint32_t l = 0; l < s->nlisteners; l++) {
			struct addr addr = j->offers[i].addr;

			addr_set_port(&addr, s->listeners[l].port);
			records[n++] = place_get(c->e, &addr, j->offers[i].vpc);
		}
	}
	if (n > 1)
		qsort(records, n, sizeof(struct place_record *), record_compare);
	s->places = arena_alloc(&s->arena, n * sizeof(*s->places));
	for (size_t i = 0; i < n; i++)
		if (i == 0 || records[i] != records[i - 1])
			s->places[s->nplaces++] = records[i]->index;
}

static void
hosts_build(const struct model *m, const struct job *j, struct service *s)
{
	struct arena *arena = &s->arena;
	struct str *names = arena_alloc(arena, j->nwants * sizeof(*names));

	s->hosts = arena_alloc(arena, (size_t)j->nnetworks * j->nwants * sizeof(*s->hosts));
	s->scopes = arena_alloc(arena, j->nnetworks * sizeof(*s->scopes));
	for (uint32_t i = 0; i < j->nwants; i++)
		names[i] = arena_str(arena, j->wants[i].name);
	for (uint32_t n = 0; n < j->nnetworks; n++) {
		uint32_t scope = j->networks[n]->index;

		s->scopes[s->nscopes++] = (struct scope_name){.scope = scope,
		    .name = arena_str(arena, str_of(j->networks[n]->name)),
		    .arn = arn_build(m, j->networks[n]->node, arena)};
		for (uint32_t i = 0; i < j->nwants; i++)
			s->hosts[s->nhosts++] = (struct host_name){scope, names[i]};
	}
}

/* NULL: nothing of it is to be served. */
static struct service *
service_build(struct check *c, const struct job *j, const struct service *old)
{
	const struct node *n = j->entry->node;
	struct service *s;
	bool secure;

	if (n->wrong || j->nnetworks == 0)
		return NULL;
	s = service_new();
	s->index = j->entry->index;
	s->slot = old != NULL ? old->slot : compile_slot(c->e);
	s->name = arena_str(&s->arena, str_of(j->entry->name));
	s->idle_timeout_s = node_number(n, SERVICE_IDLE_TIMEOUT, IDLE_TIMEOUT_DEFAULT);
	secure = identity_build(c, j, s, old);
	s->listeners = arena_alloc(&s->arena, n->kids[0].n * sizeof(*s->listeners));
	for (uint32_t i = 0; i < n->kids[0].n; i++) {
		const struct node *l = n->kids[0].at[i];

		if (node_is_complete(l) &&
		    (secure || node_number(l, LISTENER_PROTOCOL, PROTOCOL_HTTP) != PROTOCOL_HTTPS))
			listener_build(
			    c, &s->arena, &s->listeners[s->nlisteners++], l, old_listener(old, l->name));
	}
	if (s->nlisteners > 1)
		qsort(s->listeners, s->nlisteners, sizeof(*s->listeners), listener_compare);
	hosts_build(c->m, j, s);
	s->arn = arn_build(c->m, n, &s->arena);
	s->region = arena_str(&s->arena, str_of(c->m->region));
	places_build(c, j, s);
	return s;
}

/* Does the service, as it will be served, forward to the group at the place where `by` stands? */
static bool
service_forwards(const struct service *s, const struct node *by, uint32_t group)
{
	const struct node *listener = by->what == KIND_RULE ? by->parent : by;
	const struct listener *l = s == NULL || s->nplaces == 0 ? NULL : old_listener(s, listener->name);
	uint32_t cursor = 0;
	const struct rule *r = by->what == KIND_RULE ? old_rule(l, by->name, &cursor)
			       : l == NULL	     ? NULL
						     : &l->fallback;

	for (uint32_t i = 0; r != NULL && i < r->action.nforwards; i++)
		if (r->action.forwards[i].group == group)
			return true;
	return false;
}

static bool
group_is_used(const struct check *c, const struct entry *e)
{
	list_each(it, &e->uses)
	{
		const struct node *by = container_of(it, struct reference, link)->by;
		const struct entry *service = node_entry(by);

		if (service_forwards(
			service->dirty != 0 ? service->next : check_before(c, service), by, e->index))
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------ the table */

struct numbers {
	uint32_t *all;
	uint32_t n, size;
};

static void
numbers_add(struct numbers *ns, uint32_t number)
{
	ns->all = array_room(ns->all, ns->n, &ns->size, sizeof(*ns->all));
	ns->all[ns->n++] = number;
}

static void
rule_slots(struct numbers *ns, const struct rule *r)
{
	numbers_add(ns, r->slot);
	for (uint32_t i = 0; i < r->action.nforwards; i++)
		numbers_add(ns, r->action.forwards[i].slot);
}

static void
service_slots(struct numbers *ns, const struct service *s)
{
	if (s == NULL)
		return;
	numbers_add(ns, s->slot);
	for (uint32_t i = 0; i < s->nlisteners; i++) {
		rule_slots(ns, &s->listeners[i].fallback);
		for (uint32_t k = 0; k < s->listeners[i].nrules; k++)
			rule_slots(ns, &s->listeners[i].rules[k]);
	}
}

static void
group_slots(struct numbers *ns, const struct group *g)
{
	if (g == NULL)
		return;
	numbers_add(ns, g->slot);
	for (uint32_t i = 0; i < g->ntargets; i++)
		numbers_add(ns, g->targets[i].slot);
}

static int
number_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Retires what is in old and no more in new, and frees both lists. */
static void
retire(struct build *b, struct numbers *old, struct numbers *new)
{
	uint32_t k = 0;

	if (old->n > 1)
		qsort(old->all, old->n, sizeof(*old->all), number_compare);
	if (new->n > 1)
		qsort(new->all, new->n, sizeof(*new->all), number_compare);
	for (uint32_t i = 0; i < old->n; i++) {
		while (k < new->n &&new->all[k] < old->all[i])
			k++;
		if (k == new->n || new->all[k] != old->all[i])
			build_retire(b, old->all[i]);
	}
	free(old->all);
	free(new->all);
}

/* The build that a changed part goes to: begun with the first. */
static struct build *
build_get(const struct check *c, struct build **b)
{
	if (*b == NULL)
		*b = build_new(c->served);
	return *b;
}

static void
old_places_touch(struct check *c, const struct service *old)
{
	for (uint32_t i = 0; old != NULL && i < old->nplaces; i++) {
		const struct place *p = table_place(c->served, old->places[i]);

		assert(p != NULL);
		place_touch(c->e, place_get(c->e, &p->addr, p->vpc));
	}
}

/* Groups whose use may change with this action. */
static void
action_ask(struct check *c, const struct action *a)
{
	for (uint32_t i = 0; i < a->nforwards; i++) {
		struct entry *group = entry_find(c->m, KIND_GROUP, a->forwards[i].name);

		if (group == NULL || group->asked || group->dirty != 0)
			continue;
		group->asked = true;
		c->asked = array_room(c->asked, c->nasked, &c->asked_size, sizeof(*c->asked));
		c->asked[c->nasked++] = group;
	}
}

static void
forwards_ask(struct check *c, const struct service *s)
{
	for (uint32_t i = 0; s != NULL && i < s->nlisteners; i++) {
		action_ask(c, &s->listeners[i].fallback.action);
		for (uint32_t k = 0; k < s->listeners[i].nrules; k++)
			action_ask(c, &s->listeners[i].rules[k].action);
	}
}

static void
compile_service(struct check *c, struct build **b, struct entry *e, const struct job *j)
{
	const struct service *old = check_before(c, e);
	struct service *new = j == NULL ? NULL : service_build(c, j, old);
	struct numbers before = {0}, after = {0};

	e->next = old;
	if (new == NULL && old == NULL)
		return;
	if (new != NULL && old != NULL &&service_equal(old, new)) {
		service_put(new);
		return;
	}
	e->next = new;
	forwards_ask(c, old);
	forwards_ask(c, new);
	old_places_touch(c, old);
	service_slots(&before, old);
	service_slots(&after, new);
	build_service(build_get(c, b), e->index, new);
	retire(*b, &before, &after);
}

static void
compile_group(struct check *c, struct build **b, struct entry *e)
{
	const struct group *old = old_group(c, e);
	struct group *new = e->node == NULL ? NULL : group_build(c, e, old, group_is_used(c, e));
	struct numbers before = {0}, after = {0};

	if (new == NULL && old == NULL)
		return;
	if (new != NULL && old != NULL &&group_equal(old, new)) {
		group_put(new);
		return;
	}
	group_slots(&before, old);
	group_slots(&after, new);
	build_group(build_get(c, b), e->index, new);
	retire(*b, &before, &after);
}

/* A clean group has no problems, but its nodes may be marked from a try that was given up. */
static void
recheck(const struct check *c, struct entry *e)
{
	groups_check(c->m, e);
	free(e->found.all);
	e->found = (struct problems){0};
}

/* After all services: the groups that changed, and those whose use did. */
static void
compile_groups(struct check *c, struct build **b)
{
	for (uint32_t i = 0; i < c->m->ndirty; i++)
		if (c->m->dirty[i]->kind == KIND_GROUP)
			compile_group(c, b, c->m->dirty[i]);
	for (uint32_t i = 0; i < c->nasked; i++) {
		struct entry *e = c->asked[i];
		const struct group *old = old_group(c, e);

		e->asked = false;
		if (old == NULL || old->used == group_is_used(c, e))
			continue;
		recheck(c, e);
		compile_group(c, b, e);
	}
}

/* The networks whose names are valid at an address. */
static struct place *
place_build(const struct check *c, const struct place_record *r)
{
	struct place *p = place_new();
	const struct reach *const *at;
	uint32_t n;
	struct addr addr = r->addr;

	addr_set_port(&addr, 0);
	p->index = r->index;
	p->serial = r->serial;
	p->vpc = r->vpc;
	p->addr = r->addr;
	p->protocol = meet_protocol(c, &r->addr, r->vpc);
	p->open = r->vpc != 0 && pair_has(&addr);
	at = check_reaches_of(c, r->vpc, &n);
	p->scopes = xcalloc(MAX(n, 1), sizeof(*p->scopes));
	for (uint32_t i = 0; i < n; i++) {
		const struct reach *reach = at[i];
		uint32_t scope = reach->network->index;

		if (!reach_covers(reach, r->vpc, &addr))
			continue;
		if (p->space == NULL && reach->netns != NULL)
			p->space = xstrdup(reach->netns);
		if (p->vpc_arn == NULL)
			p->vpc_arn = arn_text(c->m, reach->from);
		/* Reaches are sorted by network, so the same one comes twice in a row only. */
		if (p->nscopes == 0 || p->scopes[p->nscopes - 1] != scope)
			p->scopes[p->nscopes++] = scope;
	}
	return p;
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
spaces_equal(const struct place *a, const struct place *b)
{
	return same_text(a->space, b->space) && same_text(a->vpc_arn, b->vpc_arn);
}

static void
compile_places(struct check *c, struct build **b)
{
	uint32_t n = c->served == NULL || !c->m->reach_dirty ? 0 : table_nplaces(c->served);

	for (uint32_t i = 0; i < n; i++) {
		const struct place *old = table_place(c->served, i);
		struct place_record *r = old == NULL ? NULL : place_get(c->e, &old->addr, old->vpc);
		struct place *new = r == NULL ? NULL : place_build(c, r);

		if (new == NULL)
			continue;
		if (new->nscopes == old->nscopes && spaces_equal(new, old) &&
		    memcmp(new->scopes, old->scopes, old->nscopes * sizeof(*old->scopes)) == 0)
			place_put(new);
		else
			build_place(build_get(c, b), new);
	}
	for (uint32_t i = 0; i < c->e->nplaces; i++) {
		const struct place_record *r = c->e->places[i];

		if (!table_has_place(c->served, r) ||
		    table_place(c->served, r->index)->protocol != meet_protocol(c, &r->addr, r->vpc))
			build_place(build_get(c, b), place_build(c, r));
	}
}

static void
compile_zones(struct check *c, struct build **b)
{
	const struct zones *old = c->served == NULL ? NULL : table_zones(c->served);
	struct zones *new;

	if (!c->m->reach_dirty && c->served != NULL)
		return;
	new = zones_build(c);
	if (zones_equal(new, old))
		zones_put(new);
	else
		build_zones(build_get(c, b), new);
}

static int
compile_table(struct check *c, struct table **next, struct diags *ds)
{
	struct model *m = c->m;
	struct build *b = NULL;
	struct clash clash;
	int rc;

	for (uint32_t i = 0; i < m->ndirty; i++) {
		struct entry *e = m->dirty[i];

		if (e->kind == KIND_SERVICE && e->node == NULL)
			compile_service(c, &b, e, NULL);
	}
	for (uint32_t i = 0; i < c->njobs; i++)
		compile_service(c, &b, c->jobs[i].entry, &c->jobs[i]);
	compile_groups(c, &b);
	compile_places(c, &b);
	compile_zones(c, &b);
	if (b == NULL)
		return 0;
	rc = build_seal(b, next, &clash);
	if (rc == 0)
		return 0;
	/* check_names lets no clash come so far; if one does, it is refused like any other. */
	diag_set(diags_add(ds), EEXIST, "services", 0, 0,
	    "name '" STR_FMT "' of service '" STR_FMT "' is taken by '" STR_FMT "'", STR_ARG(clash.name),
	    STR_ARG(clash.mine->name), STR_ARG(clash.theirs->name));
	build_abort(b);
	return rc;
}

/* ------------------------------------------------------------------ trying */

static bool
is_known(const struct entry *e, const struct problem *p)
{
	for (uint32_t i = 0; i < e->problems.n; i++)
		if (strcmp(e->problems.all[i].d.path, p->d.path) == 0 &&
		    strncmp(e->problems.all[i].d.message, p->d.message,
			p->same > 0 ? p->same : sizeof(p->d.message)) == 0)
			return true;
	return false;
}

/* Adds the problems that are new, or those that are known, to ds; all of them, or the first. Their number. */
static size_t
report(const struct model *m, struct diags *ds, bool known, bool first, bool remind)
{
	size_t before = ds->n;

	for (uint32_t i = 0; i < m->ndirty; i++) {
		const struct entry *e = m->dirty[i];

		for (uint32_t k = 0; k < e->found.n && (!first || ds->n == before); k++) {
			const struct problem *p = &e->found.all[k];
			struct diag *d;
			size_t len;

			if (is_known(e, p) != known)
				continue;
			d = diags_add(ds);
			*d = p->d;
			len = strlen(d->message);
			if (remind && p->remind)
				snprintf(d->message + len, sizeof(d->message) - len, HOLD_REMINDER);
		}
	}
	return ds->n - before;
}

/* Only new problems refuse: whoever repairs a tree with two faults may mend one first. */
static int
verdict(const struct edit *e, struct diags *ds)
{
	bool strict = e->mode == EDIT_STRICT;
	size_t first = ds->n, fresh = report(e->m, ds, false, strict, strict);

	if (!strict)
		report(e->m, ds, true, false, false);
	return e->mode == EDIT_BROKEN || fresh == 0 ? 0 : -ds->all[first].err;
}

int
edit_try(struct edit *e, const struct table *served, struct table **next, struct diags *ds)
{
	struct check c;
	int rc;

	CHECK(e, EDIT_MAGIC);
	*next = NULL;
	compile_forget(e, e->served);
	e->served = served;
	e->tried = true;
	check_run(&c, e, served);
	rc = verdict(e, ds);
	if (rc == 0)
		rc = compile_table(&c, next, ds);
	e->next = *next;
	check_fini(&c);
	return rc;
}
