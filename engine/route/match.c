/* match.c - the first rule of a listener that a request fulfils.
 *
 * A listener of few rules is scanned. One of many has an index: every path that a rule asks for is a key of
 * a hash table, exact paths whole, prefixes as prefixes. One pass over the request's path hashes it
 * whole and at each length that is the length of some prefix; what is found there are candidates,
 * each still tested in full, and the lowest that holds wins.
 */
#include "route.h"

/* ------------------------------------------------------------------ one rule */

static bool
path_holds(const struct match *want, struct str path)
{
	if (want->path_op == MATCH_ANY)
		return true;
	if (want->path_op == MATCH_EXACT)
		return want->path_case ? str_eq(path, want->path) : str_caseeq(path, want->path);
	return want->path_case ? str_starts(path, want->path) : str_casestarts(path, want->path);
}

static bool
value_holds(const struct header_match *h, bool sensitive, struct str value)
{
	switch (h->op) {
	case MATCH_EXACT:
		return sensitive ? str_eq(value, h->value) : str_caseeq(value, h->value);
	case MATCH_PREFIX:
		return sensitive ? str_starts(value, h->value) : str_casestarts(value, h->value);
	default:
		assert(h->op == MATCH_CONTAINS);
		return sensitive ? str_contains(value, h->value) : str_casecontains(value, h->value);
	}
}

/* A field that is there several times holds when one of them does. */
static bool
header_holds(const struct header_match *h, bool sensitive, const struct msg *m)
{
	for (uint32_t i = 0; i < m->nfields; i++) {
		const struct field *f = &m->fields[i];

		if (f->name.len == h->name.len && str_caseeq(f->name, h->name) &&
		    value_holds(h, sensitive, f->value))
			return true;
	}
	return false;
}

bool
match_holds(const struct match *want, const struct msg *m)
{
	if (want->method.len > 0 && !str_eq(want->method, m->method))
		return false;
	if (!path_holds(want, m->path))
		return false;
	for (uint32_t i = 0; i < want->nheaders; i++)
		if (!header_holds(&want->headers[i], want->header_case, m))
			return false;
	return true;
}

/* ------------------------------------------------------------------ the index */

/* Up to here a scan is as fast as hashing the path. */
#define SCANNED_MAX 8u

/* Rules whose paths have one key, lowest priority number first. */
struct bucket {
	uint64_t hash;
	const uint32_t *rules; /* NULL: free */
	uint32_t n;
};

struct rule_index {
	struct bucket *buckets;
	uint32_t mask;
	uint32_t nany;
	const uint32_t *any; /* rules that ask for no path */
	uint32_t nlengths;
	const uint32_t *lengths; /* of prefixes, shortest first */
};

/* FNV-1a over lower case: it yields the hash of every prefix on its way. */
#define HASH_START 0xcbf29ce484222325ull

static inline uint64_t
hash_byte(uint64_t h, char c)
{
	return (h ^ (unsigned char)ascii_lower(c)) * 0x100000001b3ull;
}

/* The key proper: apart for exact paths and prefixes, and spread into the low bits. */
static inline uint64_t
hash_key(uint64_t h, enum match_op op)
{
	h = (h ^ (uint64_t)op) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 32;
}

static uint64_t
match_key(const struct match *m)
{
	uint64_t h = HASH_START;

	for (uint32_t i = 0; i < m->path.len; i++)
		h = hash_byte(h, m->path.p[i]);
	return hash_key(h, m->path_op);
}

struct entry {
	uint64_t hash;
	uint32_t rule;
};

static int
entry_compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->rule < y->rule ? -1 : x->rule > y->rule;
}

static struct bucket *
bucket_at(const struct rule_index *x, uint64_t hash)
{
	uint32_t i = (uint32_t)hash & x->mask;

	while (x->buckets[i].rules != NULL && x->buckets[i].hash != hash)
		i = (i + 1) & x->mask;
	return &x->buckets[i];
}

/* Entries sorted by hash and rule become buckets; two keys of one hash share theirs, which harms none. */
static void
buckets_build(struct rule_index *x, const struct entry *entries, uint32_t n, struct arena *arena)
{
	uint32_t *rules = arena_alloc(arena, n * sizeof(*rules));
	uint32_t size = 1;

	while (size < 2 * n)
		size *= 2;
	x->mask = size - 1;
	x->buckets = arena_alloc(arena, size * sizeof(*x->buckets));
	for (uint32_t i = 0; i < n; i++) {
		struct bucket *b = bucket_at(x, entries[i].hash);

		rules[i] = entries[i].rule;
		if (b->rules == NULL)
			*b = (struct bucket){entries[i].hash, &rules[i], 0};
		b->n++;
	}
}

static int
length_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void
lengths_build(struct rule_index *x, const struct listener *l, struct arena *arena)
{
	uint32_t *lengths = arena_alloc(arena, l->nrules * sizeof(*lengths)), n = 0, kept = 0;

	for (uint32_t i = 0; i < l->nrules; i++)
		if (l->rules[i].match.path_op == MATCH_PREFIX)
			lengths[n++] = l->rules[i].match.path.len;
	qsort(lengths, n, sizeof(*lengths), length_compare);
	for (uint32_t i = 0; i < n; i++)
		if (kept == 0 || lengths[kept - 1] != lengths[i])
			lengths[kept++] = lengths[i];
	x->lengths = lengths;
	x->nlengths = kept;
}

void
match_index_build(struct listener *l, struct arena *arena)
{
	struct rule_index *x;
	struct entry *entries;
	uint32_t *any, n = 0;

	l->index = NULL;
	for (uint32_t i = 0; i < l->nrules; i++)
		n += l->rules[i].match.path_op != MATCH_ANY;
	if (n <= SCANNED_MAX)
		return;
	x = arena_alloc(arena, sizeof(*x));
	any = arena_alloc(arena, (l->nrules - n) * sizeof(*any));
	entries = xcalloc(n, sizeof(*entries));
	n = 0;
	for (uint32_t i = 0; i < l->nrules; i++) {
		if (l->rules[i].match.path_op == MATCH_ANY)
			any[x->nany++] = i;
		else
			entries[n++] = (struct entry){match_key(&l->rules[i].match), i};
	}
	qsort(entries, n, sizeof(*entries), entry_compare);
	x->any = any;
	buckets_build(x, entries, n, arena);
	lengths_build(x, l, arena);
	free(entries);
	l->index = x;
}

/* The first of these rules that holds, when it comes before `best`; otherwise best. */
static uint32_t
first_of(const struct listener *l, const struct msg *m, const uint32_t *rules, uint32_t n, uint32_t best)
{
	for (uint32_t i = 0; i < n && rules[i] < best; i++)
		if (match_holds(&l->rules[rules[i]].match, m))
			return rules[i];
	return best;
}

static uint32_t
index_find(const struct listener *l, const struct msg *m)
{
	const struct rule_index *x = l->index;
	const struct bucket *b;
	uint64_t h = HASH_START;
	uint32_t best = l->nrules, at = 0;

	for (uint32_t i = 0; i < x->nlengths && x->lengths[i] <= m->path.len; i++) {
		while (at < x->lengths[i])
			h = hash_byte(h, m->path.p[at++]);
		b = bucket_at(x, hash_key(h, MATCH_PREFIX));
		best = first_of(l, m, b->rules, b->n, best);
	}
	/* No rule asks for a path longer than this: such a one need not be hashed to its end. */
	if (m->path.len <= PATH_MATCH_MAX) {
		while (at < m->path.len)
			h = hash_byte(h, m->path.p[at++]);
		b = bucket_at(x, hash_key(h, MATCH_EXACT));
		best = first_of(l, m, b->rules, b->n, best);
	}
	return first_of(l, m, x->any, x->nany, best);
}

const struct rule *
match_rule(const struct listener *l, const struct msg *m)
{
	uint32_t i = 0;

	if (l->index != NULL)
		i = index_find(l, m);
	else
		while (i < l->nrules && !match_holds(&l->rules[i].match, m))
			i++;
	return i < l->nrules ? &l->rules[i] : &l->fallback;
}

/* ------------------------------------------------------------------ which listener */

static const struct listener *
listener_at(const struct service *s, const struct place *p)
{
	for (uint32_t i = 0; i < s->nlisteners; i++) {
		const struct listener *l = &s->listeners[i];

		if (l->port == addr_port(&p->addr) && l->protocol == p->protocol)
			return l;
	}
	return NULL;
}

const struct listener *
match_place(const struct table *t, const struct place *p, struct str name, const struct service **s)
{
	const struct listener *l;

	for (uint32_t i = 0; i < p->nscopes; i++) {
		*s = table_host(t, p->scopes[i], name);
		if (*s != NULL && (l = listener_at(*s, p)) != NULL)
			return l;
	}
	return NULL;
}

const struct listener *
match_place_open(const struct table *t, const struct place *p, struct str name, const struct service **s)
{
	const struct listener *l = match_place(t, p, name, s);

	if (l != NULL)
		return l;
	*s = p->open ? table_sole(t, p) : NULL;
	return *s != NULL ? listener_at(*s, p) : NULL;
}
