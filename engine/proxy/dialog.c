/* dialog.c - DNS over TCP (RFC 7766): a length before every message, several questions a connection. */
#include "site.h"

#include <errno.h>

#define OUT_FIRST 1024u
#define OUT_PAUSE 65536u /* no question is answered while so much waits to be read */
/* As much as the longest answer of the upstream; a client that does not read more of them is cut off. */
#define OUT_MAX (4 * (2 + DNS_MESSAGE_MAX))

/* ------------------------------------------------------------------ sending */

static bool
is_done(const struct dialog *d)
{
	return d->broken || (d->over && d->out_len == 0 && list_empty(&d->asks));
}

static void
flush(struct dialog *d)
{
	while (d->out_len > 0 && !d->broken) {
		ssize_t n = send(d->source.fd, d->out + d->out_at, d->out_len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 && errno != EINTR)
			d->broken = true;
		if (n > 0) {
			d->out_at += (size_t)n;
			d->out_len -= (size_t)n;
		}
	}
	d->out_at = 0;
}

static bool
reserve(struct dialog *d, size_t n)
{
	size_t size = MAX(d->out_size, OUT_FIRST);
	uint8_t *p;

	if (d->out_at > 0) {
		memmove(d->out, d->out + d->out_at, d->out_len);
		d->out_at = 0;
	}
	while (size < d->out_len + n)
		size *= 2;
	if (size > OUT_MAX && d->out_len + n > OUT_MAX)
		return false;
	if (size == d->out_size)
		return true;
	p = realloc(d->out, size);
	if (p == NULL)
		return false;
	d->out = p;
	d->out_size = size;
	return true;
}

static void
queue(struct dialog *d, const uint8_t *p, size_t n)
{
	if (!reserve(d, n + 2)) {
		d->broken = true;
		return;
	}
	dns_put16(d->out + d->out_len, (uint32_t)n);
	memcpy(d->out + d->out_len + 2, p, n);
	d->out_len += n + 2;
}

/* Who does not read its answers is not read from. */
static void
watch(struct dialog *d)
{
	uint32_t events = d->out_len > 0 ? EPOLLOUT : d->over ? 0 : EPOLLIN;

	if (events != d->events)
		source_events(&d->source, events);
	d->events = events;
}

void
dialog_send(struct dialog *d, const uint8_t *p, size_t n)
{
	if (d->source.fd < 0)
		return;
	queue(d, p, n);
	flush(d);
	/* The next event closes what is broken or done: the caller may still stand in this dialog. */
	if (is_done(d))
		source_events(&d->source, d->events = EPOLLOUT);
	else
		watch(d);
}

/* ------------------------------------------------------------------ receiving */

static void
answer(struct dialog *d, const uint8_t *p, size_t n)
{
	struct resolver *r = d->source.resolver;
	const struct zone *z = table_zone(r->resolve.table, d->site->vpc);
	uint8_t *room = r->answers[0];
	struct dns_query q;
	size_t len;

	assert(z != NULL);
	switch (resolve_message(&r->resolve, z, p, n, true, &q, room, &len)) {
	case RESOLVE_ANSWER:
		queue(d, room, len);
		break;
	case RESOLVE_FORWARD:
		ask_begin(d->site, &q, p, n, -1, NULL, d);
		break;
	case RESOLVE_NOTHING:
		d->broken = true;
	}
}

static void
touch(struct dialog *d)
{
	struct resolver *r = d->source.resolver;

	d->deadline_ms = r->now_ms + NAME_IDLE_MS;
	list_del(&d->link);
	list_del(&d->site_link);
	list_append(&r->dialogs, &d->link);
	list_append(&d->site->dialogs, &d->site_link);
}

/* The whole messages that are there, as long as their answers do not pile up. */
static void
take_messages(struct dialog *d)
{
	size_t at = 0;

	while (!d->broken && d->in_len - at >= 2 && d->out_len < OUT_PAUSE) {
		size_t n = dns_get16(d->in + at);

		if (n > NAME_QUERY_MAX)
			d->broken = true;
		if (d->broken || d->in_len - at - 2 < n)
			break;
		answer(d, d->in + at + 2, n);
		at += 2 + n;
	}
	d->in_len -= at;
	memmove(d->in, d->in + at, d->in_len);
	/* A whole question keeps it alive, bytes alone do not. */
	if (at > 0)
		touch(d);
}

static void
receive(struct dialog *d)
{
	ssize_t n = recv(d->source.fd, d->in + d->in_len, sizeof(d->in) - d->in_len, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		d->broken = true;
	if (n <= 0)
		d->over = true;
	else
		d->in_len += (size_t)n;
}

/* Answers what is there until the client must read, or send, first. */
static void
work(struct dialog *d)
{
	size_t before;

	do {
		before = d->in_len;
		flush(d);
		if (d->out_len == 0)
			take_messages(d);
		flush(d);
	} while (!d->broken && d->out_len == 0 && d->in_len < before);
}

static void
ready(struct source *s, uint32_t events)
{
	struct dialog *d = container_of(s, struct dialog, source);

	if (events & EPOLLERR)
		d->broken = true;
	work(d);
	if (!d->broken && d->out_len == 0 && !d->over) {
		receive(d);
		work(d);
	}
	if (is_done(d))
		dialog_close(d);
	else
		watch(d);
}

/* ------------------------------------------------------------------ open and close */

void
dialog_close(struct dialog *d)
{
	struct resolver *r = d->source.resolver;

	list_each_safe(it, &d->asks) ask_drop(container_of(it, struct ask, dialog_link));
	source_close(&d->source);
	list_del(&d->link);
	list_del(&d->site_link);
	d->site->ndialogs--;
	r->ndialogs--;
	free(d->out);
	d->out = NULL;
	body_drop(r, &d->body);
}

static void
dialog_open(struct site *s, int fd)
{
	struct resolver *r = s->udp[0].resolver;
	struct dialog *d = calloc(1, sizeof(*d));

	if (d == NULL || source_open(r, &d->source, fd, EPOLLIN, ready) != 0) {
		if (d == NULL)
			close(fd);
		free(d);
		return;
	}
	d->site = s;
	d->events = EPOLLIN;
	list_init(&d->asks);
	list_init(&d->link);
	list_init(&d->site_link);
	s->ndialogs++;
	r->ndialogs++;
	resolve_count(&r->resolve, NAME_COUNTER_DIALOGS);
	touch(d);
}

void
dialog_accept(struct source *source, uint32_t events)
{
	struct resolver *r = source->resolver;
	/* A listening source knows its site by its place in it. */
	struct site *s = container_of(source - (source->index), struct site, tcp[0]);

	for (unsigned i = 0; i < DATAGRAMS; i++) {
		int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		if (s->ndialogs >= NAME_DIALOGS_MAX)
			dialog_close(container_of(s->dialogs.next, struct dialog, site_link));
		if (r->ndialogs >= NAME_DIALOGS_TOTAL)
			close(fd);
		else
			dialog_open(s, fd);
	}
}
