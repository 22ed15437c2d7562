# SPDX-License-Identifier: Apache-2.0
"""The storm: load, and SIGKILL and SIGSTOP/SIGCONT of producers, workers and the broker at random by seed; then the oracle.

    make storm SECONDS=600 SEED=7          (DATABASE=mysql: the other server; WAREHOUSE=bigquery: into the fake, which makes trouble itself)

Beside the shop's load there are tables, statements and changes of tables as the seed draws them (lib/random_tables.py), into SQLite.
Two producers (active and standby), three workers, one broker that is killed and started again on its data. Each action is a line. What the seed fixes is
the sequence of actions and of transactions; which instruction an action hits it can't fix. Afterwards everything goes on running, the last rows
arrive, and it is asked what lib/oracle.py says. Nothing is retried: a storm that finds something is right.

With BigQuery each worker draws its method (append, load), so a partition changes its way as it changes its owner; the server throttles, swallows
answers, ends calls and is paused; and in the middle all workers change their assignor. The emulator is too slow for this: it is the fake's ledger
that is judged, the view by Google's client.
"""
import random
import time

from lib import kafka
from lib.bigquery_judge import BigQueryWarehouse
from lib.load import Load, make_tables
from lib.processes import wait_for
from lib.random_tables import RandomTables, judge_without_key

_SAY = "storm %5.1f s  %s"


class Storm:
    """The programs, and what can happen to them."""

    def __init__(self, path, broker, seed, fake=None):
        self.path = path
        self.fake = fake
        self.assignors = ["cooperative-sticky", "range"] if seed % 2 else ["range", "cooperative-sticky"]
        self.broker = broker
        self.random = random.Random(seed)
        self.began = time.monotonic()
        self.started = 0
        self.producers = [self._producer() for _ in range(2)]
        self.workers = [self._worker() for _ in range(3)]
        self.stopped = []      # (when it goes on, program)
        self.broker_back = None
        self.actions = 0
        self.changed = False   # has the assignor been?

    def say(self, words):
        print(_SAY % (time.monotonic() - self.began, words), flush=True)

    def _producer(self):
        self.started += 1
        return self.path.start_producer(f"producer{self.started}", producer__transaction__age=self.random.choice(["20ms", "250ms"]))

    def _worker(self):
        self.started += 1
        draw = self.random.choice
        settings = {"worker__batch__age": draw(["20ms", "200ms", "1s"]), "worker__dedupe__window": draw([0, 100, 20000])}
        if self.fake:
            settings.update({"worker__kafka__partition.assignment.strategy": self.assignors[0], "bigquery__method": {"*.*": draw(["append", "append", "load"])},
                             "bigquery__answer_timeout": draw(["1s", "5s"]), "bigquery__calls": draw([2, 100]), "bigquery__request": draw(["1MiB", "9000000"]), "worker__batch__bytes": "1MiB",
                             "bigquery__compression": draw(["none", "gzip"])})
        return self.path.start_worker(f"worker{self.started}", **settings)

    def change_assignor(self):
        """A group has one assignor, so it changes for all workers at once."""
        self.assignors.reverse()
        self.say(f"all workers are killed and come again with the assignor {self.assignors[0]}")
        for index, worker in enumerate(self.workers):
            worker.kill()
            self._again(self.workers, index)

    def act(self):
        """One thing happens."""
        self.actions += 1
        actions, weights = [self._kill, self._pause, self._terminate, self._kill_broker, self._pause_broker], [6, 6, 2, 2, 2]
        if self.fake:
            actions, weights = actions + [self._trouble, self._pause_fake], weights + [8, 2]
        self.random.choices(actions, weights)[0]()

    def _trouble(self):
        """Something that the service does on its own."""
        troubles = [("AppendRows", {"swallow": True}, "after"), ("AppendRows", {"cut": True}, "after"), ("AppendRows", {"status": "UNAVAILABLE"}, "before"),
                    ("AppendRows", {"error": "RESOURCE_EXHAUSTED"}, "before"), ("CreateWriteStream", {"cut": True}, "after"), ("FinalizeWriteStream", {"cut": True}, "after"),
                    ("upload.last", {"http": 503}, "after"), ("upload.put", {"short_range": 100}, "chunk"), ("job.run", {"job_error": "backendError"}, "before"),
                    ("jobs.get", {"cut": True}, "before"), ("*", {"http": 429, "reason": "rateLimitExceeded"}, "before")]
        call, do, when = self.random.choice(troubles)
        times = self.random.choice([1, 5])
        if self.fake.process.stopped:
            return
        self.say(f"BigQuery: {call} {when} {do}, {times} times")
        self.fake.fault(call, do, when=when, times=times)
        if self.random.random() < 0.2:
            self.fake.post("end-calls", status=self.random.choice(["ABORTED", "UNAVAILABLE"]))

    def _pause_fake(self):
        seconds = self.random.choice([0.5, 3])
        self.say(f"SIGSTOP BigQuery for {seconds} s")
        self.fake.process.stop()
        self.stopped.append((time.monotonic() + seconds, self.fake.process))

    def _any(self):
        group = self.random.choice([self.producers, self.workers])
        return group, self.random.randrange(len(group))

    def _again(self, group, index):
        self.stopped = [(when, program) for when, program in self.stopped if program is not group[index]]
        group[index] = self._producer() if group is self.producers else self._worker()

    def _kill(self):
        group, index = self._any()
        self.say(f"SIGKILL {group[index].name}")
        group[index].kill()
        self._again(group, index)

    def _terminate(self):
        group, index = self._any()
        program = group[index]
        if any(stopped is program for _, stopped in self.stopped):
            return
        self.say(f"SIGTERM {program.name}")
        code = program.terminate(40)
        assert code == 0, f"{program.name} ended with {code}:\n{program.text()[-3000:]}"
        self._again(group, index)

    def _pause(self):
        """Shorter than a session, or longer: then another one takes over, and this one wakes up as a zombie."""
        group, index = self._any()
        seconds = self.random.choice([0.2, 2, 9, 15])
        self.say(f"SIGSTOP {group[index].name} for {seconds} s")
        group[index].stop()
        self.stopped.append((time.monotonic() + seconds, group[index]))

    def _pause_broker(self):
        seconds = self.random.choice([0.5, 3])
        self.say(f"SIGSTOP broker for {seconds} s")
        self.broker.process.stop()
        self.stopped.append((time.monotonic() + seconds, self.broker.process))

    def _kill_broker(self):
        self.say("SIGKILL broker, and start")
        self.stopped = [(when, program) for when, program in self.stopped if program is not self.broker.process]
        self.broker.process.resume()
        self.broker.wait()  # one that is still coming up is not killed again: it would ask nothing new
        self.broker.kill_and_restart(self.producers, f"{self.path.prefix}.positions")

    def tick(self):
        """Wakes what has slept enough; starts again what ended with a word about it (a program may end itself: its supervisor's work)."""
        for when, program in list(self.stopped):
            if time.monotonic() >= when:
                self.stopped.remove((when, program))
                self.say(f"SIGCONT {program.name}")
                program.resume()
        for group in (self.producers, self.workers):
            for index, program in enumerate(group):
                if not program.running():
                    last = (program.text().splitlines() or [""])[-1]
                    self.say(f"{program.name} had ended with {program.popen.returncode}: {last}")
                    assert program.popen.returncode >= 0 or program.popen.returncode == -9, f"{program.name} crashed:\n{program.text()[-3000:]}"
                    self._again(group, index)

    def calm(self):
        if self.fake:
            self.fake.process.resume()
            self.fake.heal()
        self.stopped = [(0, program) for _, program in self.stopped]
        self.tick()
        self.broker.wait()


def test_storm(request, make_path, session_folder):
    seconds, seed, flavor = (request.config.getoption(name) for name in ("--seconds", "--seed", "--database"))
    server = request.getfixturevalue(flavor)
    fake = request.getfixturevalue("fake") if request.config.getoption("--warehouse") == "bigquery" else None
    broker = kafka.Broker(session_folder / "kafka-storm").start()
    warehouse = fake and BigQueryWarehouse(fake, retry="10s", table_jobs=86400, project_jobs=1000000)
    path = make_path(server, broker, warehouse, topics__partitions=2 if fake else 3)
    make_tables(path)
    drawn = None if fake else RandomTables(path, seed)
    again = f"repeat it with: make storm SECONDS={seconds} SEED={seed}" + (f" DATABASE={flavor}" if flavor != "mariadb" else "") + (" WAREHOUSE=bigquery" if fake else "")
    storm = Storm(path, broker, seed, fake)
    wait_for(lambda: any(program.logged("streaming") for program in storm.producers), "a first producer to stream", 90)
    load = Load(path, seed, rate=120, ddl=True).start()
    drawn = drawn and drawn.start()
    try:
        next_action = time.monotonic() + 2

        def over():
            nonlocal next_action
            storm.tick()
            if fake and time.monotonic() - storm.began > seconds / 2 and not storm.changed:
                storm.changed = True
                storm.change_assignor()
            if time.monotonic() >= next_action:
                storm.act()
                next_action = time.monotonic() + storm.random.uniform(0.2, 5)
            assert load.error is None, load.error
            return time.monotonic() - storm.began > seconds

        wait_for(over, "the storm to end", seconds + 120)
        if drawn:
            drawn.finish()
        load.finish()
        storm.say(f"calm: {storm.actions} actions, {load.transactions} transactions, {sum(load.committed.values())} row images; the last rows arrive")
        storm.calm()
        wait_for(lambda: storm.tick() or path.lag() == 0, lambda: f"the lag of {path.lag()} to vanish", 180, 0.3)
        path.wait_and_judge(180)
        if drawn:
            judge_without_key(path, drawn.tables[-1].name)
    except BaseException:
        storm.say("NOT RIGHT; " + again)
        raise
    rows = sum(len(images) for images in path.truth().values())
    storm.say(f"right: {rows} committed changes, each in the topics and in the histories once and in order; every latest view is its source. {again}")
    broker.close()
