/* routes.c - rtnetlink: the one place that changes the network of a namespace. */
#include "routes.h"
#include "netns.h"
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>

#define LOOPBACK 1    /* the first interface of every namespace */
#define PROTOCOL 0xac /* of our routes, so that nobody's else is taken away: lattice */

static const struct {
	int family;
	const char *prefix;
	unsigned char len;
} routes[] = {
    {AF_INET, "169.254.171.0", 24},
    {AF_INET, "169.254.169.253", 32},
    {AF_INET6, "fd00:ec2:80::", 64},
    {AF_INET6, "fd00:ec2::253", 128},
};

/* A netlink socket of the namespace, or NULL with errno set. */
static struct mnl_socket *
talk_begin(uint32_t netns)
{
	int fd = netns_socket(netns, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	struct mnl_socket *nl;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	nl = mnl_socket_fdopen(fd);
	if (nl == NULL) {
		close(fd);
	} else if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		mnl_socket_close(nl);
		nl = NULL;
	}
	return nl;
}

/* Sends one request and waits for its acknowledgement. */
static int
talk(struct mnl_socket *nl, struct nlmsghdr *h)
{
	static unsigned sequence;
	char answer[8192];
	ssize_t n;
	int rc;

	h->nlmsg_seq = ++sequence;
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(nl, answer, sizeof(answer));
		if (n < 0)
			return -errno;
		rc = mnl_cb_run(answer, (size_t)n, h->nlmsg_seq, mnl_socket_get_portid(nl), NULL, NULL);
	} while (rc > 0);
	return rc < 0 ? -errno : 0;
}

static int
raise_loopback(struct mnl_socket *nl)
{
	char buf[256];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *m;

	h->nlmsg_type = RTM_NEWLINK;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ifi_family = AF_UNSPEC;
	m->ifi_index = LOOPBACK;
	m->ifi_change = m->ifi_flags = IFF_UP;
	return talk(nl, h);
}

static int
change_route(struct mnl_socket *nl, size_t i, uint16_t type, uint16_t flags)
{
	char buf[256];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	unsigned char prefix[16] = {0};
	struct rtmsg *m;

	inet_pton(routes[i].family, routes[i].prefix, prefix);
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->rtm_family = (unsigned char)routes[i].family;
	m->rtm_dst_len = routes[i].len;
	m->rtm_table = RT_TABLE_LOCAL;
	m->rtm_protocol = PROTOCOL;
	m->rtm_scope = RT_SCOPE_HOST;
	m->rtm_type = RTN_LOCAL;
	mnl_attr_put(h, RTA_DST, routes[i].family == AF_INET ? 4 : 16, prefix);
	mnl_attr_put_u32(h, RTA_OIF, LOOPBACK);
	return talk(nl, h);
}

int
routes_add(uint32_t netns)
{
	struct mnl_socket *nl = talk_begin(netns);
	int rc;

	if (nl == NULL)
		return -errno;
	rc = raise_loopback(nl);
	for (size_t i = 0; i < COUNT(routes) && rc == 0; i++)
		rc = change_route(nl, i, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
	mnl_socket_close(nl);
	return rc;
}

void
routes_del(uint32_t netns)
{
	struct mnl_socket *nl = talk_begin(netns);

	if (nl == NULL)
		return;
	/* What somebody has removed already needs no removal. */
	for (size_t i = 0; i < COUNT(routes); i++)
		change_route(nl, i, RTM_DELROUTE, 0);
	mnl_socket_close(nl);
}
