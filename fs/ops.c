/* ops.c - libfuse's callbacks: decode, call, reply; one reply each. */
#include "ops.h"
#include "attr.h"
#include "dir.h"
#include "follow.h"
#include "limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <linux/limits.h>

#define DIR_SECONDS 60.0 /* and of a directory's attributes: watch.c takes them back */
#define GIT_SECONDS 60.0 /* what the kernel may remember of .git, which changes through it alone */

/* ------------------------------------------------------------------ decoding */

static struct tree *
tree_of(fuse_req_t req)
{
	struct tree *t = fuse_req_userdata(req);

	t->uid = fuse_req_ctx(req)->uid;
	return t;
}

static struct inode *
inode_of(struct tree *t, fuse_ino_t ino)
{
	struct inode *n = inode_get(&t->inodes, ino);

	CHECK(n, INODE_MAGIC); /* the kernel asks for nothing that it was not told */
	return n;
}

static struct handle *
handle_of(const struct fuse_file_info *fi)
{
	return fi == NULL || fi->fh == 0 ? NULL : (struct handle *)(uintptr_t)fi->fh;
}

static void
reply_rc(fuse_req_t req, int rc)
{
	assert(rc <= 0);
	fuse_reply_err(req, -rc);
}

static struct owner
owner_of(fuse_req_t req, mode_t mode)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct owner){.mode = mode & 07777, .uid = ctx->uid, .gid = ctx->gid};
}

/* The path of parent/name, which must not be a virtual entry. */
static int
stored_path(struct tree *t, struct inode *parent, const char *name, char path[static PATH_MAX])
{
	char dir[PATH_MAX];
	int rc = inode_child_path(parent, name, path);

	if (rc < 0)
		return rc;
	if (store_is_aside(name) || strcmp(path, STORE_CA_KEY) == 0)
		return -ENOENT;
	if (inode_path(parent, dir) == 0 && view_find(t, dir, name) != VIEW_NONE)
		return -EROFS;
	return 0;
}

/* ------------------------------------------------------------------ attributes */

/* How long the kernel may believe in a name. */
static double
entry_seconds(const struct inode *n, const struct stat *st)
{
	/* Another name of a file is another inode here: its count of links changes unseen. */
	return inode_in_git(n) && (S_ISDIR(st->st_mode) || st->st_nlink == 1) ? GIT_SECONDS : 0;
}

/* And in mode, owner and times. Walking a path asks for each directory's, right after looking it up. */
static double
attr_seconds(const struct inode *n, const struct stat *st)
{
	bool dir = n->view == VIEW_NONE && S_ISDIR(st->st_mode) && n->parent != NULL;

	return MAX(entry_seconds(n, st), dir ? DIR_SECONDS : 0);
}

/* Looks parent/name up: its inode, with one reference of the kernel more. */
static int
look_up(struct tree *t, struct inode *parent, const char *name, struct fuse_entry_param *e)
{
	char path[PATH_MAX], dir[PATH_MAX];
	struct inode *n;
	enum view view;
	int rc = inode_child_path(parent, name, path);

	if (rc < 0)
		return rc;
	if (store_is_aside(name) || strcmp(path, STORE_CA_KEY) == 0 || inode_path(parent, dir) < 0)
		return -ENOENT;
	view = view_find(t, dir, name);
	n = inode_find(&t->inodes, parent, name);
	if (view == VIEW_NONE && (n == NULL || !n->draft) && (rc = store_stat(&t->store, path, &e->attr)) < 0)
		return rc;
	/* An abort puts back what was there, which may be of another type. */
	if (n != NULL && n->view == view && !n->draft && view == VIEW_NONE && n->type != 0 &&
	    n->type != (e->attr.st_mode & S_IFMT))
		inode_gone(&t->inodes, n);
	n = inode_make(&t->inodes, parent, name);
	n->view = view;
	if ((rc = attr_stat(t, n, NULL, &e->attr)) < 0) {
		inode_settle(&t->inodes, n);
		return rc;
	}
	n->type = e->attr.st_mode & S_IFMT;
	n->nlookup++;
	e->ino = n->id;
	e->generation = 1;
	e->entry_timeout = entry_seconds(n, &e->attr);
	e->attr_timeout = attr_seconds(n, &e->attr);
	return 0;
}

static void
reply_entry(fuse_req_t req, struct tree *t, struct inode *parent, const char *name, int rc)
{
	struct fuse_entry_param e = {0};

	if (rc == 0)
		rc = look_up(t, parent, name, &e);
	if (rc < 0)
		reply_rc(req, rc);
	else if (fuse_reply_entry(req, &e) < 0)
		inode_forget(&t->inodes, e.ino, 1);
}

static void
op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct tree *t = tree_of(req);
	struct inode *p = inode_of(t, parent);
	struct fuse_entry_param e = {0};
	int rc = look_up(t, p, name, &e);

	if (rc == -ENOENT && inode_in_git(p)) {
		e.entry_timeout = GIT_SECONDS;
		fuse_reply_entry(req, &e);
	} else if (rc < 0) {
		reply_rc(req, rc);
	} else if (fuse_reply_entry(req, &e) < 0) {
		inode_forget(&t->inodes, e.ino, 1);
	}
}

static void
op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	struct tree *t = tree_of(req);

	inode_forget(&t->inodes, ino, n);
	fuse_reply_none(req);
}

static void
op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct tree *t = tree_of(req);

	for (size_t i = 0; i < count; i++)
		inode_forget(&t->inodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void
reply_attr(fuse_req_t req, struct tree *t, struct inode *n, const struct handle *h)
{
	struct stat st;
	int rc = attr_stat(t, n, h, &st);

	if (rc < 0)
		reply_rc(req, rc);
	else
		fuse_reply_attr(req, &st, attr_seconds(n, &st));
}

static void
op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct tree *t = tree_of(req);

	reply_attr(req, t, inode_of(t, ino), handle_of(fi));
}

static int
set_size(struct tree *t, struct inode *n, struct handle *h, off_t size, fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return h != NULL ? handle_truncate(t, h, size) : handle_cut(t, n, size, ctx->uid, ctx->pid);
}

static void
op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *to, int what, struct fuse_file_info *fi)
{
	static const struct timespec now = {.tv_nsec = UTIME_NOW};
	struct tree *t = tree_of(req);
	struct inode *n = inode_of(t, ino);
	struct handle *h = handle_of(fi);
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
	struct owner owner = {
	    .mode = what & FUSE_SET_ATTR_MODE ? to->st_mode : ATTR_KEEP,
	    .uid = what & FUSE_SET_ATTR_UID ? to->st_uid : (uid_t)-1,
	    .gid = what & FUSE_SET_ATTR_GID ? to->st_gid : (gid_t)-1,
	};
	bool timed = what & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME);
	int rc = 0;

	if (what & FUSE_SET_ATTR_ATIME)
		times[0] = what & FUSE_SET_ATTR_ATIME_NOW ? now : to->st_atim;
	if (what & FUSE_SET_ATTR_MTIME)
		times[1] = what & FUSE_SET_ATTR_MTIME_NOW ? now : to->st_mtim;
	if (what & FUSE_SET_ATTR_SIZE)
		rc = set_size(t, n, h, to->st_size, req);
	if (rc == 0)
		rc = attr_set(t, n, h, &owner, timed ? times : NULL);
	if (rc < 0)
		reply_rc(req, rc);
	else
		reply_attr(req, t, n, h);
}

static void
op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct tree *t = tree_of(req);
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t n = inode_path(inode_of(t, ino), path);

	if (n == 0)
		n = store_readlink(&t->store, path, target, sizeof(target));
	if (n < 0)
		reply_rc(req, (int)n);
	else
		fuse_reply_readlink(req, target);
}

/* ------------------------------------------------------------------ making and removing names */

static void
op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	struct tree *t = tree_of(req);
	struct inode *p = inode_of(t, parent);
	struct owner o = owner_of(req, mode);
	char path[PATH_MAX];
	struct stat st;
	int rc = stored_path(t, p, name, path);

	if (rc == 0 && !S_ISREG(mode))
		rc = -EPERM;
	if (rc == 0 && store_stat(&t->store, path, &st) == 0)
		rc = -EEXIST;
	if (rc == 0 && (rc = txn_may_create(t, path, false)) == 0)
		rc = txn_put(t, path, STR(""), NULL, &o);
	reply_entry(req, t, p, name, rc);
}

static void
op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct tree *t = tree_of(req);
	struct inode *p = inode_of(t, parent);
	struct owner o = owner_of(req, mode);
	char path[PATH_MAX];
	int rc = stored_path(t, p, name, path);

	if (rc == 0)
		rc = txn_mkdir(t, path, &o);
	reply_entry(req, t, p, name, rc);
}

static void
op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct tree *t = tree_of(req);
	struct inode *p = inode_of(t, parent);
	struct owner o = owner_of(req, 0777);
	char path[PATH_MAX];
	int rc = stored_path(t, p, name, path);

	if (rc == 0)
		rc = txn_symlink(t, path, target, &o);
	reply_entry(req, t, p, name, rc);
}

static void
op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct tree *t = tree_of(req);
	struct inode *n = inode_of(t, ino), *p = inode_of(t, parent);
	char from[PATH_MAX], path[PATH_MAX];
	int rc = n->view != VIEW_NONE ? -EPERM : stored_path(t, p, name, path);

	if (rc == 0 && n->draft)
		rc = handle_decide(t, n);
	if (rc == 0 && (rc = inode_path(n, from)) == 0)
		rc = txn_link(t, from, path);
	reply_entry(req, t, p, name, rc == -EINVAL || rc == -EXDEV ? -EBADMSG : rc);
}

/* A file that is being made has no name any more; its writer does not know. */
static bool
drop_draft(struct tree *t, struct inode *parent, const char *name)
{
	struct inode *n = inode_find(&t->inodes, parent, name);

	if (n == NULL || !n->draft)
		return false;
	inode_refused(&t->inodes, n);
	return true;
}

static void
op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct tree *t = tree_of(req);
	struct inode *p = inode_of(t, parent);
	char path[PATH_MAX];
	int rc = stored_path(t, p, name, path);

	if (rc == -EROFS && p->parent == NULL && view_find(t, "", name) == VIEW_HOLD) {
		rc = hold_commit(t);
	} else if (rc == 0 && !drop_draft(t, p, name)) {
		rc = txn_unlink(t, path);
		/* What git leaves is judged, but a lock cannot be kept from going. */
		if (rc == 0 && hold_is_lock(path) && t->hold.git)
			hold_git_end(t);
	}
	if (rc == 0)
		inode_remove(&t->inodes, p, name);
	reply_rc(req, rc);
}

static void
op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct tree *t = tree_of(req);
	struct inode *p = inode_of(t, parent), *n;
	char path[PATH_MAX];
	int rc = stored_path(t, p, name, path);

	n = inode_find(&t->inodes, p, name);
	list_each(it, &t->inodes.drafts)
	{
		if (rc == 0 && n != NULL && container_of(it, struct inode, in_drafts)->parent == n)
			rc = -ENOTEMPTY;
	}
	if (rc == 0 && (rc = txn_rmdir(t, path)) == 0)
		inode_remove(&t->inodes, p, name);
	reply_rc(req, rc == -EROFS ? -ENOTDIR : rc);
}

/* Numbers that mv and sed take for something else. */
static int
rename_rc(int rc)
{
	if (rc == -EINVAL)
		return -EBADMSG;
	return rc == -EXDEV || rc == -ENOSYS || rc == -EAGAIN ? -EIO : rc;
}

static void
op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
    unsigned flags)
{
	struct tree *t = tree_of(req);
	struct inode *p = inode_of(t, parent), *q = inode_of(t, new_parent), *n;
	char from[PATH_MAX], to[PATH_MAX];
	int rc = stored_path(t, p, name, from);

	if (rc == 0)
		rc = stored_path(t, q, new_name, to);
	n = inode_find(&t->inodes, p, name);
	if (rc == 0 && n != NULL && n->draft)
		rc = handle_decide(t, n);
	/* git has done all it wanted: from here on the tree must be right, or git must fail. */
	if (rc == 0 && hold_is_lock(from) && t->hold.git)
		rc = hold_git_end(t);
	if (rc == 0)
		rc = txn_rename(t, from, to, flags, n != NULL && handle_is_shared(n));
	if (rc == 0)
		inode_move(&t->inodes, p, name, q, new_name, flags & RENAME_EXCHANGE);
	reply_rc(req, rename_rc(rc));
}

/* ------------------------------------------------------------------ files */

static void
give_handle(struct handle *h, struct fuse_file_info *fi)
{
	fi->fh = (uintptr_t)h;
	/* What is gathered, rendered or replaced must not be mixed with what the kernel remembers: a
	 * truncating open of one would be an empty file for all. */
	fi->direct_io = h->kind != HANDLE_PLAIN || h->schema;
	fi->keep_cache = h->kind == HANDLE_PLAIN && inode_in_git(h->inode);
}

static void
op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct tree *t = tree_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct handle *h;
	int rc = handle_open(t, inode_of(t, ino), fi->flags, ctx->uid, ctx->pid, &h);

	if (rc < 0) {
		reply_rc(req, rc);
		return;
	}
	give_handle(h, fi);
	if (fuse_reply_open(req, fi) < 0)
		handle_release(t, h);
}

static int
create_hold(struct tree *t, struct inode *root, const struct fuse_ctx *ctx, struct handle **h)
{
	struct inode *n;
	int rc = hold_begin(t, ctx->uid, ctx->pid);

	if (rc < 0)
		return rc;
	n = inode_make(&t->inodes, root, ".hold");
	n->view = VIEW_HOLD;
	return handle_open(t, n, O_WRONLY | O_TRUNC, ctx->uid, ctx->pid, h);
}

static int
create_file(struct tree *t, struct inode *p, const char *name, int flags, const struct owner *o, pid_t pid,
    struct handle **h)
{
	char path[PATH_MAX];
	struct inode *n;
	int rc = stored_path(t, p, name, path);

	if (rc < 0)
		return rc == -EROFS ? -EEXIST : rc;
	n = inode_make(&t->inodes, p, name);
	n->view = VIEW_NONE;
	n->type = S_IFREG;
	if ((rc = handle_create(t, n, flags, o, pid, h)) < 0)
		inode_settle(&t->inodes, n);
	else if (hold_is_lock(path))
		hold_git_begin(t, pid);
	return rc;
}

static void
op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct tree *t = tree_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct inode *p = inode_of(t, parent);
	struct owner o = owner_of(req, mode);
	struct fuse_entry_param e = {0};
	struct handle *h = NULL;
	int rc;

	if (p->parent == NULL && strcmp(name, ".hold") == 0)
		rc = create_hold(t, p, ctx, &h);
	else
		rc = create_file(t, p, name, fi->flags, &o, ctx->pid, &h);
	if (rc == 0 && (rc = look_up(t, p, name, &e)) < 0)
		handle_release(t, h);
	if (rc < 0) {
		reply_rc(req, rc);
		return;
	}
	give_handle(h, fi);
	if (fuse_reply_create(req, &e, fi) < 0) {
		handle_release(t, h);
		inode_forget(&t->inodes, e.ino, 1);
	}
}

static void
op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	struct fuse_bufvec buf = FUSE_BUFVEC_INIT(size);
	struct str s;

	if (h->kind == HANDLE_EVENTS) {
		follow_read(req, h->reader, size, off, fi->flags);
		return;
	}
	if (h->kind != HANDLE_PLAIN) {
		s = handle_read(h, size, off);
		fuse_reply_buf(req, s.p, s.len);
		return;
	}
	buf.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	buf.buf[0].fd = h->fd;
	buf.buf[0].pos = off;
	fuse_reply_data(req, &buf, FUSE_BUF_SPLICE_MOVE);
}

static void
op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *poll)
{
	const struct handle *h = handle_of(fi);

	follow_poll(req, h == NULL ? NULL : h->reader, poll);
}

static void
op_write(fuse_req_t req, fuse_ino_t ino, const char *p, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct tree *t = tree_of(req);
	struct handle *h = handle_of(fi);
	ssize_t n = 0;

	if (h->kind == HANDLE_PLAIN) {
		n = pwrite(h->fd, p, size, off);
		n = n < 0 ? -errno : n;
	} else {
		n = handle_write(t, h, p, size, off, fi->flags);
		n = n < 0 ? n : (ssize_t)size;
	}
	if (n < 0)
		reply_rc(req, (int)n);
	else
		fuse_reply_write(req, (size_t)n);
}

static void
op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct tree *t = tree_of(req);

	reply_rc(req, handle_flush(t, handle_of(fi), fuse_req_ctx(req)->pid));
}

static void
op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	handle_release(tree_of(req), handle_of(fi));
	reply_rc(req, 0);
}

static void
op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct tree *t = tree_of(req);

	reply_rc(req, handle_fsync(t, handle_of(fi)));
}

/* ------------------------------------------------------------------ directories */

static void
op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct dir *d = dir_open(tree_of(req));

	fi->fh = (uintptr_t)d;
	if (fuse_reply_open(req, fi) < 0)
		dir_close(d);
}

static void
op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	dir_close((struct dir *)(uintptr_t)fi->fh);
	reply_rc(req, 0);
}

/* One entry into buf: the bytes it takes or would take. plus: with a reference, if it fits. */
static size_t
dir_put(fuse_req_t req, struct tree *t, struct inode *n, const char *name, char *buf, size_t room, off_t next,
    bool plus)
{
	bool dot = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
	struct inode *at = dot && name[1] == '.' && n->parent != NULL ? n->parent : n;
	struct fuse_entry_param e = {0};
	size_t size;

	size = plus ? fuse_add_direntry_plus(req, NULL, 0, name, &e, next)
		    : fuse_add_direntry(req, NULL, 0, name, &e.attr, next);
	if (size > room)
		return size;
	if (dot && attr_stat(t, at, NULL, &e.attr) < 0)
		e.attr.st_mode = S_IFDIR;
	/* Gone since the listing: nothing to say. */
	if (!dot && look_up(t, n, name, &e) < 0)
		return 0;
	if (plus)
		return fuse_add_direntry_plus(req, buf, room, name, &e, next);
	if (!dot)
		inode_forget(&t->inodes, e.ino, 1);
	return fuse_add_direntry(req, buf, room, name, &e.attr, next);
}

static void
reply_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi, bool plus)
{
	struct tree *t = tree_of(req);
	struct dir *d = (struct dir *)(uintptr_t)fi->fh;
	struct inode *n = inode_of(t, ino);
	cleanup_free char *buf = xcalloc(1, size);
	size_t len = 0, more;
	int rc;

	if ((off == 0 || !d->filled) && (rc = dir_fill(t, n, d)) < 0) {
		reply_rc(req, rc);
		return;
	}
	for (size_t i = (size_t)off; i < d->n; i++) {
		more = dir_put(req, t, n, dir_name(d, i), buf + len, size - len, (off_t)i + 1, plus);
		if (more > size - len)
			break;
		len += more;
	}
	fuse_reply_buf(req, buf, len);
}

static void
op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	reply_dir(req, ino, size, off, fi, false);
}

static void
op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	reply_dir(req, ino, size, off, fi, true);
}

static void
op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct tree *t = tree_of(req);
	char path[PATH_MAX];
	int rc = inode_path(inode_of(t, ino), path), fd;

	if (rc == 0) {
		fd = store_file(&t->store, path, O_RDONLY | O_DIRECTORY);
		rc = fd < 0 ? fd : fsync(fd) < 0 ? -errno : 0;
		cleanup_fd_(&fd);
	}
	reply_rc(req, rc);
}

static void
op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct tree *t = tree_of(req);
	struct statvfs st;

	if (fstatvfs(t->store.dir, &st) < 0) {
		reply_rc(req, -errno);
		return;
	}
	st.f_namemax = NAME_BYTES_MAX;
	fuse_reply_statfs(req, &st);
}

/* ------------------------------------------------------------------ extended attributes */

/* The length alone when the caller asks for it (size 0), or the value. */
static void
reply_xattr(fuse_req_t req, const char *value, ssize_t n, size_t size)
{
	if (n < 0)
		reply_rc(req, (int)n);
	else if (size == 0)
		fuse_reply_xattr(req, (size_t)n);
	else if ((size_t)n > size)
		reply_rc(req, -ERANGE);
	else
		fuse_reply_buf(req, value, (size_t)n);
}

static void
op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct tree *t = tree_of(req);
	char value[4096];

	reply_xattr(req, value, attr_get(t, inode_of(t, ino), name, value, sizeof(value)), size);
}

/* It is there for who asks by name: a tool that copies all attributes must not see it. */
static void
op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	reply_xattr(req, "", 0, size);
}

static void
op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	reply_rc(req, strcmp(name, XATTR_ERROR) == 0 ? -EPERM : -EOPNOTSUPP);
}

static void
op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	reply_rc(req, strcmp(name, XATTR_ERROR) == 0 ? -EPERM : -EOPNOTSUPP);
}

static void
op_init(void *user, struct fuse_conn_info *conn)
{
	/* Errors must come from the write that caused them, and privileges are the kernel's to drop. */
	conn->want &= ~(unsigned)(FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_HANDLE_KILLPRIV);
	assert(conn->capable & FUSE_CAP_ATOMIC_O_TRUNC);
	conn->want |= FUSE_CAP_ATOMIC_O_TRUNC;
}

const struct fuse_lowlevel_ops ops_table = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .readlink = op_readlink,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .symlink = op_symlink,
    .rename = op_rename,
    .link = op_link,
    .open = op_open,
    .create = op_create,
    .read = op_read,
    .poll = op_poll,
    .write = op_write,
    .flush = op_flush,
    .release = op_release,
    .fsync = op_fsync,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .releasedir = op_releasedir,
    .fsyncdir = op_fsyncdir,
    .statfs = op_statfs,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .setxattr = op_setxattr,
    .removexattr = op_removexattr,
};
