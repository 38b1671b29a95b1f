/* field.h - names that the codecs know, and lists in values. Private to the codecs. */
#ifndef FIELD_H
#define FIELD_H

#include "msg.h"

/* Content_Length and the like: some servers read them as the real thing. */
#define FIELD_LOOKALIKE (FIELD_LATTICE + 1)

unsigned field_identify(struct str name);
enum method field_method(struct str name);
/* RFC 9110 6.5.1: would it change what the message means when it comes behind the body? */
bool field_is_bad_trailer(const struct field *f);
bool field_is_token(struct str s);
/* Takes the next member of a comma-separated list, without blanks, maybe empty. False: no more. */
bool field_list_next(struct str *list, struct str *item);

#endif
