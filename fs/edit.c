/* edit.c - edits of the model: put, link, remove, take over a whole tree; then keep it all or nothing of it.
 */
#include "certificate.h"
#include "clock.h"
#include "compile.h"
#include "limits.h"
#include "object.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>

struct edit *
edit_new(struct model *m, enum edit_mode mode)
{
	struct edit *e = xcalloc(1, sizeof(*e));

	CHECK(m, MODEL_MAGIC);
	assert(m->edit == NULL);
	e->magic = EDIT_MAGIC;
	e->m = m;
	e->mode = mode;
	e->ndirty = m->ndirty;
	e->reach_dirty = m->reach_dirty;
	m->edit = e;
	m->stamp++;
	return e;
}

/* ------------------------------------------------------------------ putting */

static struct value *
value_bad(const struct attribute *a, struct str text, const struct diag *d)
{
	struct value *v = value_new(a, text);

	v->bad = xcalloc(1, sizeof(*d));
	*v->bad = *d;
	return v;
}

/* The node that the file at path belongs to: its object, or the target or association that it is. */
static struct node *
owner_make(struct edit *e, const char *path, const struct spot *spot)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *object = NULL;

	assert(slash != NULL);
	if (spot->sort != SORT_ATTRIBUTE)
		return node_walk(e->m, path, e);
	object = xstrndup(path, (size_t)(slash - path));
	return node_walk(e->m, object, e);
}

/* Of a certificate or revocation list that is written now: what has expired since goes on being served. */
static int
check_dates(const struct value *v, const char *path, struct diag *d)
{
	int64_t now_s = (int64_t)(clock_unix_ms() / 1000);
	int rc;

	if (v == NULL || v->credential == NULL)
		return 0;
	if (v->attribute->kind == KIND_SERVICE && v->attribute->index == SERVICE_CERTIFICATE)
		return certificate_check_dates(v->credential, now_s, path, d);
	rc = certificate_check_lists(v->credential, now_s, path, d);
	diag_quote(d, v->text);
	return rc;
}

int
edit_put(struct edit *e, const char *path, struct str text, struct diag *d)
{
	struct diag own = {0};
	struct spot spot;
	struct value *v;
	uint32_t index;
	int rc;

	CHECK(e, EDIT_MAGIC);
	schema_spot(path, false, &spot);
	if (spot.sort != SORT_ATTRIBUTE && spot.sort != SORT_MEMBER)
		return 0;
	if (parse_value(spot.attribute, path, text, true, &v, &own) == VERDICT_BAD) {
		if (e->mode != EDIT_BROKEN) {
			if (d != NULL && d->err == 0)
				*d = own;
			return -own.err;
		}
		v = value_bad(spot.attribute, text, &own);
	}
	if (e->mode != EDIT_BROKEN && (rc = check_dates(v, path, d)) < 0) {
		value_free(v);
		return rc;
	}
	index = spot.sort == SORT_MEMBER ? 0 : spot.attribute->index;
	value_set(e, owner_make(e, path, &spot), index, v);
	return 0;
}

/* Resolves a link by its spelling alone: the path in the tree into out, or why there is none. */
static const char *
link_resolve(const struct model *m, const char *path, const char *target, char *out, size_t size)
{
	static const char outside[] = "the link points outside of the tree";
	size_t n = 0, mount = m->mountpoint == NULL ? 0 : strlen(m->mountpoint);
	const char *slash = strrchr(path, '/');

	if (target[0] == '/') {
		if (mount == 0 || strncmp(target, m->mountpoint, mount) != 0 || target[mount] != '/')
			return outside;
		target += mount;
	} else if (slash != NULL) {
		n = (size_t)(slash - path);
		memcpy(out, path, MIN(n, size - 1));
	}
	while (*target != '\0') {
		struct str word = path_word(&target);

		if (word.len == 0 || str_eq(word, STR(".")))
			continue;
		if (str_eq(word, STR(".."))) {
			if (n == 0)
				return outside;
			while (n > 0 && out[--n] != '/')
				continue;
			continue;
		}
		if (n + word.len + 2 > size)
			return "the link is too long";
		if (n > 0)
			out[n++] = '/';
		memcpy(out + n, word.p, word.len);
		n += word.len;
	}
	out[n] = '\0';
	return NULL;
}

/* Is resolved an object of the kind? Its name then. */
static bool
link_names(const char *resolved, enum kind kind, struct str *name)
{
	const char *why;

	if (top_kind(path_word(&resolved)) != kind)
		return false;
	*name = path_word(&resolved);
	return *resolved == '\0' && schema_name_check(kind, *name, &why) == 0;
}

int
edit_link(struct edit *e, const char *path, const char *target, struct diag *d)
{
	char resolved[1024];
	struct diag own = {0};
	struct spot spot;
	struct value *v;
	struct str name;
	const char *why;

	CHECK(e, EDIT_MAGIC);
	schema_spot(path, false, &spot);
	if (spot.sort != SORT_ASSOCIATION)
		return 0;
	why = link_resolve(e->m, path, target, resolved, sizeof(resolved));
	if (why != NULL)
		diag_set(&own, EINVAL, path, 0, 0, "%s: '%.200s'", why, target);
	else if (!link_names(resolved, spot.member, &name))
		diag_set(&own, EINVAL, path, 0, 0,
		    "a link here points at a %s, like ../../../%s/NAME, not at '%.200s'",
		    schema_kind_name(spot.member), spot.member == KIND_VPC ? "vpcs" : "services", target);
	if (own.err != 0 && e->mode != EDIT_BROKEN) {
		if (d != NULL && d->err == 0)
			*d = own;
		return -own.err;
	}
	if (own.err != 0) {
		v = value_bad(NULL, str_of(target), &own);
	} else {
		v = value_new(NULL, str_of(target));
		v->refs = arena_alloc(&v->arena, sizeof(*v->refs));
		v->refs[0] = (struct reference){.kind = spot.member, .name = arena_str(&v->arena, name)};
		v->nrefs = 1;
	}
	value_set(e, owner_make(e, path, &spot), 0, v);
	return 0;
}

int
edit_mkdir(struct edit *e, const char *path, struct diag *d)
{
	struct spot spot;

	CHECK(e, EDIT_MAGIC);
	schema_spot(path, true, &spot);
	if (spot.sort == SORT_OBJECT)
		node_walk(e->m, path, e);
	return 0;
}

/* ------------------------------------------------------------------ removing */

static int
busy_check_instance(const struct node *n, struct diag *d)
{
	const struct node *user = instance_user(n);
	char path[1024];

	if (user == NULL)
		return 0;
	node_path(n, NULL, path, sizeof(path));
	return diag_set(d, EBUSY, path, 0, 0, "instance '%s' is in use by target group '%s'" HOLD_REMINDER,
	    n->name, user->name);
}

static int
busy_check(struct edit *e, const struct node *n, struct diag *d)
{
	char path[1024], by[1024];
	const struct reference *r;
	const struct value *v;
	const char *attribute = NULL;

	if (e->mode == EDIT_STRICT && n->what == NODE_INSTANCE)
		return busy_check_instance(n, d);
	if (e->mode != EDIT_STRICT || n->parent != NULL || list_empty(&n->entry->uses))
		return 0;
	r = container_of(n->entry->uses.next, struct reference, link);
	for (uint32_t i = 0; i < ATTRIBUTES_MAX; i++) {
		v = r->by->values[i];
		if (v != NULL && v->attribute != NULL && r >= v->refs && r < v->refs + v->nrefs)
			attribute = v->attribute->name;
	}
	node_path(n, NULL, path, sizeof(path));
	node_path(r->by, attribute, by, sizeof(by));
	return diag_set(d, EBUSY, path, 0, 0, "%s '%s' is in use by %.300s" HOLD_REMINDER,
	    schema_kind_name(n->what), n->name, by);
}

static int
remove_node(struct edit *e, struct node *n, struct diag *d)
{
	int rc = busy_check(e, n, d);

	if (rc == 0)
		node_drop(e, n);
	return rc;
}

static int
remove_top(struct edit *e, enum kind kind, struct diag *d)
{
	struct map_entry *it;
	int rc = 0;

	/* Entries stay while the edit is open, so the map does not change under us. */
	for (uint32_t i = 0; rc == 0 && (it = map_next(&e->m->names[kind], &i)) != NULL;) {
		const struct entry *entry = it->value;

		if (entry->node != NULL)
			rc = remove_node(e, entry->node, d);
	}
	return rc;
}

static int
remove_root(struct edit *e, struct diag *d)
{
	/* Who refers goes before who is referred to. */
	static const enum kind order[] = {KIND_NETWORK, KIND_SERVICE, KIND_GROUP, KIND_VPC};
	int rc = 0;

	for (size_t i = 0; i < COUNT(order) && rc == 0; i++)
		rc = remove_top(e, order[i], d);
	return rc;
}

static int
remove_kids(struct edit *e, struct node *parent, unsigned what, struct diag *d)
{
	struct kids *k = &parent->kids[what == NODE_VPC_LINK];
	int rc = 0;

	while (k->n > 0 && rc == 0)
		rc = remove_node(e, k->at[k->n - 1], d);
	return rc;
}

static int
remove_collection(struct edit *e, const char *path, const struct spot *spot, struct diag *d)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *object = NULL;
	struct node *n;

	if (slash == NULL)
		return remove_top(e, spot->member, d);
	object = xstrndup(path, (size_t)(slash - path));
	n = node_find(e->m, object);
	return n == NULL ? 0 : remove_kids(e, n, kid_what(n->what, str_of(slash + 1)), d);
}

static int
remove_file(struct edit *e, const char *path, struct diag *d)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *object = NULL;
	struct spot spot;
	struct node *n;

	schema_spot(path, false, &spot);
	if (spot.sort == SORT_MEMBER || spot.sort == SORT_ASSOCIATION) {
		n = node_find(e->m, path);
		return n == NULL ? 0 : remove_node(e, n, d);
	}
	if (spot.sort != SORT_ATTRIBUTE)
		return 0;
	object = xstrndup(path, (size_t)(slash - path));
	n = node_find(e->m, object);
	if (n != NULL)
		value_set(e, n, spot.attribute->index, NULL);
	return 0;
}

int
edit_remove(struct edit *e, const char *path, struct diag *d)
{
	struct spot spot;
	struct node *n;

	CHECK(e, EDIT_MAGIC);
	schema_spot(path, true, &spot);
	switch (spot.sort) {
	case SORT_ROOT:
		return remove_root(e, d);
	case SORT_COLLECTION:
		return remove_collection(e, path, &spot, d);
	case SORT_OBJECT:
		n = node_find(e->m, path);
		return n == NULL ? 0 : remove_node(e, n, d);
	default:
		return remove_file(e, path, d);
	}
}

/* ------------------------------------------------------------------ taking over a tree */

struct listed {
	char *name;
	unsigned type; /* DT_* */
};

struct listing {
	struct listed *all;
	uint32_t n, size;
};

struct sync {
	struct edit *e;
	struct source *from;
	char *buf; /* one attribute file */
	struct diag *d;
};

static void
listing_add(void *ctx, const char *name, unsigned type)
{
	struct listing *l = ctx;

	l->all = array_room(l->all, l->n, &l->size, sizeof(*l->all));
	l->all[l->n++] = (struct listed){xstrdup(name), type};
}

static void
listing_fini(struct listing *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		free(l->all[i].name);
	free(l->all);
}

static int
listed_compare(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static bool
listing_has(const struct listing *l, const char *name, unsigned type)
{
	struct listed key = {.name = (char *)name};
	const struct listed *found = NULL;

	if (l->n > 0)
		found = bsearch(&key, l->all, l->n, sizeof(key), listed_compare);
	return found != NULL && found->type == type;
}

static char *
path_join(const char *path, const char *name)
{
	size_t n = strlen(path), len = strlen(name);
	char *joined = xcalloc(1, n + len + 2);

	memcpy(joined, path, n);
	if (n > 0)
		joined[n++] = '/';
	memcpy(joined + n, name, len);
	return joined;
}

/* What cannot be read is a problem like a text that is wrong. */
static int
sync_unreadable(struct sync *s, const char *path, const struct spot *spot, int err)
{
	struct diag own = {0};
	struct value *v;

	if (err == EFBIG)
		diag_set(&own, err, path, 0, 0, "the text is longer than %u KiB", ATTRIBUTE_BYTES_MAX / 1024);
	else
		diag_set(&own, err, path, 0, 0, "cannot be read: %s", strerror(err));
	if (s->e->mode != EDIT_BROKEN) {
		if (s->d != NULL && s->d->err == 0)
			*s->d = own;
		return -err;
	}
	v = value_bad(spot->sort == SORT_ASSOCIATION ? NULL : spot->attribute, (struct str){"", 0}, &own);
	value_set(
	    s->e, owner_make(s->e, path, spot), spot->sort == SORT_ATTRIBUTE ? spot->attribute->index : 0, v);
	return 0;
}

/* One directory that cannot be listed must not keep the others from being served. */
static int
sync_unreadable_object(struct sync *s, const char *path, const struct spot *spot, int err)
{
	size_t n;
	const struct attribute *a = schema_attributes(spot->kind, &n);
	struct diag own = {0};

	diag_set(&own, err, path, 0, 0, "cannot be read: %s", strerror(err));
	value_set(s->e, node_walk(s->e->m, path, s->e), a->index, value_bad(a, (struct str){"", 0}, &own));
	return 0;
}

static int
sync_file(struct sync *s, const char *path, const char *from_path, const struct spot *spot)
{
	ssize_t n;

	if (spot->sort == SORT_ASSOCIATION)
		n = s->from->readlink(s->from, from_path, s->buf, ATTRIBUTE_BYTES_MAX);
	else
		n = s->from->read(s->from, from_path, s->buf, ATTRIBUTE_BYTES_MAX);
	if (n == -ENOENT || n == -EINVAL || n == -ELOOP || n == -EISDIR || n == -ENOTDIR)
		return edit_remove(s->e, path, s->d);
	if (n < 0)
		return sync_unreadable(s, path, spot, (int)-n);
	if (spot->sort != SORT_ASSOCIATION)
		return edit_put(s->e, path, (struct str){s->buf, (uint32_t)n}, s->d);
	s->buf[n] = '\0';
	return edit_link(s->e, path, s->buf, s->d);
}

/* In an object: what the listing has not is unset. In a collection: removed. */
static int
sync_absent(struct sync *s, const char *path, const struct spot *spot, const struct listing *l)
{
	struct node *n = spot->sort == SORT_OBJECT ? node_find(s->e->m, path) : NULL;
	static const char *const inside[] = {
	    "vpcs", "networks", "services", "target-groups", "listeners", "rules", "targets", "instances"};
	const struct attribute *a;
	size_t count = 0;
	int rc = 0;

	a = n == NULL ? NULL : schema_attributes(spot->kind, &count);
	for (size_t i = 0; i < count; i++)
		if (!listing_has(l, a[i].name, DT_REG))
			value_set(s->e, n, a[i].index, NULL);
	for (size_t i = 0; i < COUNT(inside) && rc == 0; i++) {
		cleanup_free char *child = path_join(path, inside[i]);
		struct spot kid;

		schema_spot(child, true, &kid);
		if (kid.sort == SORT_COLLECTION && !listing_has(l, inside[i], DT_DIR))
			rc = edit_remove(s->e, child, s->d);
	}
	return rc;
}

/* The names that a collection has now, so that those the source has not can go. */
static void
collection_names(const struct model *m, const char *path, const struct spot *spot, struct listing *out)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *object = NULL;
	const struct node *n;
	const struct kids *k;
	struct map_entry *it;

	for (uint32_t i = 0; slash == NULL && (it = map_next(&m->names[spot->member], &i)) != NULL;)
		if (((struct entry *)it->value)->node != NULL)
			listing_add(out, it->key, DT_DIR);
	if (slash == NULL)
		return;
	object = xstrndup(path, (size_t)(slash - path));
	n = node_find(m, object);
	if (n == NULL)
		return;
	k = &n->kids[kid_what(n->what, str_of(slash + 1)) == NODE_VPC_LINK];
	for (uint32_t i = 0; i < k->n; i++)
		listing_add(out, k->at[i]->name,
		    k->at[i]->what < KINDS		 ? DT_DIR
		    : k->at[i]->what < NODE_SERVICE_LINK ? DT_REG
							 : DT_LNK);
}

static int
sync_gone(struct sync *s, const char *path, const struct spot *spot, const struct listing *l)
{
	struct listing have = {0};
	int rc = 0;

	collection_names(s->e->m, path, spot, &have);
	for (uint32_t i = 0; i < have.n && rc == 0; i++) {
		cleanup_free char *child = NULL;

		if (listing_has(l, have.all[i].name, have.all[i].type))
			continue;
		child = path_join(path, have.all[i].name);
		rc = edit_remove(s->e, child, s->d);
	}
	listing_fini(&have);
	return rc;
}

static int sync_dir(struct sync *s, const char *path, const char *from_path, const struct spot *spot);

static int
sync_entry(struct sync *s, const char *path, const char *from_path, unsigned type)
{
	struct spot spot;

	schema_spot(path, type == DT_DIR, &spot);
	if (type == DT_DIR && (spot.sort == SORT_COLLECTION || spot.sort == SORT_OBJECT))
		return sync_dir(s, path, from_path, &spot);
	if ((type == DT_REG && (spot.sort == SORT_ATTRIBUTE || spot.sort == SORT_MEMBER)) ||
	    (type == DT_LNK && spot.sort == SORT_ASSOCIATION))
		return sync_file(s, path, from_path, &spot);
	return 0;
}

static int
sync_dir(struct sync *s, const char *path, const char *from_path, const struct spot *spot)
{
	struct listing l = {0};
	int rc = s->from->list(s->from, from_path, listing_add, &l);
	bool readable = rc == 0;

	if (rc == -ENOENT || rc == -ENOTDIR) {
		listing_fini(&l);
		return spot->sort == SORT_ROOT ? remove_root(s->e, s->d) : edit_remove(s->e, path, s->d);
	}
	if (rc != 0 && spot->sort == SORT_OBJECT && s->e->mode == EDIT_BROKEN)
		rc = sync_unreadable_object(s, path, spot, -rc);
	else if (rc != 0)
		rc = diag_set(s->d, -rc, path, 0, 0, "cannot be read: %s", strerror(-rc));
	if (l.n > 1)
		qsort(l.all, l.n, sizeof(*l.all), listed_compare);
	/* What goes makes room for what comes: a target may be renamed. An object that is new has nothing to
	 * lose. */
	if (rc == 0 && readable && (spot->sort != SORT_OBJECT || node_find(s->e->m, path) != NULL))
		rc = spot->sort == SORT_COLLECTION ? sync_gone(s, path, spot, &l)
						   : sync_absent(s, path, spot, &l);
	if (rc == 0 && spot->sort == SORT_OBJECT)
		rc = edit_mkdir(s->e, path, s->d);
	for (uint32_t i = 0; i < l.n && rc == 0; i++) {
		cleanup_free char *to = path_join(path, l.all[i].name);
		cleanup_free char *from = path_join(from_path, l.all[i].name);

		rc = sync_entry(s, to, from, l.all[i].type);
	}
	listing_fini(&l);
	return rc;
}

int
edit_sync(struct edit *e, const char *path, struct source *from, const char *from_path, struct diag *d)
{
	struct sync s = {.e = e, .from = from, .d = d};
	struct spot spot;
	int rc = 0;

	CHECK(e, EDIT_MAGIC);
	s.buf = xcalloc(1, ATTRIBUTE_BYTES_MAX + 1);
	schema_spot(path, true, &spot);
	if (spot.sort == SORT_ROOT || spot.sort == SORT_COLLECTION || spot.sort == SORT_OBJECT) {
		rc = sync_dir(&s, path, from_path, &spot);
	} else {
		schema_spot(path, false, &spot);
		if (spot.sort == SORT_ATTRIBUTE || spot.sort == SORT_MEMBER || spot.sort == SORT_ASSOCIATION)
			rc = sync_file(&s, path, from_path, &spot);
	}
	free(s.buf);
	return rc;
}

/* ------------------------------------------------------------------ ending */

static void
edit_end(struct edit *e)
{
	e->m->edit = NULL;
	free(e->undo);
	free(e->taken);
	free(e->places);
	e->magic = 0;
	free(e);
}

static void
found_clear(struct entry *entry)
{
	free(entry->found.all);
	entry->found = (struct problems){0};
}

/* As many as there are now may stay. */
static void
kids_settle(struct node *n)
{
	for (uint32_t i = 0; i < n->kids[0].n; i++)
		kids_settle(n->kids[0].at[i]);
	n->kids[0].known = n->kids[0].n;
}

/* The served table is what the last try made: nothing is pending but what is known to be wrong. */
static void
settle(struct edit *e)
{
	struct model *m = e->m;
	uint32_t n = m->ndirty, kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct entry *entry = m->dirty[i];

		free(entry->problems.all);
		entry->problems = entry->found;
		entry->found = (struct problems){0};
		entry->next = NULL;
		if (entry->node != NULL)
			kids_settle(entry->node);
		if (e->next != NULL && entry->kind == KIND_SERVICE)
			entry->served = table_service(e->next, entry->index) != NULL;
		if (e->next != NULL && entry->kind == KIND_GROUP)
			entry->served = table_group(e->next, entry->index) != NULL;
		entry->dirty = 0;
		/* It is checked again with every edit, since any may put it right. */
		if (entry->problems.n > 0) {
			m->dirty[kept++] = entry;
			entry->dirty = kept;
		} else {
			entry_release(m, entry);
		}
	}
	m->ndirty = kept;
	memcpy(m->known, m->counts, sizeof(m->known));
	m->reach_dirty = false;
}

void
edit_commit(struct edit *e, bool published)
{
	CHECK(e, EDIT_MAGIC);
	for (uint32_t i = 0; i < e->nundo; i++) {
		if (e->undo[i].op == UNDO_VALUE)
			value_free(e->undo[i].old);
		else if (e->undo[i].op == UNDO_REMOVE)
			node_free(e->undo[i].node);
	}
	if (published && e->tried) {
		settle(e);
		e->ntaken = 0;
		compile_forget(e, e->next != NULL ? e->next : e->served);
	} else {
		for (uint32_t i = 0; i < e->m->ndirty; i++)
			found_clear(e->m->dirty[i]);
		compile_forget(e, e->served);
	}
	edit_end(e);
}

void
edit_abort(struct edit *e)
{
	struct model *m = e->m;
	struct entry *entry;

	CHECK(e, EDIT_MAGIC);
	while (e->nundo > 0)
		undo_run(m, &e->undo[--e->nundo]);
	compile_forget(e, e->served);
	for (uint32_t i = 0; i < m->ndirty; i++)
		found_clear(m->dirty[i]);
	while (m->ndirty > e->ndirty) {
		entry = m->dirty[--m->ndirty];
		entry->dirty = 0;
		entry_release(m, entry);
	}
	m->reach_dirty = e->reach_dirty;
	edit_end(e);
}
