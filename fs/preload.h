/* preload.h - reads a big store ahead of the load at start, in several threads.
 *
 * A source over the store's own: the objects of the store's big collections are read by threads, in the order
 * in which a load asks for them, and answered from memory. What is not read ahead, and whatever is unusual (a
 * text too long, an error), is asked of the store, so that every answer is the store's. A file is read once:
 * this is a picture for one load, not a cache.
 */
#ifndef PRELOAD_H
#define PRELOAD_H

#include "store.h"

struct preload;

/* from: the store's source. threads: that read, the caller among them; 0: as many as there are cores for. The
 * source is used, and all is freed, by the calling thread; the store is not changed meanwhile. */
struct preload *preload_new(struct store *s, struct source *from, unsigned threads);
struct source *preload_source(struct preload *p);
uint32_t preload_objects(const struct preload *p); /* that are read ahead */
void preload_free(struct preload *p);		   /* every thread has ended when it returns */

#endif
