/* json.h - JSON (RFC 8259) read where it lies, and strings written. Strict, no memory of its own. Private to
 * the codecs. */
#ifndef JSON_H
#define JSON_H

#include "str.h"

#define JSON_DEPTH_MAX 64u

enum json_kind {
	JSON_BAD,
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
};

/* A text that is read from its front; strings are decoded in place. What is malformed is the end of it. */
struct json {
	char *p, *end;
	bool bad;
	bool first; /* of the array or object that was begun last, nothing was read yet */
};

/* The next value. *text: of a string, decoded; of a number, as it is written. An array or object is only
 * begun: its contents are read next, to their end. */
enum json_kind json_value(struct json *j, struct str *text);
/* Is there one more element? The value is next. */
bool json_element(struct json *j);
bool json_member(struct json *j, struct str *key);
/* Passes over what a value of this kind has begun. */
void json_skip(struct json *j, enum json_kind kind);
/* Nothing but blanks is left, and nothing was malformed. */
bool json_is_over(struct json *j);

/* A string without its quotes, where it is counted (out NULL) or written: the length. Bytes that are no UTF-8
 * are taken for Latin-1, all of them. */
size_t json_print(char *out, struct str s);
bool json_is_utf8(struct str s);

#endif
