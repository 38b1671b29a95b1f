/* store.c - the durable copy of the tree: plain files, replaced whole, resolved beneath STORE alone. */
#include "store.h"
#include "limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/syscall.h>

#define PRIVATE_MODE 0600u

/* ------------------------------------------------------------------ places */

static int
find_dir(struct store *s, const char *path, size_t len)
{
	for (unsigned i = 0; i < STORE_DIRS; i++) {
		struct store_dir *d = &s->dirs[i];

		if (d->path != NULL && strncmp(d->path, path, len) == 0 && d->path[len] == '\0') {
			d->used = ++s->uses;
			return d->fd;
		}
	}
	return -1;
}

static int
parent_at_hand(struct store *s, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL || slash[1] == '\0')
		return -1;
	*name = slash + 1;
	return find_dir(s, path, (size_t)(slash - path));
}

/* O_PATH is enough to stand in a directory, and works in those that may not be read. */
static int
open_dir(struct store *s, const char *path, int flags)
{
	struct open_how how = {
	    .flags = (uint64_t)(flags | O_DIRECTORY | O_CLOEXEC),
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	const char *name;
	int at;
	long fd;

	/* One step from a directory at hand is cheaper, and resolves nothing. */
	at = parent_at_hand(s, path, &name);
	if (at >= 0)
		fd = openat(at, name, flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	else
		fd = syscall(SYS_openat2, s->dir, path[0] ? path : ".", &how, sizeof(how));

	if (fd >= 0)
		return (int)fd;
	/* A link on the way is no directory of ours. */
	return errno == ELOOP || errno == EXDEV ? -ENOTDIR : -errno;
}

/* After a directory has moved or gone: its path means something else now. */
static void
forget_dirs(struct store *s)
{
	for (unsigned i = 0; i < STORE_DIRS; i++) {
		if (s->dirs[i].path == NULL)
			continue;
		free(s->dirs[i].path);
		s->dirs[i].path = NULL;
		close(s->dirs[i].fd);
	}
}

/* Keeps fd at hand as the directory at path[0..len). */
static int
keep_dir(struct store *s, const char *path, size_t len, int fd)
{
	struct store_dir *d = &s->dirs[0];

	for (unsigned i = 0; i < STORE_DIRS; i++) {
		if (s->dirs[i].path == NULL) {
			d = &s->dirs[i];
			break;
		}
		if (s->dirs[i].used < d->used)
			d = &s->dirs[i];
	}
	if (d->path != NULL) {
		free(d->path);
		close(d->fd);
	}
	*d = (struct store_dir){.path = xstrndup(path, len), .fd = fd, .used = ++s->uses};
	return fd;
}

/* The directory that path is in, borrowed (good for this call and one more), and the last name of path. */
static int
store_at(struct store *s, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];
	size_t len;
	int fd;

	*name = slash == NULL ? path : slash + 1;
	if ((*name)[0] == '\0')
		*name = ".";
	if (slash == NULL)
		return s->dir;
	len = (size_t)(slash - path);
	if (len >= sizeof(dir))
		return -ENAMETOOLONG;
	if ((fd = find_dir(s, path, len)) >= 0)
		return fd;
	memcpy(dir, path, len);
	dir[len] = '\0';
	if ((fd = open_dir(s, dir, O_PATH)) < 0)
		return fd;
	return keep_dir(s, dir, len, fd);
}

/* Makes the entries of the directory of path durable; the descriptor at hand may be an O_PATH one. */
static int
sync_dir(struct store *s, const char *path, bool durable)
{
	const char *name;
	int at, rc = 0;

	if (!durable)
		return 0;
	if ((at = store_at(s, path, &name)) < 0)
		return at;
	if (fsync(at) == 0)
		return 0;
	if (errno == EBADF) {
		cleanup_fd int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		rc = fd < 0 || fsync(fd) < 0 ? -errno : 0;
	} else {
		rc = -errno;
	}
	return rc;
}

/* ------------------------------------------------------------------ the store itself */

int
store_open(struct store *s, const char *path, bool read_only, bool make, const char **why)
{
	*s = (struct store){.dir = -1, .read_only = read_only, .sweep = make && !read_only};
	*why = "cannot be made";
	if (make && !read_only && mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	*why = "cannot be opened";
	if ((s->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return -errno;
	*why = "is in use by another latticefs";
	if (make && flock(s->dir, LOCK_EX | LOCK_NB) < 0) {
		int err = errno;

		close(s->dir);
		s->dir = -1;
		return -err;
	}
	s->path = xstrdup(path);
	return 0;
}

void
store_close(struct store *s)
{
	forget_dirs(s);
	if (s->dir >= 0)
		close(s->dir);
	s->dir = -1;
	free(s->path);
	s->path = NULL;
}

int
store_sync(struct store *s)
{
	return syncfs(s->dir) < 0 ? -errno : 0;
}

/* ------------------------------------------------------------------ reading */

int
store_stat(struct store *s, const char *path, struct stat *st)
{
	const char *name;
	int at = store_at(s, path, &name);

	if (at < 0)
		return at;
	if (fstatat(at, name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	/* One that was put here by hand is read through the mount by its owner alone, too. */
	if (S_ISREG(st->st_mode) && store_is_private(name))
		st->st_mode &= S_IFMT | PRIVATE_MODE;
	return 0;
}

int
store_file(struct store *s, const char *path, int flags)
{
	const char *name;
	int at = store_at(s, path, &name), fd;

	if (at < 0)
		return at;
	fd = openat(at, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

ssize_t
store_read(struct store *s, const char *path, char *buf, size_t size)
{
	cleanup_fd int fd = store_file(s, path, O_RDONLY);
	size_t len = 0;
	char more;
	ssize_t n;

	if (fd < 0)
		return fd;
	while (len < size && (n = read(fd, buf + len, size - len)) != 0) {
		if (n < 0)
			return errno == EISDIR ? -EINVAL : -errno;
		len += (size_t)n;
		/* A file gives all it has: one call a file counts when ten thousand services are read. */
		if (len < size)
			return (ssize_t)len;
	}
	if (len == size && (n = read(fd, &more, 1)) != 0)
		return n < 0 ? -errno : -EFBIG;
	return (ssize_t)len;
}

ssize_t
store_readlink(struct store *s, const char *path, char *buf, size_t size)
{
	const char *name;
	int at = store_at(s, path, &name);
	ssize_t n;

	if (at < 0)
		return at;
	if ((n = readlinkat(at, name, buf, size)) < 0)
		return -errno;
	return (size_t)n < size ? (buf[n] = '\0', n) : -ENAMETOOLONG;
}

bool
store_is_aside(const char *name)
{
	return strncmp(name, STORE_ASIDE, strlen(STORE_ASIDE)) == 0;
}

/* What only the daemon puts into the store. */
static bool
is_ours(const char *dir, const char *name)
{
	static const char *const names[] = {".hold", STORE_CA, STORE_CA_KEY};

	for (size_t i = 0; i < COUNT(names) && dir[0] == '\0'; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return store_is_aside(name);
}

int
store_list(
    struct store *s, const char *path, void (*each)(void *ctx, const char *name, unsigned type), void *ctx)
{
	char block[8192] __attribute__((aligned(8)));
	/* each() may look into other directories, so the one kept at hand is a second descriptor. */
	cleanup_fd int fd = open_dir(s, path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	while ((n = getdents64(fd, block, sizeof(block))) > 0) {
		for (ssize_t at = 0; at < n;) {
			struct dirent64 *e = (struct dirent64 *)(block + at);
			unsigned type = e->d_type;
			struct stat st;

			at += e->d_reclen;
			if (s->sweep && store_is_aside(e->d_name))
				unlinkat(fd, e->d_name, 0);
			if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
			    is_ours(path, e->d_name))
				continue;
			if (type == DT_UNKNOWN && fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
				type = IFTODT(st.st_mode);
			each(ctx, e->d_name, type);
		}
	}
	if (n < 0)
		return -errno;
	if (find_dir(s, path, strlen(path)) < 0 && path[0] != '\0') {
		keep_dir(s, path, strlen(path), fd);
		fd = -1;
	}
	return 0;
}

static void
see_entry(void *ctx, const char *name, unsigned type)
{
	*(bool *)ctx = false;
}

bool
store_is_empty(struct store *s, const char *path)
{
	bool empty = true;

	return store_list(s, path, see_entry, &empty) == 0 && empty;
}

/* ------------------------------------------------------------------ making */

bool
store_is_private(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash == NULL ? path : slash + 1, "private-key") == 0;
}

/* The mode of the file at path, when it is to have `mode`. */
static mode_t
mode_of(const char *path, mode_t mode)
{
	return mode & (store_is_private(path) ? PRIVATE_MODE : 07777);
}

/* Owner and mode of what fd is, as o says; files made in a set-group-id directory take its group. */
static int
give_fd(int fd, const struct stat *dir, const struct owner *o)
{
	gid_t gid = dir->st_mode & S_ISGID ? dir->st_gid : o->gid;

	if ((o->uid != geteuid() || gid != getegid()) && fchown(fd, o->uid, gid) < 0)
		return -errno;
	return fchmod(fd, o->mode & 07777) < 0 ? -errno : 0;
}

static void
aside_name(unsigned number, char name[static 32])
{
	snprintf(name, 32, STORE_ASIDE "%u", number);
}

int
store_aside(struct store *s, const char *path, const struct owner *o, struct aside *a)
{
	const char *last;
	char name[32];
	struct owner owner = {mode_of(path, o->mode), o->uid, o->gid};
	struct stat dir;
	int at = store_at(s, path, &last), rc;

	*a = (struct aside){.fd = -1, .dir = -1};
	if (at < 0)
		return at;
	if (fstat(at, &dir) < 0 || (a->dir = fcntl(at, F_DUPFD_CLOEXEC, 0)) < 0)
		return -errno;
	/* One that a crash left may still have the name. */
	do {
		a->number = s->asides++;
		aside_name(a->number, name);
		a->fd = openat(a->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	} while (a->fd < 0 && errno == EEXIST);
	rc = a->fd < 0 ? -errno : give_fd(a->fd, &dir, &owner);
	if (rc < 0)
		store_aside_drop(a);
	return rc;
}

void
store_aside_unlink(struct aside *a)
{
	char name[32];

	if (a->dir < 0)
		return;
	aside_name(a->number, name);
	unlinkat(a->dir, name, 0);
	close(a->dir);
	a->dir = -1;
}

void
store_aside_drop(struct aside *a)
{
	store_aside_unlink(a);
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

static int
write_all(int fd, struct str text)
{
	while (text.len > 0) {
		ssize_t n = write(fd, text.p, text.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text.p += n;
		text.len -= (uint32_t)n;
	}
	return 0;
}

void
store_moved(struct store *s, const char *path)
{
	if (s->moved != NULL)
		s->moved(s->moved_ctx, path);
}

static int
aside_place(struct store *s, struct aside *a, const char *path, bool durable)
{
	const char *last;
	char name[32];
	int at = store_at(s, path, &last);

	if (at < 0)
		return at;
	aside_name(a->number, name);
	if (durable && fsync(a->fd) < 0)
		return -errno;
	if (renameat(a->dir, name, at, last) < 0)
		return -errno;
	close(a->dir);
	a->dir = -1;
	store_moved(s, path);
	return sync_dir(s, path, durable);
}

int
store_aside_put(struct store *s, struct aside *a, const char *path, struct str text, bool durable)
{
	int rc;

	/* An earlier try may have left a part of another text. */
	if (ftruncate(a->fd, 0) < 0 || lseek(a->fd, 0, SEEK_SET) < 0)
		return -errno;
	rc = write_all(a->fd, text);
	return rc < 0 ? rc : aside_place(s, a, path, durable);
}

int
store_put(struct store *s, const char *path, struct str text, const struct owner *o, bool durable)
{
	cleanup_fd int old = store_file(s, path, O_RDONLY);
	struct owner owner = *o;
	struct aside a;
	struct stat st;
	int rc;

	if (old >= 0 && fstat(old, &st) == 0)
		owner = (struct owner){.mode = st.st_mode, .uid = st.st_uid, .gid = st.st_gid};
	if ((rc = store_aside(s, path, &owner, &a)) < 0)
		return rc;
	if (old >= 0) {
		/* The group that the file has, also in a set-group-id directory. */
		if (fchown(a.fd, owner.uid, owner.gid) == 0)
			fchmod(a.fd, mode_of(path, owner.mode));
	}
	rc = store_aside_put(s, &a, path, text, durable);
	if (rc < 0)
		store_aside_drop(&a);
	else
		close(a.fd);
	return rc;
}

int
store_create(struct store *s, const char *path, int flags, const struct owner *o)
{
	const char *name;
	struct owner owner = {mode_of(path, o->mode), o->uid, o->gid};
	struct stat dir;
	int at = store_at(s, path, &name), fd, rc;

	if (at < 0)
		return at;
	if (fstat(at, &dir) < 0)
		return -errno;
	flags &= O_ACCMODE | O_EXCL | O_TRUNC;
	if ((fd = openat(at, name, flags | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0)
		return -errno;
	if ((rc = give_fd(fd, &dir, &owner)) < 0) {
		unlinkat(at, name, 0);
		close(fd);
		return rc;
	}
	return fd;
}

int
store_mkdir(struct store *s, const char *path, const struct owner *o, bool durable)
{
	const char *name;
	struct owner owner = *o;
	struct stat dir;
	int at = store_at(s, path, &name), rc;

	if (at < 0)
		return at;
	if (fstat(at, &dir) < 0 || mkdirat(at, name, 0700) < 0)
		return -errno;
	owner.mode |= dir.st_mode & S_ISGID;

	cleanup_fd int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if ((rc = fd < 0 ? -errno : give_fd(fd, &dir, &owner)) < 0) {
		unlinkat(at, name, AT_REMOVEDIR);
		return rc;
	}
	return sync_dir(s, path, durable);
}

int
store_symlink(struct store *s, const char *path, const char *target, const struct owner *o, bool durable)
{
	const char *name;
	struct stat dir;
	int at = store_at(s, path, &name);
	gid_t gid;

	if (at < 0)
		return at;
	if (fstat(at, &dir) < 0 || symlinkat(target, at, name) < 0)
		return -errno;
	gid = dir.st_mode & S_ISGID ? dir.st_gid : o->gid;
	if ((o->uid != geteuid() || gid != getegid()) &&
	    fchownat(at, name, o->uid, gid, AT_SYMLINK_NOFOLLOW) < 0) {
		int rc = -errno;

		unlinkat(at, name, 0);
		return rc;
	}
	return sync_dir(s, path, durable);
}

int
store_link(struct store *s, const char *from, const char *to, bool durable)
{
	const char *name, *new_name;
	int at = store_at(s, from, &name), new_at;

	if (at < 0)
		return at;
	if ((new_at = store_at(s, to, &new_name)) < 0)
		return new_at;
	if (linkat(at, name, new_at, new_name, 0) < 0)
		return -errno;
	return sync_dir(s, to, durable);
}

/* ------------------------------------------------------------------ removing and moving */

int
store_unlink(struct store *s, const char *path, bool durable)
{
	const char *name;
	int at = store_at(s, path, &name);

	if (at < 0)
		return at;
	return unlinkat(at, name, 0) < 0 ? -errno : sync_dir(s, path, durable);
}

/* What a crash left in a directory that is no part of the schema. */
static bool
sweep_dir(struct store *s, const char *path)
{
	bool sweep = s->sweep, empty;

	s->sweep = true;
	empty = store_is_empty(s, path);
	s->sweep = sweep;
	return empty;
}

int
store_rmdir(struct store *s, const char *path, bool durable)
{
	const char *name;
	int at = store_at(s, path, &name);

	if (at < 0)
		return at;
	if (unlinkat(at, name, AT_REMOVEDIR) < 0 &&
	    (errno != ENOTEMPTY || !sweep_dir(s, path) || unlinkat(at, name, AT_REMOVEDIR) < 0))
		return -errno;
	forget_dirs(s);
	return sync_dir(s, path, durable);
}

/* What is to be called new_name is closed to others before it is. */
static int
keep_private(int at, const char *name, const char *new_name)
{
	struct stat st;

	if (!store_is_private(new_name) || fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode) || (st.st_mode & 07777 & ~PRIVATE_MODE) == 0)
		return 0;
	return fchmodat(at, name, st.st_mode & PRIVATE_MODE, 0) < 0 ? -errno : 0;
}

int
store_rename(struct store *s, const char *from, const char *to, unsigned flags, bool durable)
{
	const char *name, *new_name;
	int at = store_at(s, from, &name), new_at, rc;

	if (at < 0)
		return at;
	if ((new_at = store_at(s, to, &new_name)) < 0)
		return new_at;
	if ((rc = keep_private(at, name, new_name)) < 0 ||
	    (flags & RENAME_EXCHANGE && (rc = keep_private(new_at, new_name, name)) < 0))
		return rc;
	if (renameat2(at, name, new_at, new_name, flags) < 0)
		return -errno;
	forget_dirs(s);
	rc = sync_dir(s, to, durable);
	return rc < 0 ? rc : sync_dir(s, from, durable);
}

struct remove {
	struct store *store;
	const char *path;
	char **names;
	size_t n;
};

static void
note_name(void *ctx, const char *name, unsigned type)
{
	struct remove *r = ctx;

	r->names = xrealloc(r->names, (r->n + 1) * sizeof(*r->names));
	r->names[r->n++] = xasprintf("%s/%s", r->path, name);
}

int
store_remove(struct store *s, const char *path)
{
	struct remove r = {.store = s, .path = path};
	struct stat st;
	int rc = store_stat(s, path, &st);

	if (rc < 0)
		return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
	if (!S_ISDIR(st.st_mode))
		return store_unlink(s, path, false);
	rc = store_list(s, path, note_name, &r);
	for (size_t i = 0; i < r.n; i++) {
		if (rc == 0)
			rc = store_remove(s, r.names[i]);
		free(r.names[i]);
	}
	free(r.names);
	return rc < 0 ? rc : store_rmdir(s, path, false);
}

static int
copy_bytes(int from, int to)
{
	char block[65536];
	ssize_t n;
	int rc = 0;

	while (rc == 0 && (n = read(from, block, sizeof(block))) != 0)
		rc = n < 0 ? -errno : write_all(to, (struct str){block, (uint32_t)n});
	return rc;
}

int
store_unshare(struct store *s, const char *path)
{
	cleanup_fd int old = store_file(s, path, O_RDONLY);
	struct aside a;
	struct stat st;
	int rc;

	if (old < 0)
		return old;
	if (fstat(old, &st) < 0)
		return -errno;
	if ((rc = store_aside(s, path, &(struct owner){st.st_mode, st.st_uid, st.st_gid}, &a)) < 0)
		return rc;
	if ((rc = copy_bytes(old, a.fd)) == 0)
		rc = aside_place(s, &a, path, false);
	if (rc == 0)
		futimens(a.fd, (struct timespec[2]){st.st_atim, st.st_mtim});
	if (rc < 0)
		store_aside_drop(&a);
	else
		close(a.fd);
	return rc;
}

int
store_durable(struct store *s, const char *path)
{
	cleanup_fd int fd = store_file(s, path, O_RDONLY);

	if (fd < 0)
		return fd;
	return fsync(fd) < 0 ? -errno : sync_dir(s, path, true);
}

/* ------------------------------------------------------------------ mode, owner, times */

int
store_chmod(struct store *s, const char *path, mode_t mode)
{
	const char *name;
	int at = store_at(s, path, &name);

	if (at < 0)
		return at;
	return fchmodat(at, name, mode_of(path, mode), 0) < 0 ? -errno : 0;
}

int
store_chown(struct store *s, const char *path, uid_t uid, gid_t gid)
{
	const char *name;
	int at = store_at(s, path, &name);

	if (at < 0)
		return at;
	return fchownat(at, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int
store_times(struct store *s, const char *path, const struct timespec times[2])
{
	const char *name;
	int at = store_at(s, path, &name);

	if (at < 0)
		return at;
	return utimensat(at, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* ------------------------------------------------------------------ the model's view */

static int
source_list(
    struct source *x, const char *path, void (*each)(void *ctx, const char *name, unsigned type), void *ctx)
{
	return store_list(container_of(x, struct store_source, source)->store, path, each, ctx);
}

static ssize_t
source_read(struct source *x, const char *path, char *buf, size_t size)
{
	return store_read(container_of(x, struct store_source, source)->store, path, buf, size);
}

static ssize_t
source_readlink(struct source *x, const char *path, char *buf, size_t size)
{
	return store_readlink(container_of(x, struct store_source, source)->store, path, buf, size);
}

void
store_source_init(struct store_source *x, struct store *s)
{
	x->source = (struct source){.list = source_list, .read = source_read, .readlink = source_readlink};
	x->store = s;
}
