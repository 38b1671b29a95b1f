/* lgen.c - load generator and backend of the bench: HTTP/1.1, one thread, one io_uring.
 *
 * Both halves may run in one process (-B and -C): they share the ring, so that their core makes no context
 * switches while the proxy under test has a core to itself. The figure of merit is the proxy's CPU time per
 * request, read from the kernel's own accounting at the edges of the measured interval. One JSON line at the
 * end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "meter.h"
#include "wire.h"

#define CONNS_MAX 65536
#define BUFFERS 2048u
#define BUFFER_BYTES 4096u
#define ANSWERS_MAX 64u
#define ANSWER_BYTES_MAX ((size_t)64 << 20)
#define IDLE_RAMP 64u /* connections that open at a time with -i */
#define SOURCES 8u    /* client addresses 127.0.0.2 and up: more ports than one address has */

enum op { OP_ACCEPT = 1, OP_BACKEND_RECV, OP_BACKEND_SEND, OP_BACKEND_LAST, OP_RECV, OP_SEND, OP_CONNECT };
enum step { STEP_HEAD, STEP_BODY, STEP_NONE };
enum phase { PHASE_WARM, PHASE_MEASURE, PHASE_DONE };

struct conn {
	int fd;
	enum step step;
	bool in_flight;	  /* client: a request is out and its answer is not whole */
	bool close_after; /* the message at hand is the connection's last */
	uint64_t began_ns;
	uint64_t body_left;
	uint64_t answer_bytes; /* backend: what the path asked for */
	struct gather gather;
};

struct options {
	unsigned backend_port;
	struct sockaddr_in target;
	bool client;
	unsigned conns;
	double warm_s, measure_s;
	const char *path;
	const char *host; /* a %u in it takes 0 .. hosts-1 in turn */
	unsigned hosts;
	size_t post_bytes;
	bool close_each; /* a new connection for every request */
	bool idle;	 /* one request on each connection, then hold them all */
	const char *pids;
	unsigned proxy_cpu;
};

struct message {
	char *bytes;
	size_t len;
	uint64_t body_bytes;
};

struct lgen {
	struct options opt;
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	char *buffer_bytes;
	int listen_fd;
	struct conn *clients, *backends; /* backends by descriptor */
	struct message *requests;
	unsigned next_request;
	struct message answers[ANSWERS_MAX];
	unsigned nanswers;
	unsigned nopened, ndone;
	enum phase phase;
	uint64_t warm_until_ns, measure_until_ns;
	struct sample first, last;
	uint64_t requests_done, errors, not_200, bytes, connects;
	struct histogram latency;
};

static volatile sig_atomic_t stopped;

static void
on_signal(int number)
{
	(void)number;
	stopped = 1;
}

static void
die(const char *what, int error)
{
	fprintf(stderr, "lgen: %s: %s\n", what, strerror(error));
	exit(1);
}

/* ------------------------------------------------------------------ report */

static double
ratio(uint64_t a, uint64_t b)
{
	return b > 0 ? (double)a / (double)b : 0;
}

static void
report_print(const struct lgen *g)
{
	const struct sample *a = &g->first, *b = &g->last;
	double wall_s = ratio(b->wall_ns - a->wall_ns, NSEC);
	uint64_t ticks = b->all[0] - a->all[0] + b->all[1] - a->all[1];
	uint64_t stolen = b->steal[0] - a->steal[0] + b->steal[1] - a->steal[1];

	printf("{\"requests\":%llu,\"errors\":%llu,\"not_200\":%llu,\"connects\":%llu,\"rps\":%.0f,\"mbps\":%"
	       ".1f,",
	    (unsigned long long)g->requests_done, (unsigned long long)g->errors,
	    (unsigned long long)g->not_200, (unsigned long long)g->connects,
	    (double)g->requests_done / wall_s, (double)g->bytes / wall_s / 1e6);
	printf("\"cpu_us\":%.3f,\"own_us\":%.3f,\"p50_us\":%.1f,\"p99_us\":%.1f,",
	    ratio(b->proxy_ns - a->proxy_ns, g->requests_done) / 1e3,
	    ratio(b->own_ns - a->own_ns, g->requests_done) / 1e3, histogram_us(&g->latency, .5),
	    histogram_us(&g->latency, .99));
	printf("\"busy_own\":%.3f,\"busy_proxy\":%.3f,\"steal\":%.4f}\n",
	    ratio(b->busy[0] - a->busy[0], b->all[0] - a->all[0]),
	    ratio(b->busy[1] - a->busy[1], b->all[1] - a->all[1]), ratio(stolen, ticks));
}

/* ------------------------------------------------------------------ ring */

static void
ring_open(struct lgen *g)
{
	struct io_uring_params params = {
	    .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
	    .cq_entries = 65536,
	};
	/* liburing 2.3 has no helper that makes a buffer ring */
	size_t size = BUFFERS * sizeof(struct io_uring_buf);
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)memory, .ring_entries = BUFFERS};
	int rc = io_uring_queue_init_params(4096, &g->ring, &params);

	if (rc < 0)
		die("io_uring", -rc);
	rc = io_uring_register_buf_ring(&g->ring, &reg, 0);
	if (rc < 0)
		die("buffer ring", -rc);
	g->buffers = memory;
	io_uring_buf_ring_init(g->buffers);
	g->buffer_bytes = mmap(NULL, (size_t)BUFFERS * BUFFER_BYTES, PROT_READ | PROT_WRITE,
	    MAP_ANONYMOUS | MAP_PRIVATE | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED || g->buffer_bytes == MAP_FAILED)
		die("buffers", errno);
	for (unsigned i = 0; i < BUFFERS; i++)
		io_uring_buf_ring_add(g->buffers, g->buffer_bytes + (size_t)i * BUFFER_BYTES, BUFFER_BYTES,
		    (unsigned short)i, io_uring_buf_ring_mask(BUFFERS), (int)i);
	io_uring_buf_ring_advance(g->buffers, BUFFERS);
}

static void
buffer_give(struct lgen *g, unsigned id)
{
	io_uring_buf_ring_add(g->buffers, g->buffer_bytes + (size_t)id * BUFFER_BYTES, BUFFER_BYTES,
	    (unsigned short)id, io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(g->buffers, 1);
}

static struct io_uring_sqe *
ring_sqe(struct lgen *g)
{
	struct io_uring_sqe *sqe;

	while ((sqe = io_uring_get_sqe(&g->ring)) == NULL)
		io_uring_submit(&g->ring);
	return sqe;
}

static void
sqe_tag(struct io_uring_sqe *sqe, enum op op, unsigned index)
{
	io_uring_sqe_set_data64(sqe, (uint64_t)op << 56 | index);
}

static void
ring_recv(struct lgen *g, enum op op, unsigned index, int fd)
{
	struct io_uring_sqe *sqe = ring_sqe(g);

	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0;
	sqe_tag(sqe, op, index);
}

static void
ring_send(struct lgen *g, enum op op, unsigned index, int fd, const struct message *m, bool quiet)
{
	struct io_uring_sqe *sqe = ring_sqe(g);

	io_uring_prep_send(sqe, fd, m->bytes, m->len, MSG_NOSIGNAL | MSG_WAITALL);
	if (quiet)
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	sqe_tag(sqe, op, index);
}

static void
ring_accept(struct lgen *g)
{
	struct io_uring_sqe *sqe = ring_sqe(g);

	io_uring_prep_multishot_accept(sqe, g->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	sqe_tag(sqe, OP_ACCEPT, 0);
}

/* ------------------------------------------------------------------ messages */

static void
body_skip(struct conn *c, struct span *data)
{
	size_t len = data->len < c->body_left ? data->len : (size_t)c->body_left;

	c->body_left -= len;
	data->at += len;
	data->len -= len;
}

static void
requests_make(struct lgen *g)
{
	const struct options *o = &g->opt;
	char host[256];

	g->requests = calloc(o->hosts, sizeof(*g->requests));
	for (unsigned i = 0; g->requests != NULL && i < o->hosts; i++) {
		struct message *m = &g->requests[i];
		const char *mark = strstr(o->host, "%u");
		int len;

		snprintf(host, sizeof(host), "%s", o->host);
		if (mark != NULL)
			snprintf(host, sizeof(host), "%.*s%u%s", (int)(mark - o->host), o->host, i, mark + 2);
		m->bytes = malloc(o->post_bytes + strlen(o->path) + 1024);
		if (m->bytes == NULL)
			die("malloc", errno);
		len = sprintf(m->bytes, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: lgen/1\r\nAccept: */*\r\n",
		    o->post_bytes > 0 ? "POST" : "GET", o->path, host);
		if (o->post_bytes > 0)
			len += sprintf(m->bytes + len,
			    "Content-Type: application/octet-stream\r\nContent-Length: %zu\r\n",
			    o->post_bytes);
		len += sprintf(m->bytes + len, "%s\r\n", o->close_each ? "Connection: close\r\n" : "");
		memset(m->bytes + len, 'p', o->post_bytes);
		m->len = (size_t)len + o->post_bytes;
	}
}

/* The answer with a body of so many bytes, made when it is asked for first. */
static const struct message *
answer_get(struct lgen *g, uint64_t body_bytes)
{
	struct message *m = &g->answers[g->nanswers];
	int len;

	for (unsigned i = 0; i < g->nanswers; i++)
		if (g->answers[i].body_bytes == body_bytes)
			return &g->answers[i];
	if (g->nanswers == ANSWERS_MAX || body_bytes > ANSWER_BYTES_MAX)
		return &g->answers[0];
	m->bytes = malloc(body_bytes + 512);
	if (m->bytes == NULL)
		die("malloc", errno);
	len = sprintf(m->bytes,
	    "HTTP/1.1 200 OK\r\nServer: lgen\r\nDate: Mon, 23 Nov 2026 01:00:00 GMT\r\n"
	    "Content-Type: text/plain\r\nContent-Length: %llu\r\n\r\n",
	    (unsigned long long)body_bytes);
	memset(m->bytes + len, 'x', body_bytes);
	m->len = (size_t)len + body_bytes;
	m->body_bytes = body_bytes;
	g->nanswers++;
	return m;
}

/* ------------------------------------------------------------------ client */

static void
client_send(struct lgen *g, unsigned i)
{
	struct conn *c = &g->clients[i];

	if (!g->opt.close_each)
		c->began_ns = meter_now_ns();
	c->step = STEP_HEAD;
	c->in_flight = true;
	ring_send(g, OP_SEND, i, c->fd, &g->requests[g->next_request], true);
	g->next_request = (g->next_request + 1) % g->opt.hosts;
}

static void
client_open(struct lgen *g, unsigned i)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	struct conn *c = &g->clients[i];
	struct io_uring_sqe *sqe;
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket", errno);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + g->nopened++ % SOURCES);
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		die("bind", errno);
	c->began_ns = meter_now_ns();
	c->gather.len = 0;
	c->step = STEP_NONE;
	c->in_flight = false;
	sqe = ring_sqe(g);
	io_uring_prep_connect(sqe, c->fd, (struct sockaddr *)&g->opt.target, sizeof(g->opt.target));
	sqe_tag(sqe, OP_CONNECT, i);
}

static void
client_connected(struct lgen *g, unsigned i, int result)
{
	struct conn *c = &g->clients[i];

	if (result == 0) {
		g->connects++;
		ring_recv(g, OP_RECV, i, c->fd);
		client_send(g, i);
		return;
	}
	if (g->phase == PHASE_MEASURE)
		g->errors++;
	close(c->fd);
	usleep(1000); /* a server that refuses is not hammered */
	client_open(g, i);
}

static void
client_finish(struct lgen *g, unsigned i)
{
	struct conn *c = &g->clients[i];

	c->in_flight = false;
	c->step = STEP_NONE;
	if (g->phase == PHASE_MEASURE) {
		g->requests_done++;
		histogram_add(&g->latency, meter_now_ns() - c->began_ns);
	}
	if (!g->opt.idle) {
		if (!c->close_after)
			client_send(g, i);
		return; /* else the server closes */
	}
	if (++g->ndone + IDLE_RAMP - 1 < g->opt.conns)
		client_open(g, g->ndone + IDLE_RAMP - 1);
	if (g->ndone == g->opt.conns) {
		puts("ready");
		fflush(stdout);
	}
}

static void
client_data(struct lgen *g, unsigned i, struct span data)
{
	struct conn *c = &g->clients[i];
	struct span head;

	if (g->phase == PHASE_MEASURE)
		g->bytes += data.len;
	if (c->step == STEP_HEAD) {
		if (!head_take(&c->gather, &data, &head))
			return;
		if (g->phase == PHASE_MEASURE && memcmp(head.at + 9, "200", 3) != 0)
			g->not_200++;
		c->body_left = field_number(head, "content-length:");
		c->close_after = g->opt.close_each || head_says_close(head);
		c->step = STEP_BODY;
	}
	if (c->step == STEP_BODY) {
		body_skip(c, &data);
		if (c->body_left == 0)
			client_finish(g, i);
	}
}

static void
client_closed(struct lgen *g, unsigned i)
{
	struct conn *c = &g->clients[i];

	close(c->fd);
	c->fd = -1;
	if (c->in_flight && g->phase == PHASE_MEASURE)
		g->errors++;
	if (!g->opt.idle)
		client_open(g, i);
}

/* ------------------------------------------------------------------ backend */

static void
backend_listen(struct lgen *g)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)g->opt.backend_port)};
	int one = 1;

	g->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (g->listen_fd < 0)
		die("socket", errno);
	setsockopt(g->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(g->listen_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(g->listen_fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(g->listen_fd, 16384) < 0)
		die("listen", errno);
	ring_accept(g);
}

static void
backend_accepted(struct lgen *g, int fd)
{
	struct conn *c;

	if (fd < 0)
		return;
	if (fd >= CONNS_MAX) {
		close(fd);
		return;
	}
	c = &g->backends[fd];
	*c = (struct conn){.fd = fd, .gather.bytes = c->gather.bytes};
	ring_recv(g, OP_BACKEND_RECV, (unsigned)fd, fd);
}

static void
backend_answer(struct lgen *g, unsigned i)
{
	struct conn *c = &g->backends[i];

	c->step = STEP_HEAD;
	ring_send(g, c->close_after ? OP_BACKEND_LAST : OP_BACKEND_SEND, i, c->fd,
	    answer_get(g, c->answer_bytes), !c->close_after);
}

static void
backend_data(struct lgen *g, unsigned i, struct span data)
{
	struct conn *c = &g->backends[i];
	struct span head;

	while (data.len > 0) {
		if (c->step == STEP_HEAD) {
			if (!head_take(&c->gather, &data, &head))
				return;
			c->answer_bytes = head_size_wanted(head);
			c->body_left = field_number(head, "content-length:");
			c->close_after = head_says_close(head);
			c->step = STEP_BODY;
		}
		body_skip(c, &data);
		if (c->body_left == 0)
			backend_answer(g, i);
	}
}

static void
backend_closed(struct lgen *g, unsigned i)
{
	close(g->backends[i].fd);
	g->backends[i].fd = -1;
}

/* ------------------------------------------------------------------ loop */

static void
received(struct lgen *g, enum op op, unsigned i, const struct io_uring_cqe *cqe)
{
	bool client = op == OP_RECV;
	struct conn *c = client ? &g->clients[i] : &g->backends[i];
	unsigned buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	struct span data = {
	    g->buffer_bytes + (size_t)buffer * BUFFER_BYTES, cqe->res > 0 ? (size_t)cqe->res : 0};

	if (data.len > 0 && client)
		client_data(g, i, data);
	else if (data.len > 0)
		backend_data(g, i, data);
	if (cqe->flags & IORING_CQE_F_BUFFER)
		buffer_give(g, buffer);
	if (cqe->flags & IORING_CQE_F_MORE)
		return;
	if (data.len > 0 || cqe->res == -ENOBUFS)
		ring_recv(g, op, i, c->fd);
	else if (client)
		client_closed(g, i);
	else
		backend_closed(g, i);
}

static void
completed(struct lgen *g, const struct io_uring_cqe *cqe)
{
	enum op op = (enum op)(cqe->user_data >> 56);
	unsigned i = (unsigned)cqe->user_data;

	switch (op) {
	case OP_ACCEPT:
		backend_accepted(g, cqe->res);
		if (!(cqe->flags & IORING_CQE_F_MORE))
			ring_accept(g);
		break;
	case OP_RECV:
	case OP_BACKEND_RECV:
		received(g, op, i, cqe);
		break;
	case OP_CONNECT:
		client_connected(g, i, cqe->res);
		break;
	case OP_BACKEND_LAST:
		if (g->backends[i].fd >= 0)
			shutdown(g->backends[i].fd, SHUT_WR);
		break;
	case OP_SEND:
	case OP_BACKEND_SEND:
		break; /* failed: the receive sees the end as well */
	}
}

static void
phase_step(struct lgen *g, uint64_t now)
{
	if (g->phase == PHASE_WARM && now >= g->warm_until_ns) {
		g->phase = PHASE_MEASURE;
		sample_take(&g->first, g->opt.pids, g->opt.proxy_cpu);
	} else if (g->phase == PHASE_MEASURE && now >= g->measure_until_ns) {
		g->phase = PHASE_DONE;
		sample_take(&g->last, g->opt.pids, g->opt.proxy_cpu);
	}
}

/* Waits for completions, at most until the phase ends. */
static int
ring_wait(struct lgen *g)
{
	struct __kernel_timespec timeout;
	struct io_uring_cqe *cqe;
	uint64_t now = meter_now_ns(), until;

	if (!g->opt.client || g->opt.idle)
		return io_uring_submit_and_wait(&g->ring, 1);
	phase_step(g, now);
	until = g->phase == PHASE_WARM ? g->warm_until_ns : g->measure_until_ns;
	until = until > now ? until - now : 0;
	timeout.tv_sec = (long long)(until / NSEC);
	timeout.tv_nsec = (long long)(until % NSEC);
	return io_uring_submit_and_wait_timeout(&g->ring, &cqe, 1, &timeout, NULL);
}

static void
loop(struct lgen *g)
{
	while (!stopped && g->phase != PHASE_DONE) {
		struct io_uring_cqe *cqe;
		unsigned head, n = 0;
		int rc = ring_wait(g);

		if (rc < 0 && rc != -ETIME && rc != -EINTR)
			die("wait", -rc);
		io_uring_for_each_cqe(&g->ring, head, cqe)
		{
			completed(g, cqe);
			n++;
		}
		io_uring_cq_advance(&g->ring, n);
	}
}

/* ------------------------------------------------------------------ start */

static const char usage[] =
    "usage: lgen [-B PORT] [-C ADDRESS:PORT] ...\n"
    "  -B PORT          be a backend: the last segment of a path is the size of its answer's body\n"
    "  -C ADDRESS:PORT  be a client of this server\n"
    "  -c N             connections (64)              -p PATH       of the requests (/100)\n"
    "  -w S -d S        seconds to warm up, measure   -h HOST       a %u in it takes 0 .. N-1 in turn\n"
    "  -n N             hosts (1)                     -b BYTES      POST a body of this size\n"
    "  -K               a connection per request      -i            one request each, then hold all idle\n"
    "  -P PID,...       whose CPU time to read        -x CPU        the proxy's core (1)\n";

static void
target_parse(struct options *o, char *text)
{
	char *colon = strrchr(text, ':');

	o->client = true;
	o->target.sin_family = AF_INET;
	if (colon != NULL)
		*colon = '\0';
	if (colon == NULL || inet_pton(AF_INET, text, &o->target.sin_addr) != 1) {
		fprintf(stderr, "lgen: not ADDRESS:PORT: %s\n", text);
		exit(2);
	}
	o->target.sin_port = htons((uint16_t)atoi(colon + 1));
}

static void
options_parse(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "B:C:c:d:w:p:h:n:b:KiP:x:")) != -1) {
		switch (c) {
		case 'B':
			o->backend_port = (unsigned)atoi(optarg);
			break;
		case 'C':
			target_parse(o, optarg);
			break;
		case 'c':
			o->conns = (unsigned)atoi(optarg);
			break;
		case 'd':
			o->measure_s = atof(optarg);
			break;
		case 'w':
			o->warm_s = atof(optarg);
			break;
		case 'p':
			o->path = optarg;
			break;
		case 'h':
			o->host = optarg;
			break;
		case 'n':
			o->hosts = (unsigned)atoi(optarg);
			break;
		case 'b':
			o->post_bytes = (size_t)atol(optarg);
			break;
		case 'K':
			o->close_each = true;
			break;
		case 'i':
			o->idle = true;
			break;
		case 'P':
			o->pids = optarg;
			break;
		case 'x':
			o->proxy_cpu = (unsigned)atoi(optarg);
			break;
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if ((!o->client && o->backend_port == 0) || o->hosts == 0 || o->conns == 0 || o->conns > CONNS_MAX) {
		fputs(usage, stderr);
		exit(2);
	}
}

static struct conn *
conns_new(void)
{
	struct conn *conns = calloc(CONNS_MAX, sizeof(*conns));

	if (conns == NULL)
		die("calloc", errno);
	for (unsigned i = 0; i < CONNS_MAX; i++)
		conns[i].fd = -1;
	return conns;
}

int
main(int argc, char **argv)
{
	static struct lgen g = {
	    .opt = {.conns = 64,
		.warm_s = 0.5,
		.measure_s = 2,
		.path = "/100",
		.host = "bench.localhost",
		.hosts = 1,
		.proxy_cpu = 1},
	};
	struct rlimit files = {1000000, 1000000};
	unsigned first;

	options_parse(&g.opt, argc, argv);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	signal(SIGPIPE, SIG_IGN);
	if (setrlimit(RLIMIT_NOFILE, &files) < 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	ring_open(&g);
	g.clients = conns_new();
	g.backends = conns_new();
	answer_get(&g, 0);
	if (g.opt.backend_port > 0)
		backend_listen(&g);
	if (g.opt.client) {
		requests_make(&g);
		g.warm_until_ns = meter_now_ns() + (uint64_t)(g.opt.warm_s * (double)NSEC);
		g.measure_until_ns = g.warm_until_ns + (uint64_t)(g.opt.measure_s * (double)NSEC);
		first = g.opt.idle && g.opt.conns > IDLE_RAMP ? IDLE_RAMP : g.opt.conns;
		for (unsigned i = 0; i < first; i++)
			client_open(&g, i);
	}
	loop(&g);
	/* The ring lets go of the listener some time after our end: the next run wants the port at once. */
	if (g.opt.backend_port > 0)
		shutdown(g.listen_fd, SHUT_RDWR);
	if (g.opt.client && !g.opt.idle)
		report_print(&g);
	return 0;
}
