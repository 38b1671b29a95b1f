/* test_netns.c - threads go into a namespace and come back; numbers that nobody has lead nowhere. */
#include "../../engine/net/sock.h"
#include "netns.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

static ino_t
where(void)
{
	struct stat st;

	cr_assert(stat("/proc/thread-self/ns/net", &st) == 0);
	return st.st_ino;
}

/* A descriptor of a new namespace, or -1 without the capability. */
static int
new_namespace(void)
{
	int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), fd;

	if (unshare(CLONE_NEWNET) != 0) {
		close(own);
		return -1;
	}
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	cr_assert(setns(own, CLONE_NEWNET) == 0);
	close(own);
	return fd;
}

Test(netns, has_no_other_than_those_it_was_given)
{
	static const uint32_t numbers[] = {1, 77, NETNS_MAX - 1, NETNS_MAX, UINT32_MAX};

	for (size_t i = 0; i < COUNT(numbers); i++) {
		cr_expect(netns_enter(numbers[i]) == -ENOENT, "%u", numbers[i]);
		cr_expect(sock_stream(numbers[i], AF_INET) == -ENOENT, "%u", numbers[i]);
	}
	cr_expect(netns_enter(0) == 0);
	netns_leave(0);
}

Test(netns, makes_a_socket_inside_and_stays_outside)
{
	struct addr a;
	ino_t own = where();
	int fd = new_namespace(), s;

	if (fd < 0)
		cr_skip_test("not allowed to make a namespace");
	netns_add(5, fd);
	addr_parse(STR("127.0.0.1:7"), &a);
	cr_assert(netns_enter(5) == 0);
	cr_expect(where() != own);
	netns_leave(5);
	cr_expect(where() == own);
	s = sock_stream(5, AF_INET);
	cr_expect(s >= 0 && where() == own);
	cr_expect(connect(s, &a.sa, addr_len(&a)) != 0 && errno == ENETUNREACH,
	    "its loopback is down, ours is not");
	close(s);
	netns_del(5);
	cr_expect(netns_enter(5) == -ENOENT);
}
