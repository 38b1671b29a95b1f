/* log.c - lines for the operator, each written by one call so that threads do not mix them. */
#include "log.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

#define LINE_MAX_BYTES 2048

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const int syslog_levels[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

static enum log_level level_most = LOG_LEVEL_INFO;
static bool use_syslog;

void
log_init(enum log_level most, bool to_syslog)
{
	assert((size_t)most < COUNT(level_names));
	level_most = most;
	if (to_syslog && !use_syslog)
		openlog("latticefs", LOG_PID, LOG_DAEMON);
	use_syslog = to_syslog;
}

void
log_line(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	int errno_kept = errno, n, more;
	va_list ap;

	assert((size_t)level < COUNT(level_names));
	if (level > level_most)
		return;
	va_start(ap, fmt);
	if (use_syslog) {
		vsyslog(syslog_levels[level], fmt, ap);
	} else {
		n = snprintf(line, sizeof(line), "latticefs: %s: ", level_names[level]);
		more = vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
		n += MAX(more, 0);
		n = MIN(n, (int)sizeof(line) - 1);
		line[n] = '\n';
		/* A closed stderr leaves nobody to tell. */
		if (write(STDERR_FILENO, line, (size_t)n + 1) < 0)
			errno = 0;
	}
	va_end(ap);
	errno = errno_kept;
}
