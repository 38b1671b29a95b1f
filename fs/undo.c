/* undo.c - the undo log of a hold: written ahead, read after a crash, played back by an abort. */
#include "undo.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdio.h>

#define UNDO_DIR ".hold"
#define UNDO_FILE ".hold/undo"
#define UNDO_MAGIC 0x4f444e55u
#define UNDO_BYTES_MAX (1 << 30) /* of one working file: it is read whole to be put back */

enum was { WAS_BEGIN = 'b', WAS_ABSENT = 'a', WAS_FILE = 'f', WAS_LINK = 'l', WAS_DIR = 'd' };

/* As in the file, followed by the path and the data: the text, the target, where it came from. */
struct head {
	uint32_t magic, was, path_len, mode, uid, gid;
	uint64_t data_len;
	int64_t mtime_s, mtime_ns;
	uint64_t sum; /* of all above and the path */
};

struct record {
	struct head head;
	char *path;
	uint64_t at; /* of the data in the log */
};

void
undo_init(struct undo *u, struct store *s, const char *by, uint64_t since_unix_ms)
{
	*u = (struct undo){.store = s, .log = -1, .since_unix_ms = since_unix_ms};
	snprintf(u->by, sizeof(u->by), "%s", by);
}

static uint64_t
sum_of(const struct head *h, const char *path)
{
	struct str bytes = {(const char *)h, offsetof(struct head, sum)};

	return str_hash((struct str){path, h->path_len}, str_hash(bytes, UNDO_MAGIC));
}

static int
write_at(int fd, const void *p, size_t n, uint64_t *at)
{
	while (n > 0) {
		ssize_t done = pwrite(fd, p, n, (off_t)*at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		p = (const char *)p + done;
		n -= (size_t)done;
		*at += (uint64_t)done;
	}
	return 0;
}

static int
copy_at(int fd, int from, uint64_t n, uint64_t *at)
{
	char block[65536];
	int rc = 0;

	while (rc == 0 && n > 0) {
		ssize_t got = read(from, block, MIN(n, sizeof(block)));

		if (got < 0)
			return -errno;
		/* It became shorter meanwhile: the record says its length, so the rest is zeros. */
		if (got == 0)
			return ftruncate(fd, (off_t)(*at + n)) < 0 ? -errno : (*at += n, 0);
		n -= (uint64_t)got;
		rc = write_at(fd, block, (size_t)got, at);
	}
	return rc;
}

/* ------------------------------------------------------------------ the log */

static int
undo_write(struct undo *u, struct head *h, const char *path, const char *data, int from, struct record *r)
{
	uint64_t at = u->end;
	int rc;

	h->magic = UNDO_MAGIC;
	h->path_len = (uint32_t)strlen(path);
	h->sum = sum_of(h, path);
	rc = write_at(u->log, h, sizeof(*h), &at);
	if (rc == 0)
		rc = write_at(u->log, path, h->path_len, &at);
	if (r != NULL)
		*r = (struct record){.head = *h, .path = xstrdup(path), .at = at};
	if (rc == 0)
		rc = from >= 0 ? copy_at(u->log, from, h->data_len, &at)
			       : write_at(u->log, data, h->data_len, &at);
	if (rc == 0)
		u->end = at;
	else if (r != NULL)
		free(r->path);
	return rc;
}

static int
undo_create(struct undo *u)
{
	struct head h = {.was = WAS_BEGIN, .mtime_s = (int64_t)u->since_unix_ms};

	if (u->log >= 0)
		return 0;
	if (mkdirat(u->store->dir, UNDO_DIR, 0700) < 0 && errno != EEXIST)
		return -errno;
	u->log = openat(u->store->dir, UNDO_FILE, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (u->log < 0)
		return -errno;
	u->end = 0;
	return undo_write(u, &h, u->by, NULL, -1, NULL);
}

static int
sync_log(struct undo *u)
{
	cleanup_fd int dir = openat(u->store->dir, UNDO_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fsync(u->log) < 0 || dir < 0 || fsync(dir) < 0 || fsync(u->store->dir) < 0)
		return -errno;
	return 0;
}

int
undo_begin(struct undo *u)
{
	int rc = undo_create(u);

	return rc < 0 ? rc : sync_log(u);
}

static void
record_free(struct record *r)
{
	free(r->path);
	free(r);
}

void
undo_close(struct undo *u)
{
	struct map_entry *e;

	for (uint32_t i = 0; (e = map_next(&u->records, &i)) != NULL;)
		record_free(e->value);
	map_fini(&u->records);
	u->records = (struct map){0};
	free(u->sorted);
	u->sorted = NULL;
	if (u->log >= 0)
		close(u->log);
	u->log = -1;
}

void
undo_drop(struct undo *u)
{
	if (u->log >= 0 && unlinkat(u->store->dir, UNDO_FILE, 0) < 0)
		log_error("%s/" UNDO_FILE ": cannot be removed: %s", u->store->path, strerror(errno));
	if (u->log >= 0 && unlinkat(u->store->dir, UNDO_DIR, AT_REMOVEDIR) == 0)
		fsync(u->store->dir);
	undo_close(u);
}

bool
undo_is_empty(const struct undo *u)
{
	return u->records.n == 0;
}

/* One record at u->end: its length, 0 when there is none that is whole. */
static int
undo_read(struct undo *u, uint64_t size, struct record *r)
{
	char path[PATH_MAX];
	struct head *h = &r->head;

	if (pread(u->log, h, sizeof(*h), (off_t)u->end) != sizeof(*h) || h->magic != UNDO_MAGIC ||
	    h->path_len >= sizeof(path))
		return 0;
	if (pread(u->log, path, h->path_len, (off_t)(u->end + sizeof(*h))) != (ssize_t)h->path_len ||
	    h->sum != sum_of(h, path))
		return 0;
	r->at = u->end + sizeof(*h) + h->path_len;
	if (h->data_len > size || r->at > size - h->data_len)
		return 0;
	r->path = xstrndup(path, h->path_len);
	u->end = r->at + h->data_len;
	return 1;
}

int
undo_open(struct undo *u, struct store *s, const char **why)
{
	struct record r = {0}, *kept;
	struct stat st;

	undo_init(u, s, "", 0);
	*why = "has a hold whose log cannot be read";
	u->log = openat(s->dir, UNDO_FILE, (s->read_only ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_CLOEXEC);
	if (u->log < 0 && (errno == ENOENT || errno == ENOTDIR)) {
		unlinkat(s->dir, UNDO_DIR, AT_REMOVEDIR);
		return 0;
	}
	if (u->log < 0 || fstat(u->log, &st) < 0)
		return -errno;
	/* A log without its first record was never acknowledged. */
	if (!undo_read(u, (uint64_t)st.st_size, &r) || r.head.was != WAS_BEGIN) {
		free(r.path);
		undo_drop(u);
		return 0;
	}
	u->since_unix_ms = (uint64_t)r.head.mtime_s;
	snprintf(u->by, sizeof(u->by), "%.60s", r.path);
	free(r.path);
	while (undo_read(u, (uint64_t)st.st_size, &r)) {
		kept = xcalloc(1, sizeof(*kept));
		*kept = r;
		kept = map_put(&u->records, str_of(r.path), kept);
		assert(kept == NULL);
	}
	/* What follows is torn. */
	if (!s->read_only && ftruncate(u->log, (off_t)u->end) < 0)
		return -errno;
	return 1;
}

/* ------------------------------------------------------------------ recording */

/* Is path below one that was absent when the hold began? */
static bool
is_new(const struct undo *u, const char *path)
{
	for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		const struct record *r = map_find(&u->records, (struct str){path, (uint32_t)(slash - path)});

		if (r != NULL && r->head.was != WAS_DIR)
			return true;
	}
	return false;
}

static int
undo_add(struct undo *u, struct head *h, const char *path, const char *data, int from, bool sync)
{
	struct record *r = xcalloc(1, sizeof(*r));
	bool first = u->log < 0;
	int rc = undo_create(u);

	if (rc == 0)
		rc = undo_write(u, h, path, data, from, r);
	if (rc < 0) {
		free(r);
		return rc;
	}
	map_put(&u->records, str_of(path), r);
	free(u->sorted);
	u->sorted = NULL;
	if (!sync)
		return 0;
	return first ? sync_log(u) : fdatasync(u->log) < 0 ? -errno : 0;
}

int
undo_record(struct undo *u, const char *path, const struct stat *st, const char *from, bool sync)
{
	cleanup_fd int fd = -1;
	char target[PATH_MAX];
	const char *data = from;
	struct head h = {.was = WAS_ABSENT};
	ssize_t n = from == NULL ? 0 : (ssize_t)strlen(from);

	if (map_find(&u->records, str_of(path)) != NULL || is_new(u, path))
		return 0;
	if (st != NULL) {
		h = (struct head){.was = S_ISDIR(st->st_mode)	? WAS_DIR
					 : S_ISLNK(st->st_mode) ? WAS_LINK
								: WAS_FILE,
		    .mode = st->st_mode & 07777,
		    .uid = st->st_uid,
		    .gid = st->st_gid,
		    .mtime_s = st->st_mtim.tv_sec,
		    .mtime_ns = st->st_mtim.tv_nsec};
	}
	if (h.was == WAS_LINK) {
		n = store_readlink(u->store, path, target, sizeof(target));
		data = target;
	} else if (h.was == WAS_FILE) {
		if (st->st_size > UNDO_BYTES_MAX)
			return -EFBIG;
		n = st->st_size;
		if ((fd = store_file(u->store, path, O_RDONLY)) < 0)
			return fd;
	}
	if (n < 0)
		return (int)n;
	h.data_len = (uint64_t)n;
	return undo_add(u, &h, path, data, fd, sync);
}

/* ------------------------------------------------------------------ playing back */

static int
compare_paths(const void *a, const void *b)
{
	return strcmp((*(struct record *const *)a)->path, (*(struct record *const *)b)->path);
}

static struct record **
undo_sorted(struct undo *u)
{
	struct map_entry *e;
	uint32_t n = 0;

	if (u->sorted != NULL || u->records.n == 0)
		return u->sorted;
	u->sorted = xcalloc(u->records.n, sizeof(struct record *));
	for (uint32_t i = 0; (e = map_next(&u->records, &i)) != NULL;)
		u->sorted[n++] = e->value;
	qsort(u->sorted, n, sizeof(struct record *), compare_paths);
	return u->sorted;
}

/* The data of a record, with a NUL behind it. */
static int
data_of(const struct undo *u, const struct record *r, char **data)
{
	uint64_t at = 0;
	ssize_t n;

	*data = xcalloc(1, r->head.data_len + 1);
	for (; at < r->head.data_len; at += (uint64_t)n) {
		n = pread(u->log, *data + at, r->head.data_len - at, (off_t)(r->at + at));
		if (n <= 0) {
			free(*data);
			*data = NULL;
			return n < 0 ? -errno : -EIO;
		}
	}
	return 0;
}

static int
remove_new(struct undo *u, const struct record *r)
{
	cleanup_free char *from = NULL;
	struct stat st;
	int rc;

	if (r->head.data_len > 0 && (rc = data_of(u, r, &from)) < 0)
		return rc;
	if (from != NULL && store_stat(u->store, from, &st) == -ENOENT &&
	    store_stat(u->store, r->path, &st) == 0)
		return store_rename(u->store, r->path, from, 0, false);
	return store_remove(u->store, r->path);
}

static int
put_old(struct undo *u, const struct record *r)
{
	const struct head *h = &r->head;
	struct owner o = {.mode = h->mode, .uid = h->uid, .gid = h->gid};
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = h->mtime_s, .tv_nsec = h->mtime_ns}};
	cleanup_free char *data = NULL;
	struct stat st;
	bool there = store_stat(u->store, r->path, &st) == 0;
	bool fits = there && ((h->was == WAS_DIR && S_ISDIR(st.st_mode)) ||
				 (h->was == WAS_FILE && S_ISREG(st.st_mode)));
	int rc = there && !fits ? store_remove(u->store, r->path) : 0;

	if (rc == 0 && h->was != WAS_DIR)
		rc = data_of(u, r, &data);
	if (rc < 0)
		return rc;
	if (h->was == WAS_LINK)
		return store_symlink(u->store, r->path, data, &o, false);
	if (h->was == WAS_FILE)
		rc = store_put(u->store, r->path, (struct str){data, (uint32_t)h->data_len}, &o, false);
	else if (!fits)
		rc = store_mkdir(u->store, r->path, &o, false);
	if (rc == 0 && (rc = store_chown(u->store, r->path, h->uid, h->gid)) == 0)
		rc = store_chmod(u->store, r->path, h->mode);
	return rc < 0 || h->was == WAS_DIR ? rc : store_times(u->store, r->path, times);
}

int
undo_restore(struct undo *u)
{
	struct record **all = undo_sorted(u);
	uint32_t n = u->records.n;
	int rc = 0;

	for (uint32_t i = n; i > 0 && rc == 0; i--) {
		if (all[i - 1]->head.was == WAS_ABSENT)
			rc = remove_new(u, all[i - 1]);
	}
	/* Sorted: a directory comes before what is in it. */
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		if (all[i]->head.was != WAS_ABSENT)
			rc = put_old(u, all[i]);
	}
	return rc < 0 ? rc : store_sync(u->store);
}

void
undo_each(struct undo *u, struct edit *e, struct source *now)
{
	struct record **all = undo_sorted(u);
	struct diag d;

	for (uint32_t i = 0; i < u->records.n; i++) {
		d = (struct diag){0};
		edit_sync(e, all[i]->path, now, all[i]->path, &d);
	}
}

/* ------------------------------------------------------------------ the tree as it was */

struct overlay {
	struct undo *u;
	const char *path;
	void (*each)(void *ctx, const char *name, unsigned type);
	void *ctx;
};

/* An entry of the store that has no record is as it was. */
static void
overlay_entry(void *ctx, const char *name, unsigned type)
{
	struct overlay *o = ctx;
	cleanup_free char *path = xasprintf("%s%s%s", o->path, o->path[0] ? "/" : "", name);

	if (map_find(&o->u->records, str_of(path)) == NULL)
		o->each(o->ctx, name, type);
}

/* The first record that sorts at or after `path/`. */
static uint32_t
first_below(struct record **all, uint32_t n, const char *prefix)
{
	uint32_t low = 0;

	while (low < n) {
		uint32_t middle = low + (n - low) / 2;

		if (strcmp(all[middle]->path, prefix) < 0)
			low = middle + 1;
		else
			n = middle;
	}
	return low;
}

static int
was_list(
    struct source *s, const char *path, void (*each)(void *ctx, const char *name, unsigned type), void *ctx)
{
	struct undo *u = container_of(s, struct undo, source);
	struct record **all = undo_sorted(u), *r = map_find(&u->records, str_of(path));
	cleanup_free char *prefix = xasprintf("%s%s", path, path[0] ? "/" : "");
	size_t len = strlen(prefix);
	struct overlay o = {.u = u, .path = path, .each = each, .ctx = ctx};
	int rc;

	if ((r != NULL && r->head.was != WAS_DIR) || is_new(u, path))
		return -ENOENT;
	rc = store_list(u->store, path, overlay_entry, &o);
	if (rc < 0 && r == NULL)
		return rc;
	for (uint32_t i = first_below(all, u->records.n, prefix); i < u->records.n; i++) {
		uint32_t was = all[i]->head.was;

		if (strncmp(all[i]->path, prefix, len) != 0)
			break;
		if (strchr(all[i]->path + len, '/') == NULL && was != WAS_ABSENT)
			each(ctx, all[i]->path + len,
			    was == WAS_DIR    ? DT_DIR
			    : was == WAS_LINK ? DT_LNK
					      : DT_REG);
	}
	return 0;
}

static ssize_t
was_data(struct undo *u, const struct record *r, enum was was, char *buf, size_t size)
{
	cleanup_free char *data = NULL;
	int rc;

	if (r->head.was == WAS_ABSENT)
		return -ENOENT;
	if (r->head.was != was)
		return -EINVAL;
	if (r->head.data_len > size)
		return -EFBIG;
	if ((rc = data_of(u, r, &data)) < 0)
		return rc;
	memcpy(buf, data, r->head.data_len);
	return (ssize_t)r->head.data_len;
}

static ssize_t
was_read(struct source *s, const char *path, char *buf, size_t size)
{
	struct undo *u = container_of(s, struct undo, source);
	const struct record *r = map_find(&u->records, str_of(path));

	if (r == NULL)
		return is_new(u, path) ? -ENOENT : store_read(u->store, path, buf, size);
	return was_data(u, r, WAS_FILE, buf, size);
}

static ssize_t
was_readlink(struct source *s, const char *path, char *buf, size_t size)
{
	struct undo *u = container_of(s, struct undo, source);
	const struct record *r = map_find(&u->records, str_of(path));

	if (r == NULL)
		return is_new(u, path) ? -ENOENT : store_readlink(u->store, path, buf, size);
	return was_data(u, r, WAS_LINK, buf, size);
}

struct source *
undo_source(struct undo *u)
{
	u->source = (struct source){.list = was_list, .read = was_read, .readlink = was_readlink};
	return &u->source;
}
