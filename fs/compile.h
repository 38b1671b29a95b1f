/* compile.h - the model as parts of a table. */
#ifndef COMPILE_H
#define COMPILE_H

#include "object.h"

/* Gives back what only the last try's table would have used; `now` is the served table. */
void compile_forget(struct edit *e, const struct table *now);

#endif
