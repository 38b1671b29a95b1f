/* target.c - a small HTTP/1.1 server for the examples: it answers every request with its name, and with who
 * asks when it was told.
 *
 * One thread a connection, stdio for the lines: the shortest thing that keeps a connection open as a real
 * target does. `target NAME PORT` with port 0 takes a free one; the port is printed once it listens.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
	bool is_head;
	bool is_last; /* the client closes after it */
	unsigned long body_bytes;
	char identity[1024]; /* x-amzn-lattice-identity, with a blank before it; "": none */
};

static const char *name;

/* Reads a head. False: the connection ended, or this is not a request. */
static bool
request_read(FILE *f, struct request *r)
{
	char line[8192], version[16];

	*r = (struct request){0};
	if (fgets(line, sizeof(line), f) == NULL || sscanf(line, "%*s %*s %15s", version) != 1)
		return false;
	r->is_head = strncmp(line, "HEAD ", 5) == 0;
	r->is_last = strcmp(version, "HTTP/1.1") != 0;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strcmp(line, "\r\n") == 0)
			return true;
		if (strncasecmp(line, "content-length:", 15) == 0)
			r->body_bytes = strtoul(line + 15, NULL, 10);
		if (strncasecmp(line, "x-amzn-lattice-identity:", 24) == 0)
			snprintf(r->identity, sizeof(r->identity), "%.*s", (int)strcspn(line + 24, "\r\n"),
			    line + 24);
		if (strncasecmp(line, "connection: close", 17) == 0)
			r->is_last = true;
		if (strncasecmp(line, "transfer-encoding:", 18) == 0)
			return false; /* more than this server can read */
	}
	return false;
}

static void *
serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
	struct request r;

	while (in != NULL && out != NULL && request_read(in, &r)) {
		for (unsigned long i = 0; i < r.body_bytes && getc(in) != EOF; i++)
			continue;
		fprintf(out, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n",
		    strlen(name) + strlen(r.identity) + 1, r.is_last ? "Connection: close\r\n" : "");
		if (!r.is_head)
			fprintf(out, "%s%s\n", name, r.identity);
		if (fflush(out) != 0 || r.is_last)
			break;
	}
	if (out != NULL)
		fclose(out);
	if (in != NULL)
		fclose(in);
	else
		close(fd);
	return NULL;
}

/* A listening socket; the port is printed. -1: none. */
static int
listen_open(uint16_t port, const char *address)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (inet_pton(AF_INET, address, &at.sin_addr) != 1) {
		fprintf(stderr, "target: %s is no IPv4 address\n", address);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 128) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) < 0) {
		perror("target");
		return -1;
	}
	printf("%u\n", ntohs(at.sin_port));
	fflush(stdout);
	return fd;
}

int
main(int argc, char **argv)
{
	pthread_attr_t detached;
	int listener;

	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: target NAME PORT [ADDRESS]\n");
		return 2;
	}
	name = argv[1];
	signal(SIGPIPE, SIG_IGN);
	listener = listen_open((uint16_t)atoi(argv[2]), argc == 4 ? argv[3] : "127.0.0.1");
	if (listener < 0)
		return 1;
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		pthread_t thread;

		if (fd >= 0 && pthread_create(&thread, &detached, serve, (void *)(intptr_t)fd) != 0)
			close(fd);
	}
}
