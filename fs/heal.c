/* heal.c - namespaces that come and go: what stands on them is left out, and served again when they are back.
 */
#include "heal.h"
#include "clock.h"
#include "log.h"

#include <stdio.h>

#define SWEEP_MS 100	  /* a table that somebody still reads keeps its namespaces */
#define RETRY_MS 2000	  /* of what could not be served */
#define RENEW_MS 3600000u /* between looks at what the local CA signed, which lives for days after */

static void
on_moved(void *ctx, const char *name)
{
	struct tree *t = ctx;

	model_netns_moved(t->model, name);
	t->moved = true;
}

void
heal_exclude(struct tree *t, uint32_t netns, const char *why)
{
	log_warn("a VPC is left out: %s", why);
	spaces_fail(t->spaces, netns, why, on_moved, t);
}

/* One try. 0, or the number of the namespace that stands in the way; SLOT_NONE: something else does. */
static uint32_t
serve_moved(struct tree *t)
{
	struct txn x;

	txn_begin(t, &x, EDIT_BROKEN);
	if (txn_prepare(&x) == 0) {
		txn_commit(&x);
		return 0;
	}
	txn_abort(&x);
	if (x.netns != 0)
		heal_exclude(t, x.netns, x.diag.message);
	else
		log_warn("namespaces have changed, and it cannot be served: %s", x.diag.message);
	return x.netns != 0 ? x.netns : SLOT_NONE;
}

static void
serve_all_moved(struct tree *t)
{
	uint32_t in_the_way;

	if (!t->moved || t->hold.held)
		return;
	t->uid = 0;
	/* Every round but the last leaves one namespace out, so there is an end. */
	do
		in_the_way = serve_moved(t);
	while (in_the_way != 0 && in_the_way != SLOT_NONE);
	t->moved = in_the_way != 0;
	t->heal_ms = clock_ms();
}

void
heal_look(struct tree *t, bool failed)
{
	spaces_refresh(t->spaces, failed, on_moved, t);
	serve_all_moved(t);
}

/* A part of those that are due at a time: in between the kernel is answered. */
static void
renew(struct tree *t, uint64_t now)
{
	if (t->hold.held || (t->renew_at == 0 && now - t->renew_ms < RENEW_MS))
		return;
	t->renew_ms = now;
	t->moved = model_mark_renewals(t->model, engine_table(t->engine), &t->renew_at) || t->moved;
	serve_all_moved(t);
}

void
heal_run(struct tree *t)
{
	uint64_t now = clock_ms();
	struct engine_stats s;

	renew(t, now);
	if (now - t->heal_ms >= RETRY_MS && (t->moved || spaces_waits(t->spaces))) {
		t->heal_ms = now;
		heal_look(t, true);
	}
	if (spaces_swept(t->spaces) || now - t->sweep_ms < SWEEP_MS)
		return;
	t->sweep_ms = now;
	engine_stats(t->engine, &s);
	spaces_sweep(t->spaces, t->model, engine_table(t->engine), s.tables == 1);
}

int
heal_timeout(const struct tree *t)
{
	if (t->renew_at != 0 && !t->hold.held)
		return 0;
	if (!spaces_swept(t->spaces))
		return SWEEP_MS;
	return t->moved || spaces_waits(t->spaces) ? RETRY_MS : (int)RENEW_MS;
}
