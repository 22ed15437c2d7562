/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kakehi-demo-broker: librdkafka's mock cluster as a program, so that `make demo` needs no Kafka.
 *
 *   kakehi-demo-broker TOPIC:PARTITIONS...      prints the bootstrap servers, one line, and stays until SIGTERM or its parent ends
 *
 * It must make every topic itself: the mock does not know CreateTopics, and a client that merely asks for a topic gets one with
 * four partitions. What else it can't do is respected by the demo's settings and its size, not by the product: transactions are
 * pretended (nothing is fenced, what was aborted is seen), a partition holds 5 MiB, an empty fetch waits its whole time, and all
 * is gone when it ends. It is for looking at the path, never for data.
 */
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define TOPIC_NAME_BYTES_MAX 249
#define PARTITIONS_MAX 256

/* Ends with the parent also if that is killed. Between its death and prctl the parent's number would change: asked afterwards. */
static bool stay_with_parent(pid_t parent)
{
    return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent;
}

/* "name:partitions" */
static int make_topic(rd_kafka_mock_cluster_t *cluster, const char *word)
{
    char name[TOPIC_NAME_BYTES_MAX + 1];
    const char *colon = strrchr(word, ':');
    size_t name_size = colon != NULL ? (size_t)(colon - word) : 0;
    char *end = NULL;
    long partitions;

    if (name_size == 0 || name_size > TOPIC_NAME_BYTES_MAX) {
        fprintf(stderr, "kakehi-demo-broker: %s is not TOPIC:PARTITIONS\n", word);
        return -1;
    }
    memcpy(name, word, name_size);
    name[name_size] = '\0';
    errno = 0;
    partitions = strtol(colon + 1, &end, 10);
    if (errno != 0 || end == colon + 1 || *end != '\0' || partitions < 1 || partitions > PARTITIONS_MAX) {
        fprintf(stderr, "kakehi-demo-broker: %s: partitions are 1 to %d\n", word, PARTITIONS_MAX);
        return -1;
    }
    if (rd_kafka_mock_topic_create(cluster, name, (int)partitions, 1) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "kakehi-demo-broker: can't make topic %s\n", name);
        return -1;
    }
    return 0;
}

static int serve(rd_kafka_mock_cluster_t *cluster, char **topics, const sigset_t *ends)
{
    int number;

    for (; *topics != NULL; topics++) {
        if (make_topic(cluster, *topics) != 0) {
            return EXIT_FAILURE;
        }
    }
    printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    if (fflush(stdout) != 0) {
        return EXIT_FAILURE;
    }
    return sigwait(ends, &number) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The mock cluster lives in a handle that itself never connects anywhere; it says so as a notice, so only warnings are shown. */
static rd_kafka_t *make_handle(void)
{
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *handle = NULL;

    if (rd_kafka_conf_set(conf, "log_level", "4", reason, sizeof reason) == RD_KAFKA_CONF_OK) {
        handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    }
    if (handle == NULL) {
        rd_kafka_conf_destroy(conf);
        fprintf(stderr, "kakehi-demo-broker: %s\n", reason);
    }
    return handle;
}

int main(int argc, char **argv)
{
    pid_t parent = getppid();
    int status = EXIT_FAILURE;
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_t *handle;
    sigset_t ends;

    if (argc < 2) {
        fprintf(stderr, "usage: kakehi-demo-broker TOPIC:PARTITIONS...\n");
        return EXIT_FAILURE;
    }
    /* Before librdkafka makes its threads, so that all of them leave these signals to sigwait. */
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    if (sigprocmask(SIG_BLOCK, &ends, NULL) != 0 || !stay_with_parent(parent)) {
        return EXIT_FAILURE;
    }
    handle = make_handle();
    if (handle == NULL) {
        return EXIT_FAILURE;
    }
    cluster = rd_kafka_mock_cluster_new(handle, 1);
    if (cluster != NULL) {
        status = serve(cluster, argv + 1, &ends);
        rd_kafka_mock_cluster_destroy(cluster);
    } else {
        fprintf(stderr, "kakehi-demo-broker: no free port on 127.0.0.1?\n");
    }
    rd_kafka_destroy(handle);
    return status;
}
