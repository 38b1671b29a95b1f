/* test_carry.c - TLS passthrough: bytes both ways, and how a connection ends. */
#include "passkit.h"

/* ------------------------------------------------------------------ ends */

Test(carry, carries_a_half_close_over, .timeout = 60)
{
	struct engine_stats stats;
	struct site s;
	int ends[2];

	site_init(&s);
	site_start(&s);
	for (unsigned i = 0; i < 2; i++) {
		pair_open(&s, &ends[0], &ends[1]);
		send_all(ends[i], "last words", 10);
		shutdown(ends[i], SHUT_WR);
		expect_bytes(ends[!i], "last words", 10);
		cr_expect(read_end(ends[!i]) == 0);
		/* The other way is open still. */
		poll(NULL, 0, 20);
		send_all(ends[!i], "an answer", 9);
		expect_bytes(ends[i], "an answer", 9);
		shutdown(ends[!i], SHUT_WR);
		cr_expect(read_end(ends[i]) == 0);
		EVENTUALLY((engine_stats(s.engine, &stats), stats.connections == 0));
		close(ends[0]);
		close(ends[1]);
	}
	site_stop(&s);
}

Test(carry, carries_a_reset_over, .timeout = 60)
{
	struct engine_stats stats;
	struct site s;
	int ends[2];

	site_init(&s);
	site_start(&s);
	for (unsigned i = 0; i < 2; i++) {
		pair_open(&s, &ends[0], &ends[1]);
		send_all(ends[1], "x", 1);
		expect_bytes(ends[0], "x", 1);
		reset(ends[i]);
		cr_expect(read_end(ends[!i]) == -ECONNRESET, "side %u", i);
		close(ends[!i]);
		EVENTUALLY((engine_stats(s.engine, &stats), stats.connections == 0));
		/* After a half close of the other side as well. */
		pair_open(&s, &ends[0], &ends[1]);
		shutdown(ends[!i], SHUT_WR);
		cr_expect(read_end(ends[i]) == 0);
		reset(ends[i]);
		cr_expect(read_end(ends[!i]) == -ECONNRESET, "side %u, half closed", i);
		close(ends[!i]);
		EVENTUALLY((engine_stats(s.engine, &stats), stats.connections == 0));
	}
	site_stop(&s);
}

/* A target may say why before it closes on a client that goes on sending. */
Test(carry, delivers_the_last_words_of_a_target_that_stops_reading, .timeout = 60)
{
	static char junk[1 << 20];
	struct site s;
	int client, far;

	site_init(&s);
	site_start(&s);
	for (unsigned i = 0; i < 20; i++) {
		pair_open(&s, &client, &far);
		fcntl(client, F_SETFL, O_NONBLOCK);
		while (send(client, junk, sizeof(junk), MSG_NOSIGNAL) > 0)
			poll(NULL, 0, 1);
		fcntl(client, F_SETFL, 0);
		send_all(far, "fatal alert", 11);
		close(far); /* with unread data: a reset */
		expect_bytes(client, "fatal alert", 11);
		cr_expect(read_end(client) == -ECONNRESET);
		close(client);
	}
	site_stop(&s);
}

Test(carry, ends_after_the_idle_timeout_and_not_before, .timeout = 60)
{
	struct site s;
	int client, far;
	uint64_t start, took;

	site_init(&s);
	s.idle_s = 1;
	site_start(&s);
	pair_open(&s, &client, &far);
	/* Bytes either way keep it. */
	for (unsigned i = 0; i < 3; i++) {
		poll(NULL, 0, 600);
		send_all(i % 2 ? client : far, "x", 1);
		expect_bytes(i % 2 ? far : client, "x", 1);
	}
	start = clock_ms();
	cr_expect(read_end(client) == 0 && read_end(far) == 0);
	took = clock_ms() - start;
	cr_expect(took >= 900 && took < 2000, "%u ms", (unsigned)took);
	close(client);
	close(far);
	site_stop(&s);
}

/* ------------------------------------------------------------------ bulk */

#define BULK (32u << 20)

struct bulk {
	int fd;
	bool slow;
	bool sound;
};

/* A pattern in which no two places nearby look alike. */
static uint8_t
byte_at(size_t i)
{
	return (uint8_t)(i * 2654435761u >> 13);
}

static void *
bulk_send(void *arg)
{
	struct bulk *b = arg;
	static __thread uint8_t piece[100000];

	b->sound = true;
	for (size_t at = 0; at < BULK && b->sound;) {
		size_t n = MIN(sizeof(piece), BULK - at);

		for (size_t i = 0; i < n; i++)
			piece[i] = byte_at(at + i);
		b->sound = send(b->fd, piece, n, MSG_NOSIGNAL) == (ssize_t)n;
		at += n;
	}
	shutdown(b->fd, SHUT_WR);
	return NULL;
}

static void *
bulk_read(void *arg)
{
	struct bulk *b = arg;
	static __thread uint8_t piece[70000];
	size_t at = 0;
	ssize_t n;

	b->sound = true;
	while ((n = recv(b->fd, piece, sizeof(piece), 0)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			b->sound = b->sound && piece[i] == byte_at(at + (size_t)i);
		at += (size_t)n;
		/* Three pauses, each long enough that everything behind is full. */
		if (b->slow && at / (BULK / 4) != (at - (size_t)n) / (BULK / 4))
			poll(NULL, 0, 300);
	}
	b->sound = b->sound && n == 0 && at == BULK;
	return NULL;
}

Test(carry, carries_megabytes_both_ways_past_a_slow_reader, .timeout = 120)
{
	struct site s;
	pthread_t threads[4];
	struct bulk bulks[4];
	int client, far;

	site_init(&s);
	s.idle_s = 1;
	site_start(&s);
	pair_open(&s, &client, &far);
	for (unsigned i = 0; i < 4; i++) {
		bulks[i] = (struct bulk){.fd = i % 2 ? client : far, .slow = i == 2};
		pthread_create(&threads[i], NULL, i < 2 ? bulk_send : bulk_read, &bulks[i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		cr_expect(bulks[i].sound, "thread %u", i);
	}
	cr_expect(metric(&s, "passthrough_bytes_received_total") == shop.n + BULK);
	cr_expect(metric(&s, "passthrough_bytes_sent_total") == BULK);
	close(client);
	close(far);
	site_stop(&s);
}

struct piece {
	int fd;
	uint32_t len;
	uint8_t bytes[1u << 20];
};

static void *
piece_send(void *arg)
{
	const struct piece *p = arg;

	send_all(p->fd, p->bytes, p->len);
	return NULL;
}

/* Large and small in turns, there and back: what is piped and what is copied keeps its order. */
Test(carry, carries_large_and_small_in_turns, .timeout = 120)
{
	static const uint32_t sizes[] = {
	    1u << 20, 1, 300000, 10, 10, 10, 10, 10, 10, 65536, 200000, 3, 3, 1u << 20, 40000, 70000};
	static struct piece piece;
	struct site s;
	size_t at = 0;
	int ends[2];

	site_init(&s);
	site_start(&s);
	pair_open(&s, &ends[0], &ends[1]);
	for (size_t i = 0; i < 4 * COUNT(sizes); i++) {
		/* Two of three come from the target, so that sizes meet both ways. */
		unsigned from = i % 3 == 0 ? 0 : 1;
		uint32_t n = sizes[i % COUNT(sizes)];
		pthread_t thread;

		piece.fd = ends[from];
		piece.len = n;
		for (size_t k = 0; k < n; k++)
			piece.bytes[k] = byte_at(at + k);
		pthread_create(&thread, NULL, piece_send, &piece);
		expect_bytes(ends[1 - from], piece.bytes, n);
		pthread_join(thread, NULL);
		at += n;
	}
	close(ends[0]);
	close(ends[1]);
	site_stop(&s);
}

/* Fills everything between, and says that it was not all taken. */
static void *
flood(void *arg)
{
	struct bulk *b = arg;

	bulk_send(arg);
	b->sound = !b->sound;
	return NULL;
}

Test(carry, waits_for_a_slow_reader_and_not_for_one_that_stalls, .timeout = 60)
{
	static char piece[64 * 1024];
	int client, far, small = sizeof(piece);
	struct bulk b;
	struct site s;
	pthread_t thread;
	uint64_t start;

	site_init(&s);
	s.idle_s = 1;
	site_start(&s);
	pair_open(&s, &client, &far);
	setsockopt(client, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	b = (struct bulk){.fd = far};
	pthread_create(&thread, NULL, flood, &b);
	/* So slow that what is sent at once takes longer than the idle timeout. */
	for (start = clock_ms(); clock_ms() - start < 4000;) {
		cr_assert(TEMP_FAILURE_RETRY(recv(client, piece, sizeof(piece), 0)) > 0, "after %u ms",
		    (unsigned)(clock_ms() - start));
		poll(NULL, 0, 250);
	}
	start = clock_ms();
	pthread_join(thread, NULL);
	cr_expect(b.sound && clock_ms() - start < 4000, "the sender is told");
	while (TEMP_FAILURE_RETRY(recv(client, piece, sizeof(piece), 0)) > 0)
		continue;
	cr_expect(errno == ECONNRESET, "and so is the reader");
	close(client);
	close(far);
	site_stop(&s);
}

/* ------------------------------------------------------------------ stop */

Test(carry, is_waited_for_at_the_stop_and_then_cut, .timeout = 60)
{
	struct site s;
	int waiting, client, far;
	uint64_t start, took;

	site_init(&s);
	site_start(&s);
	pair_open(&s, &client, &far);
	waiting = connect_local(s.port);
	start = clock_ms();
	site_stop(&s);
	took = clock_ms() - start;
	cr_expect(took >= 300 && took < 1500, "%u ms", (unsigned)took);
	cr_expect(read_end(client) == -ECONNRESET && read_end(far) == -ECONNRESET);
	cr_expect(read_end(waiting) == 0 || read_end(waiting) == -ECONNRESET);
	close(waiting);
	close(client);
	close(far);
}

static void *
stop_run(void *arg)
{
	site_stop(arg);
	return NULL;
}

Test(carry, may_end_in_its_own_time_at_the_stop, .timeout = 60)
{
	struct site s;
	pthread_t stopping;
	int client, far;
	uint64_t start;

	site_init(&s);
	s.config.drain_timeout_ms = 20000;
	site_start(&s);
	pair_open(&s, &client, &far);
	start = clock_ms();
	pthread_create(&stopping, NULL, stop_run, &s);
	poll(NULL, 0, 200);
	send_all(far, "the end", 7);
	expect_bytes(client, "the end", 7);
	close(far);
	cr_expect(read_end(client) == 0);
	close(client);
	pthread_join(stopping, NULL);
	cr_expect(clock_ms() - start < 5000);
}
