/* txn.c - one change of the tree, all or nothing: edit, check, compile, prepare, store, publish. */
#include "heal.h"
#include "heap.h"
#include "settle.h"
#include "clock.h"
#include "limits.h"
#include "log.h"
#include "preload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* A daemon that was killed just now may still have its sockets, since the kernel closes a ring's at leisure.
 */
#define LOAD_PATIENCE_MS 2000
#define LOAD_PAUSE_MS 10
/* What a service or group with its parts takes here, in the model and the tables: measured, about. */
#define OBJECT_BYTES 6144u

/* ------------------------------------------------------------------ the steps */

enum edit_mode
txn_mode(const struct tree *t)
{
	if (t->hold.git)
		return EDIT_BROKEN;
	return t->hold.held ? EDIT_HELD : EDIT_STRICT;
}

void
txn_begin(struct tree *t, struct txn *x, enum edit_mode mode)
{
	*x = (struct txn){.tree = t, .edit = edit_new(t->model, mode), .began = clock_ns()};
}

/* Compiles what the edit changed and opens its sockets. ds gets the problems. */
static int
txn_compile(struct txn *x, struct diags *ds)
{
	struct tree *t = x->tree;
	uint32_t place = SLOT_NONE;
	int rc;

	x->parsed = clock_ns();
	rc = edit_try(x->edit, engine_table(t->engine), &x->next, ds);
	x->compiled = clock_ns();
	if (rc < 0 || x->next == NULL)
		return rc;
	rc = engine_prepare(t->engine, x->next, &place);
	x->published = clock_ns();
	x->prepared = rc == 0;
	if (rc < 0 && place != SLOT_NONE)
		x->netns = table_place(x->next, place)->vpc;
	if (rc < 0 && place != SLOT_NONE)
		model_explain_place(t->model, place, -rc, &x->diag);
	else if (rc < 0)
		diag_set(&x->diag, -rc, "", 0, 0, "the engine cannot take it: %s", strerror(-rc));
	return rc;
}

int
txn_prepare(struct txn *x)
{
	struct diags ds = {0};
	int rc;

	if (x->tree->hold.held)
		return 0;
	rc = txn_compile(x, &ds);
	if (rc < 0 && ds.n > 0 && x->diag.err == 0)
		x->diag = ds.all[0];
	diags_fini(&ds);
	return rc;
}

static void
note_times(struct txn *x, uint64_t before)
{
	x->tree->last = (struct apply){
	    .unix_ms = clock_unix_ms(),
	    .parse_us = (x->parsed - x->began) / 1000,
	    .compile_us = (x->compiled - x->parsed) / 1000,
	    .publish_us = (x->published - x->compiled + clock_ns() - before) / 1000,
	};
}

void
txn_commit(struct txn *x)
{
	struct tree *t = x->tree;
	uint64_t now = clock_ns();

	t->changed_unix_ms = clock_unix_ms();
	spaces_touch(t->spaces);
	if (t->hold.held && x->parsed == 0) {
		edit_commit(x->edit, false);
		return;
	}
	if (x->prepared) {
		engine_publish(t->engine, x->next);
		note_times(x, now);
	}
	edit_commit(x->edit, true);
}

void
txn_abort(struct txn *x)
{
	if (x->prepared)
		engine_unprepare(x->tree->engine);
	edit_abort(x->edit);
	if (x->next != NULL)
		table_free(x->next);
}

void
txn_refuse_diag(struct tree *t, const struct diag *d)
{
	log_debug("refused: %s:%u: %s", d->path, d->line, d->message);
	errors_add(&t->errors, t->uid, d);
}

int
txn_refuse(struct tree *t, int err, const char *path, const char *fmt, ...)
{
	struct diag d = {0};
	char message[sizeof(d.message)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	diag_set(&d, err, path, 0, 0, "%s", message);
	txn_refuse_diag(t, &d);
	return -err;
}

int
txn_end(struct txn *x, const char *path, int rc)
{
	struct tree *t = x->tree;

	if (rc == 0) {
		txn_commit(x);
		return 0;
	}
	txn_abort(x);
	if (x->diag.err == 0 && (rc == -ENOSPC || rc == -EIO || rc == -EDQUOT || rc == -EROFS))
		diag_set(&x->diag, -rc, path, 0, 0, "the store cannot take it: %s", strerror(-rc));
	if (x->diag.err != 0)
		txn_refuse_diag(t, &x->diag);
	return rc;
}

/* ------------------------------------------------------------------ what a path is */

enum sort
txn_sort(const char *path, mode_t mode)
{
	struct spot spot;
	bool fits;

	schema_spot(path, S_ISDIR(mode), &spot);
	switch (spot.sort) {
	case SORT_ROOT:
	case SORT_COLLECTION:
	case SORT_OBJECT:
		fits = S_ISDIR(mode);
		break;
	case SORT_ATTRIBUTE:
	case SORT_MEMBER:
		fits = S_ISREG(mode);
		break;
	case SORT_ASSOCIATION:
		fits = S_ISLNK(mode);
		break;
	default:
		fits = spot.sort == SORT_VIRTUAL;
	}
	return fits ? spot.sort : SORT_INERT;
}

bool
txn_is_live(const char *path, mode_t mode)
{
	enum sort sort = txn_sort(path, mode);

	return sort != SORT_INERT && sort != SORT_VIRTUAL;
}

bool
txn_is_dotted(const char *path)
{
	return path[0] == '.' || strstr(path, "/.") != NULL;
}

int
txn_may_create(struct tree *t, const char *path, bool is_dir)
{
	const char *slash = strrchr(path, '/');
	struct diag d = {0};
	struct spot spot;
	int rc;

	if (store_is_aside(slash == NULL ? path : slash + 1))
		return txn_refuse(t, EPERM, path, "the name is reserved");
	schema_spot(path, is_dir, &spot);
	/* git loses a file whose making fails: what is odd about it is told when git is done. */
	if (t->hold.git && spot.sort != SORT_VIRTUAL)
		return 0;
	if ((rc = schema_may_create(path, is_dir, &d)) < 0)
		txn_refuse_diag(t, &d);
	return rc;
}

static bool
is_durable(const struct tree *t, bool live)
{
	return live && !t->hold.held;
}

/* ------------------------------------------------------------------ texts */

static int
put_store(
    struct tree *t, const char *path, struct str text, struct inode *draft, const struct owner *o, bool live)
{
	int rc = hold_record(t, path);

	if (rc < 0)
		return rc;
	if (draft != NULL && draft->draft)
		rc = store_aside_put(&t->store, &draft->aside, path, text, is_durable(t, live));
	else
		rc = store_put(&t->store, path, text, o, is_durable(t, live));
	return rc;
}

int
txn_put(struct tree *t, const char *path, struct str text, struct inode *draft, const struct owner *o)
{
	bool live = txn_is_live(path, S_IFREG), again = live;
	struct txn x;
	int rc;

	for (;;) {
		txn_begin(t, &x, txn_mode(t));
		rc = live ? edit_put(x.edit, path, text, &x.diag) : 0;
		if (rc == 0 && live)
			rc = txn_prepare(&x);
		/* What is wrong may be right once that which was removed just now is really gone. */
		if (rc == 0 || !again || !settle_waits(t, path))
			break;
		again = false;
		txn_abort(&x);
		settle_run(t, true);
	}
	if (rc == 0)
		rc = put_store(t, path, text, draft, o, live);
	rc = txn_end(&x, path, rc);
	if (rc == 0) {
		settle_drop(t, path);
		if (draft != NULL && draft->draft)
			inode_stored(&t->inodes, draft);
	}
	return rc;
}

int
txn_try(struct tree *t, const char *path, struct str text)
{
	struct txn x;
	int rc;

	if (t->hold.held || !txn_is_live(path, S_IFREG))
		return 0;
	txn_begin(t, &x, EDIT_STRICT);
	rc = edit_put(x.edit, path, text, &x.diag);
	if (rc == 0)
		rc = txn_prepare(&x);
	if (rc < 0 && settle_waits(t, path))
		rc = 0;
	if (rc < 0)
		return txn_end(&x, path, rc);
	txn_abort(&x);
	return 0;
}

/* ------------------------------------------------------------------ directories and links */

int
txn_mkdir(struct tree *t, const char *path, const struct owner *o)
{
	bool live = txn_is_live(path, S_IFDIR);
	struct txn x;
	int rc;

	if ((rc = txn_may_create(t, path, true)) < 0)
		return rc;
	txn_begin(t, &x, txn_mode(t));
	rc = live ? edit_mkdir(x.edit, path, &x.diag) : 0;
	if (rc == 0 && live)
		rc = txn_prepare(&x);
	if (rc == 0)
		rc = hold_record(t, path);
	if (rc == 0)
		rc = store_mkdir(&t->store, path, o, is_durable(t, live));
	return txn_end(&x, path, rc);
}

int
txn_symlink(struct tree *t, const char *path, const char *target, const struct owner *o)
{
	bool live = txn_is_live(path, S_IFLNK);
	struct txn x;
	int rc;

	if ((rc = txn_may_create(t, path, false)) < 0)
		return rc;
	txn_begin(t, &x, txn_mode(t));
	rc = live ? edit_link(x.edit, path, target, &x.diag) : 0;
	if (rc == 0 && live)
		rc = txn_prepare(&x);
	if (rc == 0)
		rc = hold_record(t, path);
	if (rc == 0)
		rc = store_symlink(&t->store, path, target, o, is_durable(t, live));
	return txn_end(&x, path, rc);
}

/* A second name for a file. A schema file shares its text with nobody: writing to the other name would change
 * it unjudged, so there the second name gets a copy. */
int
txn_link(struct tree *t, const char *from, const char *to)
{
	bool live = txn_is_live(to, S_IFREG), copy = live || txn_is_live(from, S_IFREG);
	struct txn x;
	int rc;

	if ((rc = txn_may_create(t, to, false)) < 0)
		return rc;
	txn_begin(t, &x, txn_mode(t));
	rc = live ? edit_sync(x.edit, to, &t->source.source, from, &x.diag) : 0;
	if (rc == 0 && live)
		rc = txn_prepare(&x);
	if (rc == 0)
		rc = hold_record(t, to);
	if (rc == 0)
		rc = store_link(&t->store, from, to, false);
	if (rc == 0 && copy && (rc = store_unshare(&t->store, to)) < 0)
		store_unlink(&t->store, to, false);
	if (rc == 0 && is_durable(t, live))
		rc = store_durable(&t->store, to);
	rc = txn_end(&x, to, rc);
	if (rc == 0)
		settle_drop(t, to);
	else
		settle_restore(t, to);
	return rc;
}

/* ------------------------------------------------------------------ removing */

/* The text of a file that is to go, so that it can be put back. NULL: it is not one that can. */
static char *
text_of(struct tree *t, const char *path, size_t *len)
{
	char *buf = xcalloc(1, ATTRIBUTE_BYTES_MAX);
	ssize_t n = store_read(&t->store, path, buf, ATTRIBUTE_BYTES_MAX);

	if (n < 0) {
		free(buf);
		return NULL;
	}
	*len = (size_t)n;
	return buf;
}

/* A schema file is gone from the store at once, from the model a little later. */
static int
unlink_soft(struct tree *t, const char *path, const struct stat *st)
{
	size_t len = 0;
	char *text = text_of(t, path, &len);
	int rc = hold_record(t, path);

	if (rc == 0)
		rc = store_unlink(&t->store, path, is_durable(t, true));
	if (rc < 0) {
		free(text);
		return rc;
	}
	settle_add(t, path, st, text, len);
	return 0;
}

/* One that is in use cannot be removed, and the very call has to say so. */
static bool
is_instance(const char *path)
{
	struct spot spot;

	schema_spot(path, false, &spot);
	return spot.sort == SORT_MEMBER && spot.kind == KIND_VPC;
}

int
txn_unlink(struct tree *t, const char *path)
{
	struct txn x;
	struct stat st;
	bool live;
	int rc;

	if ((rc = store_stat(&t->store, path, &st)) < 0)
		return rc;
	live = txn_is_live(path, st.st_mode);
	if (live && S_ISREG(st.st_mode) && !is_instance(path))
		return unlink_soft(t, path, &st);
	txn_begin(t, &x, txn_mode(t));
	rc = live ? edit_remove(x.edit, path, &x.diag) : 0;
	if (rc == 0 && live)
		rc = txn_prepare(&x);
	if (rc == 0)
		rc = hold_record(t, path);
	if (rc == 0)
		rc = store_unlink(&t->store, path, is_durable(t, live));
	return txn_end(&x, path, rc);
}

int
txn_rmdir(struct tree *t, const char *path)
{
	struct txn x;
	struct stat st;
	bool live;
	int rc;

	if ((rc = store_stat(&t->store, path, &st)) < 0)
		return rc;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if (!store_is_empty(&t->store, path))
		return -ENOTEMPTY;
	live = txn_is_live(path, st.st_mode);
	txn_begin(t, &x, txn_mode(t));
	rc = live ? edit_remove(x.edit, path, &x.diag) : 0;
	if (rc == 0 && live)
		rc = txn_prepare(&x);
	if (rc == 0)
		rc = hold_record(t, path);
	if (rc == 0)
		rc = store_rmdir(&t->store, path, is_durable(t, live));
	rc = txn_end(&x, path, rc);
	if (rc == 0 && live)
		settle_add(t, path, &st, NULL, 0);
	else if (rc < 0 && live)
		settle_restore_below(t, path);
	return rc;
}

/* ------------------------------------------------------------------ moving */

struct move {
	const char *from, *to;
	struct stat what, there; /* there.st_mode 0: nothing is at `to` */
	bool exchange, shared;
	bool was_live;	/* at from */
	bool is_live;	/* what moves, at its new place */
	bool ends_live; /* what was at `to`: another thing comes there, or it moves to `from` and is live
			   there */
	bool soft;	/* a schema file is renamed away: like a removal */
};

static int
move_look(struct tree *t, struct move *m)
{
	int rc = store_stat(&t->store, m->from, &m->what);

	if (rc < 0)
		return rc;
	if ((rc = store_stat(&t->store, m->to, &m->there)) < 0) {
		if (rc != -ENOENT || m->exchange)
			return rc;
		m->there.st_mode = 0;
	}
	m->was_live = txn_is_live(m->from, m->what.st_mode);
	m->is_live = txn_is_live(m->to, m->what.st_mode);
	m->ends_live = m->there.st_mode != 0 && (txn_is_live(m->to, m->there.st_mode) ||
						    (m->exchange && txn_is_live(m->from, m->there.st_mode)));
	m->soft = m->was_live && !m->is_live && !m->exchange && S_ISREG(m->what.st_mode);
	if (m->there.st_mode == 0 || S_ISDIR(m->there.st_mode) != S_ISDIR(m->what.st_mode))
		return txn_may_create(t, m->to, S_ISDIR(m->what.st_mode));
	return 0;
}

static int
move_edit(struct tree *t, struct txn *x, const struct move *m)
{
	int rc = 0;

	if (m->exchange && (m->was_live || m->ends_live))
		rc = edit_sync(x->edit, m->from, &t->source.source, m->to, &x->diag);
	else if (m->was_live && !m->soft)
		rc = edit_remove(x->edit, m->from, &x->diag);
	if (rc == 0 && (m->is_live || m->ends_live))
		rc = edit_sync(x->edit, m->to, &t->source.source, m->from, &x->diag);
	if (rc == 0)
		rc = txn_prepare(x);
	return rc;
}

static int
move_record(struct tree *t, const struct move *m)
{
	int rc = hold_record(t, m->from);

	if (rc == 0 && m->there.st_mode == 0)
		return hold_record_moved(t, m->to, m->from);
	return rc < 0 ? rc : hold_record(t, m->to);
}

static int
move_store(struct tree *t, const struct move *m, unsigned flags)
{
	bool durable = is_durable(t, m->was_live || m->is_live || m->ends_live);
	int rc = 0;

	/* What was a working file has not been synced, and somebody else may still write to it. */
	if (m->is_live && S_ISREG(m->what.st_mode) && (m->shared || m->what.st_nlink > 1))
		rc = store_unshare(&t->store, m->from);
	if (rc == 0 && durable && m->is_live && !m->was_live)
		rc = S_ISDIR(m->what.st_mode) ? store_sync(&t->store) : store_durable(&t->store, m->from);
	return rc < 0 ? rc : store_rename(&t->store, m->from, m->to, flags, durable);
}

int
txn_rename(struct tree *t, const char *from, const char *to, unsigned flags, bool shared)
{
	struct move m = {.from = from, .to = to, .exchange = flags & RENAME_EXCHANGE, .shared = shared};
	size_t len = 0;
	char *text;
	struct txn x;
	int rc;

	if ((rc = move_look(t, &m)) < 0)
		return rc;
	if (m.there.st_mode != 0 && flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (S_ISDIR(m.there.st_mode) && !m.exchange && !store_is_empty(&t->store, to))
		return -ENOTEMPTY;
	txn_begin(t, &x, txn_mode(t));
	rc = m.was_live || m.is_live || m.ends_live ? move_edit(t, &x, &m) : 0;
	text = m.soft ? text_of(t, from, &len) : NULL;
	if (rc == 0)
		rc = move_record(t, &m);
	if (rc == 0)
		rc = move_store(t, &m, flags);
	rc = txn_end(&x, to, rc);
	if (rc < 0) {
		free(text);
		settle_restore(t, to);
		return rc;
	}
	if (m.is_live || m.ends_live)
		settle_drop(t, to);
	if (m.soft)
		settle_add(t, from, &m.what, text, len);
	else if (m.was_live)
		settle_fold(t, from);
	return 0;
}

/* ------------------------------------------------------------------ the load at start */

struct withheld {
	struct list link;
	char *path;
};

static void
report(struct tree *t, const struct diag *d)
{
	struct text line = {0};

	diag_print(d, &line);
	if (line.len > 0 && line.p[line.len - 1] == '\n')
		line.p[--line.len] = '\0';
	log_warn("%s", line.p);
	text_fini(&line);
	txn_refuse_diag(t, d);
}

/* A socket that cannot be had must not keep everything else from being served: its listener is left out. */
static bool
withhold(struct tree *t, const struct diag *d)
{
	struct withheld *w;

	if (d->path[0] == '\0')
		return false;
	w = xcalloc(1, sizeof(*w));
	w->path = xstrdup(d->path);
	list_append(&t->withheld, &w->link);
	return true;
}

/* One try to serve what the model says: 0, or why not. The edit is kept either way. */
static int
load_try(struct tree *t, struct txn *x, struct diags *ds)
{
	int rc = txn_compile(x, ds);

	if (rc == 0) {
		txn_commit(x);
		return 0;
	}
	if (x->next != NULL)
		table_free(x->next);
	edit_commit(x->edit, false);
	return rc;
}

static void
load_tree(struct tree *t, struct txn *x)
{
	struct preload *ahead;

	/* Held: what was served then is read, which the store alone does not tell. */
	if (t->hold.held) {
		edit_sync(x->edit, "", hold_source(t), "", &x->diag);
		return;
	}
	ahead = preload_new(&t->store, hold_source(t), 0);
	heap_expect((size_t)preload_objects(ahead) * OBJECT_BYTES);
	edit_sync(x->edit, "", preload_source(ahead), "", &x->diag);
	preload_free(ahead);
}

size_t
txn_load(struct tree *t)
{
	uint64_t patience = clock_ms() + LOAD_PATIENCE_MS;
	struct diags ds = {0};
	struct txn x;
	size_t n;
	int rc;

	t->uid = 0;
	txn_begin(t, &x, EDIT_BROKEN);
	load_tree(t, &x);
	rc = load_try(t, &x, &ds);
	for (n = 0; n < ds.n; n++)
		report(t, &ds.all[n]);
	while (rc < 0) {
		bool wait = rc == -EADDRINUSE && clock_ms() < patience;
		struct diag why = x.diag;
		uint32_t netns = x.netns;

		diags_fini(&ds);
		ds = (struct diags){0};
		if (!wait && netns != 0) {
			heal_exclude(t, netns, why.message);
		} else if (!wait) {
			report(t, &why);
			n++;
			if (!withhold(t, &why))
				break;
		}
		txn_begin(t, &x, EDIT_BROKEN);
		if (wait)
			usleep(LOAD_PAUSE_MS * 1000);
		else if (netns == 0)
			edit_remove(x.edit, why.path, NULL);
		rc = load_try(t, &x, &ds);
	}
	heap_settle();
	diags_fini(&ds);
	t->store.sweep = false;
	hold_resume(t);
	return n;
}

static void
withheld_free(struct withheld *w)
{
	list_del(&w->link);
	free(w->path);
	free(w);
}

void
txn_fini(struct tree *t)
{
	list_each_safe(it, &t->withheld) withheld_free(container_of(it, struct withheld, link));
}

bool
txn_retry(struct tree *t)
{
	struct txn x;

	list_each_safe(it, &t->withheld)
	{
		struct withheld *w = container_of(it, struct withheld, link);

		if (t->hold.held)
			break;
		txn_begin(t, &x, EDIT_BROKEN);
		if (edit_sync(x.edit, w->path, &t->source.source, w->path, &x.diag) < 0 ||
		    txn_prepare(&x) < 0) {
			txn_abort(&x);
			continue;
		}
		txn_commit(&x);
		log_info("%s: served now", w->path);
		withheld_free(w);
	}
	return !list_empty(&t->withheld);
}
