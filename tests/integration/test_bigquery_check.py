# SPDX-License-Identifier: Apache-2.0
"""`kakehi-worker check` before BigQuery: what stands in the way of rows is found before it does; and --prove asks whoever stands there for the
answers that exactly-once rests on: the emulator, and our own fake, which must not promise what nobody would keep."""
import json
import re
import time

import pytest

from lib.bigquery_judge import BigQueryWarehouse
from lib.histories import Rest
from lib.processes import wait_for


def _findings(program):
    """[(level, subject, finding)] of a run with --json."""
    text = program.text()
    answer, _ = json.JSONDecoder().raw_decode(text, text.index("{\n"))  # lines of the log may stand before and behind
    found = [(f["level"], f["subject"], f["finding"]) for f in answer["findings"]]
    assert program.popen.returncode == (1 if answer["errors"] else 0), text
    assert all(f.get("remedy") for f in answer["findings"] if f["level"] in ("warning", "error")), found
    return found


def _errors(found):
    return {subject: text for level, subject, text in found if level == "error"}


def _check(path, *arguments, **changes):
    return _findings(path.run_command("worker", "check", "--json", *arguments, **changes))


@pytest.fixture
def filled(make_path, mariadb, broker, emulator):
    """A table with rows in its history; nothing runs any more."""
    path = make_path(mariadb, broker, warehouse=BigQueryWarehouse(emulator))
    path.sql("CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(20))")
    producer, worker = path.producer(), path.worker()
    path.sql("INSERT INTO orders VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    path.wait_arrived()
    client, dataset = path.warehouse.server.client, path.warehouse.dataset(path)
    wait_for(lambda: client.call("table", dataset, "orders"), "the view to be made", 60)
    worker.must_stop(30)
    producer.must_stop()
    return path


@pytest.mark.parametrize("stand_in,settings", [("emulator", {}), ("fake", {"compression": "gzip", "quota_project": "payer"})])
def test_whoever_stands_there_gives_the_answers_that_exactly_once_rests_on(request, make_path, mariadb, broker, stand_in, settings):
    path = make_path(mariadb, broker, warehouse=BigQueryWarehouse(request.getfixturevalue(stand_in), **settings))
    before = path.warehouse.server.client.call("datasets")
    found = _check(path, "--prove")
    proved = [(level, subject) for level, subject, _ in found if subject.startswith("prove: ")]
    assert len(proved) == len(set(proved)) and len(proved) > 20, proved
    assert not _errors(found), found
    assert {level for level, _ in proved} == {"ok"}, found
    assert path.warehouse.server.client.call("datasets") == before  # nothing is left
    if stand_in == "fake":
        assert path.warehouse.server.get("appends")["appends"][-1]["payer"] == "payer"  # asked as the worker asks


# What a service would be without one of the answers, and what --prove must say of it: the step itself, then those that count its rows.
_UNKEPT = {
    "offsets": ([("offset", {"ignore": True}, 1)],
                ["the same request again is ALREADY_EXISTS", "the right offset after refusals is taken", "a bad row is named, and none of its request is in",
                 "the same offset after row errors is taken", "rows can be queried at once after the answer", "a MERGE sees rows at once after the answer",
                 "a writer with the added column is taken, in the end", "Finalize says how many rows are in", "a second Finalize says the same"]),
    "counts, etags and ids": ([("FinalizeWriteStream", {"no_count": True}, -1), ("etag", {"ignore": True}, -1), ("job id", {"ignore": True}, 1)],
                              ["Finalize says how many rows are in", "a second Finalize says the same", "a patch with an old ETag is refused with 412",
                               "its job id again is 409, and loads nothing", "a load file sent in pieces is in whole",
                               "its job id again is 409, in pieces too", "a file that is none fails, and leaves nothing",
                               "a failed job's id is used up too"]),
}


@pytest.mark.parametrize("unkept", _UNKEPT)
def test_an_answer_that_nobody_should_build_on_is_named(make_path, mariadb, broker, fake, unkept):
    faults, steps = _UNKEPT[unkept]
    path = make_path(mariadb, broker, warehouse=BigQueryWarehouse(fake))
    before = fake.client.call("datasets")
    for call, do, times in faults:
        fake.fault(call, do, times=times)
    found = _check(path, "--prove")
    assert sorted(_errors(found)) == sorted(f"prove: {step}" for step in steps), found
    assert ("ok", "prove: clean up") in {(level, subject) for level, subject, _ in found}, found
    assert fake.client.call("datasets") == before


def test_what_stands_right_is_said_and_what_it_costs(filled):
    path = filled
    found = _check(path)
    assert not _errors(found), found
    table = [text for level, subject, text in found if subject == f"table {path.database}.orders"]
    assert any("_history: 3 rows" in text for text in table), table
    assert any("a query of the whole view" in text for text in table), table
    assert not any("a month" in text or "settings" in text or "ALTER TABLE" in text for text in table), table
    found = _check(path, "--cost")
    assert not _errors(found), found
    assert any(subject == f"table {path.database}.orders" and text.startswith("a month: ") for _, subject, text in found), found
    assert any(subject == "cost" and "for 1 tables" in text for _, subject, text in found), found


# Round figures: a month of 30 GiB appended is 30, ten GiB stored are 100, a TiB read is 100.
_PRICES = {"append_gib": "1", "storage_gib_month": "10", "scan_tib": "100", "date": "2020-02-02"}
_MONTH = re.compile(r"a month: ([\d.]+) = writing ([\d.]+) \(([^,]+).* \+ storage ([\d.]+) .* \+ queries ([\d.]+) .* \+ refresh ([\d.]+) ")


def _month(found, path, table):
    """What a table costs: (way, [sum, writing, storage, queries, refresh])."""
    text, = [text for _, subject, text in found if subject == f"table {path.database}.{table}" and text.startswith("a month")]
    total, writing, way, *others = _MONTH.match(text).groups()
    return way, [float(value) for value in (total, writing, *others)]


@pytest.fixture
def priced(make_path, mariadb, broker, fake):
    """On the fake: a history of 7 GiB that was made a week ago, two of them in its streaming buffer, with a base of 3 GiB; and one without a byte. Any
    query reads a thirtieth of a TiB."""
    path = make_path(mariadb, broker, warehouse=BigQueryWarehouse(fake))
    path.settings["bigquery"].update(prices=_PRICES, queries_a_day=5, view={f"{path.database}.orders": "base"})
    dataset = path.warehouse.dataset(path)
    path.sql("CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(20))", "CREATE TABLE wide (id INT PRIMARY KEY)")
    producer, worker = path.producer(topics__partitions_by_table={f"{path.database}.wide": 6}), path.worker()
    path.sql("INSERT INTO orders VALUES (1, 'a'), (2, 'b'), (3, 'c')", "INSERT INTO wide VALUES (1)")
    wanted = {f"{dataset}.{name}" for name in ("orders", "orders_base", "wide")}
    wait_for(lambda: wanted <= set(fake.get("tables", dataset=dataset)), lambda: f"views and base to be made: {fake.get('tables', dataset=dataset)}", 90)
    path.wait_arrived()
    worker.must_stop(30)
    producer.must_stop()
    made_ms = int((time.time() - 7 * 86400) * 1000)
    fake.post("figures", table=f"{dataset}.orders_history", numBytes=str(5 << 30), numRows="5000", creationTime=str(made_ms),
              streamingBuffer={"estimatedBytes": str(2 << 30), "estimatedRows": "2000", "oldestEntryTime": str(made_ms)})
    fake.post("figures", table=f"{dataset}.orders_base", numBytes=str(3 << 30))
    fake.set(query_bytes=(1 << 40) // 30)
    return path


def test_a_month_is_the_sum_of_what_bigquery_says(priced):
    about = lambda *values: pytest.approx(values, rel=0.01)  # the week goes on
    found = _check(priced, "--cost")
    assert any("_history: 5000 rows, 5368.7 MB; about 2000 rows more, 2147.5 MB, in its streaming buffer" in text for _, _, text in found), found
    assert any("reads 36650.4 MB" in text for _, _, text in found), found
    # 1 GiB a day x 30; 7 + 3 and half of the 30; a TiB in 30 queries, of which there are 150, and 30 MERGEs
    assert _month(found, priced, "orders") == ("appends", about(880, 30, 250, 500, 100)), found
    assert _month(found, priced, "wide") == ("appends", about(500, 0, 0, 500, 0)), found
    text, = [text for _, subject, text in found if subject == "cost"]
    assert float(text.split()[0]) == pytest.approx(1380, rel=0.01) and "for 2 tables" in text and "2020-02-02" in text, text
    # Of six partitions each may have a job every seven minutes: the topics' own number decides, not what new ones would be made with.
    found = _check(priced, "--cost", freshness={"*.*": "5m"}, topics__partitions=6, topics__partitions_by_table={"*.wide": 1})
    assert [_month(found, priced, table)[0] for table in ("orders", "wide")] == ["load jobs", "appends"], found
    # What is kept for 4 days was collected in 4.
    found = _check(priced, "--cost", bigquery__partition_expiration="4d", bigquery__view={"*.*": "base"})
    assert _month(found, priced, "orders") == ("appends", about(30 * 1.75 + 10 * (10 + 15 * 1.75) + 600, 30 * 1.75, 10 * (10 + 15 * 1.75), 500, 100)), found
    # Merged every fourth day.
    found = _check(priced, "--cost", freshness={"*.*": "4d"}, bigquery__method={"*.*": "append"})
    assert _month(found, priced, "orders")[1][4] == pytest.approx(25, rel=0.01), found


def test_settings_that_a_history_does_not_follow_are_told(filled):
    found = _check(filled, bigquery__kms_key="projects/x/locations/us/keyRings/y/cryptoKeys/z", bigquery__labels={"team": "data"})
    table = {level: text for level, subject, text in found if subject == f"table {filled.database}.orders" and "settings" in text or "ALTER" in text}
    assert "labels" in table["note"] and "kms_key_name = 'projects/x/locations/us/keyRings/y/cryptoKeys/z'" in table["warning"], found


def test_a_dataset_of_somebody_else_is_an_error(filled):
    found = _check(filled, bigquery__owner="somebody")
    assert "belongs to" in _errors(found)[f"table {filled.database}.orders"], found


def test_a_dataset_in_another_place_is_an_error(filled):
    found = _check(filled, bigquery__location="europe-west1")
    assert "is in US" in _errors(found)[f"table {filled.database}.orders"], found


def test_a_dataset_that_deletes_by_default_is_told_and_deletes_nothing_of_ours(make_path, mariadb, broker, fake):
    path = make_path(mariadb, broker, warehouse=BigQueryWarehouse(fake))
    rest, dataset = Rest(fake), path.warehouse.dataset(path)
    rest.call("POST", "/datasets", {"datasetReference": {"projectId": "p", "datasetId": dataset}, "location": "US",
                                    "defaultTableExpirationMs": "86400000", "defaultPartitionExpirationMs": "172800000"})
    path.sql("CREATE TABLE orders (id INT PRIMARY KEY)")
    path.producer()
    path.worker()
    path.sql("INSERT INTO orders VALUES (1)")
    path.wait_arrived()
    assert "expirationMs" not in rest.table(dataset, "orders_history")["timePartitioning"]
    wait_for(lambda: "expirationTime" not in (rest.table(dataset, "orders") or {"expirationTime": None}), lambda: rest.table(dataset, "orders"), 60)
    found = _check(path)
    assert any(level == "warning" and "tables after 1 days, partitions after 2 days" in text for level, _, text in found), found


def test_what_can_not_be_reached_is_an_error_beside_the_rest(make_path, mariadb, broker, fake):
    path = make_path(mariadb, broker, warehouse=BigQueryWarehouse(fake, project="elsewhere"))
    found = _check(path)
    assert set(_errors(found)) == {"bigquery project"}, found
    assert any(level == "ok" and subject == "bigquery sign-in" for level, subject, _ in found), found
