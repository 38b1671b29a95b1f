/* netns.c - the one caller of setns. */
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>

/* One more than the descriptor of a namespace; 0: there is none by that number. */
static _Atomic int known[NETNS_MAX];
static int own = -1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
open_own(void)
{
	own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

void
netns_add(uint32_t number, int fd)
{
	assert(number > 0 && number < NETNS_MAX && fd >= 0 && known[number] == 0);
	pthread_once(&once, open_own);
	atomic_store_explicit(&known[number], fd + 1, memory_order_release);
}

void
netns_del(uint32_t number)
{
	int fd;

	assert(number > 0 && number < NETNS_MAX);
	fd = atomic_exchange(&known[number], 0) - 1;
	assert(fd >= 0);
	close(fd);
}

int
netns_enter(uint32_t number)
{
	int fd;

	if (number == 0)
		return 0;
	fd = number < NETNS_MAX ? atomic_load_explicit(&known[number], memory_order_acquire) - 1 : -1;
	/* Without the way back nobody goes in. */
	if (fd < 0 || own < 0)
		return -ENOENT;
	return setns(fd, CLONE_NEWNET) == 0 ? 0 : -errno;
}

void
netns_leave(uint32_t number)
{
	if (number != 0 && setns(own, CLONE_NEWNET) != 0)
		abort();
}

int
netns_socket(uint32_t number, int family, int type, int protocol)
{
	int rc = netns_enter(number), fd;

	if (rc != 0)
		return rc;
	fd = socket(family, type | SOCK_CLOEXEC, protocol);
	rc = fd < 0 ? -errno : fd;
	netns_leave(number);
	return rc;
}
