/* errors.c - a ring of the refusals answered lately, looked at by subtree and by who caused them. */
#include "errors.h"
#include "clock.h"
#include "limits.h"

_Static_assert(ERRORS_RING >= ERRORS_KEPT, "the root shows ERRORS_KEPT");

void
errors_add(struct errors *e, uid_t uid, const struct diag *d)
{
	struct refusal *r = &e->ring[e->n++ % ERRORS_RING];
	struct text t = {0};

	free(r->path);
	free(r->text);
	diag_print(d, &t);
	*r = (struct refusal){
	    .unix_ms = clock_unix_ms(),
	    .uid = uid,
	    .path = xstrdup(d->path),
	    .text = text_take(&t),
	};
}

static bool
is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return len == 0 || (strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0'));
}

/* The i-th last one, or NULL. */
static const struct refusal *
errors_at(const struct errors *e, uint64_t i)
{
	if (i >= e->n || i >= ERRORS_RING)
		return NULL;
	return &e->ring[(e->n - 1 - i) % ERRORS_RING];
}

static bool
may_see(const struct refusal *r, uid_t uid)
{
	return uid == 0 || r->uid == uid;
}

void
errors_print(const struct errors *e, const char *dir, uid_t uid, struct text *out)
{
	const struct refusal *shown[ERRORS_KEPT], *r;
	unsigned n = 0;
	char time[25];

	for (uint64_t i = 0; n < ERRORS_KEPT && (r = errors_at(e, i)) != NULL; i++) {
		if (may_see(r, uid) && is_below(r->path, dir))
			shown[n++] = r;
	}
	while (n > 0) {
		r = shown[--n];
		clock_iso(time, r->unix_ms);
		text_printf(out, "%s %s", time, r->text);
	}
}

const char *
errors_last(const struct errors *e, const char *path, uid_t uid)
{
	const struct refusal *r;

	for (uint64_t i = 0; (r = errors_at(e, i)) != NULL; i++) {
		if (may_see(r, uid) && strcmp(r->path, path) == 0)
			return r->text;
	}
	return NULL;
}

uint64_t
errors_time(const struct errors *e)
{
	const struct refusal *last = errors_at(e, 0);

	return last == NULL ? 0 : last->unix_ms;
}

void
errors_fini(struct errors *e)
{
	for (uint64_t i = 0; i < ERRORS_RING; i++) {
		free(e->ring[i].path);
		free(e->ring[i].text);
	}
	e->n = 0;
}
