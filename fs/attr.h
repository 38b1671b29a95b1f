/* attr.h - attributes of what the kernel knows by number: stat, owner, mode, times, and user.lattice.error.
 */
#ifndef ATTR_H
#define ATTR_H

#include "handle.h"

/* h may be NULL: asked for by name. */
int attr_stat(struct tree *t, struct inode *n, const struct handle *h, struct stat *st);

#define ATTR_KEEP ((mode_t)-1)
/* uid, gid -1 and mode ATTR_KEEP stay; times NULL too. */
int attr_set(struct tree *t, struct inode *n, const struct handle *h, const struct owner *to,
    const struct timespec times[2]);

/* The one extended attribute there is: the last refusal of a file. Its length, -ENODATA, or -EOPNOTSUPP for
 * any other: access lists, capabilities and the like are not kept, and that must be said. */
#define XATTR_ERROR "user.lattice.error"
ssize_t attr_get(struct tree *t, struct inode *n, const char *name, char *value, size_t size);

#endif
