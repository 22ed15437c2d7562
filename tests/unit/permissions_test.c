/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked, and what an answer leaves missing. That the lists are those of the role in ops/gcp is looked up in its file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workers/bigquery/permissions.h"

static void test_permissions__are_asked_where_the_scope_has_them(void **state)
{
    struct permissions_question question;

    (void)state;
    permissions_ask(&question, PERMISSIONS_PROJECT, "p", NULL, NULL, NULL);
    assert_string_equal(question.request.host, "https://cloudresourcemanager.googleapis.com");
    assert_string_equal(question.request.path, "/v1/projects/p:testIamPermissions");
    permissions_question_deinit(&question);
    permissions_ask(&question, PERMISSIONS_TABLE, "p", "d", "t/ä", NULL);
    assert_null(question.request.host);
    assert_string_equal(question.request.path, "/bigquery/v2/projects/p/datasets/d/tables/t%2F%C3%A4:testIamPermissions");
    permissions_question_deinit(&question);
}

static size_t missing_by(enum permissions_scope scope, const char *answer, const char *expected)
{
    json_t *body = json_loads(answer, 0, NULL);
    struct buffer names = {0};
    size_t count;

    assert_non_null(body);
    count = permissions_missing(scope, body, &names);
    assert_string_equal(buffer_text(&names), expected);
    buffer_deinit(&names);
    json_decref(body);
    return count;
}

static void test_permissions__what_was_not_granted_is_missing(void **state)
{
    (void)state;
    assert_int_equal(missing_by(PERMISSIONS_PROJECT, "{}", "bigquery.datasets.create, bigquery.jobs.create, bigquery.jobs.get"), 3);
    assert_int_equal(missing_by(PERMISSIONS_PROJECT, "{\"permissions\":[\"bigquery.jobs.create\",\"bigquery.jobs.get\"]}",
                                "bigquery.datasets.create"),
                     1);
    assert_int_equal(missing_by(PERMISSIONS_PROJECT,
                                "{\"permissions\":[\"bigquery.jobs.get\",\"bigquery.jobs.create\",1,\"bigquery.datasets.create\"]}", ""),
                     0);
    assert_int_equal(missing_by(PERMISSIONS_PROJECT, "{\"permissions\":\"bigquery.jobs.create\"}",
                                "bigquery.datasets.create, bigquery.jobs.create, bigquery.jobs.get"),
                     3);
}

static void test_permissions__all_that_were_asked_for_granted_leaves_none(void **state)
{
    (void)state;
    for (int scope = PERMISSIONS_PROJECT; scope <= PERMISSIONS_TABLE; scope++) {
        struct permissions_question question;
        struct buffer names = {0};

        permissions_ask(&question, scope, "p", "d", "t", NULL);
        assert_int_equal(permissions_missing(scope, question.request.body, &names), 0);
        assert_int_equal(names.size, 0);
        permissions_question_deinit(&question);
        buffer_deinit(&names);
    }
}

static void test_permissions__are_those_of_the_role(void **state)
{
    FILE *file = fopen("ops/gcp/kakehi-worker-role.yaml", "re");
    char line[256];
    size_t in_role = 0;
    size_t asked = 0;
    json_t *all = json_array();

    (void)state;
    assert_non_null(file); /* tests run in the root of the tree */
    for (int scope = PERMISSIONS_PROJECT; scope <= PERMISSIONS_TABLE; scope++) {
        struct permissions_question question;

        permissions_ask(&question, scope, "p", "d", "t", NULL);
        asked += json_array_size(json_object_get(question.request.body, "permissions"));
        assert_int_equal(json_array_extend(all, json_object_get(question.request.body, "permissions")), 0);
        permissions_question_deinit(&question);
    }
    while (fgets(line, sizeof line, file) != NULL) {
        char *name = strstr(line, "- bigquery.");
        bool found = false;

        if (name == NULL) {
            continue;
        }
        name[strcspn(name, "\n")] = '\0';
        for (size_t i = 0; i < json_array_size(all); i++) {
            found = found || strcmp(json_string_value(json_array_get(all, i)), name + 2) == 0;
        }
        if (!found) {
            fail_msg("not asked for: %s", name);
        }
        in_role++;
    }
    assert_int_equal(in_role, asked);
    assert_int_equal(fclose(file), 0);
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_permissions__are_asked_where_the_scope_has_them),
        cmocka_unit_test(test_permissions__what_was_not_granted_is_missing),
        cmocka_unit_test(test_permissions__all_that_were_asked_for_granted_leaves_none),
        cmocka_unit_test(test_permissions__are_those_of_the_role),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
