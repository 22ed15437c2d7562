# SPDX-License-Identifier: Apache-2.0
"""/metrics of both programs, read as Prometheus reads it, is what docs/metrics.md says: names, types and labels."""
import re

from prometheus_client.parser import text_string_to_metric_families

from lib.path import ROOT
from lib.processes import wait_for

_ALWAYS = {"kakehi_build_info", "kakehi_log_lines_total", "process_cpu_seconds_total", "process_max_fds", "process_open_fds",
           "process_resident_memory_bytes", "process_start_time_seconds"}
# What a path shows on which rows have passed; a page may name more: what counts something rare is there from its first time.
_SHOWN = {
    "kakehi-producer": _ALWAYS | {"kakehi_changes_bytes_total", "kakehi_changes_read_total", "kakehi_kafka_commit_seconds", "kakehi_kafka_transactions_total",
                                  "kakehi_messages_committed_bytes_total", "kakehi_messages_committed_total",
                                  "kakehi_source_behind_seconds", "kakehi_source_last_commit_timestamp_seconds", "kakehi_source_read_bytes_total",
                                  "kakehi_source_row_images_total", "kakehi_source_transactions_total"},
    "kakehi-worker": _ALWAYS | {"kakehi_freshness_seconds", "kakehi_lag_messages", "kakehi_rows_already_in_total", "kakehi_rows_appended_total",
                                "kakehi_rows_dead_lettered_total", "kakehi_rows_deduplicated_total", "kakehi_rows_filtered_total", "kakehi_rows_in_flight",
                                "kakehi_rows_read_bytes_total", "kakehi_rows_read_total", "kakehi_rows_returned_total", "kakehi_warehouse_commit_seconds"},
}


def _page():
    """{program: {name: (type, labels)}}."""
    found, program = {}, None
    for line in (ROOT / "docs" / "metrics.md").read_text().splitlines():
        heading, row = re.match(r"## (\S+)", line), re.match(r"\| `(\w+)` \| (\w+) \|([^|]*)\| \S", line)
        if heading:
            program = found.setdefault(heading[1], {})
        elif row:
            program[row[1]] = (row[2], frozenset(re.findall(r"`(\w+)`", row[3])))
    return found


def _exposed(text):
    """{name: (type, labels)} of what is shown, and that each sample is one of its family."""
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
        for sample in family.samples:
            name = sample.name if sample.name in types else re.sub(r"_(bucket|sum|count)$", "", sample.name)
            labels = frozenset(sample.labels) - {"le"}
            assert found.setdefault(name, (types[name], labels)) == (types[name], labels), sample
            assert types[name] != "histogram" or ("le" in sample.labels) == sample.name.endswith("_bucket"), sample
    return found


def _histograms_add_up(text):
    for family in text_string_to_metric_families(text):
        if family.type == "histogram":
            cells = {}  # by the labels that are not le
            for sample in family.samples:
                labels = frozenset((name, value) for name, value in sample.labels.items() if name != "le")
                cells.setdefault(labels, {}).setdefault(sample.name.rpartition("_")[2], []).append(sample.value)
            for cell in cells.values():
                assert len(cell["count"]) == 1 and cell["bucket"] == sorted(cell["bucket"]) and cell["bucket"][-1] == cell["count"][0] > 0, family


def test_the_page_is_what_both_programs_show(mariadb_path):
    path = mariadb_path
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20))")
    programs = {"kakehi-producer": path.producer(), "kakehi-worker": path.worker()}
    path.sql("INSERT INTO t VALUES (1, 'one'), (2, 'two')")
    path.wait_arrived()
    for name, program in programs.items():
        wait_for(lambda n=name, p=program: _SHOWN[n] <= _exposed(p.get("/metrics")[1]).keys(),
                 lambda n=name, p=program: f"{_SHOWN[n] - _exposed(p.get('/metrics')[1]).keys()} of {n}")
        text = program.get("/metrics")[1]
        wrong = {metric: said for metric, said in _exposed(text).items() if _page()[name].get(metric) != said}
        assert not wrong, f"{name}, docs/metrics.md: {wrong}"
        _histograms_add_up(text)


def test_figures_of_a_table_are_told_by_partition(mariadb_path):
    """Rows, bytes, lag, freshness and commit times of each partition of its own; the gauges of a worker that left go with it."""
    path = mariadb_path
    path.sql("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20))")
    producer, worker = path.producer(topics__partitions=3), path.worker()
    path.sql("INSERT INTO t VALUES " + ", ".join(f"({i}, 'x')" for i in range(60)))
    path.wait_arrived()
    table = f'table="{path.database}.t"'

    def appended():
        return {name: value for name, value in worker.metrics().items() if name.startswith(f"kakehi_rows_appended_total{{{table}")}

    wait_for(lambda: sum(appended().values()) == 60, lambda: f"60 rows: {worker.metrics()}")
    metrics = worker.metrics()
    ends = {partition: high for (_, partition), high in path.ends().items()}
    assert set(ends) == {0, 1, 2} and all(value > 0 for value in appended().values())
    wait_for(lambda: [worker.metrics().get(f'kakehi_lag_messages{{{table},partition="{p}"}}') for p in ends] == [0, 0, 0], lambda: f"no lag: {worker.metrics()}")
    read_bytes = sum(metrics[f'kakehi_rows_read_bytes_total{{{table},partition="{p}"}}'] for p in ends)
    committed = producer.metrics()
    assert all(committed[f'kakehi_messages_committed_total{{source="test",{table},partition="{p}"}}'] == metrics[f'kakehi_rows_appended_total{{{table},partition="{p}"}}']
               for p in ends)
    assert sum(committed[f'kakehi_messages_committed_bytes_total{{source="test",{table},partition="{p}"}}'] for p in ends) == read_bytes
    assert read_bytes == producer.metrics()[f'kakehi_changes_bytes_total{{source="test",{table}}}'] > 60
    assert all(0 <= metrics[f'kakehi_freshness_seconds{{{table},partition="{p}"}}'] < 600 for p in ends)
    assert all(metrics[f'kakehi_warehouse_commit_seconds_count{{{table},partition="{p}"}}'] >= 1 for p in ends)
    _histograms_add_up(worker.get("/metrics")[1])


def test_heartbeats_say_where_the_programs_stand(mariadb_path):
    """One line an interval (log.heartbeat, a minute by default) with lag, rate, and what is under way."""
    path = mariadb_path
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    programs = {"producer": path.producer(log__heartbeat="1s"), "worker": path.worker(log__heartbeat="1s")}
    path.sql("INSERT INTO t VALUES (1), (2), (3)")
    path.wait_arrived()
    words = {"producer": "source=test state=STREAM changes=3 changes_per_s=", "worker": "rows=3 rows_per_s="}
    figures = {"producer": {"source", "state", "changes", "changes_per_s", "kafka_transactions", "behind_s", "open", "position"},
               "worker": {"partitions", "lag", "rows", "rows_per_s", "in_flight", "dead_lettered", "held_bytes"}}
    for name, program in programs.items():
        wait_for(lambda n=name, p=program: any(words[n] in line for line in p.logged("heartbeat")), lambda p=program: f"a heartbeat with the rows: {p.text()}")
        assert all({word.partition("=")[0] for word in line.split()[3:]} == figures[name] for line in program.logged("heartbeat"))


def test_trouble_that_goes_on_is_one_line_and_a_count(mariadb_path):
    """A source that can't be reached is tried again and again; the log says so once in an interval, the metrics count each time."""
    producer = mariadb_path.start_producer(source__port=1)
    wait_for(lambda: producer.metrics().get('kakehi_log_lines_total{level="warn"}', 0) >= 5, lambda: f"five warnings: {producer.text()}", 90)
    first, *later = producer.logged("source_lost")
    assert "repeated=" not in first and all("repeated=" in line for line in later), producer.text()
