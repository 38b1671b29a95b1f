/* authority.h - the local CA of a store: STORE/.ca.pem and its key, STORE/.ca.key, made when first needed.
 *
 * It signs for services that have no certificate of their own, or are called by a name that theirs does not
 * cover. All its leaves of a run have one key. The CA lives ten years, a leaf ninety days.
 */
#ifndef AUTHORITY_H
#define AUTHORITY_H

#include "store.h"

#define AUTHORITY_NAME "latticefs local CA"

struct authority;
typedef int64_t authority_clock_fn(void); /* seconds since 1970 */

/* now_s NULL: the clock on the wall. s is used as long as it lives. */
struct authority *authority_new(struct store *s, authority_clock_fn *now_s);
void authority_free(struct authority *a);
int64_t authority_now(const struct authority *a);

/* Reads the files. What is wrong with them, in one sentence, or NULL: they are good, or not there. */
const char *authority_open(struct authority *a);
/* The CA's certificate, made if there is none; NULL: authority_why tells. */
const char *authority_pem(struct authority *a);
const char *authority_why(const struct authority *a);

/*
 * A certificate for `subject` under these DNS names, signed now; its texts are in the arena. -errno:
 * authority_why tells. Makes the CA if there is none.
 */
int authority_issue(struct authority *a, struct str subject, const struct str *names, uint32_t nnames,
    struct arena *arena, struct certificate *out);
/* Is it time to have this leaf signed anew? */
bool authority_is_due(const struct authority *a, const struct certificate *leaf);

#endif
