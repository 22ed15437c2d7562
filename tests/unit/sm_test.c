/* SPDX-License-Identifier: Apache-2.0 */
/* A wrong move aborts: it is made in a child process, and the parent looks at how that ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "common/log.h"
#include "common/sm.h"
#include "tests/unit/capture.h"

enum { OPEN, CLOSING, CLOSED };

static const struct sm_state states[] = {
    [OPEN] = {"OPEN", SM_TO(CLOSING)},
    [CLOSING] = {"CLOSING", SM_TO(CLOSED)},
    [CLOSED] = {"CLOSED", 0},
};

static bool sane;

static bool invariant(const struct sm *machine)
{
    (void)machine;
    return sane;
}

static int set_up(void **state)
{
    static struct sm machine;

    sane = true;
    log_setup(LOG_INFO, LOG_LOGFMT);
    sm_init(&machine, "door", "front", states, OPEN, invariant);
    *state = &machine;
    return 0;
}

/* Does the move abort? */
static bool aborts(struct sm *machine, int to)
{
    int status = 0;
    pid_t child;

    capture_start(STDERR_FILENO);
    child = fork();
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        sm_move(machine, to, "test");
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    (void)capture_end(STDERR_FILENO);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_sm__aborts_on_a_move_that_the_table_does_not_hold(void **state)
{
    assert_true(aborts(*state, CLOSED));
    assert_true(aborts(*state, OPEN)); /* staying is a move, too */
}

static void test_sm__aborts_when_the_invariant_is_broken(void **state)
{
    sane = false;
    assert_true(aborts(*state, CLOSING));
}

static void test_sm__leaves_a_last_state_never(void **state)
{
    sm_move(*state, CLOSING, "asked");
    sm_move(*state, CLOSED, "done");
    assert_true(aborts(*state, OPEN));
}

static void test_sm__moves_as_the_table_says(void **state)
{
    assert_int_equal(sm_at(*state), OPEN);
    sm_move(*state, CLOSING, "asked");
    assert_int_equal(sm_at(*state), CLOSING);
    assert_string_equal(sm_name(*state), "CLOSING");
}

static void test_sm__traces_each_move_with_its_reason(void **state)
{
    const char *line;

    log_setup(LOG_DEBUG, LOG_LOGFMT);
    capture_start(STDERR_FILENO);
    sm_move(*state, CLOSING, "asked to");
    line = capture_end(STDERR_FILENO);
    assert_string_equal(strchr(line, ' '), " debug state machine=door id=front from=OPEN to=CLOSING why=\"asked to\"\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_sm__aborts_on_a_move_that_the_table_does_not_hold, set_up),
        cmocka_unit_test_setup(test_sm__aborts_when_the_invariant_is_broken, set_up),
        cmocka_unit_test_setup(test_sm__leaves_a_last_state_never, set_up),
        cmocka_unit_test_setup(test_sm__moves_as_the_table_says, set_up),
        cmocka_unit_test_setup(test_sm__traces_each_move_with_its_reason, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
