/* node.h - what the kernel knows by number: names in the tree, with what is open on them.
 *
 * A node is a parent and a name; numbers are never used again. No descriptor is kept per node. What was
 * removed or replaced while the kernel still holds it is `gone`: it has no path any more.
 */
#ifndef NODE_H
#define NODE_H

#include "list.h"
#include "map.h"
#include "store.h"
#include <linux/limits.h>

#define INODE_ROOT 1u /* FUSE_ROOT_ID */
#define INODE_MAGIC 0x40de40deu

enum view {
	VIEW_NONE,
	VIEW_STATUS,
	VIEW_ERRORS,
	VIEW_TABLE,
	VIEW_METRICS,
	VIEW_HOLD,
	VIEW_HOSTS,
	VIEW_CA,
	VIEW_EVENTS
};

struct inode {
	unsigned magic;
	uint64_t id;
	struct inode *parent;
	char *name;
	uint64_t nlookup;    /* references of the kernel */
	unsigned nchildren;  /* nodes that name this one as their parent */
	struct list handles; /* open files: struct handle.of_node */
	struct list in_drafts;
	enum view view; /* not VIEW_NONE: nothing stored, we write it */
	mode_t type;	/* S_IFMT as the kernel was told, 0: not yet */
	bool gone;
	/* A new schema file that is not in the store before its text is judged. */
	bool draft;
	struct aside aside; /* of the draft; kept for fstat when it was refused */
};

struct inodes {
	struct map by_id, by_name;
	struct list drafts; /* struct inode.in_drafts */
	struct inode *root;
	uint64_t last;
};

void inodes_init(struct inodes *ns);
void inodes_fini(struct inodes *ns);
struct inode *inode_get(struct inodes *ns, uint64_t id); /* NULL: a number the kernel must not have */
struct inode *inode_find(struct inodes *ns, struct inode *parent, const char *name); /* NULL: not known */
struct inode *inode_make(struct inodes *ns, struct inode *parent, const char *name); /* known or new */
/* Frees n and the parents that only it kept, once nothing needs them. After every change of a count. */
void inode_settle(struct inodes *ns, struct inode *n);
void inode_forget(struct inodes *ns, uint64_t id, uint64_t count);
/* What was at parent/name is not there any more. */
void inode_remove(struct inodes *ns, struct inode *parent, const char *name);
void inode_gone(struct inodes *ns, struct inode *n);
/* n moves, what was there is gone; exchange: they change places. */
void inode_move(struct inodes *ns, struct inode *parent, const char *name, struct inode *new_parent,
    const char *new_name, bool exchange);

/* The path from the root, "" for it. -ENOENT: gone. */
int inode_path(const struct inode *n, char path[static PATH_MAX]);
int inode_child_path(const struct inode *parent, const char *name, char path[static PATH_MAX]);
bool inode_in_git(const struct inode *n); /* at or below a .git */

void inode_draft(struct inodes *ns, struct inode *n, struct aside a); /* n begins as a draft */
void inode_stored(struct inodes *ns, struct inode *n);		      /* it is in the store now */
void inode_refused(struct inodes *ns, struct inode *n);		      /* it never came to be */

#endif
