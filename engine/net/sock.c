/* sock.c - socket options, once. */
#include "sock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

static int
set(int fd, int level, int name)
{
	int one = 1;

	return setsockopt(fd, level, name, &one, sizeof(one)) == 0 ? 0 : -errno;
}

int
sock_stream(uint32_t vpc, int family)
{
	int fd;

	if (vpc != 0)
		return -ENOENT;
	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	set(fd, IPPROTO_TCP, TCP_NODELAY);
	return fd;
}

static int
bind_at(uint32_t vpc, const struct addr *a, bool shared)
{
	int fd = sock_stream(vpc, a->sa.sa_family), rc;

	if (fd < 0)
		return fd;
	rc = set(fd, SOL_SOCKET, SO_REUSEADDR);
	if (rc == 0 && shared)
		rc = set(fd, SOL_SOCKET, SO_REUSEPORT);
	if (rc == 0 && a->sa.sa_family == AF_INET6)
		rc = set(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (rc == 0 && bind(fd, &a->sa, addr_len(a)) != 0)
		rc = -errno;
	if (rc != 0) {
		close(fd);
		return rc;
	}
	return fd;
}

int
sock_probe(uint32_t vpc, const struct addr *a)
{
	int fd = bind_at(vpc, a, false), rc = 0;

	if (fd < 0)
		return fd;
	/* Two sockets with SO_REUSEADDR may bind one port; only one may listen. */
	if (listen(fd, 1) != 0)
		rc = -errno;
	close(fd);
	return rc;
}

int
sock_listen(uint32_t vpc, const struct addr *a)
{
	int fd = bind_at(vpc, a, true), rc;

	if (fd < 0)
		return fd;
	if (listen(fd, BACKLOG) != 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

void
sock_peer(int fd, char out[static ADDR_TEXT_MAX])
{
	struct addr a;
	socklen_t len = sizeof(a);

	if (getpeername(fd, &a.sa, &len) != 0) {
		snprintf(out, ADDR_TEXT_MAX, "unknown");
		return;
	}
	addr_print_host(&a, out);
}
