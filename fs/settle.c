/* settle.c - removals that wait for their file to come back. */
#include "settle.h"
#include "clock.h"
#include "limits.h"
#include "log.h"

#include <errno.h>

struct removal {
	struct list link;
	char *path;
	char *text; /* NULL: a directory */
	size_t len;
	struct stat st;
	uid_t uid;
	bool done; /* the model knows; kept only to be put back */
	uint64_t due_ms;
	uint64_t keep_ms; /* may be put back until then */
};

static void
removal_free(struct removal *r)
{
	list_del(&r->link);
	free(r->path);
	free(r->text);
	free(r);
}

static struct removal *
find(const struct tree *t, const char *path)
{
	list_each(it, &t->removals)
	{
		struct removal *r = container_of(it, struct removal, link);

		if (strcmp(r->path, path) == 0)
			return r;
	}
	return NULL;
}

/* As many bytes of path as name its outermost object: services/shop. */
static size_t
top_len(const char *path)
{
	const char *slash = strchr(path, '/');

	slash = slash == NULL ? NULL : strchr(slash + 1, '/');
	return slash == NULL ? strlen(path) : (size_t)(slash - path);
}

static bool
is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && path[len] == '/';
}

void
settle_add(struct tree *t, const char *path, const struct stat *st, char *text, size_t len)
{
	struct removal *r = xcalloc(1, sizeof(*r));
	size_t top = top_len(path);

	settle_drop(t, path);
	r->path = xstrdup(path);
	r->text = text;
	r->len = len;
	r->st = *st;
	r->uid = t->uid;
	r->due_ms = clock_ms() + SETTLE_MS;
	list_append(&t->removals, &r->link);
	if (S_ISDIR(st->st_mode)) {
		r->done = true;
		settle_fold(t, path);
	}
	/* `rm -r` of an object is one removal, however long it takes. */
	list_each(it, &t->removals)
	{
		struct removal *other = container_of(it, struct removal, link);

		if (top_len(other->path) == top && strncmp(other->path, path, top) == 0)
			other->keep_ms = r->due_ms;
	}
}

void
settle_drop(struct tree *t, const char *path)
{
	struct removal *r = find(t, path);

	if (r != NULL)
		removal_free(r);
}

void
settle_fold(struct tree *t, const char *path)
{
	list_each(it, &t->removals)
	{
		struct removal *r = container_of(it, struct removal, link);

		if (is_below(r->path, path) || strcmp(r->path, path) == 0)
			r->done = true;
	}
}

bool
settle_waits(const struct tree *t, const char *but)
{
	list_each(it, &t->removals)
	{
		struct removal *r = container_of(it, struct removal, link);

		if (!r->done && strcmp(r->path, but) != 0)
			return true;
	}
	return false;
}

int
settle_timeout(const struct tree *t)
{
	uint64_t now = clock_ms(), next = UINT64_MAX;

	list_each(it, &t->removals)
	{
		struct removal *r = container_of(it, struct removal, link);

		next = MIN(next, r->done ? r->keep_ms : r->due_ms);
	}
	if (next == UINT64_MAX)
		return -1;
	return next <= now ? 0 : (int)(next - now);
}

/* ------------------------------------------------------------------ putting back */

static void
put_back(struct tree *t, const struct removal *r)
{
	struct owner o = {.mode = r->st.st_mode, .uid = r->st.st_uid, .gid = r->st.st_gid};
	struct timespec times[2] = {r->st.st_atim, r->st.st_mtim};
	struct stat st;
	int rc = 0;

	if (store_stat(&t->store, r->path, &st) == 0)
		return;
	if (S_ISDIR(r->st.st_mode))
		rc = store_mkdir(&t->store, r->path, &o, true);
	else if (r->text != NULL)
		rc = store_put(&t->store, r->path, (struct str){r->text, (uint32_t)r->len}, &o, true);
	if (rc < 0)
		log_error("%s: cannot be put back: %s", r->path, strerror(-rc));
	else
		store_times(&t->store, r->path, times);
}

bool
settle_restore(struct tree *t, const char *path)
{
	struct removal *r = find(t, path);
	struct txn x;

	if (r == NULL || r->text == NULL)
		return false;
	put_back(t, r);
	if (r->done) {
		txn_begin(t, &x, EDIT_BROKEN);
		edit_put(x.edit, path, (struct str){r->text, (uint32_t)r->len}, NULL);
		txn_end(&x, path, txn_prepare(&x));
	}
	removal_free(r);
	return true;
}

void
settle_restore_below(struct tree *t, const char *path)
{
	bool known = false;
	struct txn x;

	/* The newest first: a directory was removed after what was in it. */
	for (struct list *it = t->removals.prev, *prev; it != &t->removals; it = prev) {
		struct removal *r = container_of(it, struct removal, link);

		prev = it->prev;
		if (!is_below(r->path, path))
			continue;
		known = known || r->done;
		put_back(t, r);
		removal_free(r);
	}
	if (!known)
		return;
	txn_begin(t, &x, EDIT_BROKEN);
	edit_sync(x.edit, path, &t->source.source, path, NULL);
	txn_end(&x, path, txn_prepare(&x));
}

/* ------------------------------------------------------------------ taking effect */

/* A new file by that name is being written: what becomes of it decides. */
static bool
has_draft(const struct tree *t, const char *path)
{
	char at[PATH_MAX];

	list_each(it, &t->inodes.drafts)
	{
		struct inode *n = container_of(it, struct inode, in_drafts);

		if (inode_path(n, at) == 0 && strcmp(at, path) == 0)
			return true;
	}
	return false;
}

static bool
is_ripe(const struct tree *t, const struct removal *r, uint64_t now)
{
	return !r->done && r->due_ms <= now && !has_draft(t, r->path);
}

/* All that is ripe by now, in one change. */
static int
remove_ripe(struct tree *t, uint64_t now)
{
	struct txn x;
	int rc = 0;

	txn_begin(t, &x, txn_mode(t));
	list_each(it, &t->removals)
	{
		struct removal *r = container_of(it, struct removal, link);

		if (rc == 0 && is_ripe(t, r, now))
			rc = edit_remove(x.edit, r->path, &x.diag);
	}
	if (rc == 0)
		rc = txn_prepare(&x);
	if (rc < 0) {
		txn_abort(&x);
		return rc;
	}
	txn_commit(&x);
	list_each(it, &t->removals)
	{
		struct removal *r = container_of(it, struct removal, link);

		r->done = r->done || is_ripe(t, r, now);
	}
	return 0;
}

/* They do not go together: each for itself, and what cannot go comes back. */
static void
remove_each(struct tree *t, uint64_t now)
{
	struct txn x;
	int rc;

	list_each_safe(it, &t->removals)
	{
		struct removal *r = container_of(it, struct removal, link);

		if (!is_ripe(t, r, now))
			continue;
		t->uid = r->uid;
		txn_begin(t, &x, txn_mode(t));
		rc = edit_remove(x.edit, r->path, &x.diag);
		if (rc == 0)
			rc = txn_prepare(&x);
		if (txn_end(&x, r->path, rc) == 0) {
			r->done = true;
			continue;
		}
		put_back(t, r);
		removal_free(r);
	}
}

bool
settle_run(struct tree *t, bool all)
{
	uint64_t now = clock_ms(), until = all ? UINT64_MAX : now;
	uid_t uid = t->uid;
	bool any = false;

	list_each(it, &t->removals) any = any || is_ripe(t, container_of(it, struct removal, link), until);
	if (any && remove_ripe(t, until) < 0)
		remove_each(t, until);
	t->uid = uid;
	list_each_safe(it, &t->removals)
	{
		struct removal *r = container_of(it, struct removal, link);

		if (r->done && r->keep_ms <= now)
			removal_free(r);
		else if (!r->done && r->due_ms <= now)
			r->due_ms = now + SETTLE_MS; /* a draft stands in its place */
	}
	return any;
}

void
settle_fini(struct tree *t)
{
	list_each_safe(it, &t->removals) removal_free(container_of(it, struct removal, link));
}
