/* sock.h - the one place where sockets are made, in the namespace they belong to. */
#ifndef SOCK_H
#define SOCK_H

#include "addr.h"

/* vpc is a namespace's number (netns.h); -ENOENT when there is none by it. */

/* Checks that the address is free, exactly: sockets of ours that share a port among workers would otherwise
 * also share it with anybody who asks to. 0, -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EMFILE... */
int sock_probe(uint32_t vpc, const struct addr *a);
/* A listening socket that shares its port with the other workers' (SO_REUSEPORT). A descriptor or -errno. */
int sock_listen(uint32_t vpc, const struct addr *a);
/* The same for one thread alone, which polls: it does not block. */
int sock_listen_alone(uint32_t vpc, const struct addr *a);
/* A socket for datagrams, bound. */
int sock_datagram(uint32_t vpc, const struct addr *a);
/* An unconnected stream socket of the family, to connect from inside the namespace. A descriptor or -errno.
 */
int sock_stream(uint32_t vpc, int family);
/* Address of the other end, as text without the port. */
void sock_peer(int fd, char out[static ADDR_TEXT_MAX]);

#endif
