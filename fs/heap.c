/* heap.c - malloc's main arena, which grows at its end. */
#include "heap.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPECT_MIN (16u << 20)
#define LARGE_PAGE (2u << 20) /* of x86-64, and where pages have 4 KiB elsewhere */
/* What malloc has by itself; the first two grow to that as large blocks are freed, which any setting ends. */
#define MMAP_THRESHOLD (32 << 20)
#define TRIM_THRESHOLD (2 * MMAP_THRESHOLD)
#define TOP_PAD (128 << 10)

static bool expecting;

void
heap_expect(size_t bytes)
{
	uintptr_t begin, end;
	void *p;

	if (bytes < EXPECT_MIN || bytes > INT32_MAX)
		return;
	expecting = true;
	mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
	mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD);
	mallopt(M_TOP_PAD, (int)bytes);
	/* More than is left there: it grows now, and by so much. */
	p = malloc(LARGE_PAGE);
	begin = ((uintptr_t)p + LARGE_PAGE - 1) & ~(uintptr_t)(LARGE_PAGE - 1);
	end = (uintptr_t)sbrk(0);
	if (p != NULL && begin < end)
		madvise((void *)begin, end - begin, MADV_HUGEPAGE);
	free(p);
}

void
heap_settle(void)
{
	if (expecting)
		mallopt(M_TOP_PAD, TOP_PAD);
	expecting = false;
}
