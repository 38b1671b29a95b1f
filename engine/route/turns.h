/* turns.h - whose turn it is, by weight: exact and smooth. Private to engine/route/. */
#ifndef TURNS_H
#define TURNS_H

#include "base.h"

struct turn {
	uint32_t weight;
	uint32_t given; /* of its turns in this cycle */
	uint64_t due;	/* the first turn of the cycle that its next one may be */
};

/* Of n, a cycle of `sum` turns: after each of them every count is less than 1 off its share. */
struct turns {
	uint32_t n, nweighty;
	uint32_t at, sum;
	uint32_t nready, nwaiting;
	struct turn *rows;
	uint32_t *ready, *waiting; /* heaps of rows */
};

size_t turns_size(uint32_t n);
/* t is the begin of turns_size(n) bytes, aligned to 8. Not all weights are 0. */
void turns_init(struct turns *t, const uint32_t *weights, uint32_t n);
uint32_t turns_next(struct turns *t);

#endif
