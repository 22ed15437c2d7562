# SPDX-License-Identifier: Apache-2.0
"""Processes that can't outlive the test run, ports that nobody else takes, and waiting with a deadline.

Each process gets a group of its own (Ctrl-C reaches pytest alone, which then stops things in order) and dies with pytest, however
that ends: PR_SET_PDEATHSIG. It fires when the *thread* that started the child ends, so only the main thread starts processes.
"""
import atexit
import ctypes
import fcntl
import itertools
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_alive = []


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Process:
    """A child with its output in a file, appended over restarts."""

    def __init__(self, name, argv, log, env=None):
        assert threading.current_thread() is threading.main_thread()
        self.name = name
        self.log = log
        self.stopped = False
        self.log_start = log.stat().st_size if log.exists() else 0
        with open(log, "ab") as out:
            self.popen = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                          env=env, start_new_session=True, preexec_fn=_die_with_parent)
        _alive.append(self)

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.running():
            os.killpg(self.pid, number)

    def kill(self):
        """SIGKILL, and gone when this returns. A stopped process dies of it too."""
        self.signal(signal.SIGKILL)
        self.popen.wait()
        if self in _alive:
            _alive.remove(self)

    def terminate(self, deadline_s=30):
        """SIGTERM; returns the exit code. Raises (and kills) if it does not end in time."""
        self.signal(signal.SIGTERM)
        return self.wait(deadline_s)

    def wait(self, deadline_s=30):
        try:
            code = self.popen.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {deadline_s} s\n{self.text()[-3000:]}") from None
        if self in _alive:
            _alive.remove(self)
        return code

    def stop(self):
        self.stopped = True
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.stopped = False
        self.signal(signal.SIGCONT)

    def text(self):
        """What this process (not an earlier one with the same file) wrote."""
        with open(self.log, "rb") as log:
            log.seek(self.log_start)
            return log.read().decode("utf-8", "replace")

    def proc(self):
        """Its folder in /proc. In a container that kept the /proc of an outer process namespace it has another number there."""
        own = Path(f"/proc/{self.pid}")
        if os.readlink("/proc/self") == str(os.getpid()):
            return own
        namespace = os.readlink("/proc/self/ns/pid")
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                inner = re.search(r"^NSpid:.*?(\d+)$", (folder / "status").read_text(), re.M)
                if inner and int(inner[1]) == self.pid and os.readlink(folder / "ns" / "pid") == namespace:
                    return folder
            except OSError:
                continue  # somebody else's, or gone
        raise AssertionError(f"{self.name} ({self.pid}) is not in /proc")

    def rss_peak_bytes(self):
        with open(self.proc() / "status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        raise AssertionError(f"{self.name} has no VmHWM")


def kill_all():
    for process in list(_alive):
        process.kill()


atexit.register(kill_all)


def _port_range():
    """Below the range from which the kernel takes ports for outgoing connections: a port that is free now is free in a second."""
    first, last = (os.environ.get("KAKEHI_TEST_PORTS") or "20000-31999").split("-")
    return int(first), int(last)


_reserved = []


def _reserve(port):
    """Another test run on this machine leaves a port alone from the moment it was chosen here, not only once a server listens on it."""
    try:
        lock = open(f"/tmp/.kakehi-test-port-{port}", "a", encoding="ascii")  # pylint: disable=consider-using-with
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    _reserved.append(lock)
    return True


def _free(port):
    if not _reserve(port):
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


_first, _last = _port_range()
_candidates = itertools.cycle(range(_first, _last + 1))
for _ in range(random.SystemRandom().randrange(_last - _first)):  # two runs at once begin at different places
    next(_candidates)


def free_ports(count=1):
    """The first of `count` free ports in a row."""
    for _ in range(2 * (_last - _first)):
        port = next(_candidates)
        if port + count - 1 <= _last and all(_free(port + i) for i in range(count)):
            for _ in range(count - 1):
                next(_candidates)
            return port
    raise AssertionError("no free port")


def wait_for(condition, what, deadline_s=60, every_s=0.05):
    """The condition's value once it is true. `what` completes the sentence "waited N s for ..."; a callable is asked at the end."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s} s for {what() if callable(what) else what}")
        time.sleep(every_s)
