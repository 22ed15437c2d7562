# SPDX-License-Identifier: Apache-2.0
"""What the demo shows: news, one line each, and below them a table that is redrawn in place on a terminal, or printed now and then
where the output goes to a file or a pipe."""
import shutil
import sys
import time

PLAIN_EVERY_S = 8
COLUMNS = (("source", "rows"), ("changes", "read"), ("", "appended"), ("dedu-", "plicated"), ("latest", "rows"), ("freshness", "ms"))


def number(value):
    return "-" if value is None else f"{value:,}"


def table(rows, heads=COLUMNS, width=11):
    """rows: (name, value...)"""
    lines = ["  " + " " * 10 + "".join(f"{head[line]:>{width}}" for head in heads) for line in (0, 1)]
    return lines + [f"  {name:10}" + "".join(f"{value if isinstance(value, str) else number(value):>{width}}" for value in values)
                    for name, *values in rows]


class Screen:
    def __init__(self):
        self.live = sys.stdout.isatty()
        self.start, self.drawn, self.last_plain = time.monotonic(), 0, 0.0

    def seconds(self):
        return time.monotonic() - self.start

    def _erase(self):
        if self.drawn:
            sys.stdout.write(f"\033[{self.drawn}A\033[J")
            self.drawn = 0

    def say(self, text=""):
        """Stays on the terminal, above the live table."""
        self._erase()
        print(text, flush=True)

    def news(self, text):
        self.say(f"{self.seconds():5.1f} s  {text}")

    def draw(self, lines):
        if self.live:
            self._erase()
            width = shutil.get_terminal_size().columns - 1  # a line that wraps would be two to erase
            print("\n" + "\n".join(line[:width] for line in lines), flush=True)
            self.drawn = len(lines) + 1
        elif time.monotonic() - self.last_plain >= PLAIN_EVERY_S:
            self.last_plain = time.monotonic()
            print(f"{self.seconds():5.1f} s\n" + "\n".join(lines), flush=True)

    def finish(self):
        """What is on the screen stays; whatever follows comes below."""
        self.drawn = 0
