/* keyring.h - what TLS needs of the table, loaded by a worker when it first meets it and kept in the slot. */
#ifndef KEYRING_H
#define KEYRING_H

#include "../net/tls.h"
#include "worker.h"

/* NULL: it does not load. */
struct tls_held *keyring_identity(struct worker *w, const struct service *s);
struct tls_held *keyring_trust(struct worker *w, const struct group *g);
void keyring_drop(struct worker *w, uint32_t slot);

#endif
