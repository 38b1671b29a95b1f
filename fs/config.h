/* config.h - the daemon's own settings, from the INI file CONF. */
#ifndef CONFIG_H
#define CONFIG_H

#include "diag.h"
#include "engine.h"
#include "model.h"

struct config {
	struct engine_config engine;
	char *suffix, *account, *region;
	struct quotas quotas;
};

void config_default(struct config *c);
void config_fini(struct config *c);
/* Sets what the file says. -errno with d filled, d->path is the file. */
int config_load(struct config *c, const char *path, struct diag *d);

#endif
