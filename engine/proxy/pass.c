/* pass.c - TLS passthrough: gather the ClientHello, find the target, carry. */
#include "health.h"
#include "pass.h"

#include "../http/hello.h"
#include "../net/sock.h"
#include "choose.h"
#include "finder.h"
#include "relay.h"
#include "upstream.h"
#include <errno.h>

/* Less at a time is cheaper copied. But the rest of something large is less, too: so many times in a row. */
#define PIPED_MIN (32u << 10)
#define PIPED_SMALL_MAX 4u

enum pass_state {
	PASS_HELLO,   /* the client has not said everything yet */
	PASS_CONNECT, /* to a target */
	PASS_OPEN,
};

/* What goes one way. */
struct way {
	struct relay relay;
	struct pipe *pipe; /* what is being sent, when it is in one */
	uint32_t nsmall;   /* of the last ones in pipes, those that had less than PIPED_MIN */
	struct conn *from, *to;
	struct way *back;
	enum counter bytes;
};

struct pass {
	struct conn client, target;
	struct way in, out; /* to the target, to the client */
	struct worker *w;
	struct list link;
	uint8_t state;
	uint8_t nconns; /* that are not freed yet */
	uint8_t tries;
	bool has_target; /* it is open */
	bool again;	 /* another target, once the kernel has let go of this one */
	bool ended;
	uint32_t place, serial;
	struct table_ref *table; /* as long as another target may be needed */
	struct buf *hello;
	uint32_t group;	 /* index in the table */
	uint64_t key;	 /* the client's, for the group's consistent hash */
	uint32_t counts; /* slot of the target that this is in flight to, or SLOT_NONE */
	uint32_t vpc;
	struct addr addr;
	uint32_t max_requests; /* resilience.max_requests: connections here */
	uint32_t idle_ms;
	uint64_t active_ms; /* when a byte last went either way */
};

/* ------------------------------------------------------------------ life */

/* Nothing goes to the target any more; its number may be taken away by the control thread from now on. */
static void
leave_target(struct pass *p)
{
	if (p->counts != SLOT_NONE)
		upstream_count(worker_slot(p->w, p->counts), -1);
	p->counts = SLOT_NONE;
}

static void
forget_table(struct pass *p)
{
	if (p->table != NULL)
		worker_unpin(p->w, p->table);
	p->table = NULL;
}

static void
conn_gone(struct pass *p)
{
	struct worker *w = p->w;

	if (--p->nconns > 0)
		return;
	list_del(&p->link);
	free(p);
	atomic_store_explicit(&w->nclients, w->nclients - 1, memory_order_relaxed);
	worker_client_gone(w);
}

/* What is still being sent is left with the connection; what is in a pipe is nobody's. */
static void
close_way(struct way *y, bool cut)
{
	struct conn *c = y->to;

	if (y->relay.sending != NULL)
		conn_hold(c, y->relay.sending);
	y->relay.sending = NULL;
	if (y->pipe != NULL)
		pipe_put(&c->net->pipes, y->pipe);
	y->pipe = NULL;
	if (cut)
		conn_reset(c);
	conn_close(c);
}

/* cut: both sides must notice that there was more to come. p may be gone. */
static void
end(struct pass *p, bool cut)
{
	assert(!p->ended);
	p->ended = true;
	p->again = false;
	forget_table(p);
	leave_target(p);
	if (p->hello != NULL)
		buf_put(p->w->net.pools, p->hello);
	p->hello = NULL;
	if (p->has_target)
		close_way(&p->in, cut);
	close_way(&p->out, cut);
}

static void
refuse(struct pass *p, enum counter why)
{
	worker_count(p->w, why);
	end(p, false);
}

/* ------------------------------------------------------------------ both ways */

static void
carry(struct pass *p, struct way *y, struct buf *b)
{
	struct buf *rest;

	p->active_ms = y->relay.sent_ms = p->w->net.now_ms;
	worker_count_bytes(p->w, y->bytes, b->len);
	relay_feed(&y->relay, b, false, &rest);
	y->relay.sending = b;
	conn_send(y->to, buf_data(b), b->len);
}

/* Where a lot comes, nobody here has to touch it. What little goes the other way meanwhile is carried alike:
 * a socket has to change for the other manner, every time. */
static void
receive_more(struct way *y)
{
	if ((y->relay.full || y->back->relay.full) && !y->relay.slow)
		conn_recv_piped(y->from);
	else
		conn_recv(y->from, BUF_MID);
}

/* One side has ended, and the other has all it sent. */
static void
half_close(struct pass *p, struct way *y)
{
	if (y->back->relay.done) {
		end(p, true);
		return;
	}
	conn_shutdown(y->to);
	if (y->to->ended && !y->from->sending)
		end(p, false);
}

static void
carried(struct pass *p, struct way *y, int error)
{
	if (y->pipe != NULL)
		pipe_put(&p->w->net.pipes, y->pipe);
	else
		buf_put(p->w->net.pools, y->relay.sending);
	y->pipe = NULL;
	y->relay.sending = NULL;
	relay_sent(&y->relay, p->w->net.now_ms);
	p->active_ms = p->w->net.now_ms;
	if (error == 0 && y->from->ended)
		half_close(p, y);
	else if (error == 0)
		receive_more(y);
	else if (y->to->ended)
		end(p, true);
	else
		y->relay.done = true; /* it may have said why before it closed: the receive will tell */
}

/* The same, through a pipe. */
static void
carry_piped(struct pass *p, struct way *y, struct pipe *pipe)
{
	y->pipe = pipe;
	p->active_ms = y->relay.sent_ms = p->w->net.now_ms;
	worker_count_bytes(p->w, y->bytes, pipe->len);
	y->relay.bytes += pipe->len;
	y->nsmall = pipe->len < PIPED_MIN ? y->nsmall + 1 : 0;
	y->relay.full = y->nsmall < PIPED_SMALL_MAX;
	if (conn_send_pipe(y->to, pipe))
		carried(p, y, 0);
}

static void
side_ended(struct pass *p, struct way *y, int error)
{
	if (error != 0)
		end(p, true);
	else if (!y->to->sending)
		half_close(p, y);
}

/* ------------------------------------------------------------------ the target */

static void unreachable(struct pass *p, int error);

static void
target_data(struct conn *c, struct buf *b)
{
	struct pass *p = container_of(c, struct pass, target);

	carry(p, &p->out, b);
}

static void
target_piped(struct conn *c, struct pipe *pipe)
{
	struct pass *p = container_of(c, struct pass, target);

	carry_piped(p, &p->out, pipe);
}

static void
target_end(struct conn *c, int error)
{
	struct pass *p = container_of(c, struct pass, target);

	side_ended(p, &p->out, error);
}

static void
target_sent(struct conn *c, int error)
{
	struct pass *p = container_of(c, struct pass, target);

	carried(p, &p->in, error);
}

static void
close_target(struct pass *p)
{
	p->has_target = false;
	conn_close(&p->target);
}

static void
target_connected(struct conn *c, int error)
{
	struct pass *p = container_of(c, struct pass, target);
	struct buf *hello = p->hello;

	if (error != 0) {
		close_target(p);
		unreachable(p, error);
		return;
	}
	worker_count(p->w, COUNTER_PASSED);
	health_report(p->w, p->group, p->counts, OUTCOME_GOOD);
	forget_table(p);
	p->state = PASS_OPEN;
	p->hello = NULL;
	conn_deadline(&p->client, p->idle_ms);
	conn_await(c, BUF_MID);
	carry(p, &p->in, hello);
}

static void
target_timeout(struct conn *c)
{
	struct pass *p = container_of(c, struct pass, target);

	/* The client's deadline is for both, once they are connected. */
	if (p->state != PASS_CONNECT)
		return;
	close_target(p);
	unreachable(p, -ETIMEDOUT);
}

static void open_target(struct pass *p);

static void
target_freed(struct conn *c)
{
	struct pass *p = container_of(c, struct pass, target);

	if (p->again) {
		p->nconns--;
		p->again = false;
		open_target(p);
	} else {
		conn_gone(p);
	}
}

static const struct conn_events target_events = {
    .data = target_data,
    .piped = target_piped,
    .end = target_end,
    .sent = target_sent,
    .connected = target_connected,
    .timeout = target_timeout,
    .freed = target_freed,
};

static void
open_target(struct pass *p)
{
	struct worker *w = p->w;
	int fd = upstream_socket(w, p->vpc, p->addr.sa.sa_family);

	if (fd < 0) {
		unreachable(p, fd);
		return;
	}
	conn_init(&p->target, &w->net, fd, &target_events);
	p->nconns++;
	p->has_target = true;
	worker_count(w, COUNTER_CONNECTS);
	conn_deadline(&p->target, w->config->connect_timeout_ms);
	conn_connect(&p->target, &p->addr);
}

/* ------------------------------------------------------------------ which one */

/* False: it is known by a name that has no address, or no other than the one that was tried. */
static bool
set_target(struct pass *p, const struct group *g, const struct target *t, uint32_t avoid)
{
	struct addr tried = p->addr;

	if (!finder_next(p->w, t, &p->addr) || (t->slot == avoid && addr_eq(&p->addr, &tried)))
		return false;
	p->group = g->index;
	p->vpc = g->vpc;
	p->counts = t->slot;
	slot_count(worker_slot(p->w, t->slot));
	upstream_count(worker_slot(p->w, t->slot), 1);
	return true;
}

/* False: no group has a usable target, or they are all full: it is counted which. */
static bool
pick(struct pass *p, const struct table *t, const struct rule *rule)
{
	struct worker *w = p->w;
	struct caller caller = {0};
	char source[ADDR_TEXT_MAX];
	struct choice c;

	sock_peer(p->client.fd, source);
	caller.source = str_of(source);
	if (!choose_target(w, t, rule, &caller, &c))
		return false;
	p->key = c.key;
	p->max_requests = rule->action.resilience.max_requests;
	if (!set_target(p, c.group, c.target, SLOT_NONE)) {
		worker_count(w, COUNTER_NO_TARGET);
		return false;
	}
	slot_count(worker_slot(w, c.forward->slot));
	slot_count(worker_slot(w, c.group->slot));
	return true;
}

/* Of the same group, as it is now: not one that was removed meanwhile; or another address of the same. */
static bool
pick_another(struct pass *p, uint32_t avoid)
{
	const struct group *was = table_group(p->table->table, p->group);
	const struct group *g = table_group(p->w->current->table, p->group);
	const struct target *t;

	if (g == NULL || was == NULL || g->slot != was->slot)
		return false;
	t = choose_another(p->w, g, p->key, avoid, p->max_requests);
	return t != NULL && set_target(p, g, t, avoid);
}

static void
unreachable(struct pass *p, int error)
{
	uint32_t tried = p->counts;

	leave_target(p);
	worker_count(p->w, COUNTER_CONNECT_FAILED);
	health_unreachable(p->w, p->group, tried, error);
	if (p->tries++ > 0 || error == -EMFILE || error == -ENFILE || !pick_another(p, tried)) {
		end(p, false);
		return;
	}
	worker_count(p->w, COUNTER_RETRIES);
	if (p->nconns == 1)
		open_target(p);
	else
		p->again = true;
}

/* ------------------------------------------------------------------ the client */

static void
begin(struct pass *p, struct str name)
{
	struct worker *w = p->w;
	const struct table *t = w->current->table;
	const struct place *place = table_place(t, p->place);
	const struct listener *l = NULL;
	const struct service *s;

	if (name.len == 0) {
		refuse(p, COUNTER_PASS_NO_NAME);
		return;
	}
	if (place != NULL && place->serial == p->serial && place->protocol == PROTOCOL_TLS_PASSTHROUGH)
		l = match_place(t, place, name, &s);
	if (l == NULL) {
		refuse(p, COUNTER_PASS_UNKNOWN);
		return;
	}
	slot_count(worker_slot(w, s->slot));
	slot_count(worker_slot(w, l->fallback.slot));
	if (!pick(p, t, &l->fallback)) {
		end(p, false);
		return;
	}
	p->state = PASS_CONNECT;
	p->idle_ms = s->idle_timeout_s * 1000;
	p->table = worker_pin(w);
	open_target(p);
}

static void
more_hello(struct pass *p, struct buf *b)
{
	char name[HOST_MAX + 1];
	uint32_t len;

	if (buf_gather(p->w->net.pools, &p->hello, b) != 0) {
		end(p, false);
		return;
	}
	switch (hello_parse(buf_data(p->hello), p->hello->len, name, &len)) {
	case HELLO_WHOLE:
		begin(p, (struct str){name, len});
		break;
	case HELLO_MORE:
		conn_await(&p->client, BUF_SMALL);
		break;
	default:
		refuse(p, COUNTER_PASS_BAD);
		break;
	}
}

static void
client_data(struct conn *c, struct buf *b)
{
	struct pass *p = container_of(c, struct pass, client);

	if (p->state == PASS_HELLO)
		more_hello(p, b);
	else
		carry(p, &p->in, b);
}

static void
client_piped(struct conn *c, struct pipe *pipe)
{
	struct pass *p = container_of(c, struct pass, client);

	carry_piped(p, &p->in, pipe);
}

static void
client_end(struct conn *c, int error)
{
	struct pass *p = container_of(c, struct pass, client);

	if (p->state == PASS_HELLO)
		end(p, false);
	else
		side_ended(p, &p->in, error);
}

static void
client_sent(struct conn *c, int error)
{
	struct pass *p = container_of(c, struct pass, client);

	carried(p, &p->out, error);
}

/* Is somebody taking, slowly, what is being sent? Both are asked, so that both are looked at. */
static bool
is_moving(struct pass *p)
{
	bool in = p->target.sending && conn_progress(&p->target);
	bool out = p->client.sending && conn_progress(&p->client);

	return in || out;
}

static void
client_timeout(struct conn *c)
{
	struct pass *p = container_of(c, struct pass, client);
	uint64_t quiet_ms = p->w->net.now_ms - p->active_ms;

	if (p->state == PASS_HELLO)
		refuse(p, COUNTER_PASS_LATE);
	else if (p->state == PASS_CONNECT)
		conn_deadline(c, p->w->config->connect_timeout_ms);
	else if (quiet_ms < p->idle_ms)
		conn_deadline(c, p->idle_ms - quiet_ms);
	else if (is_moving(p))
		conn_deadline(c, p->idle_ms);
	else
		end(p, p->client.sending || p->target.sending);
}

static void
client_freed(struct conn *c)
{
	conn_gone(container_of(c, struct pass, client));
}

static const struct conn_events client_events = {
    .data = client_data,
    .piped = client_piped,
    .end = client_end,
    .sent = client_sent,
    .timeout = client_timeout,
    .freed = client_freed,
};

static void
way_init(struct way *y, struct conn *from, struct conn *to, struct way *back, enum counter bytes)
{
	*y = (struct way){.from = from, .to = to, .back = back, .bytes = bytes};
	relay_init(&y->relay, BODY_EOF, 0, FRAME_RAW);
}

void
pass_accepted(struct worker *w, int fd, uint32_t place, uint32_t serial)
{
	struct pass *p = malloc(sizeof(*p));

	if (p == NULL) {
		ring_close(w->net.ring, fd);
		return;
	}
	*p = (struct pass){.w = w, .nconns = 1, .place = place, .serial = serial, .counts = SLOT_NONE};
	way_init(&p->in, &p->client, &p->target, &p->out, COUNTER_PASS_IN);
	way_init(&p->out, &p->target, &p->client, &p->in, COUNTER_PASS_OUT);
	conn_init(&p->client, &w->net, fd, &client_events);
	list_append(&w->passes, &p->link);
	worker_count(w, COUNTER_ACCEPTED);
	atomic_store_explicit(&w->nclients, w->nclients + 1, memory_order_relaxed);
	/* Who opens a TLS connection speaks first: there is nothing to wait for. */
	conn_deadline(&p->client, w->config->head_timeout_ms);
	conn_recv(&p->client, BUF_SMALL);
}

void
pass_drain(struct worker *w)
{
	list_each_safe(it, &w->passes)
	{
		struct pass *p = container_of(it, struct pass, link);

		if (p->state == PASS_HELLO && !p->ended)
			end(p, false);
	}
}

void
pass_cut(struct worker *w, uint32_t slot)
{
	list_each_safe(it, &w->passes)
	{
		struct pass *p = container_of(it, struct pass, link);

		if (p->counts != slot || p->ended)
			continue;
		worker_count(w, COUNTER_DRAIN_CUT);
		end(p, true);
	}
}

void
pass_cut_all(struct worker *w)
{
	list_each_safe(it, &w->passes)
	{
		struct pass *p = container_of(it, struct pass, link);

		if (!p->ended)
			end(p, true);
	}
}
