/* alloc.c - control-plane allocation that ends the process, in one line, when memory is out. */
#include "base.h"
#include "log.h"
#include <stdarg.h>
#include <stdio.h>

static void *
checked(void *p, size_t n)
{
	if (unlikely(p == NULL)) {
		log_error("out of memory: no %zu bytes", n);
		abort();
	}
	return p;
}

void *
xcalloc(size_t n, size_t size)
{
	/* calloc(0) may answer NULL without being out of memory. */
	if (n == 0 || size == 0)
		n = size = 1;
	return checked(calloc(n, size), n * size);
}

void *
xrealloc(void *p, size_t size)
{
	size = MAX(size, 1);
	return checked(realloc(p, size), size);
}

char *
xstrdup(const char *s)
{
	assert(s != NULL);
	return xstrndup(s, strlen(s));
}

char *
xstrndup(const char *s, size_t n)
{
	char *copy = checked(malloc(n + 1), n + 1);

	if (n > 0)
		memcpy(copy, s, n);
	copy[n] = '\0';
	return copy;
}

char *
xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return checked(s, strlen(fmt));
}
