/* look.c - look-ups a second: look SERVER PORT SECONDS NAMES. Asks for s0.SUFFIX ... as fast as answers come.
 *
 * Prints JSON: what was answered with an address, what was not, and for how long.
 */
#include "clock.h"
#include "addr.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#define WINDOW 64
#define WIRE_MAX 512

struct look {
	int fd;
	unsigned names;
	uint32_t next;
	uint64_t right, wrong;
};

/* A for s<number>.lattice.internal. */
static size_t
print_question(uint8_t *out, uint16_t id, unsigned number)
{
	static const uint8_t rest[] = "\7lattice\10internal\0\0\1\0\1";
	int label;

	memset(out, 0, 12);
	out[0] = (uint8_t)(id >> 8);
	out[1] = (uint8_t)id;
	out[2] = 1;
	out[5] = 1;
	label = sprintf((char *)out + 13, "s%u", number);
	out[12] = (uint8_t)label;
	memcpy(out + 13 + label, rest, sizeof(rest) - 1);
	return 13 + (size_t)label + sizeof(rest) - 1;
}

static void
ask(struct look *l, unsigned n)
{
	static uint8_t wire[WINDOW][WIRE_MAX];
	struct mmsghdr messages[WINDOW] = {0};
	struct iovec rooms[WINDOW];
	unsigned sent = 0;

	for (unsigned i = 0; i < n; i++, l->next++) {
		rooms[i] =
		    (struct iovec){wire[i], print_question(wire[i], (uint16_t)l->next, l->next % l->names)};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &rooms[i], .msg_iovlen = 1};
	}
	while (sent < n) {
		int rc = sendmmsg(l->fd, messages + sent, n - sent, 0);

		if (rc <= 0) {
			perror("look: sendmmsg");
			exit(1);
		}
		sent += (unsigned)rc;
	}
}

/* What has come; 0: nothing within the socket's patience, so the window is lost. */
static unsigned
take(struct look *l)
{
	static uint8_t wire[WINDOW][WIRE_MAX];
	struct mmsghdr messages[WINDOW] = {0};
	struct iovec rooms[WINDOW];
	int n;

	for (unsigned i = 0; i < WINDOW; i++) {
		rooms[i] = (struct iovec){wire[i], WIRE_MAX};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &rooms[i], .msg_iovlen = 1};
	}
	n = recvmmsg(l->fd, messages, WINDOW, MSG_WAITFORONE, NULL);
	if (n < 0 && errno != EAGAIN) {
		perror("look: recvmmsg");
		exit(1);
	}
	for (int i = 0; i < n; i++) {
		bool right = messages[i].msg_len > 12 && (wire[i][3] & 15) == 0 && wire[i][7] == 1;

		l->right += right;
		l->wrong += !right;
	}
	return n < 0 ? 0 : (unsigned)n;
}

int
main(int argc, char **argv)
{
	struct look l = {0};
	struct timeval patience = {.tv_usec = 200000};
	struct addr server;
	uint64_t start, end;

	if (argc != 5 || addr_parse(str_of(argv[1]), &server) != 0) {
		fputs("usage: look SERVER PORT SECONDS NAMES\n", stderr);
		return 2;
	}
	addr_set_port(&server, (uint16_t)atoi(argv[2]));
	l.names = (unsigned)MAX(1, atoi(argv[4]));
	l.fd = socket(server.sa.sa_family, SOCK_DGRAM, 0);
	if (l.fd < 0 || connect(l.fd, &server.sa, addr_len(&server)) != 0) {
		perror("look");
		return 1;
	}
	setsockopt(l.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	start = clock_ns();
	end = start + (uint64_t)(atof(argv[3]) * 1e9);
	ask(&l, WINDOW);
	while (clock_ns() < end) {
		unsigned n = take(&l);

		ask(&l, n > 0 ? n : WINDOW);
	}
	printf("{\"right\": %llu, \"wrong\": %llu, \"seconds\": %.3f}\n", (unsigned long long)l.right,
	    (unsigned long long)l.wrong, (double)(clock_ns() - start) / 1e9);
	return 0;
}
