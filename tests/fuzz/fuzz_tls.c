/* fuzz_tls.c - any bytes as a TLS client, cut anywhere: the connection ends with an error or waits,
 * everything is given back, and no more than the bound was read.
 *
 * The first byte says how long the pieces are; the rest are the bytes of the wire.
 */
#include "../../engine/net/tls.h"
#include "clock.h"
#include "limits.h"

#include <errno.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of nobody, for this alone. */
static const char chain[] = "-----BEGIN CERTIFICATE-----\n"
			    "MIIBjjCCATSgAwIBAgIUCmnT/GMsVsI3QEuFWLRWCxpB57swCgYIKoZIzj0EAwIw\n"
			    "DzENMAsGA1UEAwwEZnV6ejAgFw0yNjExMjcwMDE5MTNaGA8yMTI2MTEwMzAwMTkx\n"
			    "M1owDzENMAsGA1UEAwwEZnV6ejBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABK7m\n"
			    "siie9UXQaVuFaDBVIadYFG+j89C7x7zQ4na+J3wXvAfeHcFzwxAFNCF8WVvmL/QQ\n"
			    "oUJTN8FADgCYQx+nzd2jbDBqMB0GA1UdDgQWBBRs8pCgaT8Y4D5L30hYA3fqz3w1\n"
			    "xDAfBgNVHSMEGDAWgBRs8pCgaT8Y4D5L30hYA3fqz3w1xDAPBgNVHRMBAf8EBTAD\n"
			    "AQH/MBcGA1UdEQQQMA6CDGZ1enouZXhhbXBsZTAKBggqhkjOPQQDAgNIADBFAiBi\n"
			    "eWI8n2uxecMkoziBSHEqG9OSAPaBLo9krjMvmKHCRAIhAOzjYtnHhS3R4xloUMpj\n"
			    "CkNZ7PXqFyX4XLis0Mot5Vs4\n"
			    "-----END CERTIFICATE-----\n";
static const char key[] = "-----BEGIN PRIVATE KEY-----\n"
			  "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgo2vuprirgbUAN+Y5\n"
			  "4JBv2f8TPZoL6/FMuv9VqRT+OCShRANCAASu5rIonvVF0GlbhWgwVSGnWBRvo/PQ\n"
			  "u8e80OJ2vid8F7wH3h3Bc8MQBTQhfFlb5i/0EKFCUzfBQA4AmEMfp83d\n"
			  "-----END PRIVATE KEY-----\n";

static struct net net;
static struct tls_world *world;
static struct tls_held *identity;
static struct conn conn;
static bool told, freed;

static struct tls_held *
choose(struct conn *c, struct str sni)
{
	assert(sni.len <= HOST_MAX && memchr(sni.p, '\0', sni.len) == NULL);
	for (uint32_t i = 0; i < sni.len; i++)
		assert(sni.p[i] == ascii_lower(sni.p[i]));
	return sni.len % 7 == 6 ? NULL : identity;
}

static void
on_connected(struct conn *c, int error)
{
	assert(!told && error != 0); /* nobody guesses a Finished */
	told = true;
	if (error == -EPROTONOSUPPORT)
		conn_send(c, "no", 2);
	conn_close(c);
}

static void
on_freed(struct conn *c)
{
	freed = true;
}

static void
never(struct conn *c, int error)
{
	abort();
}

static const struct conn_events events = {
    .end = never, .sent = never, .connected = on_connected, .freed = on_freed};

static void
set_up(void)
{
	static const struct buf_sizes sizes = {.room = 2048, .max = 64, .want = 4, .want_max = 16};
	static const uint8_t secret[TLS_SECRET];
	const struct tls_pem pem = {str_of(chain), str_of(key)};
	struct ring_features f;
	const char *why;

	assert(ring_probe(&f, &why) == 0 && ring_new(&net.ring, 64, &f) == 0);
	for (int i = 0; i < BUF_CLASSES; i++)
		assert(buf_pool_init(&net.pools[i], net.ring, (enum buf_class)i, &sizes) == 0);
	list_init(&net.ready);
	net.now_ms = clock_ms();
	wheel_init(&net.wheel, net.now_ms);
	assert(tls_world_new(&world, secret, &why) == 0);
	identity = tls_identity_new(world, &pem, 1, str_of(chain), 1, 1);
	assert(identity != NULL);
}

static void
turn(void)
{
	ring_turn(net.ring, 0);
	for (int i = 0; i < BUF_CLASSES; i++)
		buf_refill(&net.pools[i]);
	conn_wake_starved(&net);
	conn_wake_ready(&net);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fds[2];

	if (world == NULL)
		set_up();
	if (size < 2)
		return 0;
	assert(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	told = freed = false;
	conn_init(&conn, &net, fds[0], &events);
	assert(tls_accept(&conn, world, choose) == 0);
	for (size_t at = 1, n; at < size && !told; at += n) {
		n = MIN(size - at, data[0] < 250 ? data[0] * 8u + 1 : size);
		if (send(fds[1], data + at, n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n)
			break;
		turn();
	}
	shutdown(fds[1], SHUT_WR);
	for (unsigned i = 0; i < 1000 && !freed; i++)
		turn();
	assert(told && freed && net.nopen == 0);
	close(fds[1]);
	turn();
	for (int i = 0; i < BUF_CLASSES; i++)
		assert(net.pools[i].held == 0);
	return 0;
}
