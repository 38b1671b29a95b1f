/* wire.h - as much of HTTP/1.1 as two ends that trust each other need. */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_HEAD_MAX 16384u

struct span {
	const char *at;
	size_t len;
};

/* A head that came in pieces. */
struct gather {
	char *bytes; /* WIRE_HEAD_MAX, made when first needed */
	size_t len;
};

/* Takes a head off the front of data. False: it is not whole yet, and all of data was gathered. */
bool head_take(struct gather *g, struct span *data, struct span *head);
/* The number in a field; name in lower case with its colon. 0: no such field. */
uint64_t field_number(struct span head, const char *name);
/* Takes what is a body's off the front of data, at most left, and that off left. */
void body_skip(uint64_t *left, struct span *data);
bool head_says_close(struct span head);
/* The size of the body that a request wants: the last segment of its path. */
uint64_t path_size_wanted(const char *path, size_t len);
uint64_t head_size_wanted(struct span head);

#endif
