/* rights.h - the capabilities that the daemon keeps, and those it would need. */
#ifndef RIGHTS_H
#define RIGHTS_H

#include "base.h"

/* Gives up, for good and for every thread made later, all that the store, the mount and the sockets do not
 * need. */
int rights_keep(void);
/* Why namespaces other than the daemon's own cannot be entered, in a sentence; NULL: they can. */
const char *rights_missing(void);

#endif
