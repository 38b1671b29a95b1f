/* attr.h - attributes of what the kernel knows by number: stat, owner, mode, times, extended attributes. */
#ifndef ATTR_H
#define ATTR_H

#include "handle.h"

/* h may be NULL: asked for by name. */
int attr_stat(struct tree *t, struct inode *n, const struct handle *h, struct stat *st);

#define ATTR_KEEP ((mode_t)-1)
/* uid, gid -1 and mode ATTR_KEEP stay; times NULL too. */
int attr_set(struct tree *t, struct inode *n, const struct handle *h, const struct owner *to,
    const struct timespec times[2]);

/* Extended attributes of users alone, and XATTR_ERROR: the last refusal of a file. The length, or -errno. */
#define XATTR_ERROR "user.lattice.error"
ssize_t attr_get(struct tree *t, struct inode *n, const char *name, char *value, size_t size);
ssize_t attr_list(struct tree *t, struct inode *n, char *names, size_t size);
int attr_put(struct tree *t, struct inode *n, const char *name, const char *value, size_t size, int flags);
int attr_remove(struct tree *t, struct inode *n, const char *name);

#endif
