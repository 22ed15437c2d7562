# SPDX-License-Identifier: Apache-2.0
"""The processes of the demo: each ends with the demo, however that ends, and none outlives it.

A child gets a session of its own, so that Ctrl-C reaches the demo alone, which then stops all in order; and the kernel kills it when
the demo itself is killed (PR_SET_PDEATHSIG, by setpriv). The kernel looks at the thread that started the child: only the main
thread may start one.
"""
import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request


class Failed(Exception):
    """The demo can't go on; the text says why."""


def wait_for(condition, what, deadline_s):
    """The condition's value as soon as it is true."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"waited {deadline_s} s in vain for {what}")
        time.sleep(0.05)


class Child:
    def __init__(self, name, argv, log, environment=None):
        self.name, self.log, self.killed = name, log, False
        with open(log, "ab") as out:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *map(str, argv)], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, env=environment, start_new_session=True)

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process.poll() is None

    def must_run(self):
        if not self.killed and not self.running():
            raise Failed(f"{self.name} ended by itself (exit {self.process.returncode}); its last words:\n{self.last_lines()}")

    def text(self):
        return self.log.read_text("utf-8", "replace")

    def last_lines(self, count=12):
        return "\n".join("    " + line for line in self.text().splitlines()[-count:])

    def wait_for(self, condition, what, deadline_s=30):
        def checked():
            self.must_run()
            return condition()
        try:
            return wait_for(checked, what, deadline_s)
        except Failed as failed:
            raise Failed(f"{failed}\n{self.last_lines()}") if self.running() else failed

    def kill(self):
        """kill -9, on purpose."""
        self.killed = True
        self.process.kill()
        self.process.wait()

    def stop(self, deadline_s=15):
        self.killed = True
        if self.running():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(deadline_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Program(Child):
    """kakehi-producer or kakehi-worker: a child with an admin port, which it logs."""

    def __init__(self, name, program, settings, folder, environment):
        super().__init__(name, [program, "run", "-c", settings], folder / f"{name.replace(' ', '-')}.log", environment)
        self.status = {}  # the last known one, also after a kill
        self.address = None

    def logged(self, event):
        return re.search(rf"^\S+ \w+ {event}\b.*", self.text(), re.MULTILINE)

    def find_address(self):
        """Of the admin port; None until it is logged."""
        line = None if self.address else self.logged("admin")
        if line:
            self.address = re.search(r'listen="?([\d.]+:\d+)', line[0])[1]
        return self.address

    def ask(self):
        """Refreshes the status. A program that is busy or just dying keeps its last one."""
        if self.running() and self.find_address():
            try:
                with urllib.request.urlopen(f"http://{self.address}/status", timeout=2) as answer:
                    self.status = json.load(answer)
            except (urllib.error.URLError, OSError, ValueError):
                pass
        return self.status

    def table(self, name):
        return self.status.get("tables", {}).get(name, {})
