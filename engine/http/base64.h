/* base64.h - RFC 4648 4. Private to the codecs. */
#ifndef BASE64_H
#define BASE64_H

#include "str.h"

#define BASE64_SIZE(n) (((n) + 2) / 3 * 4)

size_t base64_encode(char *out, struct str s); /* BASE64_SIZE(s.len) */
/* In place; the padding may be missing. False: not base64. */
bool base64_decode(char *p, size_t n, size_t *len);

#endif
