/* undo.h - the undo log of a hold: what every path had when the hold began.
 *
 * One file, STORE/.hold/undo, of records that are written before their path is changed for the first time.
 * What is below a path that was absent needs no record. A record torn by a crash is the last one, and its
 * change was never made.
 */
#ifndef UNDO_H
#define UNDO_H

#include "map.h"
#include "store.h"

struct undo {
	struct store *store;
	int log;      /* -1: nothing written yet */
	uint64_t end; /* of the log, in bytes */
	uint64_t since_unix_ms;
	char by[64];
	struct map records;	/* path -> struct record */
	struct record **sorted; /* by path; made when asked for */
	struct source source;
};

void undo_init(struct undo *u, struct store *s, const char *by, uint64_t since_unix_ms);
/* Makes the log, on the disk when this returns. Else the first record does, if there is ever one. */
int undo_begin(struct undo *u);
/* 1: a log was there, and is read; 0: none; -errno and *why. */
int undo_open(struct undo *u, struct store *s, const char **why);
void undo_close(struct undo *u);
void undo_drop(struct undo *u); /* the hold is over: the log goes */
bool undo_is_empty(const struct undo *u);

/* st NULL: nothing is at path. from: it will be made of that, and is to be moved back there. sync: on the
 * disk when this returns. The first record of a path counts, others are nothing. */
int undo_record(struct undo *u, const char *path, const struct stat *st, const char *from, bool sync);
/* Puts everything back into the store. */
int undo_restore(struct undo *u);
/* Takes what the source has now over into an edit, for every path that was recorded. */
void undo_each(struct undo *u, struct edit *e, struct source *now);
/* The tree as it was: the store, overlaid with the records. Lives as long as u. */
struct source *undo_source(struct undo *u);

#endif
