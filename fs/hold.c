/* hold.c - several changes as one: begin, record, commit, abort, and git's own bracket. */
#include "settle.h"
#include "clock.h"
#include "log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#define LOCK_PATH ".git/index.lock"

/* ------------------------------------------------------------------ the state */

static void
hold_end(struct tree *t)
{
	struct hold *h = &t->hold;
	bool git = h->git;
	pid_t pid = h->git_pid;

	undo_drop(&h->undo);
	*h = (struct hold){.undo.log = -1, .git = git, .git_pid = pid};
	t->changed_unix_ms = clock_unix_ms();
}

int
hold_open(struct tree *t, const char **why)
{
	struct hold *h = &t->hold;
	int rc;

	*h = (struct hold){.undo.log = -1};
	rc = undo_open(&h->undo, &t->store, why);
	if (rc <= 0)
		return rc;
	h->held = true;
	h->since_unix_ms = h->undo.since_unix_ms;
	snprintf(h->by, sizeof(h->by), "%s", h->undo.by);
	h->by_git = strcmp(h->by, "git") == 0;
	return 0;
}

void
hold_close(struct tree *t)
{
	undo_close(&t->hold.undo);
}

static void
hold_start(struct tree *t, const char *by)
{
	struct hold *h = &t->hold;

	h->held = true;
	h->since_unix_ms = clock_unix_ms();
	snprintf(h->by, sizeof(h->by), "%s", by);
	t->changed_unix_ms = h->since_unix_ms;
	undo_init(&h->undo, &t->store, by, h->since_unix_ms);
}

/* Who begins a hold, for people. */
static void
name_caller(uid_t uid, pid_t pid, char by[static 64])
{
	char path[64], comm[32] = "?";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if ((f = fopen(path, "re")) != NULL) {
		if (fgets(comm, sizeof(comm), f) != NULL)
			comm[strcspn(comm, "\n")] = '\0';
		fclose(f);
	}
	snprintf(by, 64, "uid %u, %s[%d]", uid, comm, pid);
}

int
hold_begin(struct tree *t, uid_t uid, pid_t pid)
{
	char by[64];
	int rc;

	if (t->hold.held)
		return txn_refuse(t, EBUSY, ".hold", "the tree is held already, by %s", t->hold.by);
	name_caller(uid, pid, by);
	settle_run(t, true);
	hold_start(t, by);
	if ((rc = undo_begin(&t->hold.undo)) < 0) {
		hold_end(t);
		return txn_refuse(t, -rc, ".hold", "the hold cannot be recorded: %s", strerror(-rc));
	}
	return 0;
}

/* ------------------------------------------------------------------ recording */

struct below {
	char *path;
	char **names;
	size_t n;
};

static void
note_below(void *ctx, const char *name, unsigned type)
{
	struct below *b = ctx;

	b->names = xrealloc(b->names, (b->n + 1) * sizeof(*b->names));
	b->names[b->n++] = xasprintf("%s/%s", b->path, name);
}

/* What is at path and below, its directory first. */
static int
record_tree(struct tree *t, const char *path, bool sync)
{
	struct below b = {.path = (char *)path};
	struct stat st = {0};
	int rc;

	if (txn_is_dotted(path))
		return 0;
	if ((rc = store_stat(&t->store, path, &st)) < 0 && rc != -ENOENT && rc != -ENOTDIR)
		return rc;
	rc = undo_record(&t->hold.undo, path, rc < 0 ? NULL : &st, NULL, sync);
	if (rc < 0 || st.st_mode == 0 || !S_ISDIR(st.st_mode))
		return rc;
	rc = store_list(&t->store, path, note_below, &b);
	for (size_t i = 0; i < b.n; i++) {
		if (rc == 0)
			rc = record_tree(t, b.names[i], sync);
		free(b.names[i]);
	}
	free(b.names);
	return rc;
}

int
hold_record(struct tree *t, const char *path)
{
	struct stat st = {0};

	if (!t->hold.held || txn_is_dotted(path))
		return 0;
	store_stat(&t->store, path, &st);
	return record_tree(t, path, txn_is_live(path, st.st_mode == 0 ? S_IFREG : st.st_mode));
}

int
hold_record_self(struct tree *t, const char *path)
{
	struct stat st;

	if (!t->hold.held || txn_is_dotted(path) || store_stat(&t->store, path, &st) < 0)
		return 0;
	return undo_record(&t->hold.undo, path, &st, NULL, txn_is_live(path, st.st_mode));
}

int
hold_record_moved(struct tree *t, const char *path, const char *from)
{
	if (!t->hold.held || txn_is_dotted(path))
		return 0;
	return undo_record(&t->hold.undo, path, NULL, txn_is_dotted(from) ? from : NULL, true);
}

/* ------------------------------------------------------------------ the end */

/* What the tree says now against what is served. 0, or the first problem's errno; `next` may be NULL. */
static int
hold_try(struct tree *t, struct txn *x, enum edit_mode mode, struct diags *ds)
{
	uint32_t place = SLOT_NONE;
	int rc;

	txn_begin(t, x, mode);
	x->parsed = clock_ns();
	rc = edit_try(x->edit, engine_table(t->engine), &x->next, ds);
	x->compiled = clock_ns();
	if (rc < 0 || x->next == NULL || ds->n > 0)
		return rc;
	rc = engine_prepare(t->engine, x->next, &place);
	x->published = clock_ns();
	x->prepared = rc == 0;
	if (rc < 0) {
		struct diag *d = diags_add(ds);

		if (place != SLOT_NONE)
			model_explain_place(t->model, place, -rc, d);
		else
			diag_set(d, -rc, "", 0, 0, "the engine cannot take it: %s", strerror(-rc));
	}
	return rc;
}

int
hold_commit(struct tree *t)
{
	struct diags ds = {0};
	struct txn x;
	int rc;

	assert(t->hold.held);
	settle_run(t, true);
	rc = hold_try(t, &x, EDIT_STRICT, &ds);
	if (rc == 0)
		rc = store_sync(&t->store);
	if (rc < 0) {
		for (size_t i = 0; i < ds.n; i++)
			txn_refuse_diag(t, &ds.all[i]);
		txn_abort(&x);
		diags_fini(&ds);
		return -EBADMSG;
	}
	diags_fini(&ds);
	t->hold.held = false;
	txn_commit(&x);
	hold_end(t);
	return 0;
}

int
hold_abort(struct tree *t)
{
	struct txn x;
	int rc;

	assert(t->hold.held);
	settle_run(t, true);
	settle_fini(t);
	if ((rc = undo_restore(&t->hold.undo)) < 0)
		return txn_refuse(t, -rc, ".hold", "the tree cannot be put back: %s", strerror(-rc));
	txn_begin(t, &x, EDIT_BROKEN);
	undo_each(&t->hold.undo, x.edit, &t->source.source);
	store_moved(&t->store, NULL);
	t->hold.held = false;
	/* What is served is right, so this can only be refused when a socket is gone: then it goes on as it
	 * is. */
	if (txn_prepare(&x) < 0) {
		edit_commit(x.edit, false);
		if (x.next != NULL)
			table_free(x.next);
	} else {
		txn_commit(&x);
	}
	hold_end(t);
	return 0;
}

struct source *
hold_source(struct tree *t)
{
	return t->hold.held ? undo_source(&t->hold.undo) : &t->source.source;
}

void
hold_resume(struct tree *t)
{
	struct txn x;

	if (!t->hold.held)
		return;
	txn_begin(t, &x, EDIT_BROKEN);
	undo_each(&t->hold.undo, x.edit, &t->source.source);
	edit_commit(x.edit, false);
	log_warn(
	    "the tree is held since before the start, by %s: what was served then is served", t->hold.by);
}

/* ------------------------------------------------------------------ what would change */

struct lines {
	struct str *all;
	size_t n;
};

static struct lines
lines_of(const struct text *t)
{
	struct lines l = {0};
	const char *at = t->p, *end = t->p + t->len;

	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));

		stop = stop == NULL ? end : stop;
		l.all = xrealloc(l.all, (l.n + 1) * sizeof(*l.all));
		l.all[l.n++] = (struct str){at, (uint32_t)(stop - at)};
		at = stop + 1;
	}
	return l;
}

/* The four words of a line that say which route it is. */
static struct str
route_of(struct str line)
{
	uint32_t n = 0;

	for (unsigned blanks = 0; n < line.len; n++)
		if (line.p[n] == ' ' && ++blanks == 4)
			break;
	return (struct str){line.p, n};
}

static void
put_line(struct text *out, char mark, struct str line)
{
	text_char(out, mark);
	text_char(out, ' ');
	text_str(out, line);
	text_char(out, '\n');
}

/* Lines by their text, and by their route, as a set: order alone is no change. */
static void
diff_print(const struct text *served, const struct text *next, struct text *out)
{
	struct lines old = lines_of(served), new = lines_of(next);
	struct map was = {0}, is = {0}, routes = {0};

	for (size_t i = 0; i < old.n; i++)
		map_put(&was, old.all[i], &old.all[i]);
	for (size_t i = 0; i < new.n; i++) {
		map_put(&is, new.all[i], &new.all[i]);
		map_put(&routes, route_of(new.all[i]), &new.all[i]);
	}
	for (size_t i = 0; i < old.n; i++) {
		struct str route = route_of(old.all[i]);

		if (map_find(&is, old.all[i]) == NULL && map_find(&routes, route) == NULL)
			put_line(out, '-', old.all[i]);
	}
	map_fini(&routes);
	routes = (struct map){0};
	for (size_t i = 0; i < old.n; i++)
		map_put(&routes, route_of(old.all[i]), &old.all[i]);
	for (size_t i = 0; i < new.n; i++) {
		if (map_find(&was, new.all[i]) == NULL)
			put_line(
			    out, map_find(&routes, route_of(new.all[i])) == NULL ? '+' : '~', new.all[i]);
	}
	map_fini(&was);
	map_fini(&is);
	map_fini(&routes);
	free(old.all);
	free(new.all);
}

void
hold_print(struct tree *t, struct text *out)
{
	struct text served = {0}, next = {0};
	struct diags ds = {0};
	struct txn x;

	if (!t->hold.held)
		return;
	settle_run(t, true);
	hold_try(t, &x, EDIT_BROKEN, &ds);
	if (ds.n == 0)
		text_printf(out, "ok\n");
	else
		text_printf(out, "%zu problem%s\n", ds.n, ds.n == 1 ? "" : "s");
	if (x.next != NULL) {
		table_print(engine_table(t->engine), &served);
		table_print(x.next, &next);
		diff_print(&served, &next, out);
	}
	for (size_t i = 0; i < ds.n; i++)
		diag_print(&ds.all[i], out);
	txn_abort(&x);
	diags_fini(&ds);
	text_fini(&served);
	text_fini(&next);
}

/* ------------------------------------------------------------------ git */

bool
hold_is_lock(const char *path)
{
	return strcmp(path, LOCK_PATH) == 0;
}

void
hold_git_begin(struct tree *t, pid_t maker)
{
	struct hold *h = &t->hold;

	if (!h->held) {
		settle_run(t, true);
		hold_start(t, "git");
		h->by_git = true;
	}
	h->git = true;
	h->git_pid = maker;
}

int
hold_git_end(struct tree *t)
{
	struct hold *h = &t->hold;

	settle_run(t, true);
	h->git = false;
	if (!h->by_git)
		return 0;
	if (undo_is_empty(&h->undo)) {
		hold_end(t);
		return 0;
	}
	return hold_commit(t);
}

void
hold_git_check(struct tree *t)
{
	struct hold *h = &t->hold;

	if (!h->git || h->git_pid == 0 || kill(h->git_pid, 0) == 0 || errno != ESRCH)
		return;
	log_warn("the git that held the tree (pid %d) is gone", h->git_pid);
	t->uid = 0;
	hold_git_end(t);
}
