/* attr.c - attributes: of what is in the store, of what is being made, of what has lost its name. */
#include "attr.h"

#include <errno.h>

/* A file without a name in the store: whoever has it open has a descriptor. -1: nobody. */
static int
descriptor_of(const struct inode *n, const struct handle *h)
{
	int fd = n->aside.fd;

	if (fd < 0 && h != NULL)
		fd = h->fd;
	list_each(it, &n->handles)
	{
		if (fd < 0)
			fd = container_of(it, struct handle, of_inode)->fd;
	}
	return fd;
}

int
attr_stat(struct tree *t, struct inode *n, const struct handle *h, struct stat *st)
{
	char path[PATH_MAX];
	off_t size;
	int rc = inode_path(n, path), fd;

	if (rc == 0 && n->view != VIEW_NONE) {
		view_stat(t, n, path, t->uid, st);
		return 0;
	}
	if (rc == 0 && !n->draft) {
		rc = store_stat(&t->store, path, st);
	} else if (rc == 0 || rc == -ENOENT) {
		fd = descriptor_of(n, h);
		rc = fd < 0 ? -ENOENT : fstat(fd, st) < 0 ? -errno : 0;
	}
	if (rc == 0 && S_ISREG(st->st_mode) && (size = handle_size(n, h)) >= 0)
		st->st_size = size;
	return rc;
}

static int
set_fd(int fd, const struct owner *to, const struct timespec times[2])
{
	if ((to->uid != (uid_t)-1 || to->gid != (gid_t)-1) && fchown(fd, to->uid, to->gid) < 0)
		return -errno;
	if (to->mode != ATTR_KEEP && fchmod(fd, to->mode & 07777) < 0)
		return -errno;
	return times != NULL && futimens(fd, times) < 0 ? -errno : 0;
}

static int
set_path(struct tree *t, const char *path, const struct owner *to, const struct timespec times[2])
{
	int rc = hold_record_self(t, path);

	if (rc == 0 && (to->uid != (uid_t)-1 || to->gid != (gid_t)-1))
		rc = store_chown(&t->store, path, to->uid, to->gid);
	if (rc == 0 && to->mode != ATTR_KEEP)
		rc = store_chmod(&t->store, path, to->mode);
	if (rc == 0 && times != NULL)
		rc = store_times(&t->store, path, times);
	return rc;
}

int
attr_set(struct tree *t, struct inode *n, const struct handle *h, const struct owner *to,
    const struct timespec times[2])
{
	char path[PATH_MAX];
	int rc = inode_path(n, path), fd;

	/* touch sets the times of the .hold it has just made; without that, it is one that was there. */
	if (n->view != VIEW_NONE)
		return n->view != VIEW_HOLD ? -EROFS : list_empty(&n->handles) ? -EBUSY : 0;
	if (rc == 0 && to->mode != ATTR_KEEP && (to->mode & 077) != 0 && store_is_private(path) &&
	    S_ISREG(n->type))
		return txn_refuse(t, EPERM, path,
		    "a private key is for its owner alone: a mode of %03o is refused, 600 is not",
		    (unsigned)to->mode & 07777);
	if (rc == 0 && !n->draft) {
		rc = set_path(t, path, to, times);
	} else if (rc == 0 || rc == -ENOENT) {
		fd = descriptor_of(n, h);
		rc = fd < 0 ? -ENOENT : set_fd(fd, to, times);
	}
	if (rc == 0 && times != NULL)
		handle_set_times(n, times);
	return rc;
}

/* ------------------------------------------------------------------ extended */

ssize_t
attr_get(struct tree *t, struct inode *n, const char *name, char *value, size_t size)
{
	char path[PATH_MAX];
	const char *text;

	if (strcmp(name, XATTR_ERROR) != 0)
		return -EOPNOTSUPP;
	text = inode_path(n, path) == 0 ? errors_last(&t->errors, path, t->uid) : NULL;
	if (text == NULL)
		return -ENODATA;
	memcpy(value, text, MIN(size, strlen(text)));
	return (ssize_t)strlen(text);
}
