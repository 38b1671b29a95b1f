/* view.h - the files that we write: /.status, .errors, .table, .metrics, .hold, .ca.pem, .events. */
#ifndef VIEW_H
#define VIEW_H

#include "txn.h"

/* Which of them is `name` in the directory at dir, if any now. */
enum view view_find(struct tree *t, const char *dir, const char *name);
/* Calls each(name) for those of the directory at dir; not for .events, where whoever reads all there is would
 * wait for ever. */
void view_list(struct tree *t, const char *dir, void (*each)(void *ctx, const char *name), void *ctx);
/* path: of the view itself. uid: who reads. */
void view_render(struct tree *t, enum view view, const char *path, uid_t uid, struct text *out);
void view_stat(struct tree *t, const struct inode *n, const char *path, uid_t uid, struct stat *st);

#endif
