/* ring.c - the only user of liburing. */
#include "ring.h"

#include <errno.h>
#include <liburing.h>
#include <sys/mman.h>

#define ENTRIES_MIN 64u

struct ring {
	struct io_uring uring;
};

struct ring_buffers {
	struct io_uring_buf_ring *entries;
	unsigned count;
};

static unsigned
setup_flags(const struct ring_features *f)
{
	unsigned flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;

	if (f->single_issuer)
		flags |= IORING_SETUP_SINGLE_ISSUER;
	if (f->defer_taskrun)
		flags |= IORING_SETUP_DEFER_TASKRUN;
	else if (f->coop_taskrun)
		flags |= IORING_SETUP_COOP_TASKRUN;
	return flags;
}

static int
init(struct io_uring *uring, unsigned entries, const struct ring_features *f)
{
	struct io_uring_params p = {.flags = setup_flags(f), .cq_entries = entries * 8};

	return io_uring_queue_init_params(entries, uring, &p);
}

static bool
probe_buffers(struct io_uring *uring)
{
	size_t size = 4096;
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)mem, .ring_entries = 8, .bgid = 7};
	bool ok;

	if (mem == MAP_FAILED)
		return false;
	ok = io_uring_register_buf_ring(uring, &reg, 0) == 0;
	if (ok)
		io_uring_unregister_buf_ring(uring, 7);
	munmap(mem, size);
	return ok;
}

int
ring_probe(struct ring_features *f, const char **why)
{
	struct io_uring uring;
	int rc;

	*f = (struct ring_features){.single_issuer = true, .defer_taskrun = true, .coop_taskrun = true};
	rc = init(&uring, 8, f);
	if (rc == -EINVAL) {
		*f = (struct ring_features){.coop_taskrun = true};
		rc = init(&uring, 8, f);
	}
	if (rc == -ENOSYS || rc == -EPERM) {
		*why = "io_uring is not available: it needs Linux 6.1 and kernel.io_uring_disabled = 0";
		return rc;
	}
	if (rc != 0) {
		*why = "io_uring cannot be set up (see kernel.io_uring_disabled and the memlock limit)";
		return rc;
	}
	/* Multishot accept is of the same release (5.19) as buffer rings; there is no probe of its own. */
	f->recv_buffers = probe_buffers(&uring);
	io_uring_queue_exit(&uring);
	if (!f->recv_buffers) {
		*why = "io_uring of this kernel has no provided-buffer rings: Linux 6.1 or later is needed";
		return -ENOTSUP;
	}
	return 0;
}

int
ring_new(struct ring **ring, unsigned entries, const struct ring_features *f)
{
	struct ring *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return -ENOMEM;
	/* Each part of it is memory in one piece, of up to a MiB, which the kernel may not have just now. */
	while ((rc = init(&r->uring, entries, f)) == -ENOMEM && entries > ENTRIES_MIN)
		entries /= 2;
	if (rc != 0) {
		free(r);
		return rc;
	}
	*ring = r;
	return 0;
}

void
ring_free(struct ring *r)
{
	io_uring_queue_exit(&r->uring);
	free(r);
}

void
ring_turn(struct ring *r, int64_t wait_ms)
{
	struct __kernel_timespec ts = {wait_ms / 1000, wait_ms % 1000 * 1000000};
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_submit_and_wait_timeout(&r->uring, &cqe, 1, wait_ms < 0 ? NULL : &ts, NULL);
	io_uring_for_each_cqe(&r->uring, head, cqe)
	{
		struct op *op = (struct op *)(uintptr_t)cqe->user_data;

		n++;
		if (op != NULL)
			op->done(op, cqe->res, cqe->flags);
	}
	io_uring_cq_advance(&r->uring, n);
}

static struct io_uring_sqe *
prepare(struct ring *r, struct op *op)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);

	while (sqe == NULL) {
		io_uring_submit(&r->uring);
		sqe = io_uring_get_sqe(&r->uring);
	}
	sqe->user_data = (uintptr_t)op;
	return sqe;
}

/* liburing 2.3's prep functions clear user_data and flags: they go first, ours after. */
#define PREPARE(r, op, prep, ...)                           \
	({                                                  \
		struct io_uring_sqe *sqe_ = prepare(r, op); \
		prep(sqe_, __VA_ARGS__);                    \
		sqe_->user_data = (uintptr_t)(op);          \
		sqe_;                                       \
	})

void
ring_accept(struct ring *r, struct op *op, int fd)
{
	PREPARE(r, op, io_uring_prep_multishot_accept, fd, NULL, NULL, SOCK_CLOEXEC);
}

bool
ring_more(uint32_t flags)
{
	return flags & IORING_CQE_F_MORE;
}

void
ring_recv(struct ring *r, struct op *op, int fd, unsigned group, bool later)
{
	struct io_uring_sqe *sqe = PREPARE(r, op, io_uring_prep_recv, fd, NULL, 0, 0);

	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = (uint16_t)group;
	if (later)
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

unsigned
ring_buffer(uint32_t flags)
{
	return flags >> IORING_CQE_BUFFER_SHIFT;
}

bool
ring_has_buffer(uint32_t flags)
{
	return flags & IORING_CQE_F_BUFFER;
}

bool
ring_has_more(uint32_t flags)
{
	return flags & IORING_CQE_F_SOCK_NONEMPTY;
}

void
ring_send(struct ring *r, struct op *op, int fd, const void *p, size_t n)
{
	PREPARE(r, op, io_uring_prep_send, fd, p, n, MSG_NOSIGNAL | MSG_WAITALL);
}

void
ring_sendmsg(struct ring *r, struct op *op, int fd, const struct msghdr *m)
{
	PREPARE(r, op, io_uring_prep_sendmsg, fd, m, MSG_NOSIGNAL | MSG_WAITALL);
}

void
ring_connect(struct ring *r, struct op *op, int fd, const struct sockaddr *sa, socklen_t len)
{
	PREPARE(r, op, io_uring_prep_connect, fd, sa, len);
}

void
ring_poll(struct ring *r, struct op *op, int fd, unsigned events)
{
	PREPARE(r, op, io_uring_prep_poll_add, fd, events);
}

void
ring_read(struct ring *r, struct op *op, int fd, void *p, size_t n)
{
	PREPARE(r, op, io_uring_prep_read, fd, p, (unsigned)n, 0);
}

void
ring_close(struct ring *r, int fd)
{
	struct io_uring_sqe *sqe = PREPARE(r, NULL, io_uring_prep_close, fd);

	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

void
ring_cancel(struct ring *r, const struct op *op)
{
	struct io_uring_sqe *sqe = PREPARE(r, NULL, io_uring_prep_cancel64, (uintptr_t)op, 0);

	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

int
ring_buffers_new(struct ring_buffers **out, struct ring *r, unsigned group, unsigned entries)
{
	struct ring_buffers *b = calloc(1, sizeof(*b));
	struct io_uring_buf_reg reg = {.ring_entries = entries, .bgid = (uint16_t)group};
	size_t size = entries * sizeof(struct io_uring_buf);
	int rc;

	if (b == NULL)
		return -ENOMEM;
	b->count = entries;
	b->entries = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b->entries == MAP_FAILED) {
		free(b);
		return -ENOMEM;
	}
	reg.ring_addr = (uintptr_t)b->entries;
	rc = io_uring_register_buf_ring(&r->uring, &reg, 0);
	if (rc != 0) {
		munmap(b->entries, size);
		free(b);
		return rc;
	}
	io_uring_buf_ring_init(b->entries);
	*out = b;
	return 0;
}

void
ring_buffers_free(struct ring_buffers *b)
{
	munmap(b->entries, b->count * sizeof(struct io_uring_buf));
	free(b);
}

void
ring_buffers_add(struct ring_buffers *b, void *p, size_t n, unsigned id)
{
	io_uring_buf_ring_add(
	    b->entries, p, (unsigned)n, (unsigned short)id, io_uring_buf_ring_mask(b->count), 0);
	io_uring_buf_ring_advance(b->entries, 1);
}
