/* ask.c - questions that are not ours, asked of the upstream from the daemon's own namespace.
 *
 * Each has a socket of its own, so its port and its id are hard to guess together, and goes the way it came:
 * as a datagram or over TCP. What comes back is passed on as it is, with the client's id.
 */
#include "site.h"

#include <errno.h>
#include <sys/random.h>

static void
fail(struct ask *f)
{
	struct resolver *r = f->source.resolver;
	uint8_t room[DNS_UDP_MIN];
	size_t n = resolve_failure(&r->resolve, &f->q, DNS_SERVFAIL, room);

	resolve_count(&r->resolve, NAME_COUNTER_FORWARD_FAILED);
	if (f->dialog != NULL)
		dialog_send(f->dialog, room, n);
	else
		sendto(f->client_fd, room, n, MSG_DONTWAIT, &f->client.sa, addr_len(&f->client));
	ask_drop(f);
}

void
ask_drop(struct ask *f)
{
	struct resolver *r = f->source.resolver;

	source_close(&f->source);
	list_del(&f->link);
	list_del(&f->site_link);
	list_del(&f->dialog_link);
	f->site->nasks--;
	free(f->answer);
	f->answer = NULL;
	body_drop(r, &f->body);
}

void
ask_expire(struct ask *f)
{
	fail(f);
}

/* ------------------------------------------------------------------ datagrams */

static void
datagram_ready(struct source *s, uint32_t events)
{
	struct ask *f = container_of(s, struct ask, source);
	uint8_t *p = s->resolver->message;

	for (;;) {
		ssize_t n = recv(s->fd, p, DNS_MESSAGE_MAX, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			fail(f);
			return;
		}
		/* Anything else is somebody's guess: the real answer may still come. */
		if (!dns_answers(p, (size_t)n, f->id, &f->q))
			continue;
		dns_put16(p, f->q.id);
		sendto(f->client_fd, p, (size_t)n, MSG_DONTWAIT, &f->client.sa, addr_len(&f->client));
		ask_drop(f);
		return;
	}
}

/* ------------------------------------------------------------------ TCP */

/* 0 all is sent, -EAGAIN, or another -errno. */
static int
stream_send(struct ask *f)
{
	while (f->sent < f->n + 2) {
		ssize_t n =
		    send(f->source.fd, f->query + f->sent, f->n + 2 - f->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return -errno;
		f->sent += (size_t)n;
	}
	return 0;
}

/* The length, then as many bytes: 0 all is there, -EAGAIN, or another -errno. */
static int
stream_receive(struct ask *f)
{
	for (;;) {
		size_t want = 2;
		ssize_t n;

		if (f->answer_len >= 2)
			want += dns_get16(f->answer);
		if (f->answer_len == want && want > 2)
			return 0;
		if (f->answer_len == want)
			return -EPROTO;
		n = recv(f->source.fd, f->answer + f->answer_len, want - f->answer_len, MSG_DONTWAIT);
		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		f->answer_len += (size_t)n;
	}
}

static void
stream_ready(struct source *s, uint32_t events)
{
	struct ask *f = container_of(s, struct ask, source);
	int rc = stream_send(f);

	if (rc == 0) {
		source_events(s, EPOLLIN);
		rc = stream_receive(f);
	}
	if (rc == -EAGAIN || rc == -EINTR)
		return;
	if (rc != 0 || !dns_answers(f->answer + 2, f->answer_len - 2, f->id, &f->q)) {
		fail(f);
		return;
	}
	dns_put16(f->answer + 2, f->q.id);
	dialog_send(f->dialog, f->answer + 2, f->answer_len - 2);
	ask_drop(f);
}

/* ------------------------------------------------------------------ begin */

static struct ask *
ask_new(struct site *s, const struct dns_query *q, const uint8_t *p, size_t n)
{
	struct ask *f = calloc(1, sizeof(*f) + 2 + n);

	if (f == NULL)
		return NULL;
	f->site = s;
	f->q = *q;
	f->n = n;
	dns_put16(f->query, (uint32_t)n);
	memcpy(f->query + 2, p, n);
	f->q.question = f->query + 2 + DNS_HEAD;
	f->source.fd = -1;
	list_init(&f->dialog_link);
	return f;
}

static int
ask_open(struct resolver *r, struct ask *f)
{
	bool stream = f->dialog != NULL;
	int fd = socket(
	    r->upstream.sa.sa_family, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, &r->upstream.sa, addr_len(&r->upstream)) != 0 && errno != EINPROGRESS) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return source_open(
	    r, &f->source, fd, stream ? EPOLLOUT : EPOLLIN, stream ? stream_ready : datagram_ready);
}

void
ask_begin(struct site *s, const struct dns_query *q, const uint8_t *p, size_t n, int client_fd,
    const struct addr *client, struct dialog *d)
{
	struct resolver *r = s->udp[0].resolver;
	struct ask *f = ask_new(s, q, p, n);
	bool full = s->nasks >= NAME_ASKS_MAX;

	if (f == NULL)
		return;
	f->source.resolver = r;
	f->dialog = d;
	f->client_fd = client_fd;
	if (client != NULL)
		f->client = *client;
	f->deadline_ms = r->now_ms + NAME_ASK_MS;
	s->nasks++;
	list_append(&s->asks, &f->site_link);
	list_append(&r->asks, &f->link);
	if (d != NULL) {
		list_append(&d->asks, &f->dialog_link);
		f->answer = malloc(2 + DNS_MESSAGE_MAX);
	}
	resolve_count(&r->resolve, NAME_COUNTER_FORWARDED);
	if (full || (d != NULL && f->answer == NULL) ||
	    getrandom(&f->id, sizeof(f->id), 0) != sizeof(f->id) || ask_open(r, f) != 0) {
		fail(f);
		return;
	}
	dns_put16(f->query + 2, f->id);
	if (d == NULL && send(f->source.fd, f->query + 2, n, MSG_DONTWAIT) < 0)
		fail(f);
}
