/* dir.c - the names in an open directory. */
#include "dir.h"

#include <errno.h>

static void
dir_add(void *ctx, const char *name)
{
	struct dir *d = ctx;

	if (d->n == d->size) {
		d->size = MAX(64, d->size * 2);
		d->at = xrealloc(d->at, d->size * sizeof(*d->at));
	}
	d->at[d->n++] = (uint32_t)d->names.len;
	text_add(&d->names, name, strlen(name) + 1);
}

static void
dir_entry(void *ctx, const char *name, unsigned type)
{
	dir_add(ctx, name);
}

int
dir_fill(struct tree *t, struct inode *n, struct dir *d)
{
	char path[PATH_MAX];
	int rc = inode_path(n, path);

	text_clear(&d->names);
	d->n = 0;
	d->filled = true;
	/* Removed, and somebody still stands in it: it is empty. */
	if (rc == -ENOENT)
		return 0;
	dir_add(d, ".");
	dir_add(d, "..");
	if (rc == 0)
		rc = store_list(&t->store, path, dir_entry, d);
	list_each(it, &t->inodes.drafts)
	{
		struct inode *draft = container_of(it, struct inode, in_drafts);

		if (draft->parent == n)
			dir_add(d, draft->name);
	}
	if (rc == 0 && t->show)
		view_list(t, path, dir_add, d);
	return rc;
}

const char *
dir_name(const struct dir *d, size_t i)
{
	assert(i < d->n);
	return d->names.p + d->at[i];
}

struct dir *
dir_open(struct tree *t)
{
	struct dir *d = xcalloc(1, sizeof(*d));

	list_append(&t->dirs, &d->link);
	return d;
}

void
dir_close(struct dir *d)
{
	list_del(&d->link);
	text_fini(&d->names);
	free(d->at);
	free(d);
}

void
dir_close_all(struct tree *t)
{
	list_each_safe(it, &t->dirs) dir_close(container_of(it, struct dir, link));
}
