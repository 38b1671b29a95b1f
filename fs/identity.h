/* identity.h - what a service shows in a TLS handshake: which pair is in force, and what is waited for.
 *
 * A certificate and a private key are taken together, when they match. Until then the pair that is served
 * stays, and it is nowhere but in the served table.
 */
#ifndef IDENTITY_H
#define IDENTITY_H

#include "check.h"

/* Does a listener of the service that could be served need one? */
bool identity_is_wanted(const struct node *service);
/* Fills certificates, client_ca and tls_edition of s. False: there is nothing to show, so nothing can be
 * served by HTTPS. */
bool identity_build(const struct check *c, const struct job *j, struct service *s, const struct service *old);

/* Why the service shows nothing, or NULL: it does, or need not. s: the served part, may be NULL. */
const char *identity_why(const struct model *m, const struct node *service, const struct service *s);
/* Lines of a service's .status. */
void identity_print(
    const struct model *m, const struct node *service, const struct service *s, struct text *out);
/* A target group's, by which its targets are verified. */
void identity_print_ca(const struct model *m, const struct node *group, struct text *out);
/* Prometheus: when what is served expires. */
void identity_print_metrics(const struct table *t, struct text *out);

#endif
