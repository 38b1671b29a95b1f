/* heap.h - room for what a big store becomes, in large pages: filled a page at a time, each is a fault.
 *
 * Measured with 10,000 services on a virtual machine: 43,000 faults took a fifth of the load. It is advice;
 * where the system has no large pages the memory is had as always.
 */
#ifndef HEAP_H
#define HEAP_H

#include "base.h"

/* About so many bytes will be allocated in small pieces. Few are not worth it. */
void heap_expect(size_t bytes);
/* They were: if much of it was not needed, that goes back with the next memory that is freed. */
void heap_settle(void);

#endif
