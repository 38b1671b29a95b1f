/* lgen_backend.c - the backend: HTTP/1.1 answers of the size that a path asks for, and who speaks something
 * else.
 *
 * What a connection speaks is seen from its first byte, so one port serves every kind of target: `P` of the
 * preface is HTTP/2 (POST is two bytes further), and a TLS record is a ClientHello that is passed through,
 * after which HTTP/1.1 goes on in the clear: a proxy that passes bytes through cannot tell.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lgen.h"

#define ANSWER_BYTES_MAX ((size_t)64 << 20)
#define RECORD_HEAD 5u
#define RECORD_HANDSHAKE 22

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

void
backend_start(struct lgen *g)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)g->opt.backend_port)};
	int one = 1;

	answer_get(g, 0);
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

void
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
	c->fd = fd;
	c->step = STEP_FIRST;
	c->body_left = 0;
	c->close_after = false;
	c->gather.len = 0;
	ring_recv(g, OP_BACKEND_RECV, (unsigned)fd, fd);
}

static void
backend_answer(struct lgen *g, unsigned i)
{
	struct conn *c = &g->backends[i];
	const struct message *m = answer_get(g, c->answer_bytes);

	c->step = STEP_HEAD;
	ring_send(g, c->close_after ? OP_BACKEND_LAST : OP_BACKEND_SEND, i, c->fd, m->bytes, m->len,
	    !c->close_after);
}

/* Sees what the connection speaks. A ClientHello is skipped like a body of its size. */
static void
backend_meet(struct lgen *g, struct conn *c, struct span data)
{
	c->step = STEP_HEAD;
	if (data.len >= RECORD_HEAD && data.at[0] == RECORD_HANDSHAKE)
		c->body_left = RECORD_HEAD + ((uint64_t)(uint8_t)data.at[3] << 8 | (uint8_t)data.at[4]);
	else if (data.len >= 3 && memcmp(data.at, "PRI", 3) == 0)
		h2_open(g, c);
}

void
backend_data(struct lgen *g, unsigned i, struct span data)
{
	struct conn *c = &g->backends[i];
	struct span head;

	if (c->step == STEP_FIRST)
		backend_meet(g, c, data);
	if (c->h2 != NULL) {
		h2_data(g, c, data);
		return;
	}
	if (c->step == STEP_HEAD)
		body_skip(&c->body_left, &data);
	while (data.len > 0) {
		if (c->step == STEP_HEAD) {
			if (!head_take(&c->gather, &data, &head))
				return;
			c->answer_bytes = head_size_wanted(head);
			c->body_left = field_number(head, "content-length:");
			c->close_after = head_says_close(head);
			c->step = STEP_BODY;
		}
		body_skip(&c->body_left, &data);
		if (c->body_left == 0)
			backend_answer(g, i);
	}
}

void
backend_closed(struct lgen *g, unsigned i)
{
	struct conn *c = &g->backends[i];

	if (conn_close(c) && c->h2 != NULL)
		h2_close(g, c);
}
