/* diag.h - why a configuration is wrong: where, and one sentence. The wording is an interface. */
#ifndef DIAG_H
#define DIAG_H

#include "str.h"

/*
 * One problem. err is the positive errno that the call which caused it answers.
 * line and column count from 1, in bytes; line 0 means the object as a whole. In print columns count from 0,
 * as the contract has it: `1:18` is the caret's distance from the beginning of the line. source is the
 * offending line, clipped; caret the column inside it (0 = no caret).
 */
struct diag {
	int err;
	char path[1024]; /* relative to the root of the tree, no leading slash */
	unsigned line, column;
	char message[640];
	char source[256];
	unsigned caret;
};

/* Fills d when it is still empty (the first problem wins) and returns -err. d may be NULL. */
int diag_set(struct diag *d, int err, const char *path, unsigned line, unsigned column, const char *fmt, ...)
    PRINTF(6, 7);
/* Cuts the line at d->line out of text for the caret; call where the text is at hand. */
void diag_quote(struct diag *d, struct str text);
/* `path:line:col: message\n  source\n  ^\n`, without a time. */
void diag_print(const struct diag *d, struct text *out);

/* Several, as a hold collects them. {0} is empty. */
struct diags {
	struct diag *all;
	size_t n, size;
};

struct diag *diags_add(struct diags *ds); /* zeroed, valid until the next add */
void diags_fini(struct diags *ds);

#endif
