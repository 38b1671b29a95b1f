/* routes.h - makes the link-local ranges local inside a namespace, and undoes it. */
#ifndef ROUTES_H
#define ROUTES_H

#include "base.h"

/* lo up, and local routes for the services' and the resolver's addresses. Again changes nothing. 0 or -errno.
 */
int routes_add(uint32_t netns);
/* The routes go; lo stays as it is, since others may have come to need it. */
void routes_del(uint32_t netns);

#endif
