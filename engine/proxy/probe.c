/* probe.c - a health check from its socket to its result; HTTP/1 and TCP here, HTTP/2 in probe_h2.c. */
#include "probe.h"

#include "../net/sock.h"
#include <errno.h>
#include <stdio.h>

static void
probe_close(struct probe *p)
{
	p->subject = NULL;
	conn_close(&p->conn);
}

void
probe_drop(struct probe *p)
{
	probe_close(p);
}

void
probe_over(struct probe *p, enum target_reason reason)
{
	struct subject *s = p->subject;

	probe_close(p);
	subject_done(s, reason);
}

enum target_reason
probe_judge(const struct probe *p, unsigned status)
{
	const struct question *q = &p->subject->question;

	for (uint32_t i = 0; i < q->ncodes; i++)
		if (status >= q->codes[i].low && status <= q->codes[i].high)
			return REASON_NONE;
	return REASON_CODE;
}

void
probe_give_up(struct probe *p)
{
	p->subject->probe = NULL;
	probe_close(p);
}

/* ------------------------------------------------------------------ HTTP/1 */

static void
send_question(struct probe *p)
{
	struct worker *w = p->w;
	char host[ADDR_TEXT_MAX];
	int n;

	addr_print(&p->addr, host);
	n = snprintf(w->head, sizeof(w->head),
	    "GET " STR_FMT " HTTP/1.1\r\nHost: %s\r\nUser-Agent: latticefs-health\r\nAccept: */*\r\n"
	    "Connection: close\r\n\r\n",
	    STR_ARG(p->subject->question.path), host);
	p->out = (uint32_t)n <= w->net.pools[BUF_SMALL].room ? buf_get(&w->net.pools[BUF_SMALL])
							     : buf_heap((uint32_t)n);
	if (p->out == NULL) {
		probe_give_up(p);
		return;
	}
	p->out->len = (uint32_t)n;
	memcpy(buf_data(p->out), w->head, (size_t)n);
	conn_send(&p->conn, buf_data(p->out), p->out->len);
	conn_await(&p->conn, BUF_SMALL);
}

/* Looks at what came so far. */
static void
parse(struct probe *p)
{
	struct msg *m = &p->w->msg;
	struct buf *b = p->in;
	const struct fault *fault;
	int n;

	while ((n = h1_parse_response(m, buf_data(b), b->len, &p->scanned, METHOD_GET, &fault)) > 0 &&
	       m->status < 200 && m->status != 101) {
		b->off += (uint32_t)n;
		b->len -= (uint32_t)n;
		p->scanned = 0;
	}
	if (n > 0)
		probe_over(p, probe_judge(p, m->status));
	else if (n < 0)
		probe_over(p, REASON_FAILED);
	else
		conn_recv(&p->conn, BUF_SMALL);
}

/* ------------------------------------------------------------------ the connection */

static void
on_connected(struct conn *c, int error)
{
	struct probe *p = container_of(c, struct probe, conn);

	if (error != 0)
		probe_over(p, REASON_UNREACHABLE);
	else if (p->subject->question.protocol == CHECK_TCP)
		probe_over(p, REASON_NONE);
	else if (!p->subject->question.http2)
		send_question(p);
	else if (!probe_h2_start(p))
		probe_give_up(p);
}

static void
on_data(struct conn *c, struct buf *b)
{
	struct probe *p = container_of(c, struct probe, conn);

	if (p->h2 != NULL)
		probe_h2_data(p, b);
	else if (buf_gather(p->w->net.pools, &p->in, b) != 0)
		probe_give_up(p);
	else
		parse(p);
}

static void
on_end(struct conn *c, int error)
{
	probe_over(container_of(c, struct probe, conn), REASON_FAILED);
}

static void
on_sent(struct conn *c, int error)
{
	struct probe *p = container_of(c, struct probe, conn);

	/* Of a connection that broke the receive tells. */
	if (error == 0 && p->h2 != NULL)
		probe_h2_sent(p);
}

static void
on_timeout(struct conn *c)
{
	probe_over(container_of(c, struct probe, conn), REASON_TIMEOUT);
}

static void
give_back(struct probe *p, struct buf **b)
{
	if (*b != NULL)
		buf_put(p->w->net.pools, *b);
	*b = NULL;
}

static void
on_freed(struct conn *c)
{
	struct probe *p = container_of(c, struct probe, conn);

	give_back(p, &p->out);
	give_back(p, &p->in);
	give_back(p, &p->message);
	if (p->h2 != NULL)
		h2_free(p->h2);
	spare_give(&p->w->health.spare_probes, p);
}

static const struct conn_events events = {
    .data = on_data,
    .end = on_end,
    .sent = on_sent,
    .connected = on_connected,
    .timeout = on_timeout,
    .freed = on_freed,
};

/* ------------------------------------------------------------------ start */

static struct probe *
probe_new(struct subject *s)
{
	struct probe *p = spare_take(&s->w->health.spare_probes, sizeof(*p));

	if (p == NULL)
		return NULL;
	memset(p, 0, sizeof(*p));
	p->w = s->w;
	p->subject = s;
	p->addr = s->question.addr;
	return p;
}

/* Targets' certificates are not looked at, in a check (reference 3.4). */
static int
secure(struct probe *p)
{
	struct worker *w = p->w;
	struct tls_target t = {.host = STR(""), .h2 = p->subject->question.http2};

	if (w->health.trust == NULL)
		w->health.trust = tls_trust_new(w->tls, STR(""), false, 0);
	t.trust = w->health.trust;
	return t.trust != NULL ? tls_connect(&p->conn, w->tls, &t) : -ENOMEM;
}

struct probe *
probe_start(struct subject *s)
{
	const struct question *q = &s->question;
	int fd = sock_stream(q->vpc, q->addr.sa.sa_family);
	struct probe *p = fd >= 0 ? probe_new(s) : NULL;

	if (p == NULL) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	conn_init(&p->conn, &s->w->net, fd, &events);
	if (q->tls && secure(p) != 0) {
		probe_close(p);
		return NULL;
	}
	conn_deadline(&p->conn, q->timeout_ms);
	conn_connect(&p->conn, &p->addr);
	return p;
}

void
probe_fini(struct worker *w)
{
	spares_fini(&w->health.spare_probes);
	tls_held_free(w->health.trust);
}
