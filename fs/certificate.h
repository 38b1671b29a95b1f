/* certificate.h - what files of TYPE_PEM hold: certificate chains, private keys, CAs; judged, and told of. */
#ifndef CERTIFICATE_H
#define CERTIFICATE_H

#include "arena.h"
#include "model.h"

#define CERTIFICATE_KEY_ID 32u

/* A list of revoked certificates (CRL) in a CA file. */
struct revocations {
	struct str issuer;
	unsigned line;		 /* of its block */
	int64_t from_s, until_s; /* INT64_MAX: it does not run out */
};

/* The texts live in the arena that it was parsed into. */
struct credential {
	struct str pem; /* its blocks alone, as OpenSSL writes them: what the table has */
	/* Eight digits of the SHA-256 fingerprint of each certificate of a chain, with + between; for a CA
	 * file of the SHA-256 of pem. */
	struct str mark;
	uint32_t ncertificates; /* 0: it is a private key */
	/* Of the public key, the first certificate's: a chain and a private key with the same are a pair. */
	uint8_t key_id[CERTIFICATE_KEY_ID];
	struct str issuer; /* of the first certificate, and its dates */
	int64_t not_before_s, not_after_s;
	uint32_t nlists; /* of a CA file */
	struct revocations *lists;
};

/*
 * The text of an attribute of TYPE_PEM, as parse_value judges it: a chain is the leaf and then who signed it,
 * its key RSA of 2048 bits at least, ECDSA on P-256 or P-384, or Ed25519; a private key is one of these,
 * unencrypted; in a CA file each certificate is a CA's, and each list of revoked ones is signed by one of
 * them, wherever it stands. GOOD and *out NULL: nothing but blanks, so unset. Whole lines before any block
 * are BAD even when more may come, unless they begin as what tools write there: a shell sees the error of a
 * write alone. Dates are not judged here. Nothing of a private key is quoted in d.
 */
enum verdict certificate_parse(const struct attribute *a, const char *path, struct str text, bool final,
    struct arena *arena, struct credential **out, struct diag *d);
/* A chain or CA whose first certificate is valid now: 0; else -EINVAL with d filled. */
int certificate_check_dates(const struct credential *c, int64_t now_s, const char *path, struct diag *d);
/* Are all lists of a CA file in force? Else -EINVAL with d filled: nobody whom that CA signed would get in.
 */
int certificate_check_lists(const struct credential *c, int64_t now_s, const char *path, struct diag *d);
bool certificate_is_pair(const struct credential *chain, const struct credential *key);

#define CERTIFICATE_DATE 21u /* 2026-11-23T01:02:03Z and a NUL */
void certificate_date(int64_t unix_s, char out[static CERTIFICATE_DATE]);
/* Lines of .status: subject, issuer, names, not-before, not-after, expires-in. */
void certificate_print(struct str chain, int64_t now_s, struct text *out);
/* `KEY N certificates, N revocation lists`, and a line for each list that has run out. */
void certificate_print_cas(const char *key, const struct credential *c, int64_t now_s, struct text *out);

#endif
