# SPDX-License-Identifier: Apache-2.0
"""Google's own BigQuery clients behind a pipe: runs under the emulator's Python, is asked by lib/bigquery.py.

Everything that a test wants of the official clients is a function of this file or of lib/bigquery_conformance.py or lib/fake_checks.py, called by its name.

usage: python bigquery_client.py ENDPOINT GRPC_PORT PROJECT
"""
import faulthandler
import pickle
import struct
import sys
import traceback

import google.api_core.exceptions
import google.auth.credentials
from google.cloud import bigquery
from google.cloud.bigquery import _helpers

sys.path.insert(0, __file__.rpartition("/")[0])


# A JSON value as the text that came: parsed, the JSON null would be a NULL, and numbers would lose their spelling.
_helpers.CellDataParser.json_to_py = lambda self, value, field: value


class Here:
    """The server under test, for the functions."""

    def __init__(self, endpoint, grpc_port, project):
        self.endpoint, self.grpc_port, self.project = endpoint, grpc_port, project
        self.client = bigquery.Client(project, google.auth.credentials.AnonymousCredentials(), client_options={"api_endpoint": endpoint})
        self.client.create_bqstorage_client = False


def query(here, sql):
    return [dict(row) for row in here.client.query_and_wait(sql, retry=None, job_retry=None)]


def table(here, dataset, name):
    """tables.get as JSON; None if it is not there."""
    try:
        return here.client.get_table(f"{here.project}.{dataset}.{name}", retry=None).to_api_repr()
    except google.api_core.exceptions.NotFound:
        return None


def tables(here, dataset):
    return sorted(item.table_id for item in here.client.list_tables(f"{here.project}.{dataset}", retry=None))


def dataset(here, name):
    return here.client.get_dataset(f"{here.project}.{name}", retry=None).to_api_repr()


def datasets(here):
    return sorted(item.dataset_id for item in here.client.list_datasets(retry=None))


def set_view(here, dataset_name, name, text):
    view = here.client.get_table(f"{here.project}.{dataset_name}.{name}", retry=None)
    view.view_query = text
    here.client.update_table(view, ["view_query"], retry=None)


def drop_table(here, dataset_name, name):
    here.client.delete_table(f"{here.project}.{dataset_name}.{name}", retry=None)


def jobs(here, **options):
    return [job.to_api_repr() for job in here.client.list_jobs(retry=None, **options)]


def main(endpoint, grpc_port, project):
    import bigquery_conformance  # pylint: disable=import-outside-toplevel
    import fake_checks  # pylint: disable=import-outside-toplevel
    faulthandler.enable(all_threads=True)
    here = Here(endpoint, int(grpc_port), project)
    pipe_in, pipe_out = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    while size := pipe_in.read(4):
        function, arguments, named = pickle.loads(pipe_in.read(struct.unpack("<I", size)[0]))
        try:
            work = globals().get(function) or getattr(fake_checks, function, None) or getattr(bigquery_conformance, function)
            answer = (True, work(here, *arguments, **named))
        except Exception:  # pylint: disable=broad-except
            answer = (False, traceback.format_exc())
        data = pickle.dumps(answer, protocol=4)
        pipe_out.write(struct.pack("<I", len(data)) + data)
        pipe_out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
