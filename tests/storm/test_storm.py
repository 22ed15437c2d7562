# SPDX-License-Identifier: Apache-2.0
"""The storm: load, and SIGKILL and SIGSTOP/SIGCONT of producers, workers and the broker at random by seed; then the oracle.

    make storm SECONDS=600 SEED=7          (pytest tests/storm --seconds=600 --seed=7 --database=mysql  for the other server)

Two producers (active and standby), three workers, one broker that is killed and started again on its data. Each action is a line. What the seed fixes is
the sequence of actions and of transactions; which instruction an action hits it can't fix. Afterwards everything goes on running, the last rows
arrive, and it is asked what lib/oracle.py says. Nothing is retried: a storm that finds something is right.
"""
import random
import time

from lib import kafka
from lib.load import Load, make_tables
from lib.processes import wait_for

_SAY = "storm %5.1f s  %s"


class Storm:
    """The programs, and what can happen to them."""

    def __init__(self, path, broker, seed):
        self.path = path
        self.broker = broker
        self.random = random.Random(seed)
        self.began = time.monotonic()
        self.started = 0
        self.producers = [self._producer() for _ in range(2)]
        self.workers = [self._worker() for _ in range(3)]
        self.stopped = []      # (when it goes on, program)
        self.broker_back = None
        self.actions = 0

    def say(self, words):
        print(_SAY % (time.monotonic() - self.began, words), flush=True)

    def _producer(self):
        self.started += 1
        return self.path.start_producer(f"producer{self.started}", producer__transaction__age=self.random.choice(["20ms", "250ms"]))

    def _worker(self):
        self.started += 1
        return self.path.start_worker(f"worker{self.started}", worker__batch__age=self.random.choice(["20ms", "200ms", "1s"]),
                                      worker__dedupe__window=self.random.choice([0, 100, 20000]))

    def act(self):
        """One thing happens."""
        self.actions += 1
        self.random.choices([self._kill, self._pause, self._terminate, self._kill_broker, self._pause_broker], [6, 6, 2, 2, 2])[0]()

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
        self.stopped = [(0, program) for _, program in self.stopped]
        self.tick()
        self.broker.wait()


def test_storm(request, make_path, session_folder):
    seconds, seed, flavor = (request.config.getoption(name) for name in ("--seconds", "--seed", "--database"))
    server = request.getfixturevalue(flavor)
    broker = kafka.Broker(session_folder / "kafka-storm").start()
    path = make_path(server, broker, topics__partitions=3)
    make_tables(path)
    again = f"repeat it with: make storm SECONDS={seconds} SEED={seed}" + (f" (--database={flavor})" if flavor != "mariadb" else "")
    storm = Storm(path, broker, seed)
    wait_for(lambda: any(program.logged("streaming") for program in storm.producers), "a first producer to stream", 90)
    load = Load(path, seed, rate=120, ddl=True).start()
    try:
        next_action = time.monotonic() + 2

        def over():
            nonlocal next_action
            storm.tick()
            if time.monotonic() >= next_action:
                storm.act()
                next_action = time.monotonic() + storm.random.uniform(0.2, 5)
            assert load.error is None, load.error
            return time.monotonic() - storm.began > seconds

        wait_for(over, "the storm to end", seconds + 120)
        load.finish()
        storm.say(f"calm: {storm.actions} actions, {load.transactions} transactions, {sum(load.committed.values())} row images; the last rows arrive")
        storm.calm()
        wait_for(lambda: storm.tick() or path.lag() == 0, lambda: f"the lag of {path.lag()} to vanish", 180, 0.3)
        path.wait_and_judge(180)
    except BaseException:
        storm.say("NOT RIGHT; " + again)
        raise
    rows = sum(len(images) for images in path.truth().values())
    storm.say(f"right: {rows} committed changes, each in the topics and in the histories once and in order; every latest view is its source. {again}")
    broker.close()
