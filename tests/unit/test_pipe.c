/* test_pipe.c - from one socket to another without a copy. */
#include "../../engine/net/pipe.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Two ends of a TCP connection; the one that pipes have to do with does not block. */
static void
tcp_pair(int ends[2], int ours)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert(bind(listener, (struct sockaddr *)&a, len) == 0 && listen(listener, 1) == 0);
	cr_assert(getsockname(listener, (struct sockaddr *)&a, &len) == 0);
	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert(connect(ends[0], (struct sockaddr *)&a, len) == 0);
	ends[1] = accept(listener, NULL, NULL);
	cr_assert(ends[1] >= 0);
	close(listener);
	cr_assert(fcntl(ends[ours], F_SETFL, O_NONBLOCK) == 0);
}

static void
await(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLRDHUP};

	cr_assert(poll(&p, 1, 10000) == 1);
}

Test(pipe, bytes_go_from_socket_to_socket, .timeout = 60)
{
	struct pipe_pool pool = {0};
	struct pipe *p = pipe_get(&pool);
	int from[2], to[2];
	char text[16] = "";

	tcp_pair(from, 1);
	tcp_pair(to, 0);
	cr_expect(pipe_fill(p, from[1]) == -EAGAIN, "it does not wait");
	cr_assert(write(from[0], "some bytes", 10) == 10);
	await(from[1]);
	cr_expect(pipe_fill(p, from[1]) == 10 && p->len == 10);
	cr_expect(pipe_drain(p, to[0]) == 0 && p->len == 0);
	cr_expect(recv(to[1], text, 10, MSG_WAITALL) == 10);
	cr_expect_str_eq(text, "some bytes");
	close(from[0]);
	await(from[1]);
	cr_expect(pipe_fill(p, from[1]) == 0, "the end");
	pipe_put(&pool, p);
	pipe_pool_fini(&pool);
	close(from[1]);
	close(to[0]);
	close(to[1]);
}

Test(pipe, a_socket_that_takes_no_more_is_come_back_to, .timeout = 60)
{
	static char block[1 << 16];
	struct pipe_pool pool = {0};
	struct pipe *p = pipe_get(&pool);
	uint64_t in = 0, out = 0;
	int from[2], to[2], rc = 0;
	ssize_t n;

	tcp_pair(from, 1);
	tcp_pair(to, 0);
	while (rc != -EAGAIN) {
		cr_assert(write(from[0], block, sizeof(block)) == sizeof(block));
		for (uint64_t until = in + sizeof(block); in < until && rc != -EAGAIN;
		     rc = pipe_drain(p, to[0])) {
			await(from[1]);
			n = pipe_fill(p, from[1]);
			cr_assert(n > 0, "%zd", n);
			in += (uint64_t)n;
		}
	}
	cr_expect(p->len > 0);
	while (out < in) {
		n = recv(to[1], block, sizeof(block), 0);
		cr_assert(n > 0);
		out += (uint64_t)n;
		rc = pipe_drain(p, to[0]);
		cr_assert(rc == 0 || rc == -EAGAIN);
	}
	cr_expect(out == in && p->len == 0);
	pipe_put(&pool, p);
	pipe_pool_fini(&pool);
	for (int i = 0; i < 2; i++) {
		close(from[i]);
		close(to[i]);
	}
}

Test(pipe, pipes_are_used_again_but_not_with_what_was_in_them, .timeout = 60)
{
	struct pipe_pool pool = {0};
	struct pipe *p = pipe_get(&pool), *q;
	char byte;

	cr_assert(write(p->in, "x", 1) == 1);
	p->len = 1;
	pipe_put(&pool, p);
	cr_expect(pool.nopen == 0 && pool.nfree == 0);
	p = pipe_get(&pool);
	cr_expect(read(p->out, &byte, 1) < 0 && errno == EAGAIN);
	pipe_put(&pool, p);
	cr_expect(pool.nopen == 1 && pool.nfree == 1);
	q = pipe_get(&pool);
	cr_expect(q == p && pool.nfree == 0);
	pipe_put(&pool, q);
	pipe_pool_fini(&pool);
	cr_expect(pool.nopen == 0);
}
