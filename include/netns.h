/* netns.h - network namespaces by number, and the one way into them.
 *
 * 0 is the daemon's own. The control thread gives the others their numbers and takes them back when nothing
 * can use them any more; any thread enters. A socket belongs to the namespace it was made in for good, so
 * only the call of socket() has to be inside: nothing that could fail, wait or return early may stand between
 * enter and leave.
 */
#ifndef NETNS_H
#define NETNS_H

#include "base.h"

#define NETNS_MAX 65536u /* numbers; a VPC has one at most */

/* ---- control thread */

/* The namespace behind the descriptor, which is taken, is this number from now on. */
void netns_add(uint32_t number, int fd);
/* Nothing that could still enter it is left. */
void netns_del(uint32_t number);

/* ---- any thread */

/* The calling thread is in the namespace until netns_leave. -ENOENT: no such number; -EPERM: not allowed to.
 */
int netns_enter(uint32_t number);
/* Back to the daemon's own, or the process ends: a thread lost in a VPC would serve the wrong network. */
void netns_leave(uint32_t number);
/* socket(2) in there, always close-on-exec: a descriptor or -errno. */
int netns_socket(uint32_t number, int family, int type, int protocol);

#endif
