/* map.c - a string-keyed hash map: linear probing, no tombstones. */
#include "map.h"

#define MAP_SIZE_MIN 8u
#define MAP_SEED 0x6c61747469636566ull

void
map_fini(struct map *m)
{
	for (uint32_t i = 0; i < m->size; i++)
		free(m->entries[i].key);
	free(m->entries);
	*m = (struct map){0};
}

/* The place of key: its entry, or the free one where it would go. Needs a map that is not empty. */
static uint32_t
place_of(const struct map *m, struct str key, uint64_t hash)
{
	uint32_t mask = m->size - 1, i = (uint32_t)hash & mask;

	for (; m->entries[i].key != NULL; i = (i + 1) & mask) {
		const struct map_entry *e = &m->entries[i];

		if (e->hash == hash && str_eq((struct str){e->key, e->keylen}, key))
			break;
	}
	return i;
}

void *
map_find(const struct map *m, struct str key)
{
	if (m->n == 0)
		return NULL;
	return m->entries[place_of(m, key, str_hash(key, MAP_SEED))].value;
}

static void
map_grow(struct map *m)
{
	struct map_entry *old = m->entries;
	uint32_t nold = m->size;

	m->size = MAX(nold * 2, MAP_SIZE_MIN);
	assert(m->size > nold);
	m->entries = xcalloc(m->size, sizeof(*m->entries));
	for (uint32_t i = 0; i < nold; i++) {
		uint32_t to = (uint32_t)old[i].hash & (m->size - 1);

		if (old[i].key == NULL)
			continue;
		while (m->entries[to].key != NULL)
			to = (to + 1) & (m->size - 1);
		m->entries[to] = old[i];
	}
	free(old);
}

void *
map_put(struct map *m, struct str key, void *value)
{
	uint64_t hash = str_hash(key, MAP_SEED);
	struct map_entry *e;
	void *before;

	if ((uint64_t)(m->n + 1) * 4 > (uint64_t)m->size * 3)
		map_grow(m);
	e = &m->entries[place_of(m, key, hash)];
	before = e->value;
	if (e->key == NULL) {
		e->key = xstrndup(key.p, key.len);
		e->keylen = key.len;
		e->hash = hash;
		m->n++;
	}
	e->value = value;
	return before;
}

void *
map_del(struct map *m, struct str key)
{
	uint32_t mask = m->size - 1, hole;
	void *value;

	if (m->n == 0)
		return NULL;
	hole = place_of(m, key, str_hash(key, MAP_SEED));
	if (m->entries[hole].key == NULL)
		return NULL;
	value = m->entries[hole].value;
	free(m->entries[hole].key);
	m->n--;
	/* Pull back whoever was pushed past the hole, so that no search stops short. */
	for (uint32_t i = (hole + 1) & mask; m->entries[i].key != NULL; i = (i + 1) & mask) {
		uint32_t home = (uint32_t)m->entries[i].hash & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			m->entries[hole] = m->entries[i];
			hole = i;
		}
	}
	m->entries[hole] = (struct map_entry){0};
	return value;
}

struct map_entry *
map_next(const struct map *m, uint32_t *i)
{
	while (*i < m->size) {
		struct map_entry *e = &m->entries[(*i)++];

		if (e->key != NULL)
			return e;
	}
	return NULL;
}
