/* hold.h - several changes as one: stored and shown at once, served when the hold ends.
 *
 * The store always has what is shown. What it had before the hold, for every path that was changed since, is
 * in an undo log, STORE/.hold/undo, which exists only while the tree is held: an abort puts it back, and a
 * start after a crash reads the tree that was served from the two of them. A hold begins with `touch .hold`,
 * or by itself with git's index.lock.
 */
#ifndef HOLD_H
#define HOLD_H

#include "undo.h"

struct tree;

struct hold {
	bool held;
	bool by_git;   /* begun by git's lock, and ends with the first one that finds the tree right */
	bool git;      /* a lock of git exists now */
	pid_t git_pid; /* its maker, 0: not known */
	uint64_t since_unix_ms;
	char by[64];
	struct undo undo;
};

/* At start: a log that a crash left means that the tree is held. -errno, *why in a sentence. */
int hold_open(struct tree *t, const char **why);
void hold_close(struct tree *t);
/* What the tree was when the hold began. */
struct source *hold_source(struct tree *t);
/* After the base was loaded: takes over what the store has now, still pending. */
void hold_resume(struct tree *t);

int hold_begin(struct tree *t, uid_t uid, pid_t pid);
/* Before a change of what is at path (below it too, when it is a directory). Does nothing outside of a hold.
 */
int hold_record(struct tree *t, const char *path);
/* The same for mode, owner and times of path alone. */
int hold_record_self(struct tree *t, const char *path);
/* path is made of what is at `from`, a working directory: an abort moves it back. */
int hold_record_moved(struct tree *t, const char *path, const char *from);
/* All at once: 0, or -EBADMSG with the problems in the errors, and still held. */
int hold_commit(struct tree *t);
int hold_abort(struct tree *t);
/* What /.hold says. */
void hold_print(struct tree *t, struct text *out);

/* Is path git's lock of this tree? */
bool hold_is_lock(const char *path);
void hold_git_begin(struct tree *t, pid_t maker);
/* -EBADMSG: the tree is wrong and stays held. */
int hold_git_end(struct tree *t);
/* Ends the bracket of a git that died. Called every second or so while hold.git. */
void hold_git_check(struct tree *t);

#endif
