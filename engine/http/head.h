/* head.h - what the fields of a head mean, whatever wire it came by. Private to the codecs. */
#ifndef HEAD_H
#define HEAD_H

#include "field.h"

/* name of the enum, status to a client, name for counters; a target's fault is always 502 */
#define FAULTS(X)                                         \
	X(CONTROL, 400, "control_byte")                   \
	X(LONE_CR, 400, "lone_cr")                        \
	X(LONE_LF, 400, "lone_lf")                        \
	X(HEAD_SIZE, 431, "head_too_large")               \
	X(FIELD_COUNT, 431, "too_many_fields")            \
	X(EMPTY_LINE, 400, "empty_line")                  \
	X(START_LINE, 400, "start_line")                  \
	X(METHOD, 400, "method")                          \
	X(CONNECT, 501, "connect")                        \
	X(TARGET, 400, "target")                          \
	X(VERSION, 400, "version")                        \
	X(VERSION_MAJOR, 505, "version_major")            \
	X(FOLD, 400, "folded_line")                       \
	X(FIELD_NAME, 400, "field_name")                  \
	X(FIELD_VALUE, 400, "field_value")                \
	X(BLANK_BEFORE_COLON, 400, "blank_before_colon")  \
	X(FRAMING_LOOKALIKE, 400, "framing_lookalike")    \
	X(HOST_MISSING, 400, "host_missing")              \
	X(HOST_REPEATED, 400, "host_repeated")            \
	X(HOST_MALFORMED, 400, "host_malformed")          \
	X(HOST_DIFFERS, 400, "host_differs")              \
	X(LENGTH_REPEATED, 400, "length_repeated")        \
	X(LENGTH_MALFORMED, 400, "length_malformed")      \
	X(LENGTH_TOO_LARGE, 413, "length_too_large")      \
	X(LENGTH_AND_CODING, 400, "length_and_coding")    \
	X(LENGTH_WITHOUT_BODY, 400, "length_but_no_body") \
	X(CODING_IN_1_0, 400, "coding_in_http_1_0")       \
	X(CODING_MALFORMED, 400, "coding_malformed")      \
	X(CODING_UNKNOWN, 501, "coding_unknown")          \
	X(CONNECTION_OPTIONS, 400, "connection_options")  \
	X(CONNECTION_FIELD, 400, "connection_field")      \
	X(EXPECT, 417, "expect")                          \
	X(STATUS, 400, "status")                          \
	X(PSEUDO, 400, "pseudo_field")                    \
	X(SCHEME, 400, "scheme")                          \
	X(PROTOCOL, 501, "protocol")                      \
	X(TRAILERS_SIZE, 431, "trailers_too_large")

#define X(id, status, name) FAULT_##id,
enum fault_id { FAULT_NONE = -1, FAULTS(X) };
#undef X

extern const struct fault head_request_faults[], head_response_faults[];

/* What is known of a head while it is taken apart. */
struct head {
	struct msg *m;
	struct str absolute;		 /* the authority beside Host: of the target, or :authority */
	uint32_t seen, repeated;	 /* 1 << enum field_id */
	bool close, keep_alive, upgrade; /* options in Connection */
	uint8_t at[FIELD_LATTICE + 1];	 /* the last field of a kind, where seen */
};

static inline bool
head_has(const struct head *h, enum field_id id)
{
	return (h->seen >> id & 1) != 0;
}

static inline struct field *
head_field(const struct head *h, enum field_id id)
{
	return &h->m->fields[h->at[id]];
}

/* Field i is of this kind. */
static inline void
head_note(struct head *h, enum field_id id, uint32_t i)
{
	h->repeated |= h->seen & 1u << id;
	h->seen |= 1u << id;
	h->at[id] = (uint8_t)i;
}

/* Is there a field of this kind that lists the word? */
bool head_lists(const struct msg *m, enum field_id id, struct str word);

/* Each looks at its own fields, and at m->minor. */
enum fault_id head_host(struct head *h);     /* host and authority, from Host and h->absolute */
enum fault_id head_authority(struct msg *m); /* host, of the authority */
enum fault_id head_length(struct head *h);   /* of the content-length that there is: body and length */
enum fault_id head_expect(struct head *h);
void head_te(struct head *h);	      /* `trailers` passes */
void head_request_id(struct head *h); /* one at most, of bounded length */

#endif
