/* node.c - the numbers the kernel uses, and the names they stand for. */
#include "node.h"
#include "limits.h"

#include <errno.h>

/* The key of a name: its parent's number, then the bytes. */
struct name_key {
	char bytes[sizeof(uint64_t) + NAME_BYTES_MAX + 1];
	uint32_t len;
};

static struct str
key_of(struct name_key *k, const struct inode *parent, const char *name)
{
	size_t len = strlen(name);

	assert(len <= NAME_BYTES_MAX);
	memcpy(k->bytes, &parent->id, sizeof(parent->id));
	memcpy(k->bytes + sizeof(parent->id), name, len);
	return (struct str){k->bytes, (uint32_t)(sizeof(parent->id) + len)};
}

static struct str
key_of_id(const uint64_t *id)
{
	return (struct str){(const char *)id, sizeof(*id)};
}

static struct inode *
inode_new(struct inodes *ns, struct inode *parent, const char *name)
{
	struct inode *n = xcalloc(1, sizeof(*n));

	n->magic = INODE_MAGIC;
	n->id = ++ns->last;
	n->parent = parent;
	n->name = xstrdup(name);
	n->aside = (struct aside){.fd = -1, .dir = -1};
	list_init(&n->handles);
	list_init(&n->in_drafts);
	if (parent != NULL)
		parent->nchildren++;
	map_put(&ns->by_id, key_of_id(&n->id), n);
	return n;
}

void
inodes_init(struct inodes *ns)
{
	*ns = (struct inodes){0};
	list_init(&ns->drafts);
	ns->root = inode_new(ns, NULL, "");
	ns->root->nlookup = 1;
	assert(ns->root->id == INODE_ROOT);
}

void
inodes_fini(struct inodes *ns)
{
	struct map_entry *e;

	for (uint32_t i = 0; (e = map_next(&ns->by_id, &i));) {
		struct inode *n = e->value;

		store_aside_drop(&n->aside);
		free(n->name);
		free(n);
	}
	map_fini(&ns->by_id);
	map_fini(&ns->by_name);
}

struct inode *
inode_get(struct inodes *ns, uint64_t id)
{
	return map_find(&ns->by_id, key_of_id(&id));
}

struct inode *
inode_find(struct inodes *ns, struct inode *parent, const char *name)
{
	struct name_key k;

	CHECK(parent, INODE_MAGIC);
	return map_find(&ns->by_name, key_of(&k, parent, name));
}

struct inode *
inode_make(struct inodes *ns, struct inode *parent, const char *name)
{
	struct inode *n = inode_find(ns, parent, name);
	struct name_key k;

	if (n == NULL) {
		n = inode_new(ns, parent, name);
		map_put(&ns->by_name, key_of(&k, parent, name), n);
	}
	return n;
}

void
inode_settle(struct inodes *ns, struct inode *n)
{
	while (n->parent != NULL && n->nlookup == 0 && n->nchildren == 0 && list_empty(&n->handles)) {
		struct inode *parent = n->parent;
		struct name_key k;

		if (!n->gone)
			map_del(&ns->by_name, key_of(&k, parent, n->name));
		map_del(&ns->by_id, key_of_id(&n->id));
		list_del(&n->in_drafts);
		store_aside_drop(&n->aside);
		parent->nchildren--;
		n->magic = 0;
		free(n->name);
		free(n);
		n = parent;
	}
}

void
inode_forget(struct inodes *ns, uint64_t id, uint64_t count)
{
	struct inode *n = inode_get(ns, id);

	if (n == NULL)
		return;
	n->nlookup -= MIN(n->nlookup, count);
	inode_settle(ns, n);
}

void
inode_gone(struct inodes *ns, struct inode *n)
{
	struct name_key k;

	CHECK(n, INODE_MAGIC);
	if (n->gone || n->parent == NULL)
		return;
	map_del(&ns->by_name, key_of(&k, n->parent, n->name));
	n->gone = true;
}

void
inode_remove(struct inodes *ns, struct inode *parent, const char *name)
{
	struct inode *n = inode_find(ns, parent, name);

	if (n != NULL)
		inode_gone(ns, n);
}

/* n, which is in no map, becomes new_parent/new_name. */
static void
inode_place(struct inodes *ns, struct inode *n, struct inode *new_parent, const char *new_name)
{
	struct inode *old = n->parent;
	char *name = xstrdup(new_name);
	struct name_key k;

	new_parent->nchildren++;
	n->parent = new_parent;
	free(n->name);
	n->name = name;
	n->gone = false;
	map_put(&ns->by_name, key_of(&k, new_parent, name), n);
	old->nchildren--;
}

void
inode_move(struct inodes *ns, struct inode *parent, const char *name, struct inode *new_parent,
    const char *new_name, bool exchange)
{
	struct inode *n = inode_find(ns, parent, name), *other = inode_find(ns, new_parent, new_name);

	if (n == other)
		return;
	if (n != NULL)
		inode_gone(ns, n);
	if (other != NULL)
		inode_gone(ns, other);
	if (n != NULL)
		inode_place(ns, n, new_parent, new_name);
	if (other != NULL && exchange)
		inode_place(ns, other, parent, name);
}

int
inode_path(const struct inode *n, char path[static PATH_MAX])
{
	char *at = path + PATH_MAX - 1;

	*at = '\0';
	for (; n->parent != NULL; n = n->parent) {
		size_t len = strlen(n->name);

		if (n->gone)
			return -ENOENT;
		if ((size_t)(at - path) < len + 1)
			return -ENAMETOOLONG;
		if (*at != '\0')
			*--at = '/';
		at -= len;
		memcpy(at, n->name, len);
	}
	memmove(path, at, strlen(at) + 1);
	return 0;
}

int
inode_child_path(const struct inode *parent, const char *name, char path[static PATH_MAX])
{
	size_t len = strlen(name), at;
	int rc;

	if (len > NAME_BYTES_MAX)
		return -ENAMETOOLONG;
	if ((rc = inode_path(parent, path)) < 0)
		return rc;
	at = strlen(path);
	if (at + len + 2 > PATH_MAX)
		return -ENAMETOOLONG;
	if (at > 0)
		path[at++] = '/';
	memcpy(path + at, name, len + 1);
	return 0;
}

bool
inode_in_git(const struct inode *n)
{
	for (; n->parent != NULL; n = n->parent) {
		if (strcmp(n->name, ".git") == 0)
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------ drafts */

void
inode_draft(struct inodes *ns, struct inode *n, struct aside a)
{
	assert(!n->draft);
	n->draft = true;
	n->aside = a;
	list_append(&ns->drafts, &n->in_drafts);
}

void
inode_stored(struct inodes *ns, struct inode *n)
{
	assert(n->draft);
	n->draft = false;
	list_del(&n->in_drafts);
	if (n->aside.fd >= 0)
		close(n->aside.fd);
	n->aside.fd = -1;
}

void
inode_refused(struct inodes *ns, struct inode *n)
{
	assert(n->draft);
	n->draft = false;
	list_del(&n->in_drafts);
	/* Whoever has it open may still ask for its size. */
	store_aside_unlink(&n->aside);
	inode_gone(ns, n);
}
