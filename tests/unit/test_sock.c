/* test_sock.c - a taken port is found out, although our own workers share theirs. */
#include "../../engine/net/sock.h"

#include <criterion/criterion.h>
#include <errno.h>

static struct addr
any_port(const char *host)
{
	struct addr a;

	cr_assert(addr_parse(str_of(host), &a) == 0);
	return a;
}

static void
learn_port(int fd, struct addr *a)
{
	struct addr bound;
	socklen_t len = sizeof(bound);

	cr_assert(getsockname(fd, &bound.sa, &len) == 0);
	addr_set_port(a, addr_port(&bound));
}

Test(sock, workers_share_a_port_that_nobody_else_gets)
{
	static const char *const hosts[] = {"127.0.0.1", "::1"};

	for (size_t i = 0; i < COUNT(hosts); i++) {
		struct addr a = any_port(hosts[i]);
		int first = sock_listen(0, &a), second;

		cr_assert(first >= 0, "%s: %s", hosts[i], strerror(-first));
		learn_port(first, &a);
		second = sock_listen(0, &a);
		cr_expect(second >= 0, "a second worker: %s", strerror(-second));
		cr_expect(sock_probe(0, &a) == -EADDRINUSE, "%s", hosts[i]);
		close(first);
		close(second);
		cr_expect(sock_probe(0, &a) == 0, "%s: the port was not given back", hosts[i]);
	}
}

Test(sock, an_address_of_somebody_else_is_not_available)
{
	struct addr a = any_port("192.0.2.1:8080");

	cr_expect(sock_probe(0, &a) == -EADDRNOTAVAIL);
	cr_expect(sock_listen(0, &a) == -EADDRNOTAVAIL);
}

Test(sock, tells_the_peer_without_its_port)
{
	struct addr a = any_port("127.0.0.1");
	char text[ADDR_TEXT_MAX];
	int server = sock_listen(0, &a), client = sock_stream(0, AF_INET), fd;

	learn_port(server, &a);
	cr_assert(connect(client, &a.sa, addr_len(&a)) == 0);
	fd = accept(server, NULL, NULL);
	sock_peer(fd, text);
	cr_expect_str_eq(text, "127.0.0.1");
	close(fd);
	close(client);
	close(server);
}
