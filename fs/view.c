/* view.c - the files that we write: what is there, and what they say. */
#include "view.h"
#include "clock.h"
#include "metrics.h"

#include <dirent.h>
#include <stdio.h>

static const struct {
	const char *name;
	enum view view;
	bool root; /* only there */
} views[] = {
    {".status", VIEW_STATUS, false},
    {".errors", VIEW_ERRORS, false},
    {".table", VIEW_TABLE, true},
    {".metrics", VIEW_METRICS, true},
    {".hold", VIEW_HOLD, true},
    {".hosts", VIEW_HOSTS, false},
    {".ca.pem", VIEW_CA, true},
    {".events", VIEW_EVENTS, true},
};

static bool
is_vpc(const char *dir)
{
	struct spot spot;

	schema_spot(dir, true, &spot);
	return spot.sort == SORT_OBJECT && spot.kind == KIND_VPC;
}

static bool
is_there(struct tree *t, const char *dir, size_t i)
{
	struct stat st;

	if (dir[0] == '\0')
		return views[i].view != VIEW_HOLD || t->hold.held;
	if (views[i].root)
		return false;
	if (views[i].view == VIEW_HOSTS && !is_vpc(dir))
		return false;
	/* What was refused in a collection is told there as well. */
	return model_has(t->model, dir) || (views[i].view == VIEW_ERRORS && txn_is_live(dir, S_IFDIR) &&
					       store_stat(&t->store, dir, &st) == 0);
}

enum view
view_find(struct tree *t, const char *dir, const char *name)
{
	for (size_t i = 0; i < COUNT(views); i++) {
		if (strcmp(views[i].name, name) == 0)
			return is_there(t, dir, i) ? views[i].view : VIEW_NONE;
	}
	return VIEW_NONE;
}

void
view_list(struct tree *t, const char *dir, void (*each)(void *ctx, const char *name), void *ctx)
{
	for (size_t i = 0; i < COUNT(views); i++) {
		if (is_there(t, dir, i) && views[i].view != VIEW_EVENTS)
			each(ctx, views[i].name);
	}
}

/* ------------------------------------------------------------------ what they say */

struct listing {
	void (*each)(void *, const char *name, bool is_dir);
	void *arg;
};

static void
list_entry(void *ctx, const char *name, unsigned type)
{
	struct listing *l = ctx;

	l->each(l->arg, name, type == DT_DIR);
}

static int
list_stored(void *ctx, const char *path, void (*each)(void *, const char *name, bool is_dir), void *arg)
{
	struct tree *t = ctx;
	struct listing l = {.each = each, .arg = arg};

	return store_list(&t->store, path, list_entry, &l);
}

static void
print_time(struct text *out, const char *key, uint64_t unix_ms)
{
	char time[25];

	clock_iso(time, unix_ms);
	text_printf(out, "%s %s", key, time);
}

static void
root_status(struct tree *t, const struct status_context *c, struct text *out)
{
	struct engine_stats s;

	engine_stats(t->engine, &s);
	text_printf(out, "version %s\n", LATTICEFS_VERSION);
	text_printf(out, "generation %llu\n", (unsigned long long)table_generation(engine_table(t->engine)));
	text_printf(out, "uptime %llu\n", (unsigned long long)(clock_ms() - t->started_ms) / 1000);
	text_printf(out, "workers %u\n", s.workers);
	text_printf(out, "engine %s\n", engine_features(t->engine));
	status_print_objects(c, out);
	text_printf(out, "connections %llu\n", (unsigned long long)s.connections);
	text_printf(out, "requests %llu\n", (unsigned long long)s.requests);
	if (t->last.unix_ms != 0) {
		print_time(out, "last-apply", t->last.unix_ms);
		text_printf(out, ": parse %llu compile %llu publish %llu us\n",
		    (unsigned long long)t->last.parse_us, (unsigned long long)t->last.compile_us,
		    (unsigned long long)t->last.publish_us);
	}
	if (t->hold.held) {
		print_time(out, "held", t->hold.since_unix_ms);
		text_printf(out, " %s\n", t->hold.by);
	}
}

/* Without one the file says why, and whoever looks for a certificate in it finds none. */
static void
ca_print(struct tree *t, struct text *out)
{
	const char *pem = authority_pem(t->authority);

	if (pem != NULL)
		text_printf(out, "%s", pem);
	else
		text_printf(out, "no local CA: %s\n", authority_why(t->authority));
}

void
view_render(struct tree *t, enum view view, const char *path, uid_t uid, struct text *out)
{
	struct status_context c = {.model = t->model, .engine = t->engine, .list = list_stored, .ctx = t};
	const char *slash = strrchr(path, '/');
	cleanup_free char *dir = xstrndup(path, slash == NULL ? 0 : (size_t)(slash - path));

	switch (view) {
	case VIEW_STATUS:
		if (dir[0] == '\0')
			root_status(t, &c, out);
		else
			status_print(&c, dir, out);
		break;
	case VIEW_ERRORS:
		errors_print(&t->errors, dir, uid, out);
		break;
	case VIEW_TABLE:
		table_print(engine_table(t->engine), out);
		break;
	case VIEW_METRICS:
		engine_metrics(t->engine, out);
		metrics_print(&c, out);
		break;
	case VIEW_HOLD:
		hold_print(t, out);
		break;
	case VIEW_HOSTS:
		model_print_hosts(t->model, dir, engine_table(t->engine), out);
		break;
	case VIEW_CA:
		ca_print(t, out);
		break;
	case VIEW_EVENTS: /* a reader's own: events.h */
	case VIEW_NONE:
		break;
	}
}

void
view_stat(struct tree *t, const struct inode *n, const char *path, uid_t uid, struct stat *st)
{
	uint64_t when = n->view == VIEW_ERRORS				   ? errors_time(&t->errors)
			: n->view == VIEW_EVENTS && t->events.unix_ms != 0 ? t->events.unix_ms
									   : t->changed_unix_ms;
	struct text text = {0};

	view_render(t, n->view, path, uid, &text);
	*st = (struct stat){
	    .st_ino = (1ull << 63) | n->id,
	    .st_mode = S_IFREG | (n->view == VIEW_HOLD ? 0644 : 0444),
	    .st_nlink = 1,
	    .st_uid = geteuid(),
	    .st_gid = getegid(),
	    .st_size = (off_t)(n->view == VIEW_EVENTS ? events_size(&t->events) : text.len),
	    .st_blocks = (blkcnt_t)(text.len + 511) / 512,
	    .st_blksize = 4096,
	};
	st->st_mtim = (struct timespec){(time_t)(when / 1000), (long)(when % 1000) * 1000000};
	st->st_atim = st->st_ctim = st->st_mtim;
	text_fini(&text);
}
