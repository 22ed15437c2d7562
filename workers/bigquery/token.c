/* SPDX-License-Identifier: Apache-2.0 */
/*
 *          first wait            fetched                 renewal is due
 *   IDLE ------------> FETCHING ---------> RESTING <----------------------> FETCHING
 *                        |  ^                 |        fetched
 *              failed    |  |  the pause      | refused (401)
 *                        v  |  is over        v
 *                       PAUSE <---------------+  (fetched less than a second ago: else FETCHING at once)
 *   any state --close--> CLOSED, freed when its timer is closed
 *
 * | state    | under way        | a token is given         | who waits                                |
 * | IDLE     | nothing          | no                       | nobody                                   |
 * | FETCHING | sign_in          | the old one, if it lives | until the answer, if there is no old one |
 * | RESTING  | nothing          | yes                      | nobody                                   |
 * | PAUSE    | nothing          | the old one, if it lives | nobody: told the trouble                 |
 *
 * T1  One fetch is under way at most, however many wait.
 * T2  A token is given only while it lives by our own clock, which began to run before it was asked for.
 * T3  Who waits is answered by the fetch under way, or by the one that the timer will begin.
 *
 * A fetch always begins out of the timer, so that a sign-in that fails at once (a file that is not there) does not answer
 * inside the call that wanted it.
 *
 * A failed renewal is a warning while the old token lives: calls go on. Without limit on tries: a permission may be granted an
 * hour later. Retries of ERR_RETRY: 1 s, doubled up to a minute; of ERR_FATAL: once a minute, and with the file read again.
 */
#include "workers/bigquery/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/must.h"
#include "common/sm.h"
#include "workers/bigquery/credentials.h"
#include "workers/bigquery/sign_in.h"

#define MAGIC          0x746f6b65
#define RENEW_AHEAD_MS 300000
#define RENEW_PAUSE_MS 1000 /* between two fetches, at least */
#define FIRST_PAUSE_MS 1000
#define PAUSE_MAX_MS   60000

enum { IDLE, FETCHING, RESTING, PAUSE, CLOSED };

static const struct sm_state states[] = {
    [IDLE] = {"IDLE", SM_TO(FETCHING) | SM_TO(CLOSED)},
    [FETCHING] = {"FETCHING", SM_TO(RESTING) | SM_TO(PAUSE) | SM_TO(CLOSED)},
    [RESTING] = {"RESTING", SM_TO(FETCHING) | SM_TO(PAUSE) | SM_TO(CLOSED)},
    [PAUSE] = {"PAUSE", SM_TO(FETCHING) | SM_TO(CLOSED)},
    [CLOSED] = {"CLOSED", 0},
};

static struct metric_family fetches_total METRIC_FAMILY = {.name = "kakehi_token_fetches_total",
                                             .help = "Access tokens asked for, by how that ended",
                                             .kind = METRIC_COUNTER,
                                             .labels = {"result"}};

struct token_source {
    struct sm sm; /* first: the invariant gets at the source by it */
    uint32_t magic;
    uv_loop_t *loop;
    struct credentials credentials;
    char *file; /* as token_options has them */
    char *impersonate;
    bool trust_any_host;
    uint64_t pause_max_ms;
    char *iam_url;
    struct sign_in *sign_in; /* NULL: calls are not signed */
    uv_timer_t timer;
    struct token_wait *waits; /* in the order of coming */
    char *token;              /* NULL: none */
    uint64_t expires_ms;      /* of token, by the loop's clock */
    uint64_t asked_ms;        /* when the last fetch began */
    uint32_t failures;        /* in a row */
    struct err trouble;       /* of the last fetch; ERR_NONE: none */
    char description[512];
    bool closing;
    void (*closed)(void *context);
    void *closed_context;
};

static bool invariant(const struct sm *machine)
{
    const struct token_source *source = (const struct token_source *)machine;

    return source->waits == NULL || sm_at(machine) != IDLE; /* T3 */
}

static struct token_source *checked(void *pointer)
{
    struct token_source *source = pointer;

    must(source->magic == MAGIC);
    return source;
}

static uint64_t now_ms(const struct token_source *source)
{
    return uv_now(source->loop);
}

static bool alive(const struct token_source *source)
{
    return source->token != NULL && now_ms(source) < source->expires_ms; /* T2 */
}

static void forget_token(struct token_source *source)
{
    if (source->token != NULL) {
        explicit_bzero(source->token, strlen(source->token));
        free(source->token);
        source->token = NULL;
    }
}

/* ---- who waits */

void token_withdraw(struct token_wait *wait)
{
    if (wait->_place != NULL) {
        *wait->_place = wait->_next;
        if (wait->_next != NULL) {
            wait->_next->_place = wait->_place;
        }
        wait->_place = NULL;
    }
}

static void join(struct token_source *source, struct token_wait *wait)
{
    struct token_wait **place = &source->waits;

    must(wait->_place == NULL);
    while (*place != NULL) {
        place = &(*place)->_next;
    }
    wait->_next = NULL;
    wait->_place = place;
    *place = wait;
}

/* An answer may withdraw others, ask again, or close the source. */
static void answer_all(struct token_source *source)
{
    while (source->waits != NULL && !source->closing) {
        struct token_wait *wait = source->waits;

        token_withdraw(wait);
        wait->answer(wait, alive(source) ? source->token : NULL, alive(source) ? NULL : &source->trouble);
    }
}

/* ---- fetching */

static void on_fetch_due(uv_timer_t *timer)
{
    sign_in_run(checked(timer->data)->sign_in);
}

static void fetch(struct token_source *source, const char *why)
{
    source->asked_ms = now_ms(source);
    sm_move(&source->sm, FETCHING, why);
    must(uv_timer_start(&source->timer, on_fetch_due, 0, 0) == 0);
}

static void describe(struct token_source *source);

static int find_credentials(const struct token_source *source, struct credentials *ret_credentials, struct err *err)
{
    const struct credentials_options find = {
        .file = source->file, .impersonate = source->impersonate, .trust_any_host = source->trust_any_host};

    return credentials_find(&find, ret_credentials, err);
}

/* A file that can't be read now (it is being replaced) leaves us with what we have. */
static void read_again(struct token_source *source)
{
    struct credentials fresh;
    struct err ignored;

    if (find_credentials(source, &fresh, &ignored) == 0) {
        credentials_deinit(&source->credentials);
        source->credentials = fresh;
        describe(source);
    }
}

static void on_rest_over(uv_timer_t *timer)
{
    struct token_source *source = checked(timer->data);

    if (source->trouble.class == ERR_FATAL) {
        read_again(source);
    }
    fetch(source, "due");
}

/* At half of its life if that is short: metadata servers give what they have, down to the last minutes. */
static uint64_t renew_in_ms(uint64_t lives_ms)
{
    uint64_t wait_ms = lives_ms > 2 * RENEW_AHEAD_MS ? lives_ms - RENEW_AHEAD_MS : lives_ms / 2;

    return wait_ms > RENEW_PAUSE_MS ? wait_ms : RENEW_PAUSE_MS;
}

static void take_token(struct token_source *source, const char *token, uint64_t lives_ms)
{
    bool first = source->token == NULL;

    forget_token(source);
    source->token = must_strdup(token);
    source->expires_ms = source->asked_ms + lives_ms;
    source->failures = 0;
    source->trouble.class = ERR_NONE;
    describe(source);
    if (first) {
        log_info("signed_in", "who=%q lives_s=%llu", source->description, (unsigned long long)(lives_ms / 1000));
    }
    sm_move(&source->sm, RESTING, "fetched");
    must(uv_timer_start(&source->timer, on_rest_over, renew_in_ms(lives_ms), 0) == 0);
}

static void pause_after(struct token_source *source, const struct err *err)
{
    uint64_t wait_ms;

    source->failures++;
    source->trouble = *err;
    wait_ms =
        err->class == ERR_RETRY ? backoff_ms(source->failures, FIRST_PAUSE_MS, source->pause_max_ms) : source->pause_max_ms;
    log_warn("sign_in_failed", "class=%s reason=%q retry_ms=%llu token=%s", err_class_name(err->class), err->text,
             (unsigned long long)wait_ms, alive(source) ? "lives" : "none");
    sm_move(&source->sm, PAUSE, "failed");
    must(uv_timer_start(&source->timer, on_rest_over, wait_ms, 0) == 0);
}

static void on_signed_in(void *context, const char *token, uint64_t lives_ms, const struct err *err)
{
    struct token_source *source = checked(context);

    if (source->closing) {
        return;
    }
    metric_add(metric_cell(&fetches_total, (const char *const[]){token != NULL ? "ok" : err_class_name(err->class)}), 1);
    if (token != NULL) {
        take_token(source, token, lives_ms);
    } else {
        pause_after(source, err);
    }
    answer_all(source);
}

void token_get(struct token_source *source, struct token_wait *wait)
{
    must(!source->closing);
    if (source->sign_in == NULL) {
        wait->answer(wait, "", NULL);
    } else if (alive(source)) {
        wait->answer(wait, source->token, NULL);
    } else if (sm_at(&source->sm) == PAUSE && source->trouble.class != ERR_NONE) {
        wait->answer(wait, NULL, &source->trouble);
    } else {
        if (sm_at(&source->sm) != FETCHING && sm_at(&source->sm) != PAUSE) {
            fetch(source, "wanted");
        }
        join(source, wait);
    }
}

void token_refused(struct token_source *source, const char *token)
{
    uint64_t again_ms = source->asked_ms + RENEW_PAUSE_MS;

    if (source->closing || source->token == NULL || strcmp(source->token, token) != 0) {
        return; /* another one is at hand, or on its way */
    }
    forget_token(source);
    if (sm_at(&source->sm) == FETCHING) {
        return;
    }
    if (sm_at(&source->sm) == RESTING) {
        sm_move(&source->sm, PAUSE, "refused");
    }
    must(uv_timer_start(&source->timer, on_rest_over, again_ms > now_ms(source) ? again_ms - now_ms(source) : 0, 0) == 0);
}

/* ---- who we are */

static int describe_identity(const struct token_source *source, char *text, size_t size)
{
    const struct credentials *credentials = &source->credentials;

    switch (credentials->kind) {
    case CREDENTIALS_NOBODY:
        return snprintf(text, size, "nobody (bigquery.credentials: none)");
    case CREDENTIALS_SERVICE_ACCOUNT:
        return snprintf(text, size, "service account %s (key file %s)", credentials->client_email, credentials->place);
    case CREDENTIALS_USER:
        return snprintf(text, size, "a person, by gcloud's refresh token (%s)", credentials->place);
    case CREDENTIALS_AWS:
        return snprintf(text, size, "this machine's AWS role, by %s (%s)", credentials->audience, credentials->place);
    case CREDENTIALS_FILE:
        return snprintf(text, size, "whoever %s names, by %s (%s)", credentials->token_file, credentials->audience,
                        credentials->place);
    default:
        return snprintf(text, size, "service account %s (metadata server %s)",
                        sign_in_email(source->sign_in)[0] != '\0' ? sign_in_email(source->sign_in) : "of this machine",
                        credentials->place);
    }
}

/* ".../serviceAccounts/EMAIL:generateAccessToken" */
static void append_account(const char *url, char *text, size_t size)
{
    const char *name = strrchr(url, '/');

    name = name != NULL ? name + 1 : url;
    (void)snprintf(text, size, ", acting as %.*s", (int)strcspn(name, ":"), name);
}

static void describe(struct token_source *source)
{
    const struct credentials *credentials = &source->credentials;
    size_t size = sizeof source->description;

    (void)describe_identity(source, source->description, size);
    if (credentials->impersonation_url != NULL) {
        size_t used = strlen(source->description);

        append_account(credentials->impersonation_url, source->description + used, size - used);
    }
    if (credentials->impersonate != NULL) {
        size_t used = strlen(source->description);

        (void)snprintf(source->description + used, size - used, ", acting as %s", credentials->impersonate);
    }
}

const char *token_describe(const struct token_source *source)
{
    return source->description;
}

const struct err *token_trouble(const struct token_source *source)
{
    return source->trouble.class != ERR_NONE ? &source->trouble : NULL;
}

/* ---- life */

static void start_sign_in(struct token_source *source, struct http *http)
{
    const struct sign_in_options options = {.http = http,
                                            .credentials = &source->credentials,
                                            .scopes = TOKEN_SCOPES,
                                            .iam_url = source->iam_url,
                                            .done = on_signed_in,
                                            .context = source};

    source->sign_in = source->credentials.kind != CREDENTIALS_NOBODY ? sign_in_new(&options) : NULL;
}

static void source_free(struct token_source *source)
{
    sign_in_free(source->sign_in);
    forget_token(source);
    credentials_deinit(&source->credentials);
    free(source->file);
    free(source->impersonate);
    free(source->iam_url);
    source->magic = 0;
    free(source);
}

int token_source_new(uv_loop_t *loop, struct http *http, const struct token_options *options, struct token_source **ret_source,
                     struct err *err)
{
    struct token_source *source = calloc(1, sizeof *source);

    must(source != NULL);
    source->magic = MAGIC;
    source->loop = loop;
    source->file = must_strdup(options->credentials);
    source->impersonate = must_strdup(options->impersonate);
    source->iam_url = must_strdup(options->iam_url);
    source->trust_any_host = options->trust_any_host;
    source->pause_max_ms = options->pause_max_ms > 0 ? options->pause_max_ms : PAUSE_MAX_MS;
    if (find_credentials(source, &source->credentials, err) != 0) {
        source_free(source);
        return -1;
    }
    start_sign_in(source, http);
    describe(source);
    sm_init(&source->sm, "token", "bigquery", states, IDLE, invariant);
    must(uv_timer_init(loop, &source->timer) == 0);
    source->timer.data = source;
    *ret_source = source;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct token_source *source = checked(handle->data);
    void (*closed)(void *context) = source->closed;
    void *context = source->closed_context;
    struct err canceled = {0};

    (void)err_set(&canceled, ERR_CANCELED, "we are stopping");
    while (source->waits != NULL) {
        struct token_wait *wait = source->waits;

        token_withdraw(wait);
        wait->answer(wait, NULL, &canceled);
    }
    source_free(source);
    closed(context);
}

void token_source_close(struct token_source *source, void (*closed)(void *context), void *context)
{
    if (source == NULL) {
        closed(context);
        return;
    }
    must(!source->closing);
    source->closing = true;
    source->closed = closed;
    source->closed_context = context;
    sm_move(&source->sm, CLOSED, "close");
    uv_close((uv_handle_t *)&source->timer, on_timer_closed);
}
