/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read_packets: as fast as a binlog can be had: connects as the producer does, reads packets and throws them away, on one thread.
 *
 *     read_packets FILE [BYTES]
 *
 * FILE is the producer's settings file; source.start says where to begin (earliest). Ends after BYTES, or when the log is read up
 * to its end (the first heartbeat). The producer's own speed is read beside this one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cli.h"
#include "common/must.h"
#include "common/settings.h"
#include "producer/binlog/dump.h"
#include "producer/mysql.h"

#define SERVER_ID 0x7b656e63 /* of nobody else, hopefully */
#define HEARTBEAT 27

struct tally {
    uint64_t bytes;
    double seconds; /* until the last byte that was not a heartbeat's */
    double cpu_s;   /* the same */
};

static double now_s(clockid_t clock)
{
    struct timespec now;

    must(clock_gettime(clock, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A heartbeat comes alone, when nothing else is to be sent: packet header, 0, event header with its type in the fifth byte. */
static bool is_heartbeat(const uint8_t *bytes, ssize_t size)
{
    return size > 9 && size < 300 && bytes[9] == HEARTBEAT;
}

static int read_all(struct binlog_connection *connection, uint64_t bytes_max, struct tally *tally, struct err *err)
{
    uint8_t *piece = malloc(BINLOG_PIECE_MAX);
    double start_s = now_s(CLOCK_MONOTONIC), start_cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID);
    ssize_t count = 0;

    must(piece != NULL);
    while (tally->bytes < bytes_max) {
        count = connection->calls->read(connection, piece, BINLOG_PIECE_MAX, err);
        if (count < 0 || is_heartbeat(piece, count)) {
            break;
        }
        tally->bytes += (uint64_t)count;
        tally->seconds = now_s(CLOCK_MONOTONIC) - start_s;
        tally->cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID) - start_cpu_s;
    }
    free(piece);
    return count < 0 ? -1 : 0;
}

static int run(const struct settings *settings, uint64_t bytes_max, struct err *err)
{
    struct binlog_wish wish;
    struct tally tally = {0};
    struct binlog_connection *connection;
    int result;

    if (binlog_wish_from_text(&wish, settings->source.start, err) != 0) {
        return -1;
    }
    mysql_session_prepare();
    connection = dump_connection_new(&settings->source, SERVER_ID, &wish);
    binlog_wish_deinit(&wish);
    result = connection->calls->open(connection, err);
    if (result == 0) {
        result = read_all(connection, bytes_max, &tally, err);
    }
    connection->calls->close(connection);
    connection->calls->free(connection);
    if (result == 0) {
        printf("%" PRIu64 " bytes in %.6f s, %.6f CPU s\n", tally.bytes, tally.seconds, tally.cpu_s);
    }
    return result;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct settings *settings;
    int result;

    if (argc < 2 || argc > 3) {
        (void)fprintf(stderr, "usage: read_packets FILE [BYTES]\n");
        return CLI_USAGE;
    }
    settings = settings_load(argv[1], SETTINGS_FOR_PRODUCER, stderr);
    if (settings == NULL) {
        return CLI_SETTINGS;
    }
    result = run(settings, argc == 3 ? strtoull(argv[2], NULL, 10) : UINT64_MAX, &err);
    if (result != 0) {
        (void)fprintf(stderr, "read_packets: %s\n", err.text);
    }
    settings_free(settings);
    return result == 0 ? CLI_OK : CLI_FAILED;
}
