# SPDX-License-Identifier: Apache-2.0
"""Whatever a seed draws of tables, statements and changes of tables arrives as the server has it: topics, histories and latest views.

A seed that finds something is repeated by its number alone. More of them: THOROUGH=1, and the storm.
"""
import pytest

from lib.random_tables import RandomTables, judge_without_key

_STEPS = 120


def _seeds(plain, thorough):
    return pytest.mark.parametrize("seed", [*plain, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in thorough)])


@_seeds([1, 2], range(3, 13))
def test_what_a_seed_draws_arrives_as_it_is(make_path, server, broker, seed):
    _draw(make_path(server, broker, topics__partitions=2), seed)


@_seeds([21], range(22, 27))
def test_what_a_seed_draws_arrives_by_a_compressed_log(make_path, server, broker, seed):
    """MySQL's compressed transactions, MariaDB's compressed rows and statements: the same, whatever is drawn."""
    server.since(*((8, 0, 20) if server.flavor == "mysql" else ()))
    with server.compressed_log():
        path = make_path(server, broker, topics__partitions=2)
        _draw(path, seed)
    assert sum(server.compressed_event in line for _, lines in server.log_text(path.first_log_file) for line in lines) > 10


def _draw(path, seed):
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
