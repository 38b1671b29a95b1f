/* test_uring.c - rings, where the kernel's memory is short. */
#include "../../engine/net/ring.h"
#include <criterion/criterion.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* As a user who has no other process, and whose memory counts: 0 when a ring of so many bytes at most can be
 * had. */
static int
ring_within(rlim_t bytes)
{
	struct rlimit limit = {bytes, bytes};
	struct ring_features f;
	struct ring *r = NULL;
	const char *why;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || setuid(54321) != 0 || ring_probe(&f, &why) != 0)
			_exit(1);
		_exit(ring_new(&r, 4096, &f) == 0 ? 0 : 2);
	}
	cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

Test(uring, a_ring_is_smaller_where_memory_is_short, .timeout = 60)
{
	if (geteuid() != 0)
		cr_skip_test("it takes root to be another user");
	cr_expect(ring_within(512 << 10) == 0);
	cr_expect(ring_within(16 << 10) != 0);
}
