/* sock.c - socket options, once. */
#include "sock.h"

#include "netns.h"
#include <errno.h>
#include <fcntl.h>
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
	int fd = netns_socket(vpc, family, SOCK_STREAM, 0);

	if (fd >= 0)
		set(fd, IPPROTO_TCP, TCP_NODELAY);
	return fd;
}

/* Addresses of fd00:ec2::/32 are local by a route only, which IPv6, unlike IPv4, does not take for an
 * address. */
static bool
is_routed(uint32_t vpc, const struct addr *a)
{
	static const uint8_t net[4] = {0xfd, 0x00, 0x0e, 0xc2};

	return vpc != 0 && a->sa.sa_family == AF_INET6 &&
	       memcmp(&a->in6.sin6_addr.s6_addr[0], net, sizeof(net)) == 0;
}

static int
bind_at(uint32_t vpc, const struct addr *a, int type, bool shared)
{
	bool stream = type == SOCK_STREAM;
	int fd = stream ? sock_stream(vpc, a->sa.sa_family) : netns_socket(vpc, a->sa.sa_family, type, 0), rc;

	if (fd < 0)
		return fd;
	rc = stream ? set(fd, SOL_SOCKET, SO_REUSEADDR) : 0;
	if (rc == 0 && shared)
		rc = set(fd, SOL_SOCKET, SO_REUSEPORT);
	if (rc == 0 && a->sa.sa_family == AF_INET6)
		rc = set(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (rc == 0 && is_routed(vpc, a))
		rc = set(fd, IPPROTO_IPV6, IPV6_FREEBIND);
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
	int fd = bind_at(vpc, a, SOCK_STREAM, false), rc = 0;

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
	int fd = bind_at(vpc, a, SOCK_STREAM, true), rc;

	if (fd < 0)
		return fd;
	if (listen(fd, BACKLOG) != 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

int
sock_listen_alone(uint32_t vpc, const struct addr *a)
{
	int fd = bind_at(vpc, a, SOCK_STREAM, false), rc;

	if (fd < 0)
		return fd;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || listen(fd, BACKLOG) != 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

int
sock_datagram(uint32_t vpc, const struct addr *a)
{
	return bind_at(vpc, a, SOCK_DGRAM, false);
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
