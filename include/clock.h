/* clock.h - time: monotonic milliseconds for deadlines, wall time for people. */
#ifndef CLOCK_H
#define CLOCK_H

#include "str.h"

uint64_t clock_ns(void); /* CLOCK_MONOTONIC */
static inline uint64_t
clock_ms(void)
{
	return clock_ns() / 1000000;
}
/* 2026-11-23T01:02:03.456Z, 24 characters and a NUL. */
void clock_iso(char out[static 25], uint64_t unix_ms);
uint64_t clock_unix_us(void);
static inline uint64_t
clock_unix_ms(void)
{
	return clock_unix_us() / 1000;
}

#endif
