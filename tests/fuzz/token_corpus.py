#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files of credentials of each type, and the answers that each kind of sign-in hopes for. usage: token_corpus.py FOLDER"""
import json
import struct
import subprocess
import sys
from pathlib import Path

SECRET = "s3cr3t" + 38 * "A"
TOKEN = {"access_token": "token", "expires_in": 3599, "token_type": "Bearer"}
ACTING = {"accessToken": "acting", "expireTime": "2999-01-01T00:00:00Z"}
KEYS = {"Code": "Success", "AccessKeyId": "ASIA", "SecretAccessKey": "secret", "Token": "session"}
REFUSED = {"error": "invalid_grant", "error_description": f"Bad Request: {SECRET}"}
DENIED = {"error": {"code": 403, "message": f"Permission denied for {SECRET}", "status": "PERMISSION_DENIED"}}
EXTERNAL = {"type": "external_account", "audience": "//iam", "subject_token_type": "t", "token_url": "https://sts.googleapis.com/v1/token"}


def answers(kind, *pairs):
    out = bytes([kind])
    for status, body in pairs:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        out += struct.pack(">HH", status, len(data)) + data
    return out


folder = Path(sys.argv[1])
key = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], capture_output=True, check=True, text=True).stdout
FILES = [
    {"type": "service_account", "client_email": "a@b", "private_key_id": "k", "private_key": key, "token_uri": "https://oauth2.googleapis.com/token"},
    {"type": "authorized_user", "client_id": "i", "client_secret": SECRET, "refresh_token": SECRET},
    {**EXTERNAL, "credential_source": {"file": "/f", "format": {"type": "json", "subject_token_field_name": "f"}},
     "service_account_impersonation": {"token_lifetime_seconds": 2800}},
    {**EXTERNAL, "credential_source": {"environment_id": "aws1", "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?a=b"}},
]
for number, content in enumerate(FILES):
    (folder / f"file-{number}").write_bytes(b"\0" + json.dumps(content).encode())
FLOWS = [answers(1, (200, TOKEN)), answers(1, (400, REFUSED)), answers(2, (200, TOKEN), (200, ACTING)), answers(2, (200, TOKEN), (403, DENIED)),
         answers(3, (200, "session"), (200, "eu-west-1a"), (200, "role"), (200, KEYS), (200, TOKEN)), answers(4, (200, "a@b"), (200, TOKEN)),
         answers(4, (0x4000 + 200 - 184, "a@b"))]
for number, content in enumerate(FLOWS):
    (folder / f"flow-{number}").write_bytes(content)
