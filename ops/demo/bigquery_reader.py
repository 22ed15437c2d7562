# SPDX-License-Identifier: Apache-2.0
"""Google's BigQuery client behind a pipe: a line of JSON with SQL comes in, a line with rows goes out: {"rows": [[...]]}, null for a
table that is not there. Runs under the emulator's Python. Values are text, but for floats and {"bytes": hex}.

usage: python bigquery_reader.py ENDPOINT PROJECT
"""
import datetime
import decimal
import json
import sys

import google.api_core.exceptions
import google.auth.credentials
from google.cloud import bigquery


def text(value):
    if value is None or isinstance(value, float):
        return value
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, datetime.datetime):  # as MariaDB prints a DATETIME(6)
        return value.replace(tzinfo=None).strftime("%Y-%m-%d %H:%M:%S.%f")
    return format(value, "f") if isinstance(value, decimal.Decimal) else str(value)


def main(endpoint, project):
    client = bigquery.Client(project, google.auth.credentials.AnonymousCredentials(), client_options={"api_endpoint": endpoint})
    for line in sys.stdin:
        try:
            rows = client.query_and_wait(json.loads(line), retry=None, job_retry=None)
            answer = {"rows": [[text(value) for value in row.values()] for row in rows]}
        except google.api_core.exceptions.NotFound:
            answer = {"rows": None}
        except Exception as error:  # the demo shows it
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
