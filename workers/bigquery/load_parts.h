/* SPDX-License-Identifier: Apache-2.0 */
/* load_parts: what load.c and the load_*.c files share. Nobody else includes it. */
#ifndef KAKEHI_WORKERS_BIGQUERY_LOAD_PARTS_H
#define KAKEHI_WORKERS_BIGQUERY_LOAD_PARTS_H

#include "common/buffer.h"
#include "common/sm.h"
#include "workers/bigquery/avro_file.h"
#include "workers/bigquery/load.h"
#include "workers/bigquery/upload.h"

/* The picture is in load.c. */
enum { IDLE, FILLING, SEALED, SENDING, WATCHING, RECOVERING, VOIDING, CLOSING };

struct loads {
    struct loads_options options; /* its texts are ours */
    struct avro_coder *coder;
    struct loads_counts counts;
    size_t open;        /* loads */
    size_t piece_bytes; /* a piece is sent when it is larger: by the share of each open one */
};

struct load {
    struct sm sm;
    struct loads *loads;
    struct load_options options;
    uv_timer_t answering; /* an answer is never given inside the call */
    uv_timer_t alarm;     /* a job that is not done after a day */
    unsigned open_handles;

    /* The file. */
    struct avro_file file;
    uint64_t schema_id;
    uint64_t began_ms;
    int64_t next_offset; /* rows below are in the file (L2) */
    uint64_t pieces_bytes; /* of pieces that were filled, without the one that fills */
    uint64_t file_bytes;   /* and with it; this and the next as the loop knows them, while `absorbing` goes on */
    uint64_t file_rows;
    struct upload *upload;
    struct buffer filling; /* never empty while there is a file: the last put has bytes */
    struct buffer sending; /* lent to the upload, or refused by it and to be put again; else empty */
    bool putting;          /* one of the two is lent */
    struct err stall;      /* why the last put failed, which the next call makes again; class NONE: it did not */
    struct err failure;    /* the upload is dead: why */
    bool early;            /* by UPLOAD_EARLY */

    /* The intent. */
    struct load_intent intent; /* with a file: its job id at least */
    bool named;                /* load_intent gives it */
    bool adopted;              /* of an earlier owner: the file is its (D2) */
    bool void_next;            /* it can't be built: recovery uses its id up */
    bool sent;                 /* the last put is made: only the job's fate is open */
    bool own;                  /* the job is surely made of this file */
    struct job_watch *watch;
    uint64_t watch_ms; /* when the waiting began */

    /* The pace. */
    uint64_t age_ms;
    uint64_t gap_ms;
    uint64_t sealed_ms; /* the last seal; 0: none */

    /* The call under way. */
    load_answered answer; /* NULL: none */
    void *context;
    struct load_batch batch; /* absorb's */
    size_t batch_next;       /* its first row that is not in the file */
    uv_work_t work;          /* takes rows of the batch into the file */
    bool absorbing;          /* it runs: batch_next, file, next_offset and filling are its thread's (L5) */
    size_t work_bytes;       /* it stops when what fills is larger */
    bool given;              /* the answer is known, and on its way */
    enum load_answer given_answer;
    struct err given_err; /* class NONE: none */

    void (*closed)(void *context);
    void *closed_context;
};

static inline uint64_t now(const struct load *load)
{
    return uv_now(load->loads->options.loop);
}

static inline int state(const struct load *load)
{
    return sm_at(&load->sm);
}

/* load.c */
/* A call begins; give ends it, once. err may be NULL. */
void load_begin_call(struct load *load, load_answered answer, void *context);
void load_give(struct load *load, enum load_answer answer, const struct err *err);
/* A handle is closed, or the last work ended: the last of all of them frees the load. */
void load_end_handle(struct load *load);

/* load_file.c */
/* Frees the file and its upload, whatever became of it. The state is the caller's. */
void load_forget_file(struct load *load);
/* The upload alone: no piece is answered any more. */
void load_forget_upload(struct load *load);
/* The rest of what was absorbed into what fills. */
void load_flush(struct load *load);
struct upload *load_new_upload(const struct load *load);
/* Whatever there is to put is put. */
void load_pump(struct load *load);

/* load_job.c */
/* The last put was answered, whatever it was: the job's fate is asked. */
void load_watch(struct load *load);
struct job_table load_table(const struct load *load);

#endif
