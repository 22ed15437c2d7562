/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a history lacks for a schema.
 *
 * Fields of a patch are those that BigQuery gave, with what they hold that we know nothing of (policy tags, defaults), and ours
 * behind them: a patch without a column would drop it.
 *
 * What a column may become without loss, by ALTER COLUMN SET DATA TYPE: INT64 -> NUMERIC -> BIGNUMERIC, DATE -> DATETIME. To
 * FLOAT64 BigQuery converts too, but beyond 2^53 an INT64 does not stay what it was. An INT of the source is always below, yet its
 * column here does not say that it never held more: it may have been a BIGINT before, with such values stored, or still on their
 * way through another partition; and a NUMERIC has digits that no FLOAT64 has. So nothing becomes FLOAT64. A type that BigQuery
 * refuses after all (it may for the columns of a cluster) is treated as one that can't be widened.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/must.h"
#include "workers/bigquery/row_program.h"
#include "workers/bigquery/tables_shape.h"
#include "workers/bigquery/tables_shape_parts.h"

struct planning {
    const struct shape *shape;
    const struct table *table;
    const struct shape_rules *rules;
    struct shape_plan *plan;
    const char **wanted; /* for each column of the table the name of its column here; borrowed from fields or added */
};

static const struct {
    enum bigquery_type from;
    enum bigquery_type to;
} widenings[] = {
    {BIGQUERY_INT64, BIGQUERY_NUMERIC},
    {BIGQUERY_INT64, BIGQUERY_BIGNUMERIC},
    {BIGQUERY_NUMERIC, BIGQUERY_BIGNUMERIC},
    {BIGQUERY_DATE, BIGQUERY_DATETIME},
};

/* The first type that the column may be widened to and that holds all values; -1: none. */
static int widened_type(int from, const struct column *column)
{
    for (size_t i = 0; i < sizeof widenings / sizeof *widenings; i++) {
        if ((int)widenings[i].from == from && row_fit(column, widenings[i].to) == ROW_FIT_ALWAYS) {
            return (int)widenings[i].to;
        }
    }
    return -1;
}

static bool was_tried(const struct shape_rules *rules, const char *name)
{
    for (size_t i = 0; rules->tried != NULL && i < rules->tried->count; i++) {
        if (strcasecmp(rules->tried->texts[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static enum row_fit fit(const struct shape_column *there, const struct column *column)
{
    return there->type >= 0 ? row_fit(column, (enum bigquery_type)there->type) : ROW_FIT_NEVER;
}

static void plan_widening(struct shape_plan *plan, const char *name, int type)
{
    plan->widenings = realloc(plan->widenings, (plan->widening_count + 1) * sizeof *plan->widenings);
    must(plan->widenings != NULL);
    plan->widenings[plan->widening_count++] = (struct shape_widening){shape_copy(name), (enum bigquery_type)type};
}

static json_t *fields_of_patch(struct planning *planning)
{
    if (planning->plan->fields == NULL) {
        planning->plan->fields = json_deep_copy(planning->shape->fields);
        must(planning->plan->fields != NULL);
    }
    return planning->plan->fields;
}

static void plan_column(struct planning *planning, size_t column, const char *name, bool further)
{
    struct shape_plan *plan = planning->plan;
    const struct column *source = &planning->table->columns[column];
    json_t *field = shape_column_field(planning->table, column, name);

    must(json_array_append_new(fields_of_patch(planning), field) == 0);
    plan->added = realloc(plan->added, (plan->added_count + 1) * sizeof *plan->added);
    must(plan->added != NULL);
    plan->added[plan->added_count++] =
        (struct shape_change){shape_copy(source->name), shape_copy(name), bigquery_type_of(source), further};
    planning->wanted[column] = json_string_value(json_object_get(field, "name"));
}

static const char *type_word(const struct shape_column *column)
{
    return column->type >= 0 ? bigquery_type_word((enum bigquery_type)column->type) : "another type";
}

static int refuse_key(const struct planning *planning, size_t column, const struct shape_column *there, struct err *err)
{
    return err_set(
        err, ERR_FATAL,
        "the key column %s of %s.%s is %s now, its history has it as %s, and BigQuery can't widen that: load the table "
        "into a history of its own (choose other names by bigquery.table)",
        planning->table->columns[column].name, planning->table->database, planning->table->name,
        planning->table->columns[column].source_type, type_word(there));
}

static void plan_refusal(struct planning *planning, size_t column, const struct shape_column *there)
{
    struct buffer text = {0};

    if (planning->plan->refusal == NULL) {
        buffer_printf(&text, "column %s is %s now, its history has it as %s (bigquery.on_type_change: dead_letter)",
                      planning->table->columns[column].name, planning->table->columns[column].source_type, type_word(there));
        (void)buffer_text(&text);
        planning->plan->refusal = (char *)text.bytes;
    }
}

/* The further column that the values go to, if it was made before; NULL: there is none. */
static const struct shape_column *find_further(const struct planning *planning, size_t column, const struct shape_column *there)
{
    const struct shape_column *further;
    struct buffer name = {0};

    bigquery_further_column_name(&name, there->name, bigquery_type_of(&planning->table->columns[column]));
    further = shape_find(planning->shape, buffer_text(&name));
    buffer_deinit(&name);
    return further;
}

static int plan_further(struct planning *planning, size_t column, const struct shape_column *there, struct err *err)
{
    const struct column *source = &planning->table->columns[column];
    const struct shape_column *further = find_further(planning, column, there);
    struct buffer name = {0};
    int result = 0;

    bigquery_further_column_name(&name, there->name, bigquery_type_of(source));
    if (further == NULL) {
        plan_column(planning, column, buffer_text(&name), true);
    } else if (fit(further, source) == ROW_FIT_ALWAYS) {
        planning->wanted[column] = further->name;
    } else {
        result =
            err_set(err, ERR_FATAL, "the column %s of %s.%s_history is %s and can't take values of %s: drop or rename it",
                    further->name, planning->table->database, planning->table->name, type_word(further), source->source_type);
    }
    buffer_deinit(&name);
    return result;
}

/* The column is there, and its type does not hold every value. What was decided once, by whichever worker, stays: values of one
 * type go to one column. */
static int plan_misfit(struct planning *planning, size_t column, const struct shape_column *there, struct err *err)
{
    const struct column *source = &planning->table->columns[column];
    int wider = was_tried(planning->rules, there->name) ? -1 : widened_type(there->type, source);
    bool by_value = fit(there, source) == ROW_FIT_BY_VALUE;

    planning->wanted[column] = there->name;
    if (wider >= 0 && find_further(planning, column, there) == NULL) {
        plan_widening(planning->plan, there->name, wider);
        return 0;
    }
    if (shape_key_place(planning->table, column) > 0) {
        return by_value ? 0 : refuse_key(planning, column, there, err);
    }
    if (planning->rules->on_type_change == BIGQUERY_TYPE_CHANGE_COLUMN) {
        return plan_further(planning, column, there, err);
    }
    if (!by_value) {
        plan_refusal(planning, column, there);
    }
    return 0;
}

static int plan_one(struct planning *planning, size_t column, struct err *err)
{
    const struct column *source = &planning->table->columns[column];
    const struct shape_column *there;
    struct buffer name = {0};
    int result = 0;

    bigquery_column_name(&name, source->name);
    there = shape_find(planning->shape, buffer_text(&name));
    if (there == NULL) {
        plan_column(planning, column, buffer_text(&name), false);
    } else if (fit(there, source) == ROW_FIT_ALWAYS) {
        planning->wanted[column] = there->name;
    } else {
        result = plan_misfit(planning, column, there, err);
    }
    buffer_deinit(&name);
    return result;
}

static int compare_names(const void *one, const void *other)
{
    const char *const *left = one;
    const char *const *right = other;

    return strcasecmp(*left, *right);
}

/* Two columns of the source in one column here: only names that were cut can do that. */
static int check_doubles(const struct planning *planning, struct err *err)
{
    size_t count = planning->table->column_count;
    const char **sorted = calloc(count + 1, sizeof *sorted);
    int result = 0;

    must(sorted != NULL);
    memcpy(sorted, planning->wanted, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_names);
    for (size_t i = 1; i < count && result == 0; i++) {
        if (strcasecmp(sorted[i - 1], sorted[i]) == 0) {
            result = err_set(err, ERR_FATAL, "two columns of %s.%s would be %s in BigQuery: rename one",
                             planning->table->database, planning->table->name, sorted[i]);
        }
    }
    free(sorted);
    return result;
}

static int check_meta(const struct planning *planning, struct err *err)
{
    for (int i = 0; i < BIGQUERY_META_COUNT; i++) {
        const struct shape_column *there = shape_find(planning->shape, bigquery_meta_columns[i].name);

        if (there == NULL || there->type != (int)bigquery_meta_columns[i].type) {
            return err_set(err, ERR_FATAL, "the history of %s.%s has no column %s of type %s any more: put it back",
                           planning->table->database, planning->table->name, bigquery_meta_columns[i].name,
                           bigquery_type_word(bigquery_meta_columns[i].type));
        }
    }
    return 0;
}

/* ---- descriptions */

static void wanted_description(struct buffer *out, const struct planning *planning, size_t column)
{
    const struct shape_column *there = &planning->shape->columns[column];

    for (size_t i = 0; i < planning->table->column_count; i++) {
        if (strcasecmp(planning->wanted[i], there->name) == 0) {
            shape_append_description(out, planning->table, i);
            return;
        }
    }
    buffer_append_text(out, shape_text(json_array_get(planning->shape->fields, column), "description"));
    buffer_append_text(out, there->dropped ? "" : SHAPE_DROPPED_FLAG);
}

/* What each column is now. Only columns that we know are touched. */
static void plan_words(struct planning *planning)
{
    struct shape_plan *plan = planning->plan;
    bool words_only = plan->fields == NULL;
    struct buffer description = {0};

    for (size_t i = 0; i < planning->shape->column_count; i++) {
        const json_t *field = json_array_get(planning->shape->fields, i);

        if (planning->shape->columns[i].meta || planning->shape->columns[i].type < 0) {
            continue;
        }
        buffer_clear(&description);
        wanted_description(&description, planning, i);
        if (strcmp(buffer_text(&description), shape_text(field, "description")) != 0) {
            json_t *text = json_string(buffer_text(&description));

            if (text != NULL) {
                shape_set(json_array_get(fields_of_patch(planning), i), "description", text);
            }
        }
    }
    plan->words_only = words_only && plan->fields != NULL;
    buffer_deinit(&description);
}

/* ---- targets */

static void find_targets(struct planning *planning)
{
    struct shape_plan *plan = planning->plan;
    struct bigquery_column *columns;
    size_t column_count = shape_layout(planning->shape, &columns);
    const struct bigquery_layout layout = {.columns = columns, .column_count = column_count};

    plan->loads = plan->refusal == NULL;
    for (size_t i = 0; i < planning->table->column_count; i++) {
        size_t place = bigquery_layout_find(&layout, planning->wanted[i]);

        plan->targets[i] = place < layout.column_count ? place : ROW_NO_TARGET;
        plan->loads = plan->loads && place < layout.column_count &&
                      layout.columns[place].type == bigquery_type_of(&planning->table->columns[i]);
    }
    free(columns);
}

static int plan_all(struct planning *planning, struct err *err)
{
    if (check_meta(planning, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < planning->table->column_count; i++) {
        if (plan_one(planning, i, err) != 0) {
            return -1;
        }
    }
    if (check_doubles(planning, err) != 0) {
        return -1;
    }
    if (planning->rules->describes && planning->table->column_count > 0) {
        plan_words(planning);
    }
    find_targets(planning);
    return 0;
}

int shape_plan(const struct shape *shape, const struct table *table, const struct shape_rules *rules,
               struct shape_plan *ret_plan, struct err *err)
{
    struct planning planning = {.shape = shape, .table = table, .rules = rules, .plan = ret_plan};
    int result;

    *ret_plan = (struct shape_plan){.targets = calloc(table->column_count + 1, sizeof *ret_plan->targets)};
    planning.wanted = calloc(table->column_count + 1, sizeof *planning.wanted);
    must(ret_plan->targets != NULL && planning.wanted != NULL);
    result = plan_all(&planning, err);
    free(planning.wanted);
    return result;
}

void shape_plan_deinit(struct shape_plan *plan)
{
    for (size_t i = 0; i < plan->widening_count; i++) {
        free(plan->widenings[i].name);
    }
    for (size_t i = 0; i < plan->added_count; i++) {
        free(plan->added[i].column);
        free(plan->added[i].name);
    }
    free(plan->widenings);
    free(plan->added);
    free(plan->refusal);
    free(plan->targets);
    json_decref(plan->fields);
    *plan = (struct shape_plan){0};
}
