/* SPDX-License-Identifier: Apache-2.0 */
/* live: the source in the real world: dumps of real servers, a server id of its own, and a ring within the memory ceiling. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/fnv.h"
#include "producer/binlog/choices.h"
#include "producer/binlog/dump.h"
#include "producer/binlog/source.h"
#include "producer/mysql.h"

#define PAUSE_FIRST_MS 500
#define RING_BYTES_MIN (512 * 1024)
#define RING_BYTES_MAX (8 * 1024 * 1024)
#define RING_SHARE 16 /* of producer.memory */

static struct binlog_connection *connect_dump(const struct binlog_world *world, const struct settings_source *settings, const struct binlog_wish *wish)
{
    return dump_connection_new(settings, world->server_id, wish);
}

/* A hash of what tells this process from its standby; in the upper half of the numbers, where people put none by hand. */
static uint32_t server_id_of_process(const char *name)
{
    char seed[512];
    char host[256] = "";

    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(seed, sizeof seed, "%.200s|%s|%ld|%llu", name, host, (long)getpid(), (unsigned long long)uv_hrtime());
    return (uint32_t)fnv_add(FNV_BEGIN, seed, strlen(seed)) | UINT32_C(0x80000000);
}

static size_t ring_bytes(int64_t memory_bytes)
{
    int64_t bytes = memory_bytes / RING_SHARE;

    bytes = bytes > RING_BYTES_MIN ? bytes : RING_BYTES_MIN;
    return (size_t)(bytes < RING_BYTES_MAX ? bytes : RING_BYTES_MAX);
}

int binlog_source_new(uv_loop_t *loop, const struct settings *settings, struct source **ret_source, struct err *err)
{
    const struct settings_source *source = &settings->source;
    struct binlog_world world = {
        .connect = connect_dump,
        .pause_first_ms = PAUSE_FIRST_MS,
        .ring_bytes = ring_bytes(settings->producer.memory_bytes),
        .memory_bytes = (uint64_t)settings->producer.memory_bytes,
    };
    struct binlog_wish wish;

    if (binlog_wish_from_text(&wish, source->start, err) != 0) {
        return -1;
    }
    binlog_wish_deinit(&wish);
    if (choices_new(source, &world.choices, err) != 0) {
        return -1;
    }
    mysql_session_prepare();
    world.server_id = source->server_id != 0 ? (uint32_t)source->server_id : server_id_of_process(source->name);
    *ret_source = binlog_source_new_in(loop, source, &world);
    return 0;
}
