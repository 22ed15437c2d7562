/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   token -> call -> answered        UNAUTHENTICATED, the first time: the token is given back, and another one asked for
 *
 * A cancelled rpc lives on until the channel lets go of it, and answers nobody.
 */
#include "workers/bigquery/rpc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "workers/bigquery/storage_messages.h"

#define TIMEOUT_MS 60000

struct rpc {
    const struct lane_world *world;
    char *method;
    char *params;
    struct buffer message;
    rpc_answered answered; /* NULL: cancelled */
    void *context;
    struct token_wait wait;
    char *token; /* of the call under way */
    struct grpc_call *call;
    bool again;         /* it was refused once */
    struct later later; /* no token was to be had */
    struct rpc_error error;
};

/* ---- errors */

static void set_text(struct rpc_error *error, const char *text)
{
    (void)snprintf(error->text, sizeof error->text, "%s", text);
    for (char *at = error->text; *at != '\0'; at++) {
        *at = (char)(*at < ' ' || *at > '~' ? '?' : *at);
    }
}

void rpc_error_read(const struct grpc_status *status, struct rpc_error *ret_error)
{
    struct storage_status details;
    struct err ignored = {0};
    char text[STORAGE_STATUS_TEXT_MAX];

    *ret_error = (struct rpc_error){.code = status->code, .unclear = status->sent};
    (void)snprintf(text, sizeof text, "%s: %s", grpc_code_name(status->code), status->message);
    if (status->details != NULL && storage_status_decode(status->details, status->details_size, &details, &ignored) == 0 &&
        details.error_code != STORAGE_ERROR_NONE) {
        ret_error->error_code = details.error_code;
        storage_status_text(&details, text);
    }
    set_text(ret_error, text);
}

void rpc_error_to_err(const struct rpc_error *error, const char *doing, struct err *err)
{
    (void)err_set(err, ERR_RETRY, "%s: %s", doing, error->text);
}

/* ---- the call */

static void rpc_free(struct rpc *rpc)
{
    buffer_deinit(&rpc->message);
    if (rpc->token != NULL) {
        explicit_bzero(rpc->token, strlen(rpc->token));
    }
    free(rpc->token);
    free(rpc->method);
    free(rpc->params);
    free(rpc);
}

static void finish(struct rpc *rpc, const uint8_t *message, size_t size, const struct rpc_error *error)
{
    if (rpc->answered != NULL) {
        rpc->answered(rpc->context, message, size, error);
    }
    rpc_free(rpc);
}

static void on_answered(void *context, const struct grpc_status *status, const uint8_t *message, size_t size)
{
    struct rpc *rpc = context;
    struct rpc_error error;

    rpc->call = NULL;
    if (status->code == GRPC_OK && message != NULL) {
        finish(rpc, message, size, NULL);
        return;
    }
    rpc_error_read(status, &error);
    error.code = status->code == GRPC_OK ? GRPC_INTERNAL : error.code;
    if (error.code == GRPC_UNAUTHENTICATED && rpc->answered != NULL) {
        rpc->world->token_refused(rpc->world->tokens, rpc->token);
        if (!rpc->again) {
            rpc->again = true;
            rpc->world->token_get(rpc->world->tokens, &rpc->wait);
            return;
        }
    }
    finish(rpc, NULL, 0, &error);
}

static void on_no_token(void *context)
{
    struct rpc *rpc = context;

    finish(rpc, NULL, 0, &rpc->error);
}

static void on_token(struct token_wait *wait, const char *token, const struct err *err)
{
    struct rpc *rpc = wait->context;
    char *method = NULL;
    char *authorization = NULL;

    if (token == NULL) {
        rpc->error = (struct rpc_error){.code = GRPC_UNAUTHENTICATED};
        set_text(&rpc->error, err->text);
        rpc->later = (struct later){.run = on_no_token, .context = rpc};
        world_later(rpc->world, &rpc->later);
        return;
    }
    free(rpc->token);
    rpc->token = must_strdup(token);
    must(asprintf(&method, RPC_SERVICE "%s", rpc->method) > 0 &&
         asprintf(&authorization, "%s%s", token[0] != '\0' ? "Bearer " : "", token) >= 0);
    rpc->call = rpc->world->unary(rpc->world->grpc,
                                  &(struct grpc_target){.method = method,
                                                        .params = rpc->params,
                                                        .authorization = authorization,
                                                        .timeout_ms = TIMEOUT_MS},
                                  rpc->message.bytes, rpc->message.size, on_answered, rpc);
    explicit_bzero(authorization, strlen(authorization));
    free(authorization);
    free(method);
}

struct rpc *rpc_start(const struct lane_world *world, const struct rpc_request *request, rpc_answered answered, void *context)
{
    struct rpc *rpc = calloc(1, sizeof *rpc);

    must(rpc != NULL);
    rpc->world = world;
    rpc->method = must_strdup(request->method);
    rpc->params = must_strdup(request->params);
    buffer_append(&rpc->message, request->message->bytes, request->message->size);
    rpc->answered = answered;
    rpc->context = context;
    rpc->wait = (struct token_wait){.answer = on_token, .context = rpc};
    world->token_get(world->tokens, &rpc->wait);
    return rpc;
}

void rpc_cancel(struct rpc *rpc)
{
    if (rpc == NULL) {
        return;
    }
    rpc->answered = NULL;
    rpc->world->token_withdraw(&rpc->wait);
    if (rpc->call != NULL) {
        rpc->world->call_cancel(rpc->call); /* its end frees */
    } else if (!rpc->later.queued) {
        rpc_free(rpc);
    }
}
