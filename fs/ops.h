/* ops.h - the filesystem as the kernel calls it. */
#ifndef OPS_H
#define OPS_H

#include "handle.h"
#include <fuse_lowlevel.h>

extern const struct fuse_lowlevel_ops ops_table; /* user data: struct tree */

/* Lets the kernel keep the attributes of directories, and takes them back when the store changes them. */
void ops_watch(struct tree *t, struct fuse_session *session);

#endif
