/* block.h - a header list as HTTP/2 has it (RFC 9113 8), uncompressed, in one piece of memory. No I/O.
 *
 * What the codec (h2.h) hands over and takes: entries one behind the other, each the length of its name and
 * of its value (16 bits each, as the machine has them), the name, the value. Pseudo-header fields come first.
 * An entry is as long as its line in HTTP/1 (one byte more when that has no blank behind the colon), so a
 * message can be printed for the other version in the same room: what MSG_GROWTH_MAX says holds for both.
 */
#ifndef BLOCK_H
#define BLOCK_H

#include "msg.h"

#define BLOCK_ENTRY 4u /* bytes before the name */

/* Puts an entry at out; its end. */
static inline char *
block_put(char *out, struct str name, struct str value)
{
	const uint16_t lens[] = {(uint16_t)name.len, (uint16_t)value.len};

	assert(name.len <= UINT16_MAX && value.len <= UINT16_MAX);
	memcpy(out, lens, BLOCK_ENTRY);
	memcpy(out + BLOCK_ENTRY, name.p, name.len);
	if (value.len > 0)
		memcpy(out + BLOCK_ENTRY + name.len, value.p, value.len);
	return out + BLOCK_ENTRY + name.len + value.len;
}
/* Takes the next entry off the front of *block. False: no more. A block that is cut off is a broken
 * invariant. */
bool block_next(struct str *block, struct str *name, struct str *value);

/*
 * The message that a block says; views into the block. 0, or -1 with *fault. last: no body follows
 * (END_STREAM). As strict as HTTP/1's: RFC 9113 8.2 and 8.3, fields of a connection, Host and :authority that
 * differ, lengths that are repeated or malformed. body is BODY_NONE with last or a length of 0, BODY_LENGTH
 * with another content-length, else BODY_EOF: its end is told beside it. A request for a tunnel (RFC 8441,
 * :protocol websocket) is parsed as the GET with an Upgrade that it means, with tunnel set.
 */
int block_parse_request(struct msg *m, struct str block, bool last, const struct fault **fault);
int block_parse_response(
    struct msg *m, struct str block, bool last, enum method request_method, const struct fault **fault);
int block_parse_trailers(struct msg *m, struct str block, const struct fault **fault);

/* Print into out; the length. Names in lower case, no field of a connection. Room as for h1_print_*. An
 * upgrade is asked for only when the message has tunnel; a 101 goes out as the 200 that it is to a tunnel. */
size_t block_print_request(char *out, const struct msg *m, const struct msg_forward *f);
size_t block_print_response(char *out, const struct msg *m, const struct msg_reply *r);
size_t block_print_trailers(char *out, const struct msg *m);
/* An answer of our own: *head is the length of the block, the return value that of block and text/plain body.
 * Room >= 1024. */
size_t block_print_own(char *out, unsigned status, struct str request_id, bool head_only, size_t *head);
#define GRPC_DEADLINE_EXCEEDED 4u
#define GRPC_UNIMPLEMENTED 12u

/* The same to a gRPC request: trailers-only, 200 with a grpc-status and the status' reason as grpc-message.
 * grpc 0: the one that Envoy maps the status to. Returns the length of the block. */
size_t block_print_grpc(char *out, unsigned status, unsigned grpc, struct str request_id);

/* What HTTP calls the error of a gRPC answer that is nothing but trailers, as Envoy maps it: a status from
 * 400 on; any other answer's own status. */
unsigned msg_grpc_error(const struct msg *m);
/* Is this a gRPC request: content-type application/grpc, alone or with +proto, ;charset...? */
bool msg_is_grpc(const struct msg *m);
/* Milliseconds of its grpc-timeout, rounded up, at least 1 and at most a day; 0: none, or one that is
 * malformed. */
uint32_t msg_grpc_timeout_ms(const struct msg *m);

#endif
