/* parser.h - reading a text from inside: parse.c and those that read one type of attribute each. */
#ifndef PARSER_H
#define PARSER_H

#include "parse.h"

struct parser {
	const struct attribute *a;
	const char *path;
	struct str text;
	bool final;
	struct diag *d;
	struct value *v;
	const char *start; /* of the line at hand */
	unsigned line;
	bool whole;		     /* its end is there */
	uint32_t nlines;	     /* lines that said something, this one not counted */
	uint32_t lines_max;	     /* lines of the text: room that lists need */
	const struct fields *fields; /* of lines `key = value`; NULL: lines have no keys */
	uint32_t section;	     /* the one at hand */
	uint32_t keys;		     /* bits of the keys already set */
	const char *key;	     /* where that of the line at hand stands */
	char shown[100];	     /* a token as messages show it */
};

/* A key of the second section is told by a bit so much higher. */
#define SECTION_KEYS 16u

/* The lines `key = value` of one type. */
struct fields {
	const char *const *keys[2]; /* before any section, and in the second one; NULL-terminated */
	const char *section;	    /* `[name]` of the second; NULL: there is none */
	uint32_t repeatable;	    /* bits of keys that may stand more than once */
	/* Reads the value of a key; open: it may go on. */
	enum verdict (*line)(struct parser *p, uint32_t key, struct str value, bool open);
	/* What only the end of a text that says something shows: GOOD or BAD. NULL: nothing. */
	enum verdict (*end)(struct parser *p);
};

extern const struct fields match_fields, action_fields, health_fields;
const struct fields *target_fields(enum group_type type);
/* A line that says something, without blanks around it. */
enum verdict fields_line(struct parser *p, struct str line, bool open);

/* parse.c. `what` is how messages call a value. */
enum verdict parse_bad(struct parser *p, const char *at, const char *fmt, ...) PRINTF(3, 4);
/* The same of the text as a whole. */
enum verdict parse_bad_end(struct parser *p, const char *message);
/* A token for a message: clipped, and without bytes that would upset a terminal. */
const char *parse_show(struct parser *p, struct str s);
enum verdict parse_more(const struct parser *p); /* GOOD when the line is whole, else PARTIAL */
/* Of NULL-terminated words the one that was probably meant, or NULL. */
const char *parse_suggest(const char *const *words, struct str got);
struct str parse_next(struct str *s); /* takes the next word off */
enum verdict parse_number(
    struct parser *p, const char *what, struct str s, bool open, uint32_t min, uint32_t max, uint32_t *out);
/* nsupported: as in struct attribute. */
enum verdict parse_word(struct parser *p, const char *what, struct str s, bool open, const char *const *words,
    uint32_t nsupported, uint32_t *out);
enum verdict parse_flag(struct parser *p, const char *what, struct str s, bool open, bool *out);
/* Seconds from min_s to max_s, as in `5` or `5s`, or milliseconds from min_ms on, as in `500ms`. */
enum verdict parse_duration(struct parser *p, const char *what, struct str s, bool open, uint32_t min_s,
    uint32_t max_s, uint32_t min_ms, uint32_t *out_ms);
/* `header NAME`, `cookie NAME`, `source` and, where it may be, `path`. */
enum verdict parse_caller(
    struct parser *p, const char *what, struct str s, bool open, bool path, struct caller_key *out);
enum verdict parse_name(struct parser *p, enum kind kind, struct str s, bool open);
/* A path as Lattice takes it, query and all; at most PATH_MATCH_MAX. */
enum verdict parse_url_path(struct parser *p, struct str s, bool open);
bool parse_is_token(struct str s); /* of RFC 9110; empty: true */
/* NULL when s is a host name (RFC 1123), maybe with a wildcard for its first label. */
const char *parse_host_fault(struct str s);
struct str parse_lower(struct parser *p, struct str s); /* a copy in lower case */

#endif
