/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each text picks whole rows: of each key the one with the highest (__seq, __idx), by ROW_NUMBER. MAX_BY for each column would
 * take an older value where the newest is NULL. What is deleted, or older than the newest truncate, is left out after the pick,
 * never before it: else an older state would come back.
 *
 * Base + tail. The watermark is a literal: only then does BigQuery read no partition before it. A row that stands in both
 * halves is the same row; the tail's is taken, since the base may have got it before it had the row's newest column.
 *
 * The MERGE (F4) takes over what is newer than the base or the same: the same again, because it heals just that. Deletes stay
 * in the base as tombstones, so that an older `r` row or a late file does not bring a deleted key back; their other columns are
 * nulled, unless deleted rows are to be shown: what somebody deleted is gone when the history has expired. A truncate has no
 * key to join by, so it goes in by a statement of its own, which joins by its __op.
 *
 * The as-of function of an expiring history. A key's row in the base is its newest change of all: where that lies before the time,
 * it is what the key was then, or the history still has what was. Where it lies behind, what the key was is gone with its day: the
 * key is missing, never wrong. The newest truncate has one row too. Where that lies behind the time, nobody knows of an earlier
 * one, which may have hidden what the base has from before: so of the base only what is newer than its truncate counts then.
 *
 * BigQuery does not partition by FLOAT64; a key of that type is told apart by its text.
 */
#include "workers/bigquery/view_sql.h"

#include "common/must.h"
#include "schemas/civil.h"

static const char *const kept_meta[] = {"__op", "__ts", "__seq", "__idx"};
#define KEPT_META_COUNT (sizeof kept_meta / sizeof *kept_meta)

static const struct view_column *key_column(const struct view_definition *definition, size_t i)
{
    must(definition->key[i] < definition->column_count);
    return &definition->columns[definition->key[i]];
}

static bool is_key(const struct view_definition *definition, size_t column)
{
    for (size_t i = 0; i < definition->key_count; i++) {
        if (definition->key[i] == column) {
            return true;
        }
    }
    return false;
}

/* ---- pieces */

static void append_table(struct buffer *out, const struct view_definition *definition, const char *table)
{
    bigquery_append_path(out, definition->names, table);
}

static void append_history(struct buffer *out, const struct view_definition *definition)
{
    append_table(out, definition, definition->names->history);
}

/* "2026-11-21", for comments */
static void append_date(struct buffer *out, int32_t day)
{
    struct civil civil = civil_of_days(day);

    buffer_printf(out, "%04d-%02d-%02d", (int)civil.year, civil.month, civil.day);
}

static void append_key_is_there(struct buffer *out, const struct view_definition *definition)
{
    for (size_t i = 0; i < definition->key_count; i++) {
        buffer_append_text(out, i > 0 ? " AND " : "");
        bigquery_append_quoted(out, key_column(definition, i)->name);
        buffer_append_text(out, " IS NOT NULL");
    }
}

static void append_partition_key(struct buffer *out, const struct view_column *column)
{
    if (column->type == BIGQUERY_FLOAT64) {
        buffer_append_text(out, "CAST(");
    }
    bigquery_append_quoted(out, column->name);
    if (column->type == BIGQUERY_FLOAT64) {
        buffer_append_text(out, " AS STRING)");
    }
}

static void append_pick(struct buffer *out, const struct view_definition *definition, const char *indent, const char *last)
{
    buffer_printf(out, "%sQUALIFY ROW_NUMBER() OVER (PARTITION BY ", indent);
    for (size_t i = 0; i < definition->key_count; i++) {
        buffer_append_text(out, i > 0 ? ", " : "");
        append_partition_key(out, key_column(definition, i));
    }
    buffer_printf(out, " ORDER BY __seq DESC, __idx DESC%s) = 1\n", last);
}

/* ---- the newest state out of some rows */

/* Where rows come from: a table or a common expression, and what restricts it besides. */
struct rows {
    const char *from;
    const char *where; /* a condition; "": none */
    const char *last;  /* further order of the pick; "" */
};

/* The order number of the newest truncate; without one the row's own, which is older than nothing. */
static void append_truncate(struct buffer *out, const struct rows *rows)
{
    buffer_printf(out, "IFNULL((SELECT MAX(__seq) FROM %s WHERE __op = 't'%s%s), __seq)", rows->from,
                  rows->where[0] != '\0' ? " AND " : "", rows->where);
}

static void append_shown(struct buffer *out, const struct view_definition *definition, const struct rows *rows)
{
    const char *between = "\n  ";

    for (size_t i = 0; i < definition->column_count; i++) {
        if (definition->columns[i].shown) {
            buffer_append_text(out, between);
            bigquery_append_quoted(out, definition->columns[i].name);
            between = ",\n  ";
        }
    }
    if (definition->keep_deletes) {
        buffer_printf(out, "%s__op = 'd' OR __seq < ", between);
        append_truncate(out, rows);
        buffer_append_text(out, " AS __deleted");
    }
}

static void append_state(struct buffer *out, const struct view_definition *definition, const struct rows *rows)
{
    buffer_append_text(out, "SELECT");
    append_shown(out, definition, rows);
    buffer_printf(out, "\nFROM (\n  SELECT *\n  FROM %s\n  WHERE ", rows->from);
    append_key_is_there(out, definition); /* a truncate has no key, nor has a row from before a column was in the key */
    buffer_printf(out, "%s%s\n", rows->where[0] != '\0' ? " AND " : "", rows->where);
    append_pick(out, definition, "  ", rows->last);
    buffer_append_text(out, ")");
    if (!definition->keep_deletes) {
        buffer_append_text(out, "\nWHERE __op != 'd'\n  AND __seq >= ");
        append_truncate(out, rows);
    }
    buffer_append_byte(out, '\n');
}

/* ---- the view */

static void append_head(struct buffer *out, const struct view_definition *definition, const char *when)
{
    buffer_printf(out, "-- %s as it %s: of each key the newest change by (__seq, __idx), %s.\n", definition->names->source,
                  when,
                  definition->keep_deletes ? "with __deleted where it was deleted or truncated"
                                           : "without what was deleted or truncated");
}

static void append_columns(struct buffer *out, const struct view_definition *definition)
{
    for (size_t i = 0; i < definition->column_count; i++) {
        if (definition->columns[i].shown) {
            bigquery_append_quoted(out, definition->columns[i].name);
            buffer_append_text(out, ", ");
        }
    }
    buffer_append_text(out, "__op, __seq, __idx");
}

/* Both halves; each condition with its WHERE, or "". */
static void append_changes(struct buffer *out, const struct view_definition *definition, const char *of_base, const char *of_history)
{
    buffer_append_text(out, "WITH changes AS (\n  SELECT ");
    append_columns(out, definition);
    buffer_append_text(out, ", 0 AS __tail\n  FROM ");
    append_table(out, definition, definition->names->base);
    buffer_printf(out, "%s\n  UNION ALL\n  SELECT ", of_base);
    append_columns(out, definition);
    buffer_append_text(out, ", 1 AS __tail\n  FROM ");
    append_history(out, definition);
    buffer_printf(out, "%s\n)\n", of_history);
}

static const struct rows both_halves = {.from = "changes", .where = "", .last = ", __tail DESC"};

static void append_base_and_tail(struct buffer *out, const struct view_definition *definition, int32_t watermark)
{
    struct buffer tail = {0};

    buffer_append_text(&tail, "\n  WHERE __ingest_day >= ");
    bigquery_append_day(&tail, watermark);
    append_head(out, definition, "is now");
    buffer_printf(out, "-- %s has the newest changes of the ingest days before ", definition->names->base);
    append_date(out, watermark);
    buffer_printf(out, ", %s all from that day on.\n", definition->names->history);
    buffer_append_text(out, "-- Made and kept by kakehi: what is changed here by hand is lost.\n");
    append_changes(out, definition, "", buffer_text(&tail));
    append_state(out, definition, &both_halves);
    buffer_deinit(&tail);
}

static void append_plain(struct buffer *out, const struct view_definition *definition)
{
    struct buffer from = {0};
    struct rows rows = {.where = definition->filtered ? "__ingest_day >= DATE '0001-01-01'" : "", .last = ""};

    append_history(&from, definition);
    rows.from = buffer_text(&from);
    append_head(out, definition, "is now");
    buffer_append_text(out, "-- Made and kept by kakehi: what is changed here by hand is lost.\n");
    append_state(out, definition, &rows);
    buffer_deinit(&from);
}

void view_sql_view(struct buffer *out, const struct view_definition *definition, int32_t watermark)
{
    must(definition->key_count > 0);
    if (watermark == VIEW_DAY_NONE) {
        append_plain(out, definition);
    } else {
        append_base_and_tail(out, definition, watermark);
    }
}

/* ---- the as-of function */

static void append_as_of_history(struct buffer *out, const struct view_definition *definition, const char *where)
{
    struct buffer from = {0};

    append_history(&from, definition);
    append_state(out, definition, &(struct rows){.from = buffer_text(&from), .where = where, .last = ""});
    buffer_deinit(&from);
}

/* In parentheses, since the emulator takes a WITH behind AS for an option. What is said stands inside: BigQuery keeps that with the
 * function. */
static void append_as_of_both(struct buffer *out, const struct view_definition *definition, const char *where)
{
    const struct bigquery_names *names = definition->names;
    struct buffer of_base = {0};
    struct buffer of_history = {0};

    buffer_printf(out,
                  "(\n-- Days of %s expire. Of what has expired %s has the newest change of each key alone: a key whose\n"
                  "-- state at that time has expired, and which changed later, is missing here.\n",
                  names->history, names->base);
    buffer_append_text(&of_base, "\n  WHERE __ts <= __at\n    AND __seq >= IFNULL((SELECT MAX(__seq) FROM ");
    append_table(&of_base, definition, names->base);
    buffer_append_text(&of_base, " WHERE __op = 't' AND __ts > __at), __seq)");
    buffer_printf(&of_history, "\n  WHERE %s", where);
    append_changes(out, definition, buffer_text(&of_base), buffer_text(&of_history));
    append_state(out, definition, &both_halves);
    buffer_append_text(out, ")\n");
    buffer_deinit(&of_base);
    buffer_deinit(&of_history);
}

void view_sql_as_of(struct buffer *out, const struct view_definition *definition)
{
    const char *where = definition->filtered ? "__ts <= __at AND __ingest_day >= DATE '0001-01-01'" : "__ts <= __at";

    must(definition->key_count > 0);
    append_head(out, definition, "was at a time, by the source's commit times");
    buffer_append_text(out, "CREATE OR REPLACE TABLE FUNCTION ");
    append_table(out, definition, definition->names->as_of);
    buffer_append_text(out, "(__at TIMESTAMP) AS\n");
    (definition->expires ? append_as_of_both : append_as_of_history)(out, definition, where);
}

/* ---- the refresh */

static void append_since(struct buffer *out, const struct view_definition *definition, int32_t from_day)
{
    append_history(out, definition);
    buffer_append_text(out, "\n    WHERE __ingest_day >= ");
    bigquery_append_day(out, from_day);
    buffer_append_text(out, " AND ");
}

static void append_assignments(struct buffer *out, const struct view_definition *definition)
{
    const char *between = "";

    for (size_t i = 0; i < definition->column_count; i++) {
        if (!is_key(definition, i)) {
            buffer_append_text(out, between);
            bigquery_append_quoted(out, definition->columns[i].name);
            buffer_append_text(out, " = change.");
            bigquery_append_quoted(out, definition->columns[i].name);
            between = ", ";
        }
    }
    for (size_t i = 0; i < KEPT_META_COUNT; i++) {
        buffer_printf(out, "%s%s = change.%s", between, kept_meta[i], kept_meta[i]);
        between = ", ";
    }
}

/* `id`, `price`, __op ...; each with the prefix in front */
static void append_all(struct buffer *out, const struct view_definition *definition, const char *prefix)
{
    for (size_t i = 0; i < definition->column_count; i++) {
        buffer_append_text(out, prefix);
        bigquery_append_quoted(out, definition->columns[i].name);
        buffer_append_text(out, ", ");
    }
    for (size_t i = 0; i < KEPT_META_COUNT; i++) {
        buffer_printf(out, "%s%s%s", i > 0 ? ", " : "", prefix, kept_meta[i]);
    }
}

/* The columns of what goes into the base; of a delete only the key. */
static void append_sources(struct buffer *out, const struct view_definition *definition)
{
    for (size_t i = 0; i < definition->column_count; i++) {
        bool whole = is_key(definition, i) || definition->keep_deletes;

        buffer_append_text(out, whole ? "" : "IF(__op = 'd', NULL, ");
        bigquery_append_quoted(out, definition->columns[i].name);
        if (!whole) {
            buffer_append_text(out, ") AS ");
            bigquery_append_quoted(out, definition->columns[i].name);
        }
        buffer_append_text(out, ", ");
    }
    buffer_append_text(out, "__op, __ts, __seq, __idx");
}

static const char newer_or_the_same[] = "WHEN MATCHED AND (change.__seq > base.__seq OR (change.__seq = base.__seq AND "
                                        "change.__idx >= base.__idx)) THEN\n  UPDATE SET ";

void view_sql_merge(struct buffer *out, const struct view_definition *definition, int32_t from_day)
{
    must(definition->key_count > 0);
    buffer_append_text(out, "MERGE ");
    append_table(out, definition, definition->names->base);
    buffer_append_text(out, " AS base\nUSING (\n  SELECT ");
    append_sources(out, definition);
    buffer_append_text(out, "\n  FROM (\n    SELECT *\n    FROM ");
    append_since(out, definition, from_day);
    append_key_is_there(out, definition);
    buffer_append_byte(out, '\n');
    append_pick(out, definition, "    ", "");
    buffer_append_text(out, "  )\n) AS change\nON ");
    for (size_t i = 0; i < definition->key_count; i++) {
        buffer_append_text(out, i > 0 ? " AND base." : "base.");
        bigquery_append_quoted(out, key_column(definition, i)->name);
        buffer_append_text(out, " = change.");
        bigquery_append_quoted(out, key_column(definition, i)->name);
    }
    buffer_printf(out, "\n%s", newer_or_the_same);
    append_assignments(out, definition);
    buffer_append_text(out, "\nWHEN NOT MATCHED THEN\n  INSERT (");
    append_all(out, definition, "");
    buffer_append_text(out, ")\n  VALUES (");
    append_all(out, definition, "change.");
    buffer_append_text(out, ")\n");
}

void view_sql_merge_truncate(struct buffer *out, const struct view_definition *definition, int32_t from_day)
{
    buffer_append_text(out, "MERGE ");
    append_table(out, definition, definition->names->base);
    buffer_append_text(out, " AS base\nUSING (\n    SELECT __op, __ts, __seq, __idx\n    FROM ");
    append_since(out, definition, from_day);
    buffer_append_text(out, "__op = 't'\n    QUALIFY ROW_NUMBER() OVER (ORDER BY __seq DESC, __idx DESC) = 1\n) AS change\n");
    buffer_printf(out, "ON base.__op = change.__op\n%s", newer_or_the_same);
    buffer_append_text(out, "__ts = change.__ts, __seq = change.__seq, __idx = change.__idx\nWHEN NOT MATCHED THEN\n"
                            "  INSERT (__op, __ts, __seq, __idx)\n"
                            "  VALUES (change.__op, change.__ts, change.__seq, change.__idx)\n");
}

void view_sql_days(struct buffer *out, const struct view_definition *definition, int32_t from_day)
{
    buffer_append_text(out, "SELECT CURRENT_DATE('UTC') AS day, -1 AS row_count, 0 AS truncates\nUNION ALL\n"
                            "SELECT __ingest_day, COUNT(*), COUNTIF(__op = 't')\nFROM ");
    append_history(out, definition);
    buffer_append_text(out, "\nWHERE __ingest_day >= ");
    bigquery_append_day(out, from_day);
    buffer_append_text(out, "\nGROUP BY __ingest_day\n");
}
