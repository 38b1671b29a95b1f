/* balancekit.h - a table with groups by hand, and a worker's slots, for the tests of engine/route/. */
#ifndef BALANCEKIT_H
#define BALANCEKIT_H

#include "../../engine/route/route.h"
#include <criterion/criterion.h>
#include <stdio.h>

/* Slots: groups from 0, the rule's, targets of group i from TARGET_SLOT(i). */
#define KIT_GROUPS 3u
#define KIT_TARGETS 1000u
#define RULE_SLOT 10u
#define TARGET_SLOT(group) (20u + (group)*KIT_TARGETS)

struct kit {
	struct slot slots[SLOT_CHUNK];
	struct slot *_Atomic chunks[1];
	uint64_t now_ms;
	struct balance b;
	struct table *table;
	struct arena arena;
	struct forward forwards[KIT_GROUPS];
	struct action action;
	struct caller nobody;
};

static inline struct group *
kit_group(uint32_t index, uint32_t ntargets)
{
	static const char *const names[KIT_GROUPS] = {"blue", "green", "red"};
	struct group *g = group_new();

	g->index = g->slot = index;
	g->name = str_of(names[index]);
	g->targets = arena_alloc(&g->arena, sizeof(*g->targets) * (ntargets + 1));
	g->ntargets = ntargets;
	for (uint32_t k = 0; k < ntargets; k++) {
		struct target *t = &g->targets[k];
		char name[32];

		t->slot = TARGET_SLOT(index) + k;
		t->weight = 1;
		snprintf(name, sizeof(name), "10.%u.%u.%u:80", index, k / 256, k % 256);
		t->name = arena_str(&g->arena, str_of(name));
		cr_assert(addr_parse(t->name, &t->addr) == 0);
	}
	return g;
}

/* Takes the groups, into a table after what was there. */
static inline void
kit_publish(struct kit *k, struct group *const *groups, uint32_t n)
{
	struct build *b = build_new(k->table);
	struct table *next;
	struct clash clash;

	for (uint32_t i = 0; i < n; i++)
		build_group(b, groups[i]->index, groups[i]);
	cr_assert(build_seal(b, &next, &clash) == 0);
	if (k->table != NULL)
		table_free(k->table);
	k->table = next;
}

/* Groups with so many targets each, shared by weights. */
static inline struct kit *
kit_new(const uint32_t ntargets[KIT_GROUPS], const uint16_t weights[KIT_GROUPS])
{
	struct kit *k = xcalloc(1, sizeof(*k));
	struct group *groups[KIT_GROUPS];

	k->chunks[0] = k->slots;
	k->now_ms = 1000000;
	k->b = (struct balance){k->chunks, &k->now_ms, 4711};
	k->action = (struct action){
	    .kind = ACTION_FORWARD, .nforwards = KIT_GROUPS, .forwards = k->forwards, .edition = 5};
	for (uint32_t i = 0; i < KIT_GROUPS; i++) {
		groups[i] = kit_group(i, ntargets[i]);
		k->forwards[i] = (struct forward){.group = i, .weight = weights[i], .name = groups[i]->name};
	}
	kit_publish(k, groups, KIT_GROUPS);
	action_spread(&k->action, &k->arena);
	return k;
}

static inline void
kit_free(struct kit *k)
{
	for (uint32_t i = 0; i < SLOT_CHUNK; i++)
		balance_forget(&k->slots[i]);
	table_free(k->table);
	arena_fini(&k->arena);
	free(k);
}

/* As a health check does it. */
static inline void
kit_down(struct kit *k, uint32_t group, uint32_t target, uint8_t down)
{
	k->slots[TARGET_SLOT(group) + target].down = down;
	k->slots[group].epoch++;
}

/* A group to be changed before the first pick. */
static inline struct group *
kit_group_of(struct kit *k, uint32_t group)
{
	return (struct group *)(uintptr_t)table_group(k->table, group);
}

/* The index of its group, KIT_GROUPS when there is none. */
static inline uint32_t
kit_forward(struct kit *k, const struct caller *c)
{
	const struct forward *f = balance_forward(&k->b, k->table, &k->action, &k->slots[RULE_SLOT], c);

	return f == NULL ? KIT_GROUPS : f->group;
}

/* The index of its target, UINT32_MAX when there is none. */
static inline uint32_t
kit_target(struct kit *k, uint32_t group, uint64_t key, uint32_t avoid)
{
	const struct target *t = balance_target(&k->b, table_group(k->table, group), key, avoid);

	return t == NULL ? UINT32_MAX : t->slot - TARGET_SLOT(group);
}

#endif
