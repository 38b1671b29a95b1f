/* ops.h - the filesystem as the kernel calls it. */
#ifndef OPS_H
#define OPS_H

#include "handle.h"
#include <fuse_lowlevel.h>

extern const struct fuse_lowlevel_ops ops_table; /* user data: struct tree */

#endif
