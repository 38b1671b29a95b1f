/* dir.h - an open directory: listed once, when it is opened or rewound, since `rm -r` removes while it reads.
 */
#ifndef DIR_H
#define DIR_H

#include "handle.h"

struct dir {
	struct list link;  /* tree.dirs */
	struct text names; /* each with its NUL */
	uint32_t *at;	   /* of each name */
	size_t n, size;
	bool filled;
};

struct dir *dir_open(struct tree *t);
int dir_fill(struct tree *t, struct inode *n, struct dir *d);
const char *dir_name(const struct dir *d, size_t i);
void dir_close(struct dir *d);
void dir_close_all(struct tree *t); /* those that were open when the mount went */

#endif
