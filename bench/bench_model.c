/* bench_model.c - what the control plane costs: loading a whole store, and one edit at that size. */
#include "../fs/model.h"
#include "clock.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#define GROUPS 100u
#define EDITS 2000u

/* A store that is made up as it is read, so that only the control plane is measured. */
struct made {
	struct source source;
	unsigned nservices;
};

typedef void each_fn(void *ctx, const char *name, unsigned type);

static void
each_name(each_fn *each, void *ctx, const char *fmt, unsigned n, unsigned type)
{
	char name[64];

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), fmt, i);
		each(ctx, name, type);
	}
}

static void
each_of(each_fn *each, void *ctx, const char *names, unsigned type)
{
	char copy[256], *save, *name;

	snprintf(copy, sizeof(copy), "%s", names);
	for (name = strtok_r(copy, " ", &save); name != NULL; name = strtok_r(NULL, " ", &save))
		each(ctx, name, type);
}

static const char *
last_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

static int
made_list(struct source *s, const char *path, each_fn *each, void *ctx)
{
	unsigned n = ((struct made *)s)->nservices;
	const char *last = last_of(path);

	if (path[0] == '\0')
		each_of(each, ctx, "vpcs networks services target-groups", DT_DIR);
	else if (strcmp(path, "services") == 0)
		each_name(each, ctx, "s%05u", n, DT_DIR);
	else if (strcmp(path, "networks/main/services") == 0)
		each_name(each, ctx, "s%05u", n, DT_LNK);
	else if (strcmp(path, "target-groups") == 0)
		each_name(each, ctx, "g%02u", GROUPS, DT_DIR);
	else if (strcmp(path, "vpcs") == 0)
		each_of(each, ctx, "local", DT_DIR);
	else if (strcmp(path, "networks") == 0)
		each_of(each, ctx, "main", DT_DIR);
	else if (strcmp(path, "networks/main") == 0)
		each_of(each, ctx, "services vpcs", DT_DIR);
	else if (strcmp(path, "networks/main/vpcs") == 0)
		each_of(each, ctx, "local", DT_LNK);
	else if (strcmp(path, "vpcs/local") == 0)
		each_of(each, ctx, "netns", DT_REG);
	else if (strcmp(last, "listeners") == 0)
		each_of(each, ctx, "web", DT_DIR);
	else if (strcmp(last, "rules") == 0)
		each_of(each, ctx, "r1 r2", DT_DIR);
	else if (strcmp(last, "targets") == 0)
		each_of(each, ctx, "10.0.0.1 10.0.0.2:8080", DT_REG);
	else if (last[0] == 'g')
		each_of(each, ctx, "targets", DT_DIR);
	else if (last[0] == 's')
		each_of(each, ctx, "listeners", DT_DIR);
	else if (last[0] == 'w') {
		each_of(each, ctx, "port default-action", DT_REG);
		each_of(each, ctx, "rules", DT_DIR);
	} else if (last[0] == 'r')
		each_of(each, ctx, "priority match action", DT_REG);
	return 0;
}

static ssize_t
made_read(struct source *s, const char *path, char *buf, size_t size)
{
	const char *last = last_of(path);
	unsigned service = (unsigned)strtoul(path + strlen("services/s"), NULL, 10);
	unsigned rule = strstr(path, "/r2/") != NULL ? 2 : 1;

	if (strcmp(last, "netns") == 0)
		return snprintf(buf, size, "host\n");
	if (strcmp(last, "port") == 0)
		return snprintf(buf, size, "8080\n");
	if (strcmp(last, "priority") == 0)
		return snprintf(buf, size, "%u\n", rule * 10);
	if (strcmp(last, "match") == 0)
		return snprintf(buf, size, "path-prefix = /part%u\n", rule);
	if (strcmp(last, "default-action") == 0)
		return snprintf(buf, size, "fixed-response = 404\n");
	if (strcmp(last, "action") == 0)
		return snprintf(
		    buf, size, "forward = g%02u:90 g%02u:10\n", service % GROUPS, (service + rule) % GROUPS);
	return 0;
}

static ssize_t
made_readlink(struct source *s, const char *path, char *buf, size_t size)
{
	if (strncmp(path, "networks/main/vpcs", 18) == 0)
		return snprintf(buf, size, "../../../vpcs/local");
	return snprintf(buf, size, "../../../services/%s", last_of(path));
}

static double
since_us(uint64_t start)
{
	return (double)(clock_ns() - start) / 1000;
}

static int
double_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static struct table *
load(struct model *m, unsigned nservices)
{
	struct made from = {{made_list, made_read, made_readlink}, nservices};
	struct edit *e = edit_new(m, EDIT_BROKEN);
	struct diags ds = {0};
	struct diag d = {0};
	struct table *t = NULL;
	uint64_t start = clock_ns();
	double read;

	if (edit_sync(e, "", &from.source, "", &d) != 0)
		return NULL;
	read = since_us(start);
	start = clock_ns();
	if (edit_try(e, NULL, &t, &ds) != 0 || ds.n > 0)
		return NULL;
	printf("load   %6u services x 2 rules   parse %8.1f ms   check and compile %8.1f ms\n", nservices,
	    read / 1000, since_us(start) / 1000);
	edit_commit(e, true);
	diags_fini(&ds);
	return t;
}

/* One weight shifted, tried and published, over and over. */
static int
shift(struct model *m, struct slots *slots, struct table **served, unsigned nservices)
{
	static double took[EDITS];
	char path[128], text[64];
	struct diags ds = {0};
	struct diag d = {0};
	struct table *next;
	const uint32_t *retired;
	uint32_t n;

	for (unsigned i = 0; i < EDITS; i++) {
		unsigned service = i * 7919 % nservices;
		int len = snprintf(text, sizeof(text), "forward = g%02u:%u g%02u:10\n", service % GROUPS,
		    i % 89 + 1, (service + 1) % GROUPS);
		uint64_t start = clock_ns();
		struct edit *e = edit_new(m, EDIT_STRICT);

		snprintf(path, sizeof(path), "services/s%05u/listeners/web/rules/r1/action", service);
		if (edit_put(e, path, (struct str){text, (uint32_t)len}, &d) != 0 ||
		    edit_try(e, *served, &next, &ds) != 0 || next == NULL)
			return 1;
		edit_commit(e, true);
		took[i] = since_us(start);
		retired = table_retired(next, &n);
		for (uint32_t k = 0; k < n; k++)
			slots_recycle(slots, retired[k]);
		table_free(*served);
		*served = next;
	}
	qsort(took, EDITS, sizeof(took[0]), double_compare);
	printf("edit   %6u services x 2 rules   put, check and compile: median %6.1f us   p99 %6.1f us\n",
	    nservices, took[EDITS / 2], took[EDITS * 99 / 100]);
	return 0;
}

int
main(void)
{
	static const unsigned sizes[] = {10, 1000, 10000, 50000};
	static const struct model_config config = {
	    .suffix = "lattice.internal", .account = "123456789012", .region = "eu-north-1"};

	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct slots slots = {0};
		struct model *m = model_new(&config, &slots);
		struct table *t = load(m, sizes[i]);

		if (t == NULL || shift(m, &slots, &t, sizes[i]) != 0)
			return 1;
		model_free(m);
		table_free(t);
		slots_fini(&slots);
	}
	return 0;
}
