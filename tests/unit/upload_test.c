/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uploads against an upload server in memory, which stands in for http.h, rest.h and token.h. It holds the bytes by their
 * place, keeps only a part of what it is sent, loses answers, forgets sessions, makes the job and then says 503. What must not
 * happen: a job of other bytes than were put, a job before the last put, a put that says "held" of bytes that are not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/must.h"
#include "workers/bigquery/upload.h"

#define SESSION  "http://fake.example/session/1"
#define FILE_MAX ((size_t)8 << 20)

/* ---- the server */

struct http_call {
    http_answered answered;
    void *context;
    char *method;
    char *url;
    char *range; /* Content-Range */
    char *content_type;
    char *authorization;
    const uint8_t *body;
    size_t body_size;
    int status;    /* of the answer under way */
    char held[64]; /* its Range */
};

struct rest_call {
    rest_answered answered;
    void *context;
};

/* What the server does with one request. */
enum mood {
    WELL,
    HALF,     /* keeps a part of the piece */
    NOTHING,  /* keeps nothing and says so: 308 without a Range, or with the one before */
    BUSY,     /* 503, nothing is kept */
    BUSY_DID, /* 503, and yet it did it */
    CUT,      /* no answer, nothing is kept */
    CUT_DID,  /* no answer, and yet it did it */
    UNSIGNED, /* 401 */
    NO_SESSION,
    LESS,    /* says that it holds less than it said before */
    MORE,    /* ... more than it was ever sent */
    GARBAGE, /* a Range that is none */
    BAD,     /* 400 */
    EARLY,   /* 200 to a piece that is not the last */
};

static struct {
    uv_loop_t loop;
    struct http_call *call;
    struct rest_call *opening;
    uint8_t *file; /* what it holds */
    size_t size;
    bool session_is_gone;
    unsigned jobs;
    size_t job_size;
    enum mood moods[16]; /* of the requests to come; then as `random` says */
    size_t mood_count;
    size_t mood_next;
    int trouble; /* of a hundred requests without a mood */
    uint64_t random;
    unsigned requests;
    unsigned probes;
    unsigned tokens_refused;
    bool token_fails;
    enum rest_class opening_fails; /* with opening_error */
    bool opening_error;
    const char *location;
} server;

static unsigned dice(unsigned sides)
{
    server.random = server.random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(server.random >> 33) % sides;
}

static enum mood next_mood(void)
{
    static const enum mood troubles[] = {HALF, NOTHING, BUSY, BUSY_DID, CUT, CUT_DID, UNSIGNED};

    if (server.mood_next < server.mood_count) {
        return server.moods[server.mood_next++];
    }
    return (int)dice(100) < server.trouble ? troubles[dice(sizeof troubles / sizeof troubles[0])] : WELL;
}

static void call_free(struct http_call *call)
{
    free(call->method);
    free(call->url);
    free(call->range);
    free(call->content_type);
    free(call->authorization);
    free(call);
}

static void answer_call(struct http_call *call, int status, const struct err *err)
{
    struct http_answer answer = {.err = err, .sent = true, .status = status, .body = "", ._call = call};

    call->status = status;
    if (status == 308 && server.size > 0 && call->held[0] == '\0') {
        (void)snprintf(call->held, sizeof call->held, "bytes=0-%zu", server.size - 1);
    }
    call->answered(call->context, &answer);
    call_free(call);
}

/* Keeps bytes of the piece up to `keep` of them. */
static void store(const struct http_call *call, size_t first, size_t keep)
{
    assert_true(first <= server.size && first + keep <= FILE_MAX);
    memcpy(server.file + first, call->body, keep);
    server.size = first + keep > server.size ? first + keep : server.size;
}

static void make_job(size_t total)
{
    if (server.jobs == 0 && server.size == total) {
        server.jobs++;
        server.job_size = total;
    }
}

struct piece {
    bool probe;
    bool has_total;
    size_t first;
    size_t total;
};

static struct piece read_piece(const struct http_call *call)
{
    struct piece piece = {.probe = strncmp(call->range, "bytes */", 8) == 0};
    const char *total = strchr(call->range, '/') + 1;
    size_t last = 0;

    piece.has_total = strcmp(total, "*") != 0;
    piece.total = piece.has_total ? strtoul(total, NULL, 10) : 0;
    if (!piece.probe) {
        assert_int_equal(sscanf(call->range, "bytes %zu-%zu/", &piece.first, &last), 2);
        assert_int_equal(last + 1 - piece.first, call->body_size);
        assert_true(piece.has_total || call->body_size > 0);
        assert_true(!piece.has_total || last + 1 == piece.total);
    }
    return piece;
}

static void keep_piece(const struct http_call *call, const struct piece *piece, size_t size)
{
    if (!piece->probe) {
        store(call, piece->first, size);
    }
    if (piece->has_total) {
        make_job(piece->total);
    }
}

/* The part of a document behind its second blank line, up to the last boundary: the media. */
static void keep_whole(const struct http_call *call)
{
    const char *boundary = strstr(call->content_type, "boundary=") + 9;
    const uint8_t *end = call->body + call->body_size;
    const uint8_t *media = memmem(call->body, call->body_size, "\r\n\r\n", 4);
    size_t tail = strlen(boundary) + 8; /* CRLF, --boundary--, CRLF */

    assert_non_null(strstr(call->url, "/upload/bigquery/v2/projects/p/jobs?uploadType=multipart"));
    assert_true(memcmp(call->body + 2, boundary, strlen(boundary)) == 0);
    media = memmem(media + 4, (size_t)(end - media - 4), "\r\n\r\n", 4);
    assert_non_null(media);
    memcpy(server.file, media + 4, (size_t)(end - media) - 4 - tail);
    if (server.jobs == 0) {
        server.jobs++;
        server.size = server.job_size = (size_t)(end - media) - 4 - tail;
    }
}

static void did(const struct http_call *call)
{
    struct piece piece;

    if (call->range == NULL) {
        keep_whole(call);
    } else {
        piece = read_piece(call);
        keep_piece(call, &piece, call->body_size);
    }
}

static void serve_well(struct http_call *call)
{
    struct piece piece;
    bool was_there = server.jobs > 0;

    if (call->range == NULL) {
        did(call);
        answer_call(call, was_there ? 409 : 200, NULL);
        return;
    }
    piece = read_piece(call);
    keep_piece(call, &piece, call->body_size);
    answer_call(call, server.jobs > 0 ? 200 : 308, NULL);
}

static void serve_less(struct http_call *call, enum mood mood)
{
    struct piece piece = read_piece(call);
    size_t size = mood == HALF && !piece.probe ? call->body_size / 2 / UPLOAD_UNIT * UPLOAD_UNIT : 0;

    if (mood == LESS) {
        server.size = server.size / 2 / UPLOAD_UNIT * UPLOAD_UNIT;
    } else if (mood == MORE) {
        (void)snprintf(call->held, sizeof call->held, "bytes=0-%d", 1 << 30);
    } else if (mood == GARBAGE) {
        (void)snprintf(call->held, sizeof call->held, "bytes=0-1x");
    } else if (size > 0) {
        store(call, piece.first, size);
    }
    answer_call(call, 308, NULL);
}

static void serve(struct http_call *call)
{
    static const struct err cut = {ERR_RETRY, "connection reset"};
    enum mood mood = next_mood();

    server.requests++;
    server.probes += call->range != NULL && strncmp(call->range, "bytes */", 8) == 0;
    if (server.session_is_gone && call->range != NULL) {
        mood = NO_SESSION;
    }
    if (mood == BUSY_DID || mood == CUT_DID) {
        did(call);
    }
    if (mood == WELL || (call->range == NULL && mood != BUSY && mood != BUSY_DID && mood != CUT && mood != CUT_DID &&
                         mood != UNSIGNED && mood != BAD)) {
        serve_well(call);
    } else if (mood == CUT || mood == CUT_DID) {
        answer_call(call, 0, &cut);
    } else if (mood == BUSY || mood == BUSY_DID) {
        answer_call(call, 503, NULL);
    } else if (mood == UNSIGNED) {
        answer_call(call, 401, NULL);
    } else if (mood == NO_SESSION || mood == BAD) {
        answer_call(call, mood == BAD ? 400 : 404, NULL);
    } else if (mood == EARLY) {
        answer_call(call, 200, NULL);
    } else {
        serve_less(call, mood);
    }
}

/* ---- http.h, rest.h, token.h */

static char *copy_header(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcasecmp(request->headers[i].name, name) == 0) {
            return strdup(request->headers[i].value);
        }
    }
    return NULL;
}

struct http_call *http_send(struct http *http, const struct http_request *request, http_answered answered, void *context)
{
    struct http_call *call = calloc(1, sizeof *call);

    (void)http;
    must(call != NULL && server.call == NULL);
    call->answered = answered;
    call->context = context;
    call->method = strdup(request->method);
    call->url = strdup(request->url);
    call->range = copy_header(request, "Content-Range");
    call->content_type = copy_header(request, "Content-Type");
    call->authorization = copy_header(request, "Authorization");
    call->body = request->body;
    call->body_size = request->body_size;
    assert_string_equal(call->method, call->range != NULL ? "PUT" : "POST");
    assert_string_equal(call->authorization, "Bearer secret");
    server.call = call;
    return call;
}

void http_cancel(struct http_call *call)
{
    server.call = NULL;
    call_free(call);
}

const char *http_answer_header(const struct http_answer *answer, const char *name)
{
    if (answer == NULL) {
        return strcmp(name, "Location") == 0 ? server.location : NULL;
    }
    return strcmp(name, "Range") == 0 && answer->_call->held[0] != '\0' ? answer->_call->held : NULL;
}

struct rest_call *rest_send(struct rest *rest, const struct rest_request *request, rest_answered answered, void *context)
{
    (void)rest;
    assert_string_equal(request->path, "/upload/bigquery/v2/projects/p/jobs?uploadType=resumable");
    assert_true(request->repeatable);
    server.opening = calloc(1, sizeof *server.opening);
    must(server.opening != NULL);
    *server.opening = (struct rest_call){answered, context};
    return server.opening;
}

void rest_cancel(struct rest_call *call)
{
    server.opening = NULL;
    free(call);
}

void rest_error_read(const struct http_answer *answer, const char *doing, struct rest_error *error)
{
    *error = (struct rest_error){.class = REST_INVALID, .status = answer->status};
    if (answer->err != NULL || answer->status >= 500) {
        error->class = REST_RETRY;
    } else if (answer->status == 401) {
        error->class = REST_AUTH;
    } else if (answer->status == 404) {
        error->class = REST_NOT_FOUND;
    } else if (answer->status == 409) {
        error->class = REST_CONFLICT;
    }
    (void)err_set(&error->err, error->class == REST_RETRY ? ERR_RETRY : ERR_POISON, "%s: HTTP %d", doing, answer->status);
}

uint64_t rest_retry_after_ms(const struct http_answer *answer)
{
    (void)answer;
    return 0;
}

void rest_append_encoded(struct buffer *out, const char *text)
{
    buffer_append_text(out, text);
}

void token_get(struct token_source *source, struct token_wait *wait)
{
    const struct err err = {ERR_FATAL, "no key"};

    (void)source;
    wait->answer(wait, server.token_fails ? NULL : "secret", server.token_fails ? &err : NULL);
}

void token_withdraw(struct token_wait *wait)
{
    (void)wait;
}

void token_refused(struct token_source *source, const char *token)
{
    (void)source;
    assert_string_equal(token, "secret");
    server.tokens_refused++;
}

static void serve_opening(void)
{
    struct rest_call *call = server.opening;
    struct rest_error error = {.class = server.opening_fails, .err = {ERR_FATAL, "not allowed"}};
    struct rest_answer answer = {.error = server.opening_error ? &error : NULL, .status = 200};

    server.opening = NULL;
    call->answered(call->context, &answer);
    free(call);
}

/* ---- a file on its way */

struct answers {
    int count;
    enum upload_answer answer;
    struct err err;
};

static uint8_t content[FILE_MAX];

static void on_answer(void *context, enum upload_answer answer, const struct err *err)
{
    struct answers *answers = context;

    assert_true((answer == UPLOAD_TAKEN) == (err == NULL));
    answers->count++;
    answers->answer = answer;
    answers->err = err != NULL ? *err : (struct err){0};
}

static void run_until(const struct answers *answers)
{
    for (int i = 0; i < 20000 && answers->count == 0; i++) {
        struct http_call *call = server.call;

        (void)uv_run(&server.loop, UV_RUN_NOWAIT);
        if (server.opening != NULL) {
            serve_opening();
        } else if (call != NULL) {
            server.call = NULL;
            serve(call);
        }
    }
    assert_int_equal(answers->count, 1);
}

static struct upload *upload_make_for(uint64_t retry_ms)
{
    json_t *job = json_pack("{s:{s:s}}", "jobReference", "jobId", "kakehi_1");
    struct upload *upload = upload_new(&(struct upload_options){
        .loop = &server.loop, .endpoint = "http://fake.example", .project = "p", .retry_ms = retry_ms, .job = job});

    json_decref(job);
    return upload;
}

static struct upload *upload_make(void)
{
    return upload_make_for(3600000);
}

static enum upload_answer put(struct upload *upload, size_t first, size_t size, bool last, struct err *ret_err)
{
    struct answers answers = {0};

    upload_put(upload, content + first, size, last, on_answer, &answers);
    assert_int_equal(answers.count, 0); /* never inside the call */
    run_until(&answers);
    if (ret_err != NULL) {
        *ret_err = answers.err;
    }
    return answers.answer;
}

static void moods(size_t count, const enum mood *list)
{
    for (size_t i = 0; i < count; i++) {
        server.moods[i] = list[i];
    }
    server.mood_count = count;
    server.mood_next = 0;
}

static int setup(void **state)
{
    (void)state;
    memset(&server, 0, sizeof server);
    server.random = 7;
    server.location = SESSION;
    server.file = calloc(1, FILE_MAX);
    for (size_t i = 0; i < FILE_MAX; i++) {
        content[i] = (uint8_t)(i * 31 + i / 251);
    }
    return server.file == NULL || uv_loop_init(&server.loop) != 0;
}

static int teardown(void **state)
{
    (void)state;
    free(server.file);
    assert_null(server.call);
    (void)uv_run(&server.loop, UV_RUN_NOWAIT);
    assert_int_equal(uv_loop_close(&server.loop), 0);
    return 0;
}

static void check_job(size_t size)
{
    assert_int_equal(server.jobs, 1);
    assert_int_equal(server.job_size, size);
    assert_memory_equal(server.file, content, size);
}

/* ---- tests */

#define PIECE ((size_t)4 * UPLOAD_UNIT)

/* Pieces and a last one, each met by the mood given, the others well. */
static void whole_file(size_t mood_count, const enum mood *list)
{
    struct upload *upload = upload_make();

    moods(mood_count, list);
    assert_int_equal(put(upload, 0, PIECE, false, NULL), UPLOAD_TAKEN);
    assert_int_equal(server.size, PIECE);
    assert_int_equal(put(upload, PIECE, PIECE, false, NULL), UPLOAD_TAKEN);
    assert_int_equal(server.size, 2 * PIECE);
    assert_int_equal(server.jobs, 0); /* I3 */
    assert_int_equal(put(upload, 2 * PIECE, 1000, true, NULL), UPLOAD_TAKEN);
    check_job(2 * PIECE + 1000);
    upload_free(upload);
}

static void test_upload__a_file_of_pieces_becomes_one_job(void **state)
{
    (void)state;
    whole_file(0, (const enum mood[]){WELL});
    assert_int_equal(server.requests, 3);
}

static void test_upload__a_small_file_goes_in_one_request(void **state)
{
    struct upload *upload = upload_make();

    (void)state;
    assert_int_equal(put(upload, 0, 1000, true, NULL), UPLOAD_TAKEN);
    check_job(1000);
    assert_int_equal(server.requests, 1);
    upload_free(upload);
}

static void test_upload__a_shorter_range_is_sent_again_from_there(void **state)
{
    (void)state;
    whole_file(2, (const enum mood[]){HALF, HALF});
    assert_int_equal(server.requests, 5); /* no probe: it was said what is held */
    assert_int_equal(server.probes, 0);
}

static void test_upload__a_piece_of_which_nothing_was_kept_is_sent_again(void **state)
{
    (void)state;
    whole_file(3, (const enum mood[]){NOTHING, NOTHING, NOTHING});
}

static void test_upload__an_unclear_end_is_asked_before_more_is_sent(void **state)
{
    (void)state;
    whole_file(4, (const enum mood[]){CUT, WELL, CUT_DID, WELL});
    assert_int_equal(server.probes, 2);
}

static void test_upload__a_503_after_the_job_was_made_is_no_second_job(void **state)
{
    (void)state;
    whole_file(4, (const enum mood[]){WELL, WELL, BUSY_DID, WELL});
    assert_int_equal(server.jobs, 1);
}

static void test_upload__a_503_after_a_small_job_was_made_says_that_it_exists(void **state)
{
    struct upload *upload = upload_make();

    (void)state;
    moods(1, (const enum mood[]){BUSY_DID});
    assert_int_equal(put(upload, 0, 1000, true, NULL), UPLOAD_EXISTS);
    check_job(1000);
    upload_free(upload);
}

static void test_upload__a_refused_token_is_told_and_the_next_one_used(void **state)
{
    (void)state;
    whole_file(2, (const enum mood[]){UNSIGNED, WELL});
    assert_int_equal(server.tokens_refused, 1);
}

static void test_upload__a_session_that_is_gone_is_said_so(void **state)
{
    struct upload *upload = upload_make();

    (void)state;
    assert_int_equal(put(upload, 0, PIECE, false, NULL), UPLOAD_TAKEN);
    server.session_is_gone = true;
    assert_int_equal(put(upload, PIECE, PIECE, false, NULL), UPLOAD_GONE);
    upload_free(upload);
}

/* What the server says of its bytes can't be true, or can't be mended. */
static void odd_range(enum mood mood)
{
    struct upload *upload = upload_make();

    server.size = 0;
    moods(2, (const enum mood[]){WELL, mood});
    assert_int_equal(put(upload, 0, PIECE, false, NULL), UPLOAD_TAKEN);
    assert_int_equal(put(upload, PIECE, PIECE, false, NULL), UPLOAD_GONE);
    upload_free(upload);
}

static void test_upload__lost_or_impossible_bytes_end_the_session(void **state)
{
    (void)state;
    odd_range(LESS);
    odd_range(MORE);
    odd_range(GARBAGE);
    assert_int_equal(server.jobs, 0);
}

static void test_upload__an_unfinished_file_that_became_a_job_is_told(void **state)
{
    struct upload *upload = upload_make();

    (void)state;
    moods(1, (const enum mood[]){EARLY});
    assert_int_equal(put(upload, 0, PIECE, false, NULL), UPLOAD_EARLY);
    upload_free(upload);
}

static void test_upload__after_the_time_for_tries_the_same_put_may_follow(void **state)
{
    struct upload *upload = upload_make_for(20);
    struct err err;

    (void)state;
    assert_int_equal(put(upload, 0, PIECE, false, NULL), UPLOAD_TAKEN);
    for (int tries = 0; tries < 3; tries++) {
        struct answers answers = {0};

        upload_put(upload, content + PIECE, PIECE, false, on_answer, &answers);
        while (answers.count == 0) {
            struct http_call *call = server.call;

            (void)uv_run(&server.loop, UV_RUN_NOWAIT);
            if (call != NULL) {
                server.call = NULL;
                answer_call(call, 0, &(struct err){ERR_RETRY, "connection refused"});
            }
        }
        assert_int_equal(answers.answer, UPLOAD_FAILED);
        assert_int_equal(answers.err.class, ERR_RETRY);
    }
    assert_int_equal(put(upload, PIECE, PIECE, false, &err), UPLOAD_TAKEN);
    assert_int_equal(put(upload, 2 * PIECE, 1, true, &err), UPLOAD_TAKEN);
    check_job(2 * PIECE + 1);
    upload_free(upload);
}

static void test_upload__what_is_refused_is_not_tried_again(void **state)
{
    struct upload *upload = upload_make();
    struct err err;

    (void)state;
    moods(1, (const enum mood[]){BAD});
    assert_int_equal(put(upload, 0, 1000, true, &err), UPLOAD_FAILED);
    assert_int_equal(err.class, ERR_POISON);
    assert_int_equal(server.requests, 1);
    upload_free(upload);
}

static void test_upload__no_token_is_a_failure(void **state)
{
    struct upload *upload = upload_make();
    struct err err;

    (void)state;
    server.token_fails = true;
    assert_int_equal(put(upload, 0, 1000, true, &err), UPLOAD_FAILED);
    assert_int_equal(err.class, ERR_FATAL);
    assert_int_equal(server.requests, 0);
    upload_free(upload);
}

static void test_upload__a_session_that_is_not_opened_is_a_failure(void **state)
{
    struct upload *upload = upload_make();
    struct err err;

    (void)state;
    server.opening_error = true;
    server.opening_fails = REST_DENIED;
    assert_int_equal(put(upload, 0, PIECE, false, &err), UPLOAD_FAILED);
    assert_int_equal(err.class, ERR_FATAL);
    upload_free(upload);
}

static void test_upload__a_token_goes_to_no_strange_session(void **state)
{
    static const char *const strange[] = {NULL, "http://elsewhere.example/1", "http://fake.example.org/1",
                                          "ftp://fake.example/1", ""};

    (void)state;
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        struct upload *upload = upload_make();

        server.location = strange[i];
        assert_int_equal(put(upload, 0, PIECE, false, NULL), UPLOAD_FAILED);
        upload_free(upload);
    }
    assert_int_equal(server.requests, 0);
}

static void test_upload__free_withdraws_a_put_at_any_moment(void **state)
{
    (void)state;
    for (int steps = 0; steps < 8; steps++) {
        struct upload *upload = upload_make();
        struct answers answers = {0};

        moods(3, (const enum mood[]){BUSY, HALF, BUSY});
        upload_put(upload, content, PIECE, false, on_answer, &answers);
        for (int i = 0; i < steps; i++) {
            struct http_call *call = server.call;

            (void)uv_run(&server.loop, UV_RUN_NOWAIT);
            if (server.opening != NULL) {
                serve_opening();
            } else if (call != NULL) {
                server.call = NULL;
                serve(call);
            }
        }
        upload_free(upload);
        if (server.opening != NULL) {
            fail_msg("the opening was not withdrawn");
        }
        assert_int_equal(answers.count, 0);
        server.size = 0;
    }
}

static void test_upload__any_trouble_ends_in_the_same_bytes_and_one_job(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct upload *upload;
        enum upload_answer answer = UPLOAD_TAKEN;
        size_t at = 0;
        size_t pieces;

        memset(server.file, 0, FILE_MAX);
        server.random = seed;
        server.size = server.jobs = 0;
        server.trouble = (int)dice(60);
        pieces = dice(5);
        upload = upload_make();
        while (pieces-- > 0 && answer == UPLOAD_TAKEN) {
            size_t size = (1 + dice(5)) * (size_t)UPLOAD_UNIT;

            answer = put(upload, at, size, false, NULL);
            at += size;
            assert_true(answer != UPLOAD_TAKEN || server.size == at);
        }
        assert_int_equal(answer, UPLOAD_TAKEN);
        assert_int_equal(server.jobs, 0);
        answer = put(upload, at, 777, true, NULL);
        assert_true(answer == UPLOAD_TAKEN || (at == 0 && answer == UPLOAD_EXISTS));
        check_job(at + 777);
        upload_free(upload);
        (void)uv_run(&server.loop, UV_RUN_NOWAIT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_upload__a_file_of_pieces_becomes_one_job, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__a_small_file_goes_in_one_request, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__a_shorter_range_is_sent_again_from_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__a_piece_of_which_nothing_was_kept_is_sent_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__an_unclear_end_is_asked_before_more_is_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__a_503_after_the_job_was_made_is_no_second_job, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__a_503_after_a_small_job_was_made_says_that_it_exists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__a_refused_token_is_told_and_the_next_one_used, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__a_session_that_is_gone_is_said_so, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__lost_or_impossible_bytes_end_the_session, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__an_unfinished_file_that_became_a_job_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__after_the_time_for_tries_the_same_put_may_follow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__what_is_refused_is_not_tried_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__no_token_is_a_failure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__a_session_that_is_not_opened_is_a_failure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__a_token_goes_to_no_strange_session, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__free_withdraws_a_put_at_any_moment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__any_trouble_ends_in_the_same_bytes_and_one_job, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
