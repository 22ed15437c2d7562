# SPDX-License-Identifier: Apache-2.0
"""Topics are made as the settings say, or not at all; keys go where a Java client would look for them."""
import json

import pytest

from lib import murmur2

FAILED = 1


def test_partitioner_knows_javas_own_answers():
    """The values of Kafka's UtilsTest.testMurmur2: the judge is judged first."""
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536, b"a-little-bit-longer-string": -1486304829,
             b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, b"abc": 479470107}
    for key, answer in known.items():
        assert murmur2.murmur2(key) == answer & 0xFFFFFFFF


def test_topics_are_made_as_configured(make_path, mariadb, broker):
    path = make_path(mariadb, broker, topics__partitions=2, topics__retention="36h", topics__replication=1)
    path.sql("CREATE TABLE small (id INT PRIMARY KEY)", "CREATE TABLE large (id INT PRIMARY KEY)")
    path.producer(topics__partitions_by_table={f"{path.database}.large": 5})
    path.worker()
    for table in ("small", "large"):
        path.sql(f"INSERT INTO {table} VALUES " + ", ".join(f"({i})" for i in range(50)))
    path.wait_and_judge()
    topics = broker.topics(path.prefix)
    assert topics[path.topic("small")] == 2 and topics[path.topic("large")] == 5
    assert topics[f"{path.prefix}.positions"] == 1 and topics[f"{path.prefix}.schemas"] == 1
    for table in ("small", "large"):
        config = broker.topic_config(path.topic(table))
        assert config["cleanup.policy"] == "delete" and config["retention.ms"] == str(36 * 3600 * 1000)
    for state in ("positions", "schemas"):
        assert broker.topic_config(f"{path.prefix}.{state}")["cleanup.policy"] == "compact"
    assert {broker.topic_config(topic)["message.timestamp.type"] for topic in topics} == {"LogAppendTime"}
    dead = broker.topic_config(f"{path.prefix}.dead")
    assert dead["cleanup.policy"] == "delete" and dead["retention.ms"] == "-1"


def test_a_topic_of_another_size_is_left_alone(make_path, mariadb, broker):
    """Rule O7: the number of partitions never changes; one that is there is used as it is."""
    path = make_path(mariadb, broker, topics__partitions=4)
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    broker.create_topic(path.topic("t"), 3)
    path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES " + ", ".join(f"({i})" for i in range(30)))
    path.wait_and_judge()
    assert broker.topics(path.prefix)[path.topic("t")] == 3


def test_without_create_a_missing_topic_stops_by_its_name(make_path, mariadb, broker):
    path = make_path(mariadb, broker, topics__create=False)
    for state in ("positions", "schemas"):
        broker.create_topic(f"{path.prefix}.{state}", 1, cleanup_policy="compact")
    broker.create_topic(f"{path.prefix}.dead", 1, retention_ms="-1")
    path.sql("CREATE TABLE there (id INT PRIMARY KEY)", "CREATE TABLE missing (id INT PRIMARY KEY)")
    broker.create_topic(path.topic("there"), 1)
    producer = path.producer()
    path.worker()
    path.sql("INSERT INTO there VALUES (1)")
    path.wait_and_judge(tables=["there"])
    path.sql("INSERT INTO missing VALUES (1)")
    assert producer.wait(60) == FAILED
    assert path.topic("missing") in producer.text()
    assert path.topic("missing") not in broker.topics(path.prefix)
    broker.create_topic(path.topic("missing"), 1)
    path.producer("producer-again")
    path.wait_and_judge()


def test_names_that_collide_need_a_setting(make_path, mariadb, broker):
    """`topics.topic` gives a table a topic by its whole name; the record still says which table it is."""
    path = make_path(mariadb, broker)
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    name = f"{path.prefix}.{path.database}.by-hand"
    path.settings["topics"] = {"topic": {f"{path.database}.t": name}}
    path.topic = lambda table: name
    path.producer()
    path.worker()
    path.sql("INSERT INTO t VALUES (1), (2)")
    path.wait_and_judge()


def test_position_record_says_where_and_what_ended(make_path, mariadb, broker):
    """The record of transaction n + 1 names the end offsets of transaction n (DESIGN 14), from the first layout on."""
    path = make_path(mariadb, broker)
    path.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    path.producer(producer__position_interval="200ms")
    path.worker()
    for i in range(5):
        path.sql(f"INSERT INTO t VALUES ({i})")
        path.wait_arrived()
    records = [json.loads(message.value()) for message in broker.messages(f"{path.prefix}.positions") if message.key() == b"test"]
    assert len(records) >= 5
    assert all(record["layout"] == 1 and record["source"] == "test" and record["flavor"] == "mariadb" for record in records)
    ends = [record["ends"][path.topic("t")]["0"] for record in records if path.topic("t") in record.get("ends", {})]
    assert ends and ends == sorted(ends)
    seqs = [record["seq"] for record in records if record.get("seq")]
    assert seqs == sorted(seqs) and pytest.approx(seqs[-1] / 1e6, abs=3600) == path.sql("SELECT UNIX_TIMESTAMP()")[0][0]
