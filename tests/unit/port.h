/* port.h - addresses of loopback, and a port there for something that opens it later. */
#ifndef PORT_H
#define PORT_H

#include "addr.h"
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT_FIRST 10000u
#define PORT_COUNT 22000u /* below those that the kernel gives to connections */
#define PORT_EACH 16u	  /* of a process: tests run beside each other */

static inline struct addr
local_addr(uint16_t port)
{
	struct addr a = {.in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};

	addr_set_port(&a, port);
	return a;
}

/* Nobody has it. */
static inline uint16_t
free_port(void)
{
	static unsigned n;
	struct addr a = local_addr(0);
	bool taken = true;

	while (taken) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		addr_set_port(
		    &a, (uint16_t)(PORT_FIRST + ((unsigned)getpid() * PORT_EACH + n++) % PORT_COUNT));
		taken = bind(fd, &a.sa, sizeof(a.in)) != 0;
		close(fd);
	}
	return addr_port(&a);
}

#endif
