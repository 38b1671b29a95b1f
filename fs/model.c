/* model.c - the objects of the tree and how they change: every change is written down, so that it can be
 * undone.
 *
 * The names of the four top kinds are entries, which hold an object, the references to it, or both; so a
 * reference to something missing is found by the name's own entry as soon as that something comes.
 */
#include "object.h"
#include <stdio.h>

void *
array_room(void *items, uint32_t n, uint32_t *size, size_t each)
{
	if (n < *size)
		return items;
	*size = MAX(*size * 2, 8);
	return xrealloc(items, *size * each);
}

/* ------------------------------------------------------------------ entries */

struct entry *
entry_find(const struct model *m, enum kind kind, struct str name)
{
	return map_find(&m->names[kind], name);
}

static struct entry *
entry_get(struct model *m, enum kind kind, struct str name)
{
	struct entry *e = entry_find(m, kind, name);

	if (e != NULL)
		return e;
	e = xcalloc(1, sizeof(*e));
	e->magic = ENTRY_MAGIC;
	e->kind = kind;
	e->name = xstrndup(name.p, name.len);
	e->index = slots_take(&m->indices[kind]);
	list_init(&e->uses);
	map_put(&m->names[kind], name, e);
	return e;
}

static void
entry_free(struct entry *e)
{
	free(e->problems.all);
	free(e->found.all);
	free(e->name);
	e->magic = 0;
	free(e);
}

/* Forgets a name that nothing has any more. */
void
entry_release(struct model *m, struct entry *e)
{
	CHECK(e, ENTRY_MAGIC);
	if (e->node != NULL || !list_empty(&e->uses) || e->served || e->dirty != 0)
		return;
	slots_recycle(&m->indices[e->kind], e->index);
	map_del(&m->names[e->kind], str_of(e->name));
	entry_free(e);
}

void
entry_mark(struct model *m, struct entry *e)
{
	CHECK(e, ENTRY_MAGIC);
	if (e->dirty != 0)
		return;
	m->dirty = array_room(m->dirty, m->ndirty, &m->dirty_size, sizeof(*m->dirty));
	m->dirty[m->ndirty++] = e;
	e->dirty = m->ndirty;
}

/* ------------------------------------------------------------------ nodes */

struct entry *
node_entry(const struct node *n)
{
	while (n->parent != NULL)
		n = n->parent;
	return n->entry;
}

static uint32_t
kids_place(const struct kids *k, struct str name, bool *found)
{
	uint32_t low = 0, high = k->n;

	*found = false;
	while (low < high) {
		/* Loading adds in order: look at the end first. */
		uint32_t mid = high == k->n && low == 0 ? high - 1 : (low + high) / 2;
		const char *other = k->at[mid]->name;
		int order = strncmp(other, name.p, name.len);

		if (order == 0 && other[name.len] == '\0') {
			*found = true;
			return mid;
		}
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct node *
kids_find(const struct kids *k, struct str name)
{
	bool found;
	uint32_t at = kids_place(k, name, &found);

	return found ? k->at[at] : NULL;
}

static struct kids *
node_siblings(const struct node *n)
{
	return &n->parent->kids[n->what == NODE_VPC_LINK];
}

void
node_path(const struct node *n, const char *attribute, char *out, size_t size)
{
	static const char *const collections[] = {[KIND_VPC] = "vpcs",
	    [KIND_NETWORK] = "networks",
	    [KIND_SERVICE] = "services",
	    [KIND_LISTENER] = "listeners",
	    [KIND_RULE] = "rules",
	    [KIND_GROUP] = "target-groups",
	    [NODE_TARGET] = "targets",
	    [NODE_INSTANCE] = "instances",
	    [NODE_SERVICE_LINK] = "services",
	    [NODE_VPC_LINK] = "vpcs"};
	size_t used = 0;

	out[0] = '\0';
	if (n->parent != NULL) {
		node_path(n->parent, NULL, out, size);
		used = strlen(out);
	}
	snprintf(out + used, size - used, "%s%s/%s%s%s", used > 0 ? "/" : "", collections[n->what], n->name,
	    attribute != NULL ? "/" : "", attribute != NULL ? attribute : "");
}

/* Everything whose table part depends on where this network's services are offered. */
static void
network_mark_services(struct model *m, const struct node *network)
{
	for (uint32_t i = 0; i < network->kids[0].n; i++) {
		const struct value *v = network->kids[0].at[i]->values[0];

		/* Without an entry it is just being taken out, and marked. */
		if (v != NULL && v->nrefs > 0 && v->refs[0].entry != NULL)
			entry_mark(m, v->refs[0].entry);
	}
	m->reach_dirty = true;
}

/* A top object came, went or changed: marks it and what was made with it in mind. */
static void
entry_mark_users(struct model *m, struct entry *e)
{
	entry_mark(m, e);
	m->reach_dirty = m->reach_dirty || e->kind == KIND_VPC;
	list_each(it, &e->uses)
	{
		const struct node *by = container_of(it, struct reference, link)->by;

		entry_mark(m, node_entry(by));
		if (by->what == NODE_VPC_LINK)
			network_mark_services(m, by->parent);
	}
}

/* The groups with their targets in this VPC. */
static void
vpc_mark_groups(struct model *m, struct entry *vpc)
{
	entry_mark(m, vpc);
	list_each(it, &vpc->uses)
	{
		const struct node *by = container_of(it, struct reference, link)->by;

		if (by->what == KIND_GROUP)
			entry_mark(m, by->entry);
	}
}

/* A change inside an object: its own part is made anew. */
static void
node_mark(struct model *m, const struct node *n)
{
	struct entry *e = node_entry(n);

	if (n->what == NODE_INSTANCE)
		vpc_mark_groups(m, e);
	else if (e->kind == KIND_VPC)
		entry_mark_users(m, e);
	else
		entry_mark(m, e);
}

static void
link_count(struct model *m, const struct node *by, const struct value *v, int sign)
{
	if (by->what == NODE_VPC_LINK)
		network_mark_services(m, by->parent);
	if (by->what >= NODE_SERVICE_LINK && v != NULL && v->bad != NULL)
		m->nbad_links += (uint32_t)sign;
}

static void
refs_attach(struct model *m, struct node *by, struct value *v)
{
	for (uint32_t i = 0; v != NULL && i < v->nrefs; i++) {
		struct reference *r = &v->refs[i];

		r->entry = entry_get(m, r->kind, r->name);
		r->by = by;
		list_append(&r->entry->uses, &r->link);
		if (by->what >= NODE_SERVICE_LINK || r->entry->node == NULL)
			entry_mark(m, r->entry);
	}
	link_count(m, by, v, 1);
}

static void
refs_detach(struct model *m, struct node *by, struct value *v)
{
	for (uint32_t i = 0; v != NULL && i < v->nrefs; i++) {
		struct reference *r = &v->refs[i];

		list_del(&r->link);
		if (by->what >= NODE_SERVICE_LINK || r->entry->node == NULL)
			entry_mark(m, r->entry);
		r->entry = NULL;
	}
	link_count(m, by, v, -1);
}

/* Calls attach or detach for every value of n and below. */
static void
node_refs(struct model *m, struct node *n, void (*each)(struct model *, struct node *, struct value *))
{
	for (uint32_t i = 0; i < ATTRIBUTES_MAX; i++)
		if (n->values[i] != NULL)
			each(m, n, n->values[i]);
	for (uint32_t k = 0; k < COUNT(n->kids); k++)
		for (uint32_t i = 0; i < n->kids[k].n; i++)
			node_refs(m, n->kids[k].at[i], each);
}

static void
node_count(struct model *m, const struct node *n, int sign)
{
	if (n->what < KINDS)
		m->counts[n->what] += (uint32_t)sign;
	for (uint32_t i = 0; i < n->kids[0].n && n->what < KINDS; i++)
		node_count(m, n->kids[0].at[i], sign);
}

/* Puts n (with all below) in its place in the tree. */
static void
node_link(struct model *m, struct node *n, struct entry *top)
{
	node_count(m, n, 1);
	if (n->parent == NULL) {
		n->entry = top;
		top->node = n;
		entry_mark_users(m, top);
	} else {
		struct kids *k = node_siblings(n);
		bool found;
		uint32_t at = kids_place(k, str_of(n->name), &found);

		assert(!found);
		k->at = array_room(k->at, k->n, &k->size, sizeof(struct node *));
		memmove(k->at + at + 1, k->at + at, (k->n - at) * sizeof(struct node *));
		k->at[at] = n;
		k->n++;
		node_mark(m, n);
	}
	node_refs(m, n, refs_attach);
}

static void
node_unlink(struct model *m, struct node *n)
{
	node_refs(m, n, refs_detach);
	node_count(m, n, -1);
	if (n->parent == NULL) {
		assert(n->entry->node == n);
		n->entry->node = NULL;
		entry_mark_users(m, n->entry);
	} else {
		struct kids *k = node_siblings(n);
		bool found;
		uint32_t at = kids_place(k, str_of(n->name), &found);

		assert(found && k->at[at] == n);
		node_mark(m, n);
		k->n--;
		memmove(k->at + at, k->at + at + 1, (k->n - at) * sizeof(struct node *));
	}
}

void
node_free(struct node *n)
{
	for (uint32_t i = 0; i < ATTRIBUTES_MAX; i++)
		value_free(n->values[i]);
	for (uint32_t k = 0; k < COUNT(n->kids); k++) {
		for (uint32_t i = 0; i < n->kids[k].n; i++)
			node_free(n->kids[k].at[i]);
		free(n->kids[k].at);
	}
	free(n->name);
	free(n);
}

static bool
group_has_instance(const struct node *group, struct str id)
{
	const struct kids *k = &group->kids[0];
	bool found;

	/* `ID` and `ID:PORT` stand together. */
	for (uint32_t i = kids_place(k, id, &found); i < k->n; i++) {
		const char *name = k->at[i]->name;

		if (strncmp(name, id.p, id.len) != 0)
			return false;
		if (name[id.len] == '\0' || name[id.len] == ':')
			return true;
	}
	return false;
}

const struct node *
instance_user(const struct node *instance)
{
	list_each(it, &instance->parent->entry->uses)
	{
		const struct node *by = container_of(it, struct reference, link)->by;

		if (by->what == KIND_GROUP && group_has_instance(by, str_of(instance->name)))
			return by;
	}
	return NULL;
}

/* ------------------------------------------------------------------ paths */

struct str
path_word(const char **path)
{
	const char *slash = strchrnul(*path, '/');
	struct str word = {*path, (uint32_t)(slash - *path)};

	*path = *slash == '/' ? slash + 1 : slash;
	return word;
}

unsigned
top_kind(struct str collection)
{
	static const struct {
		const char *name;
		unsigned kind;
	} rows[] = {{"vpcs", KIND_VPC}, {"networks", KIND_NETWORK}, {"services", KIND_SERVICE},
	    {"target-groups", KIND_GROUP}};

	for (size_t i = 0; i < COUNT(rows); i++)
		if (str_eq(collection, str_of(rows[i].name)))
			return rows[i].kind;
	return KIND_ROOT;
}

/* What the directory `collection` of a `what` holds; KIND_ROOT: it is none of the schema's. */
unsigned
kid_what(unsigned what, struct str collection)
{
	if (what == KIND_SERVICE && str_eq(collection, STR("listeners")))
		return KIND_LISTENER;
	if (what == KIND_LISTENER && str_eq(collection, STR("rules")))
		return KIND_RULE;
	if (what == KIND_GROUP && str_eq(collection, STR("targets")))
		return NODE_TARGET;
	if (what == KIND_VPC && str_eq(collection, STR("instances")))
		return NODE_INSTANCE;
	if (what == KIND_NETWORK && str_eq(collection, STR("services")))
		return NODE_SERVICE_LINK;
	if (what == KIND_NETWORK && str_eq(collection, STR("vpcs")))
		return NODE_VPC_LINK;
	return KIND_ROOT;
}

static struct node *node_make(struct edit *e, struct node *parent, unsigned what, struct str name);

struct node *
node_walk(const struct model *m, const char *path, struct edit *make)
{
	struct str collection = path_word(&path), name = path_word(&path);
	unsigned what = top_kind(collection);
	struct entry *top = what == KIND_ROOT ? NULL : entry_find(m, what, name);
	struct node *n = top == NULL ? NULL : top->node, *kid;

	if (what == KIND_ROOT || name.len == 0)
		return NULL;
	if (n == NULL && make != NULL)
		n = node_make(make, NULL, what, name);
	while (n != NULL && *path != '\0') {
		collection = path_word(&path);
		name = path_word(&path);
		what = kid_what(n->what, collection);
		if (what == KIND_ROOT || name.len == 0)
			return NULL;
		kid = kids_find(&n->kids[what == NODE_VPC_LINK], name);
		n = kid == NULL && make != NULL ? node_make(make, n, what, name) : kid;
	}
	return n;
}

struct node *
node_find(const struct model *m, const char *path)
{
	return node_walk(m, path, NULL);
}

bool
model_has(const struct model *m, const char *path)
{
	const struct node *n;

	CHECK(m, MODEL_MAGIC);
	n = node_walk(m, path, NULL);
	return n != NULL && n->what < KINDS;
}

uint32_t
model_count(const struct model *m, enum kind kind)
{
	CHECK(m, MODEL_MAGIC);
	return m->counts[kind];
}

/* ------------------------------------------------------------------ namespaces */

const char *
vpc_netns(const struct node *vpc)
{
	const struct value *v = vpc->values[VPC_NETNS];

	return v == NULL || v->bad != NULL || v->nnames == 0 ? NULL : v->names[0].name.p;
}

uint32_t
vpc_number(const struct model *m, const struct node *vpc, bool listens)
{
	const struct value *v = vpc->values[VPC_NETNS];

	if (v == NULL || v->bad != NULL)
		return SLOT_NONE;
	if (v->nnames == 0)
		return 0;
	if (m->netns == NULL || m->netns->refusal(m->netns) != NULL)
		return SLOT_NONE;
	return m->netns->find(m->netns, vpc_netns(vpc), listens);
}

void
model_each_netns(const struct model *m, void (*each)(void *ctx, const char *name), void *ctx)
{
	struct map_entry *it;

	CHECK(m, MODEL_MAGIC);
	for (uint32_t i = 0; (it = map_next(&m->names[KIND_VPC], &i)) != NULL;) {
		const struct entry *e = it->value;

		if (e->node != NULL && vpc_netns(e->node) != NULL)
			each(ctx, vpc_netns(e->node));
	}
}

void
model_netns_moved(struct model *m, const char *name)
{
	struct map_entry *it;

	CHECK(m, MODEL_MAGIC);
	assert(m->edit == NULL);
	for (uint32_t i = 0; (it = map_next(&m->names[KIND_VPC], &i)) != NULL;) {
		struct entry *e = it->value;

		if (e->node != NULL && vpc_netns(e->node) != NULL && strcmp(vpc_netns(e->node), name) == 0)
			entry_mark_users(m, e);
	}
}

void
model_mark_netns(const struct model *m, const struct table *served, bool *used)
{
	const struct zones *zones = table_zones(served);
	struct map_entry *it;

	CHECK(m, MODEL_MAGIC);
	for (uint32_t i = 0; i < table_nplaces(served); i++)
		if (table_place(served, i) != NULL)
			used[table_place(served, i)->vpc] = true;
	for (uint32_t i = 0; zones != NULL && i < zones->n; i++)
		used[zones->all[i].vpc] = true;
	for (uint32_t i = 0; (it = map_next(&m->names[KIND_GROUP], &i)) != NULL;) {
		const struct entry *e = it->value;
		const struct group *g = e->served ? table_group(served, e->index) : NULL;

		if (g != NULL)
			used[g->vpc] = true;
	}
}

/* ------------------------------------------------------------------ the model */

struct model *
model_new(const struct model_config *c, struct slots *counters)
{
	struct model *m = xcalloc(1, sizeof(*m));

	m->magic = MODEL_MAGIC;
	m->suffix = xstrdup(c->suffix);
	m->account = xstrdup(c->account);
	m->region = xstrdup(c->region);
	m->mountpoint = c->mountpoint == NULL ? NULL : xstrdup(c->mountpoint);
	m->counters = counters;
	m->netns = c->netns;
	m->authority = c->authority;
	m->quotas = c->quotas;
	return m;
}

void
model_free(struct model *m)
{
	struct map_entry *it;

	if (m == NULL)
		return;
	CHECK(m, MODEL_MAGIC);
	assert(m->edit == NULL);
	for (unsigned k = 0; k < KINDS; k++) {
		for (uint32_t i = 0; (it = map_next(&m->names[k], &i)) != NULL;) {
			struct entry *e = it->value;

			if (e->node != NULL)
				node_free(e->node);
			entry_free(e);
		}
		map_fini(&m->names[k]);
		slots_fini(&m->indices[k]);
	}
	for (uint32_t i = 0; (it = map_next(&m->places, &i)) != NULL;)
		free(it->value);
	map_fini(&m->places);
	slots_fini(&m->place_indices);
	free(m->dirty);
	free(m->suffix);
	free(m->account);
	free(m->region);
	free(m->mountpoint);
	m->magic = 0;
	free(m);
}

/* ------------------------------------------------------------------ changes that can be undone */

static struct undo *
undo_add(struct edit *e, enum undo_op op, struct node *n)
{
	struct undo *u;

	e->undo = array_room(e->undo, e->nundo, &e->undo_size, sizeof(*e->undo));
	u = &e->undo[e->nundo++];
	*u = (struct undo){.op = op, .node = n};
	return u;
}

static struct node *
node_make(struct edit *e, struct node *parent, unsigned what, struct str name)
{
	struct node *n = xcalloc(1, sizeof(*n));

	n->what = what;
	n->name = xstrndup(name.p, name.len);
	n->parent = parent;
	n->stamp = e->m->stamp;
	node_link(e->m, n, parent == NULL ? entry_get(e->m, what, name) : NULL);
	undo_add(e, UNDO_ADD, n);
	return n;
}

void
node_drop(struct edit *e, struct node *n)
{
	undo_add(e, UNDO_REMOVE, n);
	node_unlink(e->m, n);
}

/* Takes v, which may be NULL. The same text again is no change. */
void
value_set(struct edit *e, struct node *n, uint32_t index, struct value *v)
{
	struct value *old = n->values[index];
	struct undo *u;

	assert(index < ATTRIBUTES_MAX);
	if ((old == NULL && v == NULL) || (old != NULL && v != NULL && str_eq(old->text, v->text))) {
		value_free(v);
		return;
	}
	u = undo_add(e, UNDO_VALUE, n);
	u->index = index;
	u->old = old;
	refs_detach(e->m, n, old);
	n->values[index] = v;
	if (v != NULL)
		v->stamp = e->m->stamp;
	refs_attach(e->m, n, v);
	node_mark(e->m, n);
	/* Who forwards to a group may not go with what it speaks now. */
	if (n->what == KIND_GROUP && index == GROUP_PROTOCOL)
		entry_mark_users(e->m, n->entry);
}

void
undo_run(struct model *m, const struct undo *u)
{
	struct node *n = u->node;

	switch (u->op) {
	case UNDO_VALUE:
		refs_detach(m, n, n->values[u->index]);
		value_free(n->values[u->index]);
		n->values[u->index] = u->old;
		refs_attach(m, n, u->old);
		break;
	case UNDO_ADD:
		node_unlink(m, n);
		node_free(n);
		return;
	case UNDO_REMOVE:
		/* An entry lives on while an edit may still bring its object back: it is dirty. */
		node_link(m, n, n->entry);
		break;
	}
}
