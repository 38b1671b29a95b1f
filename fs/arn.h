/* arn.h - identifiers and ARNs of objects, as Lattice forms them. */
#ifndef ARN_H
#define ARN_H

#include "object.h"

#define ARN_ID_DIGITS 17u
#define ARN_ID_MAX (16u + ARN_ID_DIGITS)

/* svc-0123456789abcdefg: the same account, kind and name give the same id, for ever. */
void arn_id(const struct model *m, const struct node *n, char out[static ARN_ID_MAX]);
void arn_print(const struct model *m, const struct node *n, struct text *out);
char *arn_text(const struct model *m, const struct node *n); /* free */
struct str arn_build(const struct model *m, const struct node *n, struct arena *arena);

#endif
