/* events.h - /.events: what happens to targets, a line each, for everybody who has the file open.
 *
 *   2026-11-27T01:02:03.456Z target-groups/blue/targets/10.0.0.5:80 HEALTHY -> UNHEALTHY HealthCheckTimeout
 *
 * A reader has what happens from its open on, and a read waits for it. Who reads too slowly finds `lost N`
 * where lines were dropped. Nothing here knows FUSE: requests and poll handles are its owner's.
 */
#ifndef EVENTS_H
#define EVENTS_H

#include "engine.h"
#include "list.h"

struct event_owner {
	void (*answer)(void *request, struct str s); /* a read that waited; s is valid for the call */
	void (*wake)(void *poll);		     /* there is something to be read */
	void (*forget)(void *poll);		     /* it will not be woken any more */
};

struct events {
	const struct event_owner *owner;
	struct list readers;
	uint64_t bytes;	  /* of all lines ever */
	uint64_t unix_ms; /* of the last; 0: none */
};

struct event_reader;

void events_init(struct events *e, const struct event_owner *owner);
void events_tell(void *events, const struct target_event *event); /* as engine_events wants it */
void events_end(struct events *e); /* whoever waits finds the end of the file */
/* What stat says. It is larger than what can be read, so that `tail -f` looks for the end by seeking. */
uint64_t events_size(const struct events *e);

struct event_reader *event_open(struct events *e);
void event_close(struct event_reader *r);
/* A read at an offset. What was read shortly before can be read again; anywhere else is the end of the file,
 * once: from there on that offset is where it goes on. -EAGAIN: nothing is there yet. *s is valid until the
 * next call. */
int event_read(struct event_reader *r, uint64_t off, size_t size, struct str *s);
void event_wait(struct event_reader *r, void *request, uint64_t off, size_t size); /* after -EAGAIN */
bool event_cancel(struct event_reader *r, void *request); /* false: it does not wait any more */
bool event_is_ready(const struct event_reader *r);
void event_poll(struct event_reader *r, void *poll); /* the handle to wake, instead of an earlier one */

#endif
