# SPDX-License-Identifier: Apache-2.0
"""What BigQuery does, asked by Google's own clients: each function is one row of the table on which emulator and fake must agree.

Runs in the process of lib/bigquery_client.py; tests/integration/test_fake_bigquery.py calls each function against both. A function that asks something
the emulator gets wrong has no place here.
"""
