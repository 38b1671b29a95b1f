/* map.h - a string-keyed hash map for the control plane. Keys are copied; values are borrowed. */
#ifndef MAP_H
#define MAP_H

#include "str.h"

struct map_entry {
	char *key;
	uint32_t keylen;
	uint64_t hash;
	void *value;
};

/* {0} is an empty map. Open addressing; entries move on every put and del. */
struct map {
	struct map_entry *entries; /* key NULL = free */
	uint32_t n, size;
};

void map_fini(struct map *m);
void *map_find(const struct map *m, struct str key);
void *map_put(struct map *m, struct str key, void *value); /* the value before, or NULL */
void *map_del(struct map *m, struct str key);		   /* the value it had, or NULL */
/* Iterate: for (uint32_t i = 0; (e = map_next(m, &i));) */
struct map_entry *map_next(const struct map *m, uint32_t *i);

#endif
