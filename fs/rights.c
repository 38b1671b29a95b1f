/* rights.c - capabilities, through libcap-ng. */
#include "rights.h"
#include <cap-ng.h>
#include <errno.h>

/* Each with what would fail without it. */
static const unsigned kept[] = {
    CAP_SYS_ADMIN,	  /* mounting, and entering a namespace */
    CAP_NET_ADMIN,	  /* the routes in a namespace */
    CAP_NET_BIND_SERVICE, /* listening on port 80 and 53 */
    CAP_IPC_LOCK,	  /* io_uring's memory, past the RLIMIT_MEMLOCK that all daemons of a user share */
    CAP_DAC_OVERRIDE,	  /* the store's files, whosever they are */
    CAP_DAC_READ_SEARCH, CAP_CHOWN, /* chown and cp -a in the tree */
    CAP_FOWNER,			    /* chmod, utimes and attributes of others' files */
    CAP_FSETID,			    /* set-group-id directories */
};

int
rights_keep(void)
{
	bool had[COUNT(kept)], bounded;

	if (capng_get_caps_process() != 0)
		return -EPERM;
	bounded = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	for (size_t i = 0; i < COUNT(kept); i++)
		had[i] = capng_have_capability(CAPNG_PERMITTED, kept[i]);
	capng_clear(bounded ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS);
	for (size_t i = 0; i < COUNT(kept); i++)
		if (had[i])
			capng_update(CAPNG_ADD,
			    CAPNG_EFFECTIVE | CAPNG_PERMITTED | (bounded ? CAPNG_BOUNDING_SET : 0), kept[i]);
	return capng_apply(bounded ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) == 0 ? 0 : -EPERM;
}

const char *
rights_missing(void)
{
	bool admin, net;

	if (capng_get_caps_process() != 0)
		return "its capabilities cannot be read";
	admin = capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN);
	net = capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN);
	if (admin && net)
		return NULL;
	if (admin)
		return "latticefs runs without CAP_NET_ADMIN";
	return net ? "latticefs runs without CAP_SYS_ADMIN"
		   : "latticefs runs without CAP_SYS_ADMIN and CAP_NET_ADMIN";
}
