/* addr.c - IP addresses with ports: parse, print, compare. */
#include "addr.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

static int
port_parse(struct str s, uint16_t *port)
{
	uint64_t n;

	if (s.len == 0 || s.p[0] == '0' || str_number(s, 65535, &n) != 0)
		return -EINVAL;
	*port = (uint16_t)n;
	return 0;
}

static int
host_parse(struct str s, int family, struct addr *a)
{
	char text[INET6_ADDRSTRLEN];
	void *to = family == AF_INET ? (void *)&a->in.sin_addr : (void *)&a->in6.sin6_addr;

	if (s.len == 0 || s.len >= sizeof(text) || memchr(s.p, '\0', s.len) != NULL)
		return -EINVAL;
	memcpy(text, s.p, s.len);
	text[s.len] = '\0';
	if (inet_pton(family, text, to) != 1)
		return -EINVAL;
	a->sa.sa_family = (sa_family_t)family;
	return 0;
}

int
addr_parse(struct str s, struct addr *a)
{
	struct addr got = {0};
	struct str host = s, rest = {0};
	const char *mark;
	uint16_t port = 0;
	int family = AF_INET, rc;

	if (s.len == 0)
		return -EINVAL;
	if (s.p[0] == '[') {
		mark = memchr(s.p, ']', s.len);
		if (mark == NULL)
			return -EINVAL;
		family = AF_INET6;
		host = (struct str){s.p + 1, (uint32_t)(mark - s.p) - 1};
		rest = (struct str){mark + 1, s.len - host.len - 2};
	} else if ((mark = memchr(s.p, ':', s.len)) != NULL) {
		host.len = (uint32_t)(mark - s.p);
		rest = (struct str){mark, s.len - host.len};
		if (memchr(mark + 1, ':', rest.len - 1) != NULL) {
			family = AF_INET6;
			host = s;
			rest.len = 0;
		}
	}
	rc = host_parse(host, family, &got);
	if (rc == 0 && rest.len > 0)
		rc = rest.p[0] == ':' ? port_parse((struct str){rest.p + 1, rest.len - 1}, &port) : -EINVAL;
	if (rc != 0)
		return rc;
	addr_set_port(&got, port);
	*a = got;
	return 0;
}

void
addr_print_host(const struct addr *a, char out[static ADDR_TEXT_MAX])
{
	const void *from =
	    a->sa.sa_family == AF_INET6 ? (const void *)&a->in6.sin6_addr : (const void *)&a->in.sin_addr;

	if (inet_ntop(a->sa.sa_family, from, out, ADDR_TEXT_MAX) == NULL)
		memcpy(out, "-", 2);
}

void
addr_print(const struct addr *a, char out[static ADDR_TEXT_MAX])
{
	char host[ADDR_TEXT_MAX];
	bool brackets = a->sa.sa_family == AF_INET6;

	if (addr_port(a) == 0) {
		addr_print_host(a, out);
		return;
	}
	addr_print_host(a, host);
	snprintf(out, ADDR_TEXT_MAX, "%s%.*s%s:%u", brackets ? "[" : "", INET6_ADDRSTRLEN, host,
	    brackets ? "]" : "", addr_port(a));
}

bool
addr_eq(const struct addr *a, const struct addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family || addr_port(a) != addr_port(b))
		return false;
	if (a->sa.sa_family == AF_INET6)
		return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0;
	return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
}

uint16_t
addr_port(const struct addr *a)
{
	return ntohs(a->sa.sa_family == AF_INET6 ? a->in6.sin6_port : a->in.sin_port);
}

void
addr_set_port(struct addr *a, uint16_t port)
{
	if (a->sa.sa_family == AF_INET6)
		a->in6.sin6_port = htons(port);
	else
		a->in.sin_port = htons(port);
}

socklen_t
addr_len(const struct addr *a)
{
	return a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in);
}
