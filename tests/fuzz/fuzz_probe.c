/* fuzz_probe.c - any bytes as a target's answer to a health check, cut anywhere: there is one result for each
 * question, in time, and everything is given back.
 *
 * The first byte: its last two bits are what is asked (enum), 4 a target of HTTP/2 begins with settings, 8 it
 * closes behind its bytes, else it waits until the check has run out of time. The second: how many bytes come
 * at a time, 0 all. What a target of HTTP/1 says is found healthy only when a status line says 200.
 */
#include "../../engine/proxy/probe.h"
#include "bare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TURNS_MAX 4000u
#define TIMEOUT_MS 500u

enum { ASK_HTTP1, ASK_H2, ASK_GRPC, ASK_TCP };
enum { ASK = 3, FLAG_SETTINGS = 4, FLAG_CLOSES = 8 };

static const char settings[] = "\0\0\0\4\0\0\0\0\0";
static struct code_range codes = {200, 200};

static struct worker w;
static int target; /* listening */
static struct addr address;

static void
set_up(void)
{
	target = bare_listen(&address);
	bare_init(&w);
}

static struct question
question_make(unsigned ask)
{
	struct question q = {
	    .addr = address, .http2 = ask == ASK_H2 || ask == ASK_GRPC, .timeout_ms = TIMEOUT_MS};

	q.protocol = ask == ASK_GRPC ? CHECK_GRPC : ask == ASK_TCP ? CHECK_TCP : CHECK_HTTP;
	q.path = STR("/health");
	q.service = STR("shop.Cart");
	q.ncodes = 1;
	q.codes = &codes;
	return q;
}

/* The target's side, at its first question. */
static int
accepted(struct subject *s, uint8_t flags)
{
	char first = '\0';
	int fd = -1;

	for (unsigned i = 0; i < 100 && (fd < 0 || first == '\0') && s->probe != NULL; i++) {
		bare_turn(&w, 0);
		if (fd < 0)
			fd = accept4(target, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			bare_drain(fd, &first);
	}
	assert(fd >= 0);
	bare_hurry(fd);
	if (first == 'P' && (flags & FLAG_SETTINGS) != 0)
		send(fd, settings, sizeof(settings) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	return fd;
}

static void
say(struct subject *s, int fd, const uint8_t *p, size_t n, size_t step)
{
	char first = '\0';

	while (n > 0 && s->probe != NULL) {
		size_t now = MIN(step, n);

		if (send(fd, p, now, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)now)
			break;
		p += now;
		n -= now;
		bare_turn(&w, 0);
		bare_drain(fd, &first);
	}
}

/* Nobody but the check's own deadline ends it, unless the target leaves. */
static void
check_end(struct subject *s, uint64_t began)
{
	for (unsigned i = 0; i < TURNS_MAX && s->probe != NULL; i++)
		bare_turn(&w, 1);
	assert(s->probe == NULL && w.counters[COUNTER_CHECKS] == began + 1);
	for (unsigned i = 0; i < TURNS_MAX && w.net.nopen > 0; i++)
		bare_turn(&w, 0);
	bare_check_idle(&w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct subject s = {.w = &w};
	uint64_t began, failures;
	int fd;

	if (w.config == NULL)
		set_up();
	if (size < 3)
		return 0;
	began = w.counters[COUNTER_CHECKS];
	failures = w.counters[COUNTER_CHECK_FAILURES];
	list_init(&s.checks);
	s.question = question_make(data[0] & ASK);
	s.probe = probe_start(&s);
	assert(s.probe != NULL);
	fd = accepted(&s, data[0]);
	say(&s, fd, data + 2, size - 2, data[1] == 0 ? size : data[1]);
	if ((data[0] & FLAG_CLOSES) != 0)
		shutdown(fd, SHUT_WR);
	check_end(&s, began);
	if ((data[0] & ASK) == ASK_HTTP1 && w.counters[COUNTER_CHECK_FAILURES] == failures)
		assert(memmem(data + 2, size - 2, " 200", 4) != NULL);
	bare_drop(fd);
	return 0;
}
