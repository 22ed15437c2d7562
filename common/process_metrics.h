/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process_metrics: what every program of ours says of its process: its build, its age, memory, CPU time and open files, by the names that
 * Prometheus's own clients use; and how much it had to warn of.
 */
#ifndef KAKEHI_COMMON_PROCESS_METRICS_H
#define KAKEHI_COMMON_PROCESS_METRICS_H

/* Once, at the start. program: "kakehi-worker". */
void process_metrics_start(const char *program);
/* Before they are printed: they are read from the system then, and cost nothing before. */
void process_metrics_renew(void);

#endif
