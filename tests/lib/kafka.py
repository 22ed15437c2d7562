# SPDX-License-Identifier: Apache-2.0
"""An Apache Kafka broker, and what tests ask of it: topics, end offsets, every committed message of a topic.

The client is Debian's python3-confluent-kafka on the same librdkafka as ours; what it reads is decoded by lib/avro.py, which shares
nothing with the C code.
"""
import socket
import struct
import uuid
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from lib.databases import servers_folder
from lib.processes import Process, free_ports, wait_for
from lib.proxy import Proxy

# A broker that has just come up answers before it leads its partitions, and before it has read what its groups committed.
_COMING_UP = (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
              KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)


def _text(words):
    return struct.pack(">h", len(words)) + words.encode()


def _once_up(ask, who):
    """What `ask` returns, as soon as a broker that has just been started can say it."""
    found = []

    def answered():
        try:
            found.append(ask())
        except KafkaException as error:
            if error.args[0].code() not in _COMING_UP:
                raise
        return bool(found)
    wait_for(answered, who, 60, 0.2)
    return found[0]


class Broker:
    """One broker. proxied: it has a second door that leads through a proxy (`through_proxy`): whoever enters there stays behind it, since the
    broker's answers name that address."""

    def __init__(self, folder, proxied=False, options=(), port=None, nodes=()):
        """port, nodes: its own port and those of all brokers of its cluster."""
        self.server = servers_folder() / "kafka" / "kafka-server"
        if not self.server.exists():
            pytest.skip("SKIPPED: Kafka is not here (tests/servers/need brings it)")
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.port = port or free_ports(2)
        self.nodes = [" ".join(map(str, nodes))] if nodes else []
        self.options = list(options)
        self.address = f"127.0.0.1:{self.port}"
        self.proxy = None
        if proxied:
            door, outside = free_ports(), free_ports()
            self.proxy = Proxy(outside, door)
            self.through_proxy = f"127.0.0.1:{outside}"
            self.options += [
                f"listeners=PLAINTEXT://127.0.0.1:{self.port},PROXIED://127.0.0.1:{door},CONTROLLER://127.0.0.1:{self.port + 1}",
                f"advertised.listeners=PLAINTEXT://127.0.0.1:{self.port},PROXIED://127.0.0.1:{outside}",
                "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT"]
        self.process = None
        self._admin = None

    def start(self, wait=True):
        self.process = Process("kafka", [self.server, self.port, self.folder / "data"] + self.nodes + self.options, self.folder / "out")
        if wait:
            self.wait()
        return self

    def wait(self):
        wait_for(self._answers, lambda: f"Kafka:\n{self.log_tail()}", 120, 0.2)

    def _answers(self):
        assert self.process.running(), self.log_tail()
        try:
            return bool(self.admin().list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    def log_tail(self):
        log = self.folder / "data" / "log"
        return (log.read_text(errors="replace")[-3000:] if log.exists() else "") + self.process.text()[-500:]

    def kill(self):
        self.process.kill()

    def kill_and_restart(self, producers, topic):
        """SIGKILL under open transactions, but not between the decision on one and its markers; and start, without waiting.

        Kafka 4.4.0 loses the markers of a decided transaction there: the node that comes back, its own only one, sees its old registration
        fenced, takes the partitions that have no leader for deleted ("likely deleted already and hence can be skipped" in its log) and writes
        CompleteCommit. The transaction then hangs for ever, and with it every read_committed reader. That is no fault that a client could
        mend, so the producers are held for the moment in which whatever is decided gets its markers. `topic`: one that every transaction writes to.
        """
        held = [producer for producer in producers if producer.running() and not producer.stopped]
        for producer in held:
            producer.stop()
        looks = []

        def settled():
            looks.append(self.ends(topic, "read_uncommitted"))
            return len(looks) >= 4 and looks[-1] == looks[-2] == looks[-3] == looks[-4]

        wait_for(settled, "the markers of what is decided", 30, 0.1)
        self.kill()
        self.start(wait=False)
        for producer in held:
            producer.resume()

    def close(self):
        self.kill()
        if self.proxy:
            self.proxy.close()

    def admin(self):
        """One handle, kept: its answers die with it."""
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        return self._admin

    def topics(self, prefix):
        """name -> number of partitions."""
        return {name: len(topic.partitions) for name, topic in self.admin().list_topics(timeout=30).topics.items()
                if name.startswith(prefix + ".")}

    def topic_config(self, topic):
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        entries = self.admin().describe_configs([resource], request_timeout=30)[resource].result()
        return {name: entry.value for name, entry in entries.items()}

    def create_topic(self, name, partitions=1, **config):
        topic = NewTopic(name, partitions, 1, config={key.replace("_", "."): value for key, value in config.items()})
        self.admin().create_topics([topic], request_timeout=30)[name].result()

    def alter_topic(self, name, **config):
        """These settings; all others are the broker's again."""
        resource = ConfigResource(ConfigResource.Type.TOPIC, name, set_config=config)
        self.admin().alter_configs([resource], request_timeout=30)[resource].result()

    def delete_topic(self, name):
        self.admin().delete_topics([name], operation_timeout=30)[name].result()
        wait_for(lambda: name not in self.admin().list_topics(timeout=30).topics, f"{name} to be gone", 30)

    def producer(self, **more):
        return Producer({"bootstrap.servers": self.address, "log_level": 0, **more})

    def produce(self, topic, key, value, headers=None, partition=0):
        """One message, acknowledged when this returns."""
        producer = self.producer()
        producer.produce(topic, key=key, value=value, headers=headers, partition=partition)
        assert producer.flush(30) == 0

    def delete_records(self, topic, partition, before):
        """What retention does, at once."""
        self._ask_by_hand(21, struct.pack(">i", 1) + _text(topic) + struct.pack(">iiqi", 1, partition, before, 30000))

    def delete_group(self, group):
        """With all that it has committed; it must have no members."""
        self._ask_by_hand(42, struct.pack(">i", 1) + _text(group))

    def commit_by_hand(self, group, topic, partition, offset, metadata):
        """As a tool would, of a group without members: with any metadata."""
        place = struct.pack(">i", 1) + _text(topic) + struct.pack(">iiq", 1, partition, offset) + _text(metadata)
        self._ask_by_hand(8, _text(group) + struct.pack(">i", -1) + _text("") + struct.pack(">q", -1) + place, version=2)

    def _ask_by_hand(self, api, body, version=0):
        """What the client has no call for: a request as the protocol guide spells it. All these answers end in an error code."""
        request = struct.pack(">hhi", api, version, 1) + _text("test") + body
        with socket.create_connection(("127.0.0.1", self.port), 30) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(4096)
        assert struct.unpack(">h", answer[-2:])[0] == 0, answer

    def ends(self, topic, isolation="read_committed"):
        """[low, high) a partition; read_committed: high is the last stable offset."""
        consumer = self._consumer(isolation)
        partitions = self.admin().list_topics(topic, timeout=30).topics[topic].partitions
        try:
            return {p: _once_up(lambda: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=30), f"the leader of {topic}")
                    for p in sorted(partitions)}
        finally:
            consumer.close()

    def committed_offsets(self, group, topic):
        """partition -> the offset that the group committed."""
        consumer = self._consumer("read_committed", group)
        partitions = self.admin().list_topics(topic, timeout=30).topics[topic].partitions
        wanted = [TopicPartition(topic, p) for p in partitions]
        try:
            found = _once_up(lambda: consumer.committed(wanted, timeout=30), f"the coordinator of {group}")
            return {tp.partition: tp.offset for tp in found}
        finally:
            consumer.close()

    def _consumer(self, isolation, group=None):
        return Consumer({"bootstrap.servers": self.address, "group.id": group or "judge-" + uuid.uuid4().hex, "isolation.level": isolation,
                         "enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "error", "log_level": 0,
                         "fetch.wait.max.ms": 50})

    def messages(self, topic, isolation="read_committed"):
        """Every message of the topic, in offset order within each partition, up to the present end."""
        consumer = self._consumer(isolation)
        partitions = list(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
        at_end, found = set(), []
        try:
            def read():
                message = consumer.poll(0.2)
                if message is None:
                    return False
                if message.error() is None:
                    found.append(message)
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    at_end.add(message.partition())
                else:
                    raise KafkaException(message.error())
                return len(at_end) == len(partitions)
            wait_for(read, f"the end of {topic}", 120, 0)
            return found
        finally:
            consumer.close()


class Cluster(Broker):
    """Three brokers: three copies of everything, of which two must have a record before it is acknowledged."""

    def __init__(self, folder):
        ports = [free_ports(2) for _ in range(3)]
        self.brokers = [Broker(Path(folder) / f"broker{port}", port=port, nodes=ports, options=["group.min.session.timeout.ms=1000"]) for port in ports]
        self.address = ",".join(broker.address for broker in self.brokers)
        self.proxy = None
        self._admin = None

    def start(self, wait=True):
        for broker in self.brokers:
            broker.start(wait=False)
        if wait:
            self.wait()
        return self

    def wait(self):
        """Until all three know one another."""
        for broker in self.brokers:
            broker.wait()
        wait_for(lambda: len(self.admin().list_topics(timeout=5).brokers) == 3, "three brokers in the cluster", 120, 0.2)

    def kill(self):
        for broker in self.brokers:
            broker.kill()

    def leader(self, topic):
        """The broker that leads partition 0."""
        known = self.admin().list_topics(topic, timeout=30)
        return next(broker for broker in self.brokers if broker.port == known.brokers[known.topics[topic].partitions[0].leader].port)

    def in_sync(self, topic):
        """In how many copies is each partition at least?"""
        return min(len(partition.isrs) for partition in self.admin().list_topics(topic, timeout=30).topics[topic].partitions.values())
