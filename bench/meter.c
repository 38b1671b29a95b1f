/* meter.c - the clock, a histogram, and CPU time as the kernel accounts it. */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "meter.h"

uint64_t
meter_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NSEC + (uint64_t)t.tv_nsec;
}

void
histogram_add(struct histogram *h, uint64_t ns)
{
	unsigned shift = ns < 64 ? 0 : 58 - (unsigned)__builtin_clzll(ns);

	h->counts[shift * 64 + (ns >> shift)]++;
	h->n++;
}

double
histogram_us(const struct histogram *h, double quantile)
{
	uint64_t wanted = (uint64_t)(quantile * (double)h->n), seen = 0;

	for (unsigned i = 0; i < 64 * 64; i++) {
		seen += h->counts[i];
		if (seen > wanted)
			return (double)((uint64_t)(i % 64) << i / 64) / 1e3;
	}
	return 0;
}

/* Run time of all threads of a process. */
static uint64_t
process_cpu_ns(const char *pid)
{
	char path[300], text[128];
	uint64_t sum = 0;
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/task", pid);
	dir = opendir(path);
	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL) {
		ssize_t n;
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/task/%.20s/schedstat", pid, entry->d_name);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
		text[n > 0 ? n : 0] = '\0';
		sum += strtoull(text, NULL, 10);
	}
	closedir(dir);
	return sum;
}

static uint64_t
processes_cpu_ns(const char *pids)
{
	char list[512], *rest = list;
	const char *pid;
	uint64_t sum = 0;

	snprintf(list, sizeof(list), "%s", pids);
	while ((pid = strsep(&rest, ",")) != NULL)
		sum += process_cpu_ns(pid);
	return sum;
}

static void
core_sample(struct sample *s, unsigned row, unsigned cpu)
{
	char line[512], key[16];
	uint64_t v[8];
	FILE *f = fopen("/proc/stat", "r");

	if (f == NULL)
		return;
	snprintf(key, sizeof(key), "cpu%u ", cpu);
	while (fgets(line, sizeof(line), f) != NULL) {
		char *at = line + strlen(key);

		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		for (unsigned i = 0; i < 8; i++) {
			v[i] = strtoull(at, &at, 10);
			s->all[row] += v[i];
		}
		s->busy[row] = s->all[row] - v[3] - v[4]; /* all but idle and iowait */
		s->steal[row] = v[7];
	}
	fclose(f);
}

void
sample_take(struct sample *s, const char *pids, unsigned proxy_cpu)
{
	char self[16];

	memset(s, 0, sizeof(*s));
	snprintf(self, sizeof(self), "%d", (int)getpid());
	s->proxy_ns = pids != NULL ? processes_cpu_ns(pids) : 0;
	s->own_ns = process_cpu_ns(self);
	core_sample(s, 0, (unsigned)sched_getcpu());
	core_sample(s, 1, proxy_cpu);
	s->wall_ns = meter_now_ns();
}
