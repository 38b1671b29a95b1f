/* pass.h - TLS passthrough: a connection goes to a target of the service that its ClientHello names, and its
 * bytes go both ways as they are, until both sides have ended, one breaks, or neither sends anything for the
 * service's idle-timeout. Which target is chosen once, when it begins.
 */
#ifndef PASS_H
#define PASS_H

#include "worker.h"

/* Takes fd: a new connection at a place of PROTOCOL_TLS_PASSTHROUGH. */
void pass_accepted(struct worker *w, int fd, uint32_t place, uint32_t serial);
/* The worker stops: those that have not said what they want are closed, the others may go on. */
void pass_drain(struct worker *w);
/* Cuts off what is on its way to the target of a slot. */
void pass_cut(struct worker *w, uint32_t slot);
/* Cuts off what is left. */
void pass_cut_all(struct worker *w);

#endif
