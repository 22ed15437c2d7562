/* SPDX-License-Identifier: Apache-2.0 */
/* Two statements, and the number of changed rows is the answer. */
#include "workers/sqlite/offsets.h"

#include "workers/warehouse.h"

static const char take_sql[] = "INSERT INTO kakehi_offsets (topic, partition, epoch) VALUES (?1, ?2, 1)"
                               " ON CONFLICT (topic, partition) DO UPDATE SET epoch = epoch + 1 RETURNING next, epoch";
static const char advance_sql[] = "UPDATE kakehi_offsets SET next = ?5"
                                  " WHERE topic = ?1 AND partition = ?2 AND epoch = ?3 AND next IS ?4";

/* NULL in the file is the beginning of the log. */
static void bind_offset(sqlite3_stmt *statement, int index, int64_t offset)
{
    if (offset == LANE_OFFSET_BEGINNING) {
        (void)sqlite3_bind_null(statement, index);
    } else {
        (void)sqlite3_bind_int64(statement, index, offset);
    }
}

int sqlite_offsets_take(struct sqlite_file *file, const char *topic, int32_t partition, int64_t *ret_epoch, int64_t *ret_next,
                        struct err *err)
{
    static const char doing[] = "taking over a partition";
    sqlite3_stmt *statement;
    int result = -1;

    if (sqlite_file_prepare(file, take_sql, doing, &statement, err) != 0) {
        return -1;
    }
    (void)sqlite3_bind_text(statement, 1, topic, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(statement, 2, partition);
    if (sqlite3_step(statement) != SQLITE_ROW) {
        (void)sqlite_file_err(file, doing, err);
        goto out;
    }
    *ret_next = sqlite3_column_type(statement, 0) == SQLITE_NULL ? LANE_OFFSET_BEGINNING : sqlite3_column_int64(statement, 0);
    *ret_epoch = sqlite3_column_int64(statement, 1);
    result = sqlite3_step(statement) == SQLITE_DONE ? 0 : sqlite_file_err(file, doing, err);

out:
    (void)sqlite3_finalize(statement);
    return result;
}

int sqlite_offsets_advance(struct sqlite_file *file, const struct sqlite_advance *advance, bool *ret_moved, struct err *err)
{
    static const char doing[] = "moving a partition's offset";
    sqlite3_stmt *statement;
    int result = 0;

    if (sqlite_file_prepare(file, advance_sql, doing, &statement, err) != 0) {
        return -1;
    }
    (void)sqlite3_bind_text(statement, 1, advance->topic, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(statement, 2, advance->partition);
    (void)sqlite3_bind_int64(statement, 3, advance->epoch);
    bind_offset(statement, 4, advance->start);
    bind_offset(statement, 5, advance->end);
    if (sqlite3_step(statement) != SQLITE_DONE) {
        result = sqlite_file_err(file, doing, err);
    }
    *ret_moved = result == 0 && sqlite3_changes(file->db) == 1;
    (void)sqlite3_finalize(statement);
    return result;
}
