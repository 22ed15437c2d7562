# SPDX-License-Identifier: Apache-2.0
"""Whatever a seed draws of tables, statements and changes of tables arrives as the server has it: topics, histories and latest views.

A seed that finds something is repeated by its number alone. More of them: THOROUGH=1, and the storm.
"""
import pytest

from lib.random_tables import RandomTables, judge_without_key

_STEPS = 120


@pytest.mark.parametrize("seed", [1, 2] + [pytest.param(seed, marks=pytest.mark.thorough) for seed in range(3, 13)])
def test_what_a_seed_draws_arrives_as_it_is(make_path, server, broker, seed):
    path = make_path(server, broker, topics__partitions=2)
    tables = RandomTables(path, seed)
    producer = path.producer()
    path.worker()
    tables.run(_STEPS)
    path.wait_arrived(90)
    reread = producer.status()["source"]["reread_needed"]
    unmarked = [table.name for table in tables.tables if table.key and f"{path.database}.{table.name}" not in reread]
    if unmarked:  # nothing is stale that is not said to be
        path.judge(unmarked)
    tables.touch()
    path.wait_and_judge(90)
    judge_without_key(path, tables.tables[-1].name)
