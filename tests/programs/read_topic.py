#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a topic as others do: Confluent's consumer with its Avro deserializer, or a plain consumer with fastavro. Nothing of ours is used.

usage: read_topic.py confluent|fastavro BROKER REGISTRY_URL TOPIC COUNT      one line a message: a JSON list of key and value

Values in the form of tests/lib/avro.py, with bytes as hex digits.
"""
import datetime
import decimal
import io
import json
import struct
import sys
import urllib.request
import uuid

import fastavro
from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext


def plain(value):
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime):
        return f"{value.year:04d}-" + value.strftime("%m-%d %H:%M:%S.%f")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


class Fastavro:
    def __init__(self, url):
        self.url = url
        self.schemas = {}

    def __call__(self, data, _):
        if data is None:
            return None
        number = struct.unpack(">xI", data[:5])[0]
        if number not in self.schemas:
            with urllib.request.urlopen(f"{self.url}/schemas/ids/{number}", timeout=60) as answer:
                self.schemas[number] = fastavro.parse_schema(json.loads(json.loads(answer.read())["schema"]))
        return fastavro.schemaless_reader(io.BytesIO(data[5:]), self.schemas[number])


def main():
    how, broker, url, topic, count = sys.argv[1:]
    decode = AvroDeserializer(SchemaRegistryClient({"url": url})) if how == "confluent" else Fastavro(url)
    consumer = Consumer({"bootstrap.servers": broker, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe([topic])
    left = int(count)
    while left > 0:
        message = consumer.poll(60)
        if message is None or message.error():
            sys.exit(f"read_topic: {message.error() if message else 'no message for a minute'}")
        key = decode(message.key(), SerializationContext(topic, MessageField.KEY))
        value = decode(message.value(), SerializationContext(topic, MessageField.VALUE))
        print(json.dumps([plain(key), plain(value)]))
        left -= 1
    consumer.close()


main()
