#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of the tree that no compiler knows. Each finding is one line, "file:line: what".

usage: tree.py             names the checks
       tree.py NAME        runs one; exit 1 if it finds something

Needs no more than python3-minimal has.
"""
import os
import re
import subprocess
import sys

ROOMS = {  # folder -> the folders that it may include
    "common": {"common"},
    "schemas": {"common", "schemas"},
    "producer": {"common", "schemas", "producer"},
    "workers": {"common", "schemas", "workers"},
}

# Bytes in, values out: no loop, no network, no broker, no database.
PURE = re.compile(r"^(schemas/|producer/binlog/|workers/bigquery/(append_request|bigquery_types|descriptor|grpc_answer|grpc_message|grpc_status|http2|protobuf|row_program|row_steps|row_value|storage_messages|tls)\.)")
NOT_PURE = re.compile(r"^producer/binlog/(dump|reader|source)\.[ch]$")  # the ones that connect, read files, or are the source
FOREIGN = re.compile(r"^(uv|sqlite3|microhttpd|mysql|errmsg|mysqld_error|yaml)\.h$|^(librdkafka|curl|mariadb|mysql|sys/socket|netinet)\b")

BANNED = {
    "sleep": "waiting is not synchronisation", "usleep": "waiting is not synchronisation", "nanosleep": "waiting is not synchronisation",
    "strcpy": "no limit", "strcat": "no limit", "sprintf": "no limit", "vsprintf": "no limit", "gets": "no limit",
    "strtok": "hidden state", "atoi": "no errors", "atol": "no errors", "atoll": "no errors", "atof": "no errors",
    "system": "a shell reads it", "popen": "a shell reads it", "assert": "must() is always on, and only for our own mistakes",
}

# Where links may lead: public documentation. A host of a package registry or of somebody's network has no place in the tree.
HOSTS = {
    "avro.apache.org", "cwiki.apache.org", "datatracker.ietf.org", "dev.mysql.com", "docs.confluent.io", "github.com", "jansson.readthedocs.io",
    "json.org", "kafka.apache.org", "maven.apache.org", "mariadb.com", "opensource.org", "prometheus.io", "spdx.org", "sqlite.org",
    "www.apache.org", "www.gnu.org", "www.iana.org", "www.rfc-editor.org", "www.sqlite.org", "www.unicode.org", "www.w3.org", "yaml.org",
}
SERVICES = re.compile(r"^([\w-]+\.googleapis\.com|sts\.[\w{}%-]+\.amazonaws\.com|169\.254\.\d+\.\d+|\[.*)$")  # what the product itself talks to
LOCAL = re.compile(r"^(localhost|registry|127\.\d+\.\d+\.\d+|0\.0\.0\.0|example\.(com|org|net)|[\w.-]+\.example(\.(com|org|net))?|[{$%<].*)$")  # registry: a service of docker-compose.yml
MACHINE = re.compile(r"(?<![\w.$)}{/-])/(wo[r]k|root|home/\w+|Users/\w+|var/tmp/\w+)(?=/)")

FUNCTION_LINES_MAX = 100  # "almost none over 70": what is longer than this, nobody reads
FILE_LINES_MAX = 1000
PARAMETERS_MAX = 6  # that go in; the last ones, ret_... and err, are the same everywhere

findings = 0


def report(path, line, what):
    global findings
    findings += 1
    print(f"{path}:{line}: {what}")


def files(*endings):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], check=True, capture_output=True, text=True).stdout
    return [path for path in listed.splitlines() if (not endings or path.endswith(endings)) and os.path.isfile(path)]


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def blank(match):
    """Spaces, but for line breaks: places stay where they are."""
    return re.sub(r"[^\n]", " ", match.group())


def without_comments(text, strings=True):
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\''
    return re.sub(pattern, lambda match: match.group() if not strings and match.group()[0] in "\"'" else blank(match), text, flags=re.S)


def includes(path):
    for number, line in enumerate(read(path).splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^">]+)[">]', line)
        if match:
            yield number, match.group(1) == '"', match.group(2)


def check_arrows():
    """common < schemas < producer | workers; never between these two; includes are written from the root."""
    for path in files(".c", ".h"):
        room = path.split("/")[0]
        for number, own, name in includes(path):
            target = name.split("/")[0]
            if own and not os.path.isfile(name):
                report(path, number, f'"{name}" is not a path from the root of the tree')
            elif own and room in ROOMS and target not in ROOMS[room]:
                report(path, number, f"{room} must not include {name}")


def check_pure():
    """Decoders and schemas know bytes and values only."""
    for path in files(".c", ".h"):
        if PURE.match(path) and not NOT_PURE.match(path):
            for number, own, name in includes(path):
                if not own and FOREIGN.search(name):
                    report(path, number, f"pure code includes <{name}>")


def check_banned():
    for path in files(".c", ".h"):
        text = without_comments(read(path))
        for match in re.finditer(r"(?<![\w.>])(\w+)\s*\(", text):
            if match.group(1) in BANNED:
                report(path, line_of(text, match.start()), f"{match.group(1)}: {BANNED[match.group(1)]}")


def check_heads():
    """The license first, in each C file; a header guarded by its own path."""
    for path in files(".c", ".h"):
        text = read(path)
        if not text.startswith("/* SPDX-License-Identifier: Apache-2.0 */\n"):
            report(path, 1, "the first line is not the SPDX line")
        elif not text.split("\n", 2)[1].startswith("/*"):
            report(path, 2, "nothing says why the file exists")
        guard = "KAKEHI_" + re.sub(r"\W", "_", path).upper()
        if path.endswith(".h") and f"#ifndef {guard}\n#define {guard}\n" not in text:
            report(path, 1, f"the guard is not {guard}")


def check_places():
    """The tree stands alone: no paths of a machine, no hosts but public documentation."""
    for path in files():
        text = read(path)
        if "\0" in text:
            continue
        for match in MACHINE.finditer(text):
            report(path, line_of(text, match.start()), f"a path of a machine: {match.group()}")
        for match in re.finditer(r"\b(?:https?|ftp)://([^\s/:?@\"'<>)`\\|,;]+)", text):
            host = match.group(1)
            if host not in HOSTS and not SERVICES.match(host) and not LOCAL.match(host):
                report(path, line_of(text, match.start()), f"a host that is no public documentation: {host}")


def calls(text, name):
    """Each call of a function as (place, list of its arguments' texts)."""
    bare = without_comments(text)
    full = without_comments(text, strings=False)
    for match in re.finditer(rf"(?<!\w){name}\s*\(", bare):
        depth, start, arguments = 1, match.end(), []
        for at in range(match.end(), len(bare)):
            depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(bare[at], 0)
            if depth == 0 or (depth == 1 and bare[at] == ","):
                arguments.append(full[start:at].strip())
                start = at + 1
            if depth == 0:
                break
        yield match.start(), arguments


def check_log():
    """An event is a word, its fields key=value with conversions that log.c knows: what is wrong there aborts when it is logged."""
    conversion = re.compile(r"%(?:s|q|d|u|zu|zd|ld|lu|lld|llu|\.\df)")
    for path in files(".c"):
        text = read(path)
        for name, first in (("log_(?:error|warn|info|debug)", 0), ("log_event", 1)):
            for place, arguments in calls(text, name):
                if len(arguments) < first + 2 or not arguments[first].startswith('"'):
                    continue  # the definition, a macro, or an event from a table
                if not re.fullmatch(r'"[a-z][a-z0-9_-]*"', arguments[first]):
                    report(path, line_of(text, place), f"the event is not one word: {arguments[first]}")
                fields = re.sub(r"\bPRI[du](?:64|32|MAX)\b", '"d"', arguments[first + 1])
                for fields in re.sub(r'"\s*"', "", fields).split("?")[-1].split(" : "):
                    literal = re.fullmatch(r'\s*"((?:\\.|[^"\\])*)"\s*', fields)
                    for field in literal.group(1).split(" ") if literal and literal.group(1) else []:
                        if not re.fullmatch(r"[a-z][a-z0-9_]*=\S+", field) or "%" in conversion.sub("", field):
                            report(path, line_of(text, place), f"not a field of the log: {field}")


def check_metrics():
    """Each family of metrics is known before anything is counted, and has a name as Prometheus wants it: _total behind counters alone."""
    for path in files(".c"):
        text = read(path)
        if path.startswith("tests/"):
            continue
        for match in re.finditer(r"static struct metric_family ([^;]*?)=(.*?);\n", text, flags=re.S):
            if "METRIC_FAMILY" not in match.group(1):
                report(path, line_of(text, match.start()), "METRIC_FAMILY is missing: docs/metrics.md would not know it")
            for name, kind in re.findall(r'\.name = "(\w+)".*?\.kind = METRIC_(\w+)', match.group(2), flags=re.S):
                if not re.fullmatch(r"(kakehi|process)(_[a-z]+[a-z0-9]*)+", name) or name.endswith("_total") != (kind == "COUNTER"):
                    report(path, line_of(text, match.start()), f"not the name of a {kind.lower()}: {name}")


def check_sizes():
    """Functions, files and parameter lists that one can read. Foreign callbacks (on_...) have the parameters that they have, and a
    test reads like a table: what it spells out may be long."""
    paths = [path for path in files(".c", ".h") if not path.startswith("tests/")]
    for path in paths:
        lines = read(path).count("\n")
        if lines > FILE_LINES_MAX:
            report(path, 1, f"{lines} lines; split it (at most {FILE_LINES_MAX})")
    options = ["ctags", "-x", "--c-kinds=f", "--fields=+neS", "--_xformat=%F\t%N\t%n\t%{end}\t%S", "-L", "-"]
    listed = subprocess.run(options, check=True, capture_output=True, text=True, input="\n".join(paths)).stdout
    for row in listed.splitlines():
        path, name, start, end, signature = row.split("\t")
        lines = int(end or start) - int(start) + 1
        if lines > FUNCTION_LINES_MAX and name != "main":
            report(path, start, f"{name} has {lines} lines (at most {FUNCTION_LINES_MAX})")
        parameters = [one for one in re.sub(r"\([^()]*\)", "", signature[1:-1]).split(",") if not re.search(r"\b(ret_\w+|err)$", one)]
        if len(parameters) > PARAMETERS_MAX and not name.startswith("on_"):
            report(path, start, f"{name} has {len(parameters)} parameters (at most {PARAMETERS_MAX})")


def main():
    checks = {name[len("check_"):]: function for name, function in sorted(globals().items()) if name.startswith("check_")}
    if len(sys.argv) == 1:
        print("\n".join(checks))
        return 0
    if len(sys.argv) != 2 or sys.argv[1] not in checks:
        print(__doc__, file=sys.stderr)
        return 2
    checks[sys.argv[1]]()
    return 1 if findings else 0


sys.exit(main())
