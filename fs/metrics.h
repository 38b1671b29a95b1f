/* metrics.h - the counters that are an object's: of rules, targets and certificates. */
#ifndef METRICS_H
#define METRICS_H

#include "status.h"

/* Prometheus text, behind engine_metrics: latticefs_rule_requests_total{service=,listener=,rule=}, ... */
void metrics_print(const struct status_context *c, struct text *out);

#endif
