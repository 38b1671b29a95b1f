/* check.c - what only the whole shows: references, duplicates, clashes of names.
 *
 * Only entries that changed are looked at. Of two that cannot both be, who came later is wrong; when both
 * came with the same edit, whose name is later.
 */
#include "check.h"
#include "groups.h"
#include "limits.h"
#include "meet.h"
#include "protocols.h"
#include "quotas.h"
#include <errno.h>
#include <stdio.h>

/* ------------------------------------------------------------------ problems */

static struct problem *
problem_add(struct entry *e)
{
	struct problems *ps = &e->found;

	ps->all = array_room(ps->all, ps->n, &ps->size, sizeof(*ps->all));
	ps->all[ps->n] = (struct problem){0};
	return &ps->all[ps->n++];
}

struct where
where_value(const struct node *n, uint32_t index)
{
	const struct value *v = n->values[index];

	return (struct where){n, v, v == NULL ? 0 : v->line, v == NULL ? 0 : v->column};
}

struct problem *
problem(struct entry *e, struct where at, int err, const char *fmt, ...)
{
	struct problem *p = problem_add(e);
	char path[1024], message[600];
	const struct attribute *a = at.value == NULL ? NULL : at.value->attribute;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	node_path(at.node, a == NULL || a->member ? NULL : a->name, path, sizeof(path));
	diag_set(&p->d, err, path, at.line, at.column, "%s", message);
	if (at.value != NULL)
		diag_quote(&p->d, at.value->text);
	p->remind = strstr(message, "(did you mean") == NULL;
	return p;
}

bool
check_texts(struct entry *e, const struct node *n)
{
	bool found = false;

	for (uint32_t i = 0; i < ATTRIBUTES_MAX; i++) {
		if (n->values[i] == NULL || n->values[i]->bad == NULL)
			continue;
		problem_add(e)->d = *n->values[i]->bad;
		found = true;
	}
	return found;
}

/* The name of the kind that was probably meant, or NULL; the first in order when several are as near. */
static const char *
suggest(const struct model *m, enum kind kind, struct str name)
{
	const char *best = NULL;
	unsigned least = 2;
	struct map_entry *it;

	for (uint32_t i = 0; (it = map_next(&m->names[kind], &i)) != NULL;) {
		const struct entry *e = it->value;
		unsigned n = e->node == NULL ? 3 : str_distance(name, str_of(e->name), 2);

		if (n > least || n >= it->keylen || (n == least && best != NULL && strcmp(e->name, best) > 0))
			continue;
		best = e->name;
		least = n;
	}
	return best;
}

static void
problem_missing(const struct model *m, struct entry *e, struct where at, const struct reference *r)
{
	const char *meant = suggest(m, r->kind, r->name), *kind = schema_kind_name(r->kind);

	if (meant != NULL)
		problem(
		    e, at, EINVAL, "no %s '" STR_FMT "' (did you mean '%s'?)", kind, STR_ARG(r->name), meant);
	else
		problem(e, at, EINVAL, "no %s '" STR_FMT "'", kind, STR_ARG(r->name));
}

bool
check_refs(const struct model *m, struct entry *e, const struct node *n, uint32_t index)
{
	const struct value *v = n->values[index];
	bool good = true;

	for (uint32_t i = 0; v != NULL && i < v->nrefs; i++) {
		const struct reference *r = &v->refs[i];

		if (r->entry->node != NULL)
			continue;
		problem_missing(m, e, (struct where){n, v, r->line, r->column}, r);
		good = false;
	}
	return good;
}

/* By the value of one attribute that both have; a node without it is as old as itself. */
static bool
came_later(const struct node *a, const struct node *b, uint32_t index)
{
	uint64_t x = a->values[index] == NULL ? 0 : a->values[index]->stamp;
	uint64_t y = b->values[index] == NULL ? 0 : b->values[index]->stamp;

	x = MAX(x, a->stamp);
	y = MAX(y, b->stamp);
	return x != y ? x > y : strcmp(a->name, b->name) > 0;
}

bool
node_has(const struct node *n, uint32_t index)
{
	return n->values[index] != NULL && n->values[index]->bad == NULL;
}

uint32_t
node_number(const struct node *n, uint32_t index, uint32_t preset)
{
	return node_has(n, index) ? n->values[index]->number : preset;
}

const char *
node_word(const struct node *n, uint32_t index)
{
	size_t count;

	return schema_attributes(n->what, &count)[index].words[node_number(n, index, 0)];
}

bool
node_is_complete(const struct node *n)
{
	const struct attribute *a;
	size_t count;

	if (n->what >= KINDS || n->wrong)
		return false;
	a = schema_attributes(n->what, &count);
	for (size_t i = 0; i < count; i++)
		if (a[i].required && !node_has(n, a[i].index))
			return false;
	return true;
}

/* ------------------------------------------------------------------ listeners and rules */

static void
check_rules(const struct model *m, struct entry *e, struct node *listener)
{
	cleanup_free struct node **taken = xcalloc(PRIORITY_MAX + 1, sizeof(struct node *));

	for (uint32_t i = 0; i < listener->kids[0].n; i++) {
		struct node *rule = listener->kids[0].at[i], **cell, *late;

		rule->wrong = check_texts(e, rule);
		if (!check_refs(m, e, rule, RULE_ACTION) || !protocols_check_rule(e, rule))
			rule->wrong = true;
		if (!node_has(rule, RULE_PRIORITY))
			continue;
		cell = &taken[rule->values[RULE_PRIORITY]->number];
		if (*cell == NULL) {
			*cell = rule;
			continue;
		}
		late = came_later(rule, *cell, RULE_PRIORITY) ? rule : *cell;
		*cell = late == rule ? *cell : rule;
		late->wrong = true;
		problem(e, where_value(late, RULE_PRIORITY), EEXIST, "priority %u is taken by rule '%s'",
		    late->values[RULE_PRIORITY]->number, (*cell)->name);
	}
}

static void
check_listener(const struct model *m, struct entry *e, struct node *l)
{
	const struct kids *others = &l->parent->kids[0];

	l->wrong = check_texts(e, l);
	if (!check_refs(m, e, l, LISTENER_DEFAULT_ACTION) || !protocols_check_listener(e, l))
		l->wrong = true;
	for (uint32_t i = 0; node_has(l, LISTENER_PORT) && i < others->n; i++) {
		const struct node *o = others->at[i];
		uint32_t port = l->values[LISTENER_PORT]->number;

		if (o == l || node_number(o, LISTENER_PORT, 0) != port || !came_later(l, o, LISTENER_PORT))
			continue;
		l->wrong = true;
		problem(e, where_value(l, LISTENER_PORT), EEXIST, "port %u is taken by listener '%s'", port,
		    o->name);
		break;
	}
	if (l->kids[0].n > 0)
		check_rules(m, e, l);
}

int
addr_compare(const struct addr *a, const struct addr *b)
{
	int order = (int)a->sa.sa_family - (int)b->sa.sa_family;

	if (order == 0 && a->sa.sa_family == AF_INET)
		order = memcmp(&a->in.sin_addr, &b->in.sin_addr, sizeof(a->in.sin_addr));
	else if (order == 0 && a->sa.sa_family == AF_INET6)
		order = memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr));
	return order != 0 || a->sa.sa_family == AF_UNSPEC ? order : (int)addr_port(a) - (int)addr_port(b);
}

/* ------------------------------------------------------------------ associations */

static const struct node *
use_node(const struct list *use)
{
	return container_of(use, struct reference, link)->by;
}

/* The association that holds when several say the same, or claim the same VPC: the first that came. */
static bool
link_came_later(const struct node *a, const struct node *b)
{
	int order = strcmp(a->parent->name, b->parent->name);

	if (a->values[0]->stamp != b->values[0]->stamp)
		return a->values[0]->stamp > b->values[0]->stamp;
	return order != 0 ? order > 0 : strcmp(a->name, b->name) > 0;
}

const struct node *
vpc_owner(const struct entry *vpc)
{
	const struct node *first = NULL;

	list_each(it, &vpc->uses)
	{
		const struct node *by = use_node(it);

		if (by->what == NODE_VPC_LINK && (first == NULL || link_came_later(first, by)))
			first = by;
	}
	return first;
}

static void
check_vpc_links(struct entry *e)
{
	const struct node *owner = vpc_owner(e);

	list_each(it, &e->uses)
	{
		const struct node *by = use_node(it);

		if (by->what != NODE_VPC_LINK || by == owner)
			continue;
		if (by->parent == owner->parent)
			problem(e, (struct where){by, NULL, 0, 0}, EEXIST,
			    "VPC '%s' is in this network already, as '%s'", e->name, owner->name);
		else
			problem(e, (struct where){by, NULL, 0, 0}, EEXIST,
			    "VPC '%s' is in network '%s' already", e->name, owner->parent->name);
	}
}

static void
check_service_links(struct entry *e)
{
	list_each(it, &e->uses)
	{
		const struct node *by = use_node(it), *first = by;

		list_each(other, &e->uses)
		{
			const struct node *o = use_node(other);

			if (o->parent == by->parent && link_came_later(first, o))
				first = o;
		}
		if (first != by)
			problem(e, (struct where){by, NULL, 0, 0}, EEXIST,
			    "service '%s' is in this network already, as '%s'", e->name, first->name);
	}
}

/* The associations of a service or VPC are its own matter: so a network of thousands costs nothing here. */
static void
check_links(const struct model *m, struct entry *e)
{
	if (e->kind == KIND_VPC)
		check_vpc_links(e);
	else
		check_service_links(e);
	if (e->node != NULL)
		return;
	list_each(it, &e->uses)
	{
		const struct reference *r = container_of(it, struct reference, link);

		if (r->by->what >= NODE_SERVICE_LINK)
			problem_missing(m, e, (struct where){r->by, NULL, 0, 0}, r);
	}
}

static void
check_network(const struct model *m, struct entry *e)
{
	if (e->node == NULL)
		return;
	check_texts(e, e->node);
	for (uint32_t k = 0; k < 2 && m->nbad_links > 0; k++)
		for (uint32_t i = 0; i < e->node->kids[k].n; i++)
			check_texts(e, e->node->kids[k].at[i]);
}

static void
check_vpc(const struct model *m, struct entry *e)
{
	const char *refusal = m->netns == NULL ? NULL : m->netns->refusal(m->netns);

	check_links(m, e);
	if (e->node == NULL)
		return;
	check_texts(e, e->node);
	for (uint32_t i = 0; i < e->node->kids[0].n; i++)
		check_texts(e, e->node->kids[0].at[i]);
	if (refusal != NULL && vpc_netns(e->node) != NULL)
		problem(e, where_value(e->node, VPC_NETNS), EPERM,
		    "netns '%s' needs CAP_SYS_ADMIN and CAP_NET_ADMIN: %s", vpc_netns(e->node), refusal);
}

static void
check_service(const struct model *m, struct entry *e)
{
	struct node *s = e->node;

	check_links(m, e);
	if (s == NULL)
		return;
	s->wrong = check_texts(e, s);
	for (uint32_t i = 0; i < s->kids[0].n; i++)
		check_listener(m, e, s->kids[0].at[i]);
}

/* ------------------------------------------------------------------ names */

static int
entry_compare(const void *a, const void *b)
{
	const struct entry *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static void
job_networks(struct check *c, struct job *j)
{
	uint32_t max = 0;

	list_each(it, &j->entry->uses) max++;
	j->networks = arena_alloc(&c->arena, max * sizeof(*j->networks));
	list_each(it, &j->entry->uses)
	{
		struct entry *network = use_node(it)->parent->entry;
		bool there = false;

		for (uint32_t i = 0; i < j->nnetworks; i++)
			there = there || j->networks[i] == network;
		if (!there)
			j->networks[j->nnetworks++] = network;
	}
	if (j->nnetworks > 1)
		qsort(j->networks, j->nnetworks, sizeof(*j->networks), entry_compare);
}

static void
want_add(struct check *c, struct job *j, struct str name, unsigned line, unsigned column)
{
	for (uint32_t i = 0; i < j->nwants; i++)
		if (str_eq(j->wants[i].name, name))
			return;
	j->wants[j->nwants++] = (struct want){name, line, column};
}

/* `domain` lines, then SERVICE.SUFFIX, SERVICE.localhost and SERVICE. */
static void
job_wants(struct check *c, struct job *j)
{
	const struct value *v =
	    node_has(j->entry->node, SERVICE_DOMAIN) ? j->entry->node->values[SERVICE_DOMAIN] : NULL;
	uint32_t ndomains = v == NULL ? 0 : v->nnames;
	char name[512];

	j->wants = arena_alloc(&c->arena, (ndomains + 3) * sizeof(*j->wants));
	for (uint32_t i = 0; i < ndomains; i++)
		want_add(c, j, v->names[i].name, v->names[i].line, v->names[i].column);
	snprintf(name, sizeof(name), "%s.%s", j->entry->name, c->m->suffix);
	want_add(c, j, arena_str(&c->arena, str_of(name)), 0, 0);
	snprintf(name, sizeof(name), "%s.localhost", j->entry->name);
	want_add(c, j, arena_str(&c->arena, str_of(name)), 0, 0);
	want_add(c, j, str_of(j->entry->name), 0, 0);
}

/* Claims are keyed by the scope's number and the name. */
struct claim_key {
	char bytes[4 + 512];
	uint32_t len;
};

static struct str
claim_key(struct claim_key *k, uint32_t scope, struct str name)
{
	memcpy(k->bytes, &scope, sizeof(scope));
	k->len = MIN(name.len, (uint32_t)sizeof(k->bytes) - 4);
	memcpy(k->bytes + 4, name.p, k->len);
	return (struct str){k->bytes, k->len + 4};
}

/* Who has the name: among the services at hand, or, clean, in the served table. */
static struct entry *
claim_find(const struct check *c, uint32_t scope, struct str name)
{
	struct claim_key k;
	struct entry *e = map_find(&c->claims, claim_key(&k, scope, name));
	const struct service *s;

	if (e != NULL || c->served == NULL)
		return e;
	s = table_host_exact(c->served, scope, name);
	e = s == NULL ? NULL : entry_find(c->m, KIND_SERVICE, s->name);
	return e == NULL || e->dirty != 0 ? NULL : e;
}

static bool
has_served_name(const struct check *c, const struct entry *e, uint32_t scope, struct str name)
{
	const struct service *s = c->served == NULL ? NULL : table_host_exact(c->served, scope, name);

	return s != NULL && e->served && s->index == e->index;
}

static void
claims_keep(struct check *c, const struct job *j)
{
	struct claim_key k;

	for (uint32_t n = 0; n < j->nnetworks; n++)
		for (uint32_t i = 0; i < j->nwants; i++)
			if (has_served_name(c, j->entry, j->networks[n]->index, j->wants[i].name))
				map_put(&c->claims, claim_key(&k, j->networks[n]->index, j->wants[i].name),
				    j->entry);
}

static void
problem_taken(
    struct check *c, struct job *j, const struct want *w, const struct entry *by, const struct entry *network)
{
	struct node *s = j->entry->node;
	struct where at = {s, NULL, 0, 0};

	if (w->line > 0)
		at = (struct where){s, s->values[SERVICE_DOMAIN], w->line, w->column};
	s->wrong = true;
	problem(j->entry, at, EEXIST, "%s '" STR_FMT "' is taken by service '%s' in network '%s'",
	    w->line > 0 ? "domain" : "name", STR_ARG(w->name), by->name, network->name);
}

static bool
share_a_port(const struct node *a, const struct node *b)
{
	for (uint32_t i = 0; i < a->kids[0].n; i++) {
		uint32_t port = node_number(a->kids[0].at[i], LISTENER_PORT, 0);

		for (uint32_t k = 0; port != 0 && k < b->kids[0].n; k++)
			if (node_number(b->kids[0].at[k], LISTENER_PORT, 0) == port)
				return true;
	}
	return false;
}

static bool
reaches_meet(const struct reach *a, const struct reach *b)
{
	if (a->addr.sa.sa_family == AF_UNSPEC && b->addr.sa.sa_family == AF_UNSPEC)
		return a->vpc == b->vpc;
	if (a->addr.sa.sa_family == AF_UNSPEC)
		return reach_covers(a, b->vpc, &b->addr);
	return reach_covers(b, a->vpc, &a->addr);
}

/* Two networks that reach the same address share its sockets: there, names of both must differ. */
static bool
networks_meet(const struct check *c, const struct entry *a, const struct entry *b)
{
	for (uint32_t i = 0; i < c->nreaches; i++)
		for (uint32_t k = 0; c->reaches[i].network == a && k < c->nreaches; k++)
			if (c->reaches[k].network == b && reaches_meet(&c->reaches[i], &c->reaches[k]))
				return true;
	return false;
}

static void
claim_across(struct check *c, struct job *j, struct entry *network, const struct want *w)
{
	struct entry *before = NULL;

	for (uint32_t i = 0; i < c->nreaches && !j->entry->node->wrong; i++) {
		struct entry *other = c->reaches[i].network, *e;

		/* Reaches are sorted by network. */
		if (other == network || other == before)
			continue;
		before = other;
		e = claim_find(c, other->index, w->name);
		if (e == NULL || e == j->entry || e->node == NULL || !share_a_port(j->entry->node, e->node) ||
		    !networks_meet(c, network, other))
			continue;
		problem_taken(c, j, w, e, other);
	}
}

static void
claims_take(struct check *c, struct job *j)
{
	struct claim_key k;

	for (uint32_t n = 0; n < j->nnetworks; n++) {
		for (uint32_t i = 0; i < j->nwants && !j->entry->node->wrong; i++) {
			uint32_t scope = j->networks[n]->index;
			struct entry *by = claim_find(c, scope, j->wants[i].name);

			if (by != NULL && by != j->entry)
				problem_taken(c, j, &j->wants[i], by, j->networks[n]);
			else
				map_put(&c->claims, claim_key(&k, scope, j->wants[i].name), j->entry);
			claim_across(c, j, j->networks[n], &j->wants[i]);
		}
	}
}

static int
job_compare(const void *a, const void *b)
{
	const struct job *x = a, *y = b;

	return came_later(x->entry->node, y->entry->node, SERVICE_DOMAIN) ? 1 : -1;
}

static void
check_names(struct check *c)
{
	if (c->njobs > 1)
		qsort(c->jobs, c->njobs, sizeof(*c->jobs), job_compare);
	for (uint32_t i = 0; i < c->njobs; i++)
		if (!c->jobs[i].entry->node->wrong)
			claims_keep(c, &c->jobs[i]);
	for (uint32_t i = 0; i < c->njobs; i++)
		if (!c->jobs[i].entry->node->wrong)
			claims_take(c, &c->jobs[i]);
}

/* ------------------------------------------------------------------ all of it */

static void
job_add(struct check *c, struct entry *e)
{
	struct job *j;

	c->jobs = array_room(c->jobs, c->njobs, &c->jobs_size, sizeof(*c->jobs));
	j = &c->jobs[c->njobs++];
	*j = (struct job){.entry = e};
	job_networks(c, j);
	job_wants(c, j);
	meet_offers(c, j);
}

void
check_run(struct check *c, struct edit *e, const struct table *served)
{
	struct model *m = e->m;

	*c = (struct check){.e = e, .m = m, .served = served};
	check_reaches(c);
	for (uint32_t i = 0; i < m->ndirty; i++) {
		struct entry *entry = m->dirty[i];

		free(entry->found.all);
		entry->found = (struct problems){0};
		quotas_check(m, entry);
		switch (entry->kind) {
		case KIND_VPC:
			check_vpc(m, entry);
			break;
		case KIND_NETWORK:
			check_network(m, entry);
			break;
		case KIND_GROUP:
			groups_check(m, entry);
			break;
		default:
			assert(entry->kind == KIND_SERVICE);
			check_service(m, entry);
			if (entry->node != NULL)
				job_add(c, entry);
		}
	}
	check_names(c);
	meet_check(c);
}

const struct service *
check_before(const struct check *c, const struct entry *e)
{
	return c->served != NULL && e->served ? table_service(c->served, e->index) : NULL;
}

void
check_fini(struct check *c)
{
	arena_fini(&c->arena);
	free(c->reaches);
	free(c->by_vpc);
	free(c->jobs);
	free(c->asked);
	map_fini(&c->claims);
	map_fini(&c->meetings);
}
