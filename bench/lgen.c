/* lgen.c - load generator and backend of the bench, one thread, one io_uring: options, the loop, the report.
 *
 * Both halves may run in one process (-B and -C): they share the ring, so that their core makes no context
 * switches while the proxy under test has a core to itself. The figure of merit is the proxy's CPU time per
 * request, read from the kernel's own accounting at the edges of the measured interval. One JSON line at the
 * end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lgen.h"

static volatile sig_atomic_t stopped;

static void
on_signal(int number)
{
	(void)number;
	stopped = 1;
}

_Noreturn void
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

	printf("{\"requests\":%llu,\"errors\":%llu,\"not_200\":%llu,\"connects\":%llu,\"handshakes\":%llu,",
	    (unsigned long long)g->requests_done, (unsigned long long)g->errors,
	    (unsigned long long)g->not_200, (unsigned long long)g->connects,
	    (unsigned long long)g->handshakes);
	printf("\"rps\":%.0f,\"mbps\":%.1f,\"cpu_ms_gib\":%.3f,", (double)g->requests_done / wall_s,
	    (double)g->bytes / wall_s / 1e6,
	    ratio(b->proxy_ns - a->proxy_ns, g->bytes) * (double)(1 << 30) / 1e6);
	printf("\"cpu_us\":%.3f,\"own_us\":%.3f,\"p50_us\":%.1f,\"p99_us\":%.1f,",
	    ratio(b->proxy_ns - a->proxy_ns, g->requests_done) / 1e3,
	    ratio(b->own_ns - a->own_ns, g->requests_done) / 1e3, histogram_us(&g->latency, .5),
	    histogram_us(&g->latency, .99));
	printf("\"busy_own\":%.3f,\"busy_proxy\":%.3f,\"steal\":%.4f}\n",
	    ratio(b->busy[0] - a->busy[0], b->all[0] - a->all[0]),
	    ratio(b->busy[1] - a->busy[1], b->all[1] - a->all[1]), ratio(stolen, ticks));
}

/* ------------------------------------------------------------------ loop */

static void
received(struct lgen *g, enum op op, unsigned i, const struct io_uring_cqe *cqe)
{
	bool client = op == OP_RECV;
	struct conn *c = client ? &g->clients[i] : &g->backends[i];
	struct span data = ring_buffer(g, cqe);

	if (data.len > 0 && client)
		client_received(g, i, data);
	else if (data.len > 0)
		backend_data(g, i, data);
	if (cqe->flags & IORING_CQE_F_BUFFER)
		ring_buffer_give(g, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
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
	case OP_SENT:
	case OP_BACKEND_SENT:
		conn_sent(g, op == OP_SENT ? &g->clients[i] : &g->backends[i]);
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
		conn_flush_all(g);
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
    "  -t               TLS 1.3, the host as SNI      -r            its handshakes must be resumed ones\n"
    "  -s N             HTTP/2, N streams each        -g            with -s: unary gRPC calls, POST\n"
    "  -e               a ClientHello, then in the clear, for who passes TLS through\n"
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

/* Options without a value. */
static bool *
option_flag(struct options *o, int letter)
{
	switch (letter) {
	case 'K':
		return &o->close_each;
	case 'i':
		return &o->idle;
	case 't':
		return &o->tls;
	case 'r':
		return &o->resume;
	case 'e':
		return &o->hello;
	case 'g':
		return &o->grpc;
	default:
		return NULL;
	}
}

static unsigned *
option_number(struct options *o, int letter)
{
	switch (letter) {
	case 'B':
		return &o->backend_port;
	case 'c':
		return &o->conns;
	case 'n':
		return &o->hosts;
	case 's':
		return &o->streams;
	case 'x':
		return &o->proxy_cpu;
	default:
		return NULL;
	}
}

static bool
option_other(struct options *o, int letter)
{
	switch (letter) {
	case 'C':
		target_parse(o, optarg);
		return true;
	case 'd':
		o->measure_s = atof(optarg);
		return true;
	case 'w':
		o->warm_s = atof(optarg);
		return true;
	case 'p':
		o->path = optarg;
		return true;
	case 'h':
		o->host = optarg;
		return true;
	case 'b':
		o->post_bytes = (size_t)atol(optarg);
		return true;
	case 'P':
		o->pids = optarg;
		return true;
	default:
		return false;
	}
}

static bool
options_fit(const struct options *o)
{
	bool each = o->close_each || o->idle || o->post_bytes > 0 || o->hosts > 1;

	return (o->client || o->backend_port > 0) && o->hosts > 0 && o->conns > 0 && o->conns <= CONNS_MAX &&
	       o->streams <= STREAMS_MAX && (o->streams == 0 || !each) && (!o->grpc || o->streams > 0) &&
	       (!o->resume || o->tls) && (!o->hello || (!o->tls && o->streams == 0));
}

static void
options_parse(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "B:C:c:d:w:p:h:n:b:KiP:x:trs:ge")) != -1) {
		unsigned *number = option_number(o, c);
		bool *flag = option_flag(o, c);

		if (number != NULL)
			*number = (unsigned)atoi(optarg);
		else if (flag != NULL)
			*flag = true;
		else if (!option_other(o, c)) {
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (!options_fit(o)) {
		fputs(usage, stderr);
		exit(2);
	}
}

static struct conn *
conns_new(bool client)
{
	struct conn *conns = calloc(CONNS_MAX, sizeof(*conns));

	if (conns == NULL)
		die("calloc", errno);
	for (unsigned i = 0; i < CONNS_MAX; i++)
		conns[i] = (struct conn){.fd = -1, .index = i, .client = client};
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

	options_parse(&g.opt, argc, argv);
	g.opt.answer_bytes = path_size_wanted(g.opt.path, strlen(g.opt.path));
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	signal(SIGPIPE, SIG_IGN);
	if (setrlimit(RLIMIT_NOFILE, &files) < 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	ring_open(&g);
	g.clients = conns_new(true);
	g.backends = conns_new(false);
	h2_prepare(&g);
	if (g.opt.backend_port > 0)
		backend_start(&g);
	if (g.opt.client)
		client_start(&g);
	loop(&g);
	/* The ring lets go of the listener some time after our end: the next run wants the port at once. */
	if (g.opt.backend_port > 0)
		shutdown(g.listen_fd, SHUT_RDWR);
	if (g.opt.client && !g.opt.idle)
		report_print(&g);
	return 0;
}
