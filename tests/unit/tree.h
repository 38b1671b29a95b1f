/* tree.h - for tests: trees to load models from, a plain directory or a list of paths in memory. */
#ifndef TREE_H
#define TREE_H

#include "../../fs/model.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

/* ------------------------------------------------------------------ a plain directory */

struct dir_source {
	struct source source;
	const char *root;
};

static inline void
dir_path(struct source *s, const char *path, char out[static 2048])
{
	snprintf(out, 2048, "%s/%s", ((struct dir_source *)s)->root, path);
}

static inline int
dir_list(struct source *s, const char *path, void (*each)(void *, const char *, unsigned), void *ctx)
{
	char full[2048];
	struct dirent *entry;
	DIR *dir;

	dir_path(s, path, full);
	dir = opendir(full);
	if (dir == NULL)
		return -errno;
	while ((entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			each(ctx, entry->d_name, entry->d_type);
	closedir(dir);
	return 0;
}

static inline ssize_t
dir_read(struct source *s, const char *path, char *buf, size_t size)
{
	char full[2048];
	size_t n;
	FILE *f;

	dir_path(s, path, full);
	f = fopen(full, "rb");
	if (f == NULL)
		return -errno;
	n = fread(buf, 1, size, f);
	if (n == size && fgetc(f) != EOF)
		n = SIZE_MAX;
	fclose(f);
	return n == SIZE_MAX ? -EFBIG : (ssize_t)n;
}

static inline ssize_t
dir_readlink(struct source *s, const char *path, char *buf, size_t size)
{
	char full[2048];
	ssize_t n;

	dir_path(s, path, full);
	n = readlink(full, buf, size);
	return n < 0 ? -errno : n;
}

static inline struct dir_source
dir_source(const char *root)
{
	return (struct dir_source){{dir_list, dir_read, dir_readlink}, root};
}

/* ------------------------------------------------------------------ a list of paths */

/* A path that ends in `/` is a directory, one that begins with `@` a link; directories above come by
 * themselves. */
struct leaf {
	const char *path, *text;
};

struct leaf_source {
	struct source source;
	const struct leaf *leaves;
};

static inline const char *
leaf_path(const struct leaf *l)
{
	return l->path[0] == '@' ? l->path + 1 : l->path;
}

static inline int
leaf_list(struct source *s, const char *path, void (*each)(void *, const char *, unsigned), void *ctx)
{
	const struct leaf *leaves = ((struct leaf_source *)s)->leaves;
	size_t len = strlen(path);
	char name[256], before[64][256];
	size_t n = 0;
	bool there = len == 0;

	for (const struct leaf *l = leaves; l->path != NULL; l++) {
		const char *p = leaf_path(l), *slash;
		unsigned type = l->path[0] == '@' ? DT_LNK : DT_REG;
		bool known = false;

		if (len > 0 && (strncmp(p, path, len) != 0 || p[len] != '/'))
			continue;
		there = true;
		p += len > 0 ? len + 1 : 0;
		if (*p == '\0')
			continue;
		slash = strchrnul(p, '/');
		snprintf(name, sizeof(name), "%.*s", (int)(slash - p), p);
		for (size_t i = 0; i < n; i++)
			known = known || strcmp(before[i], name) == 0;
		if (known || n == COUNT(before))
			continue;
		strcpy(before[n++], name);
		each(ctx, name, *slash == '/' ? DT_DIR : type);
	}
	return there ? 0 : -ENOENT;
}

static inline const struct leaf *
leaf_find(struct source *s, const char *path)
{
	const struct leaf *leaves = ((struct leaf_source *)s)->leaves;

	for (const struct leaf *l = leaves; l->path != NULL; l++)
		if (strcmp(leaf_path(l), path) == 0)
			return l;
	return NULL;
}

static inline ssize_t
leaf_read(struct source *s, const char *path, char *buf, size_t size)
{
	const struct leaf *l = leaf_find(s, path);

	if (l == NULL)
		return -ENOENT;
	if (strlen(l->text) > size)
		return -EFBIG;
	memcpy(buf, l->text, strlen(l->text));
	return (ssize_t)strlen(l->text);
}

static inline struct leaf_source
leaf_source(const struct leaf *leaves)
{
	return (struct leaf_source){{leaf_list, leaf_read, leaf_read}, leaves};
}

/* ------------------------------------------------------------------ a model with its served table */

struct world {
	struct slots slots;
	struct model *model;
	struct table *served;
};

static inline void
world_init_in(struct world *w, struct netns_source *netns)
{
	const struct model_config config = {.suffix = "lattice.internal",
	    .account = "123456789012",
	    .region = "eu-north-1",
	    .mountpoint = "/lattice",
	    .netns = netns};

	*w = (struct world){0};
	w->model = model_new(&config, &w->slots);
}

static inline void
world_init(struct world *w)
{
	world_init_in(w, NULL);
}

static inline void
world_fini(struct world *w)
{
	model_free(w->model);
	table_free(w->served);
	slots_fini(&w->slots);
}

/* Ends an edit as the mount does: tried and published, or taken back. */
static inline int
world_end(struct world *w, struct edit *e, int rc, struct diags *ds)
{
	struct table *next = NULL;

	if (rc == 0)
		rc = edit_try(e, w->served, &next, ds);
	if (rc != 0) {
		edit_abort(e);
		return rc;
	}
	edit_commit(e, true);
	if (next != NULL) {
		uint32_t n;
		const uint32_t *retired = table_retired(next, &n);

		for (uint32_t i = 0; i < n; i++)
			slots_recycle(&w->slots, retired[i]);
		table_free(w->served);
		w->served = next;
	}
	return 0;
}

/* The whole tree, as at start; ds has its problems. */
static inline int
world_load(struct world *w, struct source *from, struct diags *ds)
{
	struct edit *e = edit_new(w->model, EDIT_BROKEN);
	struct diag d = {0};

	return world_end(w, e, edit_sync(e, "", from, "", &d), ds);
}

/* text NULL: removed. A path with `@`: a link; with `/` at its end: a directory. */
static inline int
edit_step(struct edit *e, const char *path, const char *text, struct diag *d)
{
	char dir[256];

	if (path[strlen(path) - 1] == '/') {
		snprintf(dir, sizeof(dir), "%.*s", (int)strlen(path) - 1, path);
		return text == NULL ? edit_remove(e, dir, d) : edit_mkdir(e, dir, d);
	}
	if (text == NULL)
		return edit_remove(e, path[0] == '@' ? path + 1 : path, d);
	if (path[0] == '@')
		return edit_link(e, path + 1, text, d);
	return edit_put(e, path, str_of(text), d);
}

/* One change on its own, as a call on the mount: the first problem in d. */
static inline int
world_change(struct world *w, const char *path, const char *text, struct diag *d)
{
	struct edit *e = edit_new(w->model, EDIT_STRICT);
	struct diags ds = {0};
	int rc;

	*d = (struct diag){0};
	rc = world_end(w, e, edit_step(e, path, text, d), &ds);
	if (ds.n > 0)
		*d = ds.all[0];
	diags_fini(&ds);
	return rc;
}

#endif
