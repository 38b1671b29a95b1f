/* keyring.c - certificates, keys and trust in a worker's slots. */
#include "keyring.h"

/* What the slot holds, if it is of this edition; else nothing. */
static struct tls_held *
current(struct slot *s, uint32_t edition)
{
	if (s->held != NULL && tls_held_edition(s->held) == edition)
		return s->held;
	tls_held_free(s->held);
	s->held = NULL;
	return NULL;
}

struct tls_held *
keyring_identity(struct worker *w, const struct service *s)
{
	struct slot *slot = worker_slot(w, s->slot);
	struct tls_pem pem[COUNT(s->certificates)];

	if (current(slot, s->tls_edition) != NULL || s->ncertificates == 0)
		return slot->held;
	for (uint32_t i = 0; i < s->ncertificates; i++)
		pem[i] = (struct tls_pem){s->certificates[i].chain, s->certificates[i].key};
	slot->held = tls_identity_new(w->tls, pem, s->ncertificates, s->client_ca, s->tls_edition, s->slot);
	return slot->held;
}

struct tls_held *
keyring_trust(struct worker *w, const struct group *g)
{
	struct slot *slot = worker_slot(w, g->slot);

	if (current(slot, g->tls_edition) == NULL)
		slot->held = tls_trust_new(w->tls, g->ca, g->verify_system, g->tls_edition);
	return slot->held;
}

void
keyring_drop(struct worker *w, uint32_t slot)
{
	struct slot *s = worker_slot(w, slot);

	tls_held_free(s->held);
	s->held = NULL;
}
