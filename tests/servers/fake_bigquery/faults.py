# SPDX-License-Identifier: Apache-2.0
"""What the fake has been told to do wrong, and the doors at which calls are held until they are let through.

A fault is a dictionary, as it comes over the control endpoint:

    call    at which call: AppendRows, CreateWriteStream, GetWriteStream, FinalizeWriteStream; tables.get, tables.insert, tables.patch,
            datasets.get, jobs.insert, jobs.get, jobs.query, upload.start, upload.put, upload.probe, upload.multipart, upload.last (the piece
            that makes the job, however it comes); job.run (a load job's own
            work); "*" every HTTP call. And what is no call: "rows" (each row), "offset", "etag", "job id" (what a request is compared by)
    when    "before" its work (the default: nothing has happened) or "after" it (all has happened, only the answer is missing)
    table   "dataset.table"; left out: any
    method  an HTTP method; left out: any
    skip    so many matching calls pass first (0)
    times   so many are hit, then the fault is over (1); -1: all, until it is taken away
    once_per "stream": only the first matching call of each write stream
    do      one of:
      {"status": "UNAVAILABLE", "message": "...", "detail": "STREAM_NOT_FOUND"}   gRPC: the call ends so
      {"error": "RESOURCE_EXHAUSTED", "message": "...", "detail": "..."}          AppendRows: answered so, the call stays open
      {"row_errors": [[index, "text"], ...]}                                      AppendRows: these rows are refused, nothing is written
      {"refuse": {"column": "v", "value": "bad"}}                                 with call "rows": such a row is refused, by AppendRows in row_errors, by a
                                                                                  load job as bad data; until the fault is taken away
      {"swallow": true}                                                           no answer; a gRPC call stays open, an HTTP connection too
      {"cut": true}                                                               gRPC: ends UNAVAILABLE; HTTP: the connection is closed without a word
      {"hold": "door"}                                                            waits until the door is opened; the work is then done, whether or
                                                                                  not the caller is still there
      {"http": 503, "reason": "backendError", "message": "...", "headers": {}}    HTTP: answered so
      {"short_range": 262144}                                                     upload.put: keeps so many bytes of the chunk only, and says so
      {"job_error": "backendError", "message": "..."}                             job.run: DONE with this error, nothing loaded
      {"no_count": true}                                                          FinalizeWriteStream: finalized, and row_count left out
      {"ignore": true}                                                            with call "offset": rows are appended though rows are there; "etag": a table is
                                                                                  patched whatever If-Match says; "job id": one that was used makes a job again
"""
import asyncio


class Refused(Exception):
    """An HTTP answer that is an error, in the words of Google's APIs."""

    def __init__(self, code, reason, message, headers=None):
        super().__init__(message)
        self.code, self.reason, self.message, self.headers = code, reason, message, headers or {}


class Cut(Exception):
    """The connection ends without an answer."""


class Swallowed(Exception):
    """There is no answer, and the connection stays."""


class Faults:
    def __init__(self):
        self.rules, self.doors, self.number, self.hits = [], {}, 0, []

    def add(self, rule):
        self.number += 1
        # What stands in for a part of the work has a time of its own.
        at = "count" if "no_count" in rule["do"] else "chunk" if "short_range" in rule["do"] else "before"
        self.rules.append({"when": at, "skip": 0, "times": 1, **rule, "id": self.number, "hit": 0, "streams": set()})
        return self.number

    def remove(self, number=None):
        self.rules = [] if number is None else [rule for rule in self.rules if rule["id"] != number]

    def refuses(self, table, row):
        """Is it a row that a rule wants refused?"""
        for rule in self.rules:
            wanted = rule["do"].get("refuse")
            if wanted and rule.get("table") in (None, table) and row.get(wanted["column"]) == wanted["value"]:
                self.hits.append({"id": rule["id"], "call": "rows", "table": table, "stream": None})
                return True
        return False

    def take(self, call, when="before", table=None, stream=None, method=None):
        """What to do at this call: {} or the `do` of the first fault that fits."""
        for rule in self.rules:
            if rule["call"] != call and not (rule["call"] == "*" and "." in call and call != "job.run"):
                continue
            if rule["when"] != when or rule["times"] == 0:
                continue
            if rule.get("table") not in (None, table) or rule.get("method") not in (None, method):
                continue
            if rule.get("once_per") == "stream":
                if stream in rule["streams"]:
                    continue
                rule["streams"].add(stream)
            if rule["skip"] > 0:
                rule["skip"] -= 1
                continue
            rule["times"] -= rule["times"] > 0
            rule["hit"] += 1
            self.hits.append({"id": rule["id"], "call": call, "table": table, "stream": stream})
            return rule["do"]
        return {}

    def door(self, name):
        return self.doors.setdefault(name, {"event": asyncio.Event(), "waiting": 0})

    async def pass_door(self, name):
        door = self.door(name)
        door["waiting"] += 1
        try:
            await door["event"].wait()
        finally:
            door["waiting"] -= 1

    def open_door(self, name):
        """Whoever waits goes on; the next one to come waits again."""
        door = self.door(name)
        door["event"].set()
        self.doors[name] = {"event": asyncio.Event(), "waiting": 0}

    async def http(self, call, when="before", table=None, method=None):
        """For an HTTP call: does what the fault says."""
        do = self.take(call, when, table, None, method)
        if "hold" in do:
            await self.pass_door(do["hold"])
        elif "http" in do:
            raise Refused(do["http"], do.get("reason", "backendError"), do.get("message", "injected"), do.get("headers"))
        elif "cut" in do:
            raise Cut()
        elif "swallow" in do:
            raise Swallowed()
        return do
