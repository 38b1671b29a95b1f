/* meter.h - what the load generator reads: the clock, a histogram, CPU time from the kernel's accounting. */
#ifndef METER_H
#define METER_H

#include <stdint.h>

#define NSEC 1000000000ull

/* Log-linear: 64 steps per power of two. */
struct histogram {
	uint64_t counts[64 * 64];
	uint64_t n;
};

struct sample {
	uint64_t wall_ns, proxy_ns, own_ns;
	uint64_t busy[2], steal[2], all[2]; /* [0] this core, [1] the proxy's, in clock ticks */
};

uint64_t meter_now_ns(void); /* monotonic */

void histogram_add(struct histogram *h, uint64_t ns);
double histogram_us(const struct histogram *h, double quantile);

/* pids: the proxy's processes, with commas; NULL: none. */
void sample_take(struct sample *s, const char *pids, unsigned proxy_cpu);

#endif
