/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of the system are Linux's: /proc and clocks. What can't be read there is left as it was. */
#include "common/process_metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/version.h"

static struct metric_family build_info METRIC_FAMILY = {
    .name = "kakehi_build_info",
    .help = "1; the labels say which program and build this is.",
    .kind = METRIC_GAUGE,
    .labels = {"program", "version"},
};

static struct metric_family log_lines METRIC_FAMILY = {
    .name = "kakehi_log_lines_total",
    .help = "Warnings and errors logged, those that were counted as repetitions included.",
    .kind = METRIC_COUNTER,
    .labels = {"level"},
};

static struct metric_family start_time METRIC_FAMILY = {
    .name = "process_start_time_seconds", .help = "When the process started, since 1970.", .kind = METRIC_GAUGE};
static struct metric_family cpu_time METRIC_FAMILY = {
    .name = "process_cpu_seconds_total", .help = "CPU time used, user and system.", .kind = METRIC_COUNTER};
static struct metric_family resident METRIC_FAMILY = {
    .name = "process_resident_memory_bytes", .help = "Memory in use.", .kind = METRIC_GAUGE};
static struct metric_family open_files METRIC_FAMILY = {
    .name = "process_open_fds", .help = "Open file descriptors, sockets included.", .kind = METRIC_GAUGE};
static struct metric_family file_limit METRIC_FAMILY = {
    .name = "process_max_fds", .help = "How many file descriptors the process may open.", .kind = METRIC_GAUGE};

void process_metrics_start(const char *program)
{
    struct timespec now;
    struct rlimit limit;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    metric_set(metric_cell(&build_info, (const char *const[]){program, version_text()}), 1);
    metric_set(metric_cell(&start_time, NULL), (double)now.tv_sec + (double)now.tv_nsec / 1e9);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        metric_set(metric_cell(&file_limit, NULL), (double)limit.rlim_cur);
    }
    process_metrics_renew();
}

static void renew_memory(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long size, pages;

    if (file != NULL && fscanf(file, "%lu %lu", &size, &pages) == 2) {
        metric_set(metric_cell(&resident, NULL), (double)pages * (double)sysconf(_SC_PAGESIZE));
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static void renew_open_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = -3; /* ".", "..", and the folder's own */

    if (folder == NULL) {
        return;
    }
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    metric_set(metric_cell(&open_files, NULL), count);
}

void process_metrics_renew(void)
{
    static const struct {
        enum log_level level;
        const char *name;
    } levels[] = {{LOG_ERROR, "error"}, {LOG_WARN, "warn"}};
    struct timespec used;

    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        metric_set(metric_cell(&log_lines, (const char *const[]){levels[i].name}), (double)log_count(levels[i].level));
    }
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0) {
        metric_set(metric_cell(&cpu_time, NULL), (double)used.tv_sec + (double)used.tv_nsec / 1e9);
    }
    renew_memory();
    renew_open_files();
}
