/* test_heap.c - where memory for a big store comes from. */
#include "../../fs/heap.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXPECTED (96u << 20)
#define PIECE 1000u

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool is_glibc = false; /* malloc is the sanitizer's */
#else
static const bool is_glibc = true;
#endif

/* Bytes from `at` on in the mapping of it, if that may have large pages (smaps' flag hg). */
static size_t
large_from(const char *at)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[4096];
	size_t begin, end, left = 0;

	cr_assert(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%zx-%zx ", &begin, &end) == 2)
			left = (size_t)at >= begin && (size_t)at < end ? end - (size_t)at : 0;
		else if (left > 0 && strncmp(line, "VmFlags:", 8) == 0)
			break;
	}
	fclose(f);
	return strstr(line, " hg") != NULL ? left : 0;
}

Test(heap, a_big_store_has_large_pages, .timeout = 60)
{
	size_t n = EXPECTED / PIECE / 2;
	char **pieces, *end, *settled;

	if (!is_glibc || access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0)
		cr_skip_test("no large pages, or not glibc's malloc");
	pieces = xcalloc(n, sizeof(*pieces));
	heap_expect(EXPECTED);
	end = sbrk(0);
	/* Past the first large page, where the others begin. */
	for (size_t i = 0; i < n; i++)
		pieces[i] = malloc(PIECE);
	cr_expect(large_from(pieces[n / 2]) > EXPECTED / 2, "%zu", large_from(pieces[n / 2]));
	cr_expect(sbrk(0) == (void *)end, "it was all there");
	heap_settle();
	for (size_t i = 0; i < n; i++)
		free(pieces[i]);
	free(malloc(1u << 20));
	settled = sbrk(0);
	cr_expect(settled < end, "%zd", end - settled);
	free(pieces);
}

Test(heap, a_small_one_has_what_it_always_had)
{
	char *end = sbrk(0);

	heap_expect(1u << 20);
	heap_settle();
	cr_expect(sbrk(0) == (void *)end);
}
