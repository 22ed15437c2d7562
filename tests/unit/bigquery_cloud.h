/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bigquery_cloud: a BigQuery in memory behind struct lane_world: one history table, its write streams, and all the ways in which a
 * request, or its answer, may get lost, come late, come twice or be refused. Nothing happens by itself: the test says what happens
 * next, or draws it.
 */
#ifndef KAKEHI_TESTS_UNIT_BIGQUERY_CLOUD_H
#define KAKEHI_TESTS_UNIT_BIGQUERY_CLOUD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/settings.h"
#include "schemas/schema.h"
#include "workers/bigquery/lane.h"

#define CLOUD_STREAMS_MAX 512
#define CLOUD_ROWS_MAX    4096
#define CLOUD_EVENTS_MAX  256
#define CLOUD_CALLS_MAX   64
#define CLOUD_QUEUE_MAX   64
#define CLOUD_SCRIPT_MAX  16

struct cloud_stream {
    char name[128];
    int64_t rows[CLOUD_ROWS_MAX]; /* __seq of each */
    size_t row_count;
    bool finalized;
    bool gone;
};

/* What becomes of an AppendRows request. */
struct cloud_fate {
    bool skip;          /* it is not carried out */
    bool swallow;       /* no answer, and the call breaks: UNAVAILABLE */
    bool stall;         /* no answer, nothing else */
    bool stray;         /* not carried out now: a copy arrives when cloud_arrive says so. The call breaks */
    int code;           /* the answer in-band is this instead of what came out; 0: what came out */
    int error_code;     /* StorageError of it */
    bool ends_call;     /* code is the call's end, not in-band */
};

enum cloud_unary { CLOUD_CREATE, CLOUD_FINALIZE };

struct cloud_event;
struct grpc_call;

struct cloud {
    struct lane_world lane_world;
    struct settings settings;
    struct lanes *lanes;
    struct schema *schema;
    uint64_t now_ms;
    int64_t wall_us;
    struct later *laters;
    struct later **laters_last;

    /* the service */
    bool table_there;
    char hash[9];
    uint32_t generation;    /* of the layout */
    bool extra_column;      /* the layout has one more */
    int64_t rows[CLOUD_ROWS_MAX]; /* the history: __seq of each, whatever stream it came by */
    size_t row_count;
    struct cloud_stream *streams;
    size_t stream_count;
    bool offsets_first;     /* offsets are checked before rows */
    bool no_count;          /* FinalizeWriteStream gives 0 */
    int create_code;        /* CreateWriteStream fails with it; 0: no */
    int finalize_code;
    int finalize_error_code;
    int table_err;          /* enum err_class of find, ensure, empty, has; 0: they work */
    const char *refusal;    /* of history */
    bool unloadable;        /* the same: `loads` is false */
    bool (*refuses)(void *context, int64_t seq); /* row errors */
    void *refuses_context;

    /* what is under way */
    struct cloud_event *events; /* oldest first */
    struct grpc_call *calls;
    int64_t strays[CLOUD_QUEUE_MAX]; /* index into kept copies */
    struct buffer *copies;
    size_t copy_count;

    struct cloud_fate script[CLOUD_SCRIPT_MAX]; /* of the next requests, in order; behind it all goes well */
    size_t script_count;
    size_t script_at;
    bool hold_tokens;
    int token_number;

    /* counted */
    size_t requests_seen; /* that reached the service */
    size_t creates_seen;
    size_t finalizes_seen;
    size_t calls_opened;
    size_t calls_open;
    size_t calls_open_max;
    size_t asked_count; /* history_has */
    size_t tokens_refused;
    int kept;      /* keep, less leave */
    size_t looked; /* look */
    bool schema_missing; /* the first request of a call came without a descriptor */
    struct buffer last_rows; /* of the last request: for byte identity */
};

/* One cloud at a time. */
struct cloud *cloud_new(void);
void cloud_free(struct cloud *cloud);
/* Lanes may go by load jobs; no lane is open yet. The loads are a stand-in's. */
void cloud_with_loads(struct cloud *cloud);
/* What was asked to be done later, until there is no more. */
void cloud_laters(struct cloud *cloud);
/* Does the oldest thing that is under way. False: nothing is. */
bool cloud_step(struct cloud *cloud);
/* One that is drawn, with a fate that is drawn: chance out of 100 that it is a bad one. False: nothing is under way. */
bool cloud_draw(struct cloud *cloud, uint32_t (*random)(void *context), void *context, uint32_t chance);
/* Until nothing is under way. */
void cloud_settle(struct cloud *cloud);
/* A copy that nobody waits for any more arrives. False: there is none. */
bool cloud_arrive(struct cloud *cloud, size_t index);
void cloud_pass(struct cloud *cloud, uint64_t ms); /* turns the clock, ticking each second */
size_t cloud_count(const struct cloud *cloud, int64_t seq); /* how often it is in the history */
/* Rows of the cloud's schema: values of batches. */
void cloud_value(struct cloud *cloud, struct buffer *out, int64_t seq);

#endif
