/* test_conn.c - a connection that is closed tells nothing any more but that it is free. */
#include "../../engine/net/conn.h"
#include "../../engine/net/ring.h"

#include <criterion/criterion.h>
#include <sys/socket.h>

static unsigned ntimeouts, nfreed;

static void
on_timeout(struct conn *c)
{
	ntimeouts++;
}

static void
on_freed(struct conn *c)
{
	nfreed++;
}

/* While the kernel still has the receive. */
Test(conn, deadline_ends_with_the_close)
{
	static const struct conn_events events = {.timeout = on_timeout, .freed = on_freed};
	struct ring_features f;
	struct net net = {0};
	struct conn c;
	const char *why;
	int pair[2];

	cr_assert(ring_probe(&f, &why) == 0, "%s", why);
	cr_assert(ring_new(&net.ring, 8, &f) == 0);
	cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	wheel_init(&net.wheel, 0);
	list_init(&net.ready);
	conn_init(&c, &net, pair[0], &events);
	conn_deadline(&c, 10);
	conn_await(&c, BUF_SMALL);
	conn_close(&c);
	cr_expect(nfreed == 0);
	net.now_ms = 10 * TIMER_TICK_MS;
	wheel_run(&net.wheel, net.now_ms);
	cr_expect(ntimeouts == 0);
	for (unsigned i = 0; i < 100 && nfreed == 0; i++)
		ring_turn(net.ring, 50);
	cr_expect(nfreed == 1 && net.nopen == 0);
	ring_free(net.ring);
	close(pair[1]);
}
