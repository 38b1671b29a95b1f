/* lgen_client.c - the clients: connections, and HTTP/1.1 on them. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lgen.h"

#define SOURCES 8u /* client addresses 127.0.0.2 and up: more ports than one address has */
#define CLEAR_BYTES 16384u

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

void
client_wrong(struct lgen *g, uint64_t *counter)
{
	if (g->phase == PHASE_MEASURE)
		(*counter)++;
}

void
client_count(struct lgen *g, uint64_t began_ns)
{
	if (g->phase != PHASE_MEASURE)
		return;
	g->requests_done++;
	histogram_add(&g->latency, meter_now_ns() - began_ns);
}

static void
client_send(struct lgen *g, unsigned i)
{
	const struct message *m = &g->requests[g->next_request];
	struct conn *c = &g->clients[i];

	if (!g->opt.close_each)
		c->began_ns = meter_now_ns();
	c->step = STEP_HEAD;
	c->in_flight = true;
	if (c->tls != NULL)
		conn_say(g, c, m->bytes, m->len);
	else
		ring_send(g, OP_SEND, i, c->fd, m->bytes, m->len, true);
	g->next_request = (g->next_request + 1) % g->opt.hosts;
}

static void
client_open(struct lgen *g, unsigned i)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	struct conn *c = &g->clients[i];
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
	c->in_flight = c->close_after = c->ready = false;
	ring_connect(g, i, c->fd);
}

void
client_start(struct lgen *g)
{
	unsigned first = g->opt.idle && g->opt.conns > IDLE_RAMP ? IDLE_RAMP : g->opt.conns;

	requests_make(g);
	if (g->opt.tls)
		tls_prepare(g);
	if (g->opt.hello)
		g->hello = tls_hello(g->opt.host);
	g->warm_until_ns = meter_now_ns() + (uint64_t)(g->opt.warm_s * (double)NSEC);
	g->measure_until_ns = g->warm_until_ns + (uint64_t)(g->opt.measure_s * (double)NSEC);
	for (unsigned i = 0; i < first; i++)
		client_open(g, i);
}

/* The way is open for the protocol: after the handshake, or at once. */
static void
client_ready(struct lgen *g, unsigned i)
{
	struct conn *c = &g->clients[i];

	c->ready = true;
	if (g->opt.hello)
		ring_send(g, OP_SEND, i, c->fd, g->hello.bytes, g->hello.len, true);
	if (g->opt.streams > 0)
		h2_open(g, c);
	else
		client_send(g, i);
}

void
client_connected(struct lgen *g, unsigned i, int result)
{
	struct conn *c = &g->clients[i];

	if (result == 0) {
		g->connects++;
		ring_recv(g, OP_RECV, i, c->fd);
		if (g->opt.tls)
			tls_open(g, c);
		else
			client_ready(g, i);
		return;
	}
	client_wrong(g, &g->errors);
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
	client_count(g, c->began_ns);
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

	if (c->step == STEP_HEAD) {
		if (!head_take(&c->gather, &data, &head))
			return;
		c->body_left = field_number(head, "content-length:");
		if (memcmp(head.at + 9, "200", 3) != 0 || c->body_left != g->opt.answer_bytes)
			client_wrong(g, &g->not_200);
		c->close_after = g->opt.close_each || head_says_close(head);
		c->step = STEP_BODY;
	}
	if (c->step == STEP_BODY) {
		body_skip(&c->body_left, &data);
		if (c->body_left == 0)
			client_finish(g, i);
	}
}

/* What came out of TLS, piece by piece: a connection that ended on the way says no more. */
static void
client_decrypted(struct lgen *g, unsigned i)
{
	static char clear[CLEAR_BYTES];
	struct conn *c = &g->clients[i];
	size_t len;

	while ((len = tls_read(c, clear, sizeof(clear))) > 0) {
		if (c->h2 != NULL)
			h2_data(g, c, (struct span){clear, len});
		else
			client_data(g, i, (struct span){clear, len});
	}
}

void
client_received(struct lgen *g, unsigned i, struct span data)
{
	struct conn *c = &g->clients[i];

	if (g->phase == PHASE_MEASURE)
		g->bytes += data.len;
	if (c->tls != NULL) {
		if (!tls_handshake(g, c, data))
			return;
		if (!c->ready)
			client_ready(g, i);
		client_decrypted(g, i);
	} else if (c->h2 != NULL) {
		h2_data(g, c, data);
	} else {
		client_data(g, i, data);
	}
}

void
client_closed(struct lgen *g, unsigned i)
{
	struct conn *c = &g->clients[i];

	if (!conn_close(c))
		return;
	if (c->in_flight)
		client_wrong(g, &g->errors);
	if (c->h2 != NULL)
		h2_close(g, c);
	if (c->tls != NULL)
		tls_close(c);
	if (!g->opt.idle)
		client_open(g, i);
}
