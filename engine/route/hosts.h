/* hosts.h - the index of host names: a persistent hash table of small buckets, private to table.c. */
#ifndef HOSTS_H
#define HOSTS_H

#include "table.h"
#include "vec.h"

struct host_entry {
	uint64_t hash;
	uint32_t scope;
	struct str name;
	struct service *service;
};

#define BUCKET_MAGIC 0xb0cce7u
struct bucket {
	unsigned magic;
	uint32_t refs;
	uint32_t n;
	struct host_entry entries[];
};

/* Names a bucket holds on average before the index grows; a probe then reads one or two cache lines. */
#define HOSTS_LOAD 2u
#define HOSTS_BUCKETS_MIN 64u

struct hosts {
	struct vec buckets;
	uint32_t nbuckets; /* a power of two */
	uint32_t n, nwild;
};

static inline bool
is_wild(struct str name)
{
	return name.len > 2 && name.p[0] == '*' && name.p[1] == '.';
}

static inline struct host_entry *
bucket_find(struct bucket *b, uint64_t hash, uint32_t scope, struct str name)
{
	for (uint32_t i = 0; b != NULL && i < b->n; i++) {
		struct host_entry *e = &b->entries[i];

		if (e->hash == hash && e->scope == scope && str_eq(e->name, name))
			return e;
	}
	return NULL;
}

static inline struct service *
hosts_find(const struct hosts *h, uint32_t scope, struct str name)
{
	uint64_t hash = str_hash(name, scope);
	struct host_entry *e;

	if (h->n == 0)
		return NULL;
	e = bucket_find(vec_at(&h->buckets, (uint32_t)hash & (h->nbuckets - 1)), hash, scope, name);
	return e == NULL ? NULL : e->service;
}

static inline void
buckets_add(struct vec *v, uint32_t nbuckets, const struct host_entry *e)
{
	void **cell = vec_cell(v, (uint32_t)e->hash & (nbuckets - 1));
	struct bucket *b = *cell, *own = b;
	uint32_t n = b == NULL ? 0 : b->n;
	size_t size = sizeof(*b) + (n + 1) * sizeof(b->entries[0]);

	if (b == NULL || b->refs == 1) {
		own = xrealloc(b, size);
	} else {
		own = xcalloc(1, size);
		memcpy(own->entries, b->entries, n * sizeof(b->entries[0]));
		b->refs--;
	}
	own->magic = BUCKET_MAGIC;
	own->refs = 1;
	own->n = n + 1;
	own->entries[n] = *e;
	*cell = own;
}

/* Makes room for `more` names, by a new and larger index when it must: rare, so its cost is shared out. */
static inline void
hosts_reserve(struct hosts *h, uint32_t more)
{
	uint64_t need = ((uint64_t)h->n + more) / HOSTS_LOAD;
	struct vec grown = {0};
	uint32_t size = MAX(h->nbuckets, HOSTS_BUCKETS_MIN);

	if (h->nbuckets > 0 && need <= h->nbuckets)
		return;
	while (size < need * 2 && size < 1u << 30)
		size *= 2;
	for (uint32_t i = 0; i < h->nbuckets; i++) {
		const struct bucket *b = vec_at(&h->buckets, i);

		for (uint32_t j = 0; b != NULL && j < b->n; j++)
			buckets_add(&grown, size, &b->entries[j]);
	}
	vec_drop(&h->buckets);
	h->buckets = grown;
	h->nbuckets = size;
}

static inline void
hosts_add(struct hosts *h, const struct host_name *name, struct service *s)
{
	struct host_entry e = {str_hash(name->name, name->scope), name->scope, name->name, s};

	buckets_add(&h->buckets, h->nbuckets, &e);
	h->n++;
	h->nwild += is_wild(name->name);
}

static inline void
hosts_del(struct hosts *h, const struct host_name *name, const struct service *s)
{
	uint64_t hash = str_hash(name->name, name->scope);
	uint32_t at = (uint32_t)hash & (h->nbuckets - 1), i;
	struct bucket *b = vec_at(&h->buckets, at), *own;
	struct host_entry *e = bucket_find(b, hash, name->scope, name->name);

	assert(e != NULL && e->service == s);
	h->n--;
	h->nwild -= is_wild(name->name);
	if (b->n == 1) {
		vec_set(&h->buckets, at, NULL);
		return;
	}
	i = (uint32_t)(e - b->entries);
	own = xcalloc(1, sizeof(*own) + (b->n - 1) * sizeof(own->entries[0]));
	own->magic = BUCKET_MAGIC;
	own->refs = 1;
	own->n = b->n - 1;
	memcpy(own->entries, b->entries, i * sizeof(own->entries[0]));
	memcpy(own->entries + i, b->entries + i + 1, (own->n - i) * sizeof(own->entries[0]));
	vec_set(&h->buckets, at, own);
}

#endif
