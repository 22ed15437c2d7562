# SPDX-License-Identifier: Apache-2.0
"""Rows of AppendRows against Google's own protobuf library and fastavro: no code of ours on the judge's side (lib/protobuf_rows.py)."""
import json
import subprocess
from pathlib import Path

import pytest

from lib.bigquery import home
from lib.path import ROOT, build_folder

JUDGE = Path(__file__).resolve().parent.parent / "lib" / "protobuf_rows.py"


@pytest.fixture(scope="module")
def program():
    made = build_folder() / "test" / "append_requests"
    subprocess.run(["make", "--no-print-directory", "-s", made.relative_to(ROOT)], cwd=ROOT, check=True, timeout=600, stdout=subprocess.DEVNULL)
    return made


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rows_are_their_messages(program, tmp_path, seed):
    """Nothing lost, nothing changed, nothing more; refused is just what BigQuery can't hold."""
    result = subprocess.run([str(home() / "python"), "-B", JUDGE, program, tmp_path, str(seed)], capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr[-4000:]
    counts = json.loads(result.stdout)
    assert counts["rows"] > 2000 and counts["refused"] > 20, counts
