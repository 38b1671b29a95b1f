/* pem.h - the blocks of a PEM text, one after the other, or where it is broken. What is in them is not
 * looked at: that is certificate.h. */
#ifndef PEM_H
#define PEM_H

#include "model.h"

struct pem {
	const char *path; /* for diags */
	struct str text;
	bool secret; /* nothing of it is quoted */
	uint32_t at; /* the next line */
	unsigned line;
	bool begun;   /* a block has */
	uint8_t *der; /* room for what any block of it decodes to */
};

struct pem_block {
	struct str label;   /* CERTIFICATE, PRIVATE KEY, ... */
	unsigned line;	    /* of its beginning */
	bool encrypted;	    /* says a header */
	const uint8_t *der; /* until the next block */
	size_t len;
};

/* text is borrowed. */
void pem_init(struct pem *p, const char *path, struct str text, bool secret);
void pem_fini(struct pem *p);
/*
 * The next block: GOOD. PARTIAL: there is none any more, or it is not whole yet, which is only so when more
 * may come (not final). BAD: d is filled.
 */
enum verdict pem_next(struct pem *p, bool final, struct pem_block *b, struct diag *d);
/* Once pem_next has no more: none of its whole lines begins a block, and the first with anything in it is not
 * one that tools write before a block. Then no block is expected to follow, though one could. */
bool pem_is_foreign(const struct pem *p);
/* Fills d, pointing at a line of the text, and quotes that unless the text is secret: VERDICT_BAD. */
enum verdict pem_bad(
    const struct pem *p, struct diag *d, unsigned line, unsigned column, const char *fmt, ...) PRINTF(5, 6);

#endif
