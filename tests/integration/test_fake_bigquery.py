# SPDX-License-Identifier: Apache-2.0
"""The fake is judged before it judges: the same questions, by Google's own clients, to the emulator and to the fake; then what only the
fake can do.
"""
import re
from pathlib import Path

import pytest

from lib import bigquery

_LIB = Path(bigquery.__file__).parent
_QUESTIONS = re.findall(r"^def (check_\w+)\(here\)", (_LIB / "bigquery_conformance.py").read_text(), re.M)
_TROUBLES = re.findall(r"^def (fake_\w+)\(here\)", (_LIB / "fake_checks.py").read_text(), re.M)


@pytest.fixture(params=["emulator", "fake"])
def either(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("question", _QUESTIONS)
def test_emulator_and_fake_agree(either, question):
    either.client.call(question)


@pytest.mark.parametrize("trouble", _TROUBLES)
def test_trouble_by_command(fake, trouble):
    fake.client.call(trouble)
