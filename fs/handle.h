/* handle.h - an open file: straight to the store, or a text gathered until it can be judged. */
#ifndef HANDLE_H
#define HANDLE_H

#include "settle.h"
#include "view.h"

#define HANDLE_MAGIC 0x4a4d1e00u

enum handle_kind {
	HANDLE_PLAIN,  /* a working file, or a schema file for reading: fd */
	HANDLE_GATHER, /* a schema file for writing: text */
	HANDLE_VIEW,   /* something we write: text is its rendering */
	HANDLE_HOLD,   /* /.hold for writing: takes `abort` */
	HANDLE_EVENTS, /* /.events: reader */
};

struct handle {
	unsigned magic;
	enum handle_kind kind;
	struct inode *inode;
	struct list of_inode;
	int fd;	     /* -1, or what is in the store */
	bool schema; /* of a file of the schema: replaced whole, so the kernel must not remember its length */
	struct event_reader *reader; /* or NULL */
	int flags;
	uid_t uid;
	pid_t opener;
	struct owner owner; /* of a file that it makes */
	struct text text;
	bool fresh;	/* it only grows: what is written can be judged at once */
	bool dirty;	/* written since it was judged last */
	bool truncated; /* since it was judged last */
	bool timed;	/* its times were set since it was written: */
	struct timespec times[2];
	bool told;  /* the refusal was answered by a write or a flush */
	int poison; /* the errno of the refusal; 0: none */
};

/* Each: 0 or -errno; on success *h. flags as of open. */
int handle_open(struct tree *t, struct inode *n, int flags, uid_t uid, pid_t pid, struct handle **h);
/* A new file: a draft when it is one of the schema. n is its inode. */
int handle_create(
    struct tree *t, struct inode *n, int flags, const struct owner *o, pid_t pid, struct handle **h);

/* HANDLE_GATHER, HANDLE_VIEW, HANDLE_HOLD; a plain file is its descriptor's. */
struct str handle_read(const struct handle *h, size_t size, off_t off);
int handle_write(struct tree *t, struct handle *h, const char *p, size_t size, off_t off, int flags);
int handle_truncate(struct tree *t, struct handle *h, off_t size);
int handle_flush(struct tree *t, struct handle *h, pid_t pid);
int handle_fsync(struct tree *t, struct handle *h);
void handle_release(struct tree *t, struct handle *h);

/* The mount is gone, and what was open with it: texts that nobody has been told of are dropped. */
void handle_close_all(struct tree *t);

/* How long the file is for the one that writes it; -1: as the store says. h NULL: for a stranger. */
off_t handle_size(const struct inode *n, const struct handle *h);
/* Is it open for writing, straight to the store? */
bool handle_is_shared(const struct inode *n);
/* truncate(2): the text, cut or stretched, is judged at once. */
int handle_cut(struct tree *t, struct inode *n, off_t size, uid_t uid, pid_t pid);
/* The times of n were set; a text that is still to be put in its place will have them. */
void handle_set_times(struct inode *n, const struct timespec times[2]);
/* Decides about n's text now, because its name is needed: 0, or -errno and it never came to be. */
int handle_decide(struct tree *t, struct inode *n);

#endif
