# SPDX-License-Identifier: Apache-2.0
"""Kafka's default partitioner, written from its definition (murmur2 with seed 0x9747b28c, positive, modulo the partitions)."""

_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data):
    h = (0x9747B28C ^ len(data)) & _MASK
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i:i + 4], "little") * _M & _MASK
        k = (k ^ (k >> 24)) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if len(data) > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    return h ^ (h >> 15)


def partition(key, partitions):
    return (murmur2(key) & 0x7FFFFFFF) % partitions
