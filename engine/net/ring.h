/* ring.h - one thread's io_uring: prepare operations, one submit-and-wait a turn, run completions.
 *
 * An operation is a struct op inside the object it works for; the kernel hands its address back. The object
 * must live until the last completion of its last operation, so nothing is ever identified by a descriptor.
 */
#ifndef RING_H
#define RING_H

#include "base.h"
#include <sys/socket.h>
#include <sys/uio.h>

struct op;
/* result: what the system call would give, -errno on failure. */
typedef void op_fn(struct op *op, int result, uint32_t flags);

struct op {
	op_fn *done;
};

struct ring;

/* Features found by ring_probe that decide how a ring is set up. */
struct ring_features {
	bool single_issuer, defer_taskrun, coop_taskrun;
	bool recv_buffers; /* provided-buffer rings */
};

/* What this kernel gives; -errno when io_uring or something that cannot be done without is missing,
 * then *why says it in one sentence. */
int ring_probe(struct ring_features *f, const char **why);

int ring_new(
    struct ring **ring, unsigned entries, const struct ring_features *f); /* by the thread that owns it */
void ring_free(struct ring *ring);
/* Submits what was prepared, waits for a completion but at most wait_ms (negative: without end), and runs all
 * completions there are. */
void ring_turn(struct ring *ring, int64_t wait_ms);

void ring_accept(struct ring *ring, struct op *op, int fd); /* multishot */
bool ring_more(uint32_t flags);				    /* a multishot operation goes on */
/* Into one buffer of the group. later: nothing is there yet, so wait before the first try. */
void ring_recv(struct ring *ring, struct op *op, int fd, unsigned group, bool later);
unsigned ring_buffer(uint32_t flags); /* which one a completion used */
bool ring_has_buffer(uint32_t flags);
bool ring_has_more(uint32_t flags); /* the socket had more data when a receive completed */
void ring_send(
    struct ring *ring, struct op *op, int fd, const void *p, size_t n); /* all of it, or an error */
void ring_sendmsg(struct ring *ring, struct op *op, int fd, const struct msghdr *m);
void ring_connect(struct ring *ring, struct op *op, int fd, const struct sockaddr *sa, socklen_t len);
void ring_poll(
    struct ring *ring, struct op *op, int fd, unsigned events); /* once; the result: poll(2)'s revents */
void ring_read(struct ring *ring, struct op *op, int fd, void *p, size_t n);
void ring_close(struct ring *ring, int fd); /* nobody is told */
void ring_cancel(
    struct ring *ring, const struct op *op); /* the operation completes with -ECANCELED, or as it would */

/* A group of provided buffers: `entries` (a power of two) places to put buffers in. */
struct ring_buffers;
int ring_buffers_new(struct ring_buffers **b, struct ring *ring, unsigned group, unsigned entries);
void ring_buffers_free(struct ring_buffers *b); /* when the ring is gone */
void ring_buffers_add(struct ring_buffers *b, void *p, size_t n, unsigned id);

#endif
