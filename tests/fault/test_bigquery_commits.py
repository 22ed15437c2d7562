# SPDX-License-Identifier: Apache-2.0
"""The faults that stand between a worker and its group's coordinator: the commit that says what is on its way to BigQuery is in and unanswered, or is
not in, when the worker is killed or the coordinator restarted. Rules C1, C2 and D1; the name is the rule.

A broker of this file's own, behind a proxy that knows one commit from another by the mark that it carries. An answer that vanishes while its connection stands
is missed by librdkafka after socket.timeout.ms, 60 s: the partition waits so long, as it must, and so does a test that wants the commit unanswered.
"""
import re

import pytest

from lib import kafka
from lib.bigquery_judge import BigQueryWarehouse
from lib.load import Load, make_tables, wait_rows
from lib.processes import wait_for
from lib.proxy import OFFSET_COMMIT

APPEND = {"method": {"*.*": "append"}, "answer_timeout": "1s"}
LOAD = {"method": {"*.*": "load"}, "table_jobs": 86400, "project_jobs": 1000000}

# What the marks of a commit have that announces something, and other commits have not: requests under way; the intent of a job.
ANNOUNCES = {"append": b"@", "load": b"v1 load "}


@pytest.fixture(scope="module")
def proxied(session_folder):
    broker = kafka.Broker(session_folder / "kafka-commits", proxied=True, options=["group.min.session.timeout.ms=1000"]).start()
    yield broker
    broker.close()


@pytest.fixture
def path_to(make_path, mariadb, proxied, fake):
    """path_to(settings of bigquery): two partitions a table, a producer and a load; workers enter by the proxy."""
    def make(seed, warehouse, rate=100):
        path = make_path(mariadb, proxied, BigQueryWarehouse(fake, retry="20s", **warehouse), topics__partitions=2, kafka={"session.timeout.ms": 3000},
                         worker__kafka={"bootstrap.servers": proxied.through_proxy})
        path.fake = fake
        make_tables(path)
        path.the_producer = path.producer()
        path.load = Load(path, seed=seed, rate=rate).start()
        return path
    yield make
    proxied.proxy.release()


def _more(path):
    stored = lambda: sum(path.fake.get("tables", dataset=path.warehouse.dataset(path)).values())
    before = stored()
    wait_rows(path.load, path.load.transactions + 30)
    wait_for(lambda: stored() > before, "rows to arrive", 90)


def _end(path):
    path.load.finish()
    path.wait_and_judge(120)


def _jobs(path):
    """Ids of this path's load jobs that the service knows."""
    dataset = path.warehouse.dataset(path)
    return {job["jobReference"]["jobId"] for job in path.fake.get("jobs")["jobs"] if job["configuration"].get("load", {}).get("destinationTable", {}).get("datasetId") == dataset}


def _swallow(path, method):
    """Until the answer to a commit that announces something has vanished."""
    proxy = path.broker.proxy
    before = proxy.swallowed
    proxy.swallow(OFFSET_COMMIT, 1, having=ANNOUNCES[method])
    wait_for(lambda: proxy.swallowed > before, "the answer to a commit to vanish")


def test_C1_killed_between_plan_and_send(path_to):
    """The commit of the plan is in, its answer is not: nothing was sent."""
    path = path_to(52, APPEND)
    worker = path.worker("worker1")
    _more(path)
    _swallow(path, "append")
    worker.kill()
    path.worker("worker2")
    _more(path)
    _end(path)


def test_D1_killed_between_intent_and_send(path_to):
    """The commit of the intent is in, its answer is not: BigQuery never heard of the job, and the next owner makes it, under this very id."""
    path = path_to(53, LOAD)
    worker = path.worker("worker1")
    _more(path)
    _swallow(path, "load")
    worker.kill()
    named = {name.decode() for name in re.findall(rb"v1 load \S+ (\S+) ", path.broker.proxy.unanswered)}
    assert named and not named & _jobs(path)
    path.worker("worker2")
    _more(path)
    _end(path)
    assert named <= _jobs(path)


@pytest.mark.parametrize("method", ["append", pytest.param("load", marks=pytest.mark.thorough)])
def test_C3_answer_to_a_commit_lost(path_to, method):
    """The worker lives: it commits again what is true then, and goes on."""
    path = path_to(54, APPEND if method == "append" else LOAD)
    worker = path.worker("worker1", **{"worker__kafka__socket.timeout.ms": 2000})
    _more(path)
    _swallow(path, method)
    _more(path)
    assert worker.running()
    _end(path)


@pytest.mark.parametrize("strategy, commit", [("cooperative-sticky", "held"), *(pytest.param(*both, marks=pytest.mark.thorough) for both in (
    ("range", "held"), ("range", "unanswered"), ("cooperative-sticky", "unanswered")))])
def test_C2_coordinator_restarted_with_a_commit_under_way(path_to, strategy, commit):
    """A second worker comes, so that partitions are to move, while a commit of the first one is in and unanswered, or on its way. Then the coordinator is killed and
    comes back: a commit that librdkafka has kept must not speak for a partition that has gone."""
    path = path_to(55, APPEND, rate=30)
    settings = {"worker__kafka__partition.assignment.strategy": strategy}
    broker = path.broker
    first = path.worker("worker1", **settings)
    _more(path)
    if commit == "held":
        broker.proxy.hold(OFFSET_COMMIT, having=ANNOUNCES["append"])
        wait_for(broker.proxy.holding, "a commit on its way")
    else:
        _swallow(path, "append")
    second = path.worker("worker2", **settings)
    second.wait_logged("started")
    broker.kill_and_restart([path.the_producer], f"{path.prefix}.positions")
    broker.proxy.release()
    broker.wait()
    for worker in (first, second):
        wait_for(lambda w=worker: len(w.status()["partitions"]) > 0, lambda w=worker: f"partitions at both workers:\n{w.text()[-2000:]}", 90)
    _more(path)
    assert first.running() and second.running()
    _end(path)
