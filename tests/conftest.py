# SPDX-License-Identifier: Apache-2.0
"""What the tests with real servers share: one server of each kind a session, a fresh prefix and database a test.

A server is started when the first test asks for it and killed at the end of the session, also after Ctrl-C or a crash of pytest
(the kernel kills the children of a dead test run). What can't be had on this machine is skipped visibly; with CI=true a skip is a failure.
The last line of the session's own summary counts tests; tests/check adds the stages up.
"""
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from lib import bigquery, databases, fake_bigquery, kafka, processes, registry as registries
from lib.path import PathUnderTest


def pytest_addoption(parser):
    parser.addoption("--seconds", type=int, default=120, help="storm: how long the load and the kills last")
    parser.addoption("--seed", type=int, default=1, help="storm: the seed of all that is random")
    parser.addoption("--warehouse", default="sqlite", choices=["sqlite", "bigquery"], help="storm: where the rows end")
    parser.addoption("--database", default="mariadb", choices=["mariadb", "mysql"], help="storm: the source's server")
    for server in (databases.MariaDB, databases.MySQL):
        parser.addoption(f"--{server.flavor}", default="", choices=server.versions, help=f"the version of {server.__name__} to test against, where it is not the usual one")


def pytest_configure(config):
    databases.MariaDB.default_version = config.getoption("--mariadb")
    databases.MySQL.default_version = config.getoption("--mysql")
    config.addinivalue_line("markers", "thorough: long, or one of several of its rule; runs with THOROUGH=1 only")


def pytest_collection_modifyitems(config, items):
    """What is left out is counted as deselected, in the session's own summary."""
    thorough = [item for item in items if item.get_closest_marker("thorough")]
    if thorough and os.environ.get("THOROUGH") != "1":
        items[:] = [item for item in items if item not in thorough]
        config.hook.pytest_deselected(items=thorough)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Remembers how the test ended, so that a fixture can show the programs' logs of a failed test only."""
    outcome = yield
    setattr(item, "report_" + call.when, outcome.get_result())


def pytest_runtest_setup(item):
    print(f"\n-- {item.name}", flush=True) if item.config.getoption("capture") == "no" else None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    processes.kill_all()
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if os.environ.get("CI") == "true" and skipped and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def session_folder():
    """Where the servers live. KAKEHI_TEST_KEEP=1 leaves it there for a look."""
    folder = Path(tempfile.mkdtemp(prefix="kakehi-test."))
    yield folder
    processes.kill_all()
    if os.environ.get("KAKEHI_TEST_KEEP") != "1":
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"\nkept: {folder}")


@pytest.fixture(scope="session")
def broker(session_folder):
    """The one Kafka broker that tests share. A test that kills or reconfigures its broker starts one of its own."""
    return kafka.Broker(session_folder / "kafka", options=["group.min.session.timeout.ms=1000"]).start()


@pytest.fixture(scope="session")
def mariadb(session_folder):
    return databases.MariaDB(session_folder / "mariadb").start()


@pytest.fixture(scope="session")
def mysql(session_folder):
    return databases.MySQL(session_folder / "mysql").start()


@pytest.fixture(scope="session")
def emulator(session_folder):
    """The one BigQuery emulator: slow, and never more than 12 open AppendRows calls."""
    server = bigquery.Emulator(session_folder / "emulator").start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def registry(session_folder):
    """The one schema registry that tests share. A test that kills its registry starts one of its own."""
    return registries.Registry(session_folder / "registry").start()


@pytest.fixture(scope="session")
def fake_bigquery_server(session_folder):
    server = fake_bigquery.FakeBigQuery(session_folder / "fake-bigquery").start()
    yield server
    server.close()


@pytest.fixture
def fake(fake_bigquery_server):
    """Our own BigQuery, well again after each test."""
    yield fake_bigquery_server
    fake_bigquery_server.heal()


@pytest.fixture(params=["mariadb", "mysql"])
def server(request):
    """A test that asks for `server` runs on both."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def make_path(request, tmp_path):
    """make_path(server, broker, warehouse, **settings): a prefix, a database and the programs of one test."""
    made = []

    def make(server, broker, warehouse=None, **settings):
        path = PathUnderTest(tmp_path / f"path{len(made)}", request.node.name, server, broker, warehouse, **settings)
        made.append(path)
        return path

    yield make
    report = getattr(request.node, "report_call", None)
    for path in made:
        path.close(show_logs=report is None or report.failed)


@pytest.fixture
def path(make_path, server, broker):
    """The ordinary case: both servers in turn, the shared broker, default settings."""
    return make_path(server, broker)


@pytest.fixture
def mariadb_path(make_path, mariadb, broker):
    return make_path(mariadb, broker)
