#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Error answers in the forms that Google's APIs have. usage: rest_corpus.py FOLDER"""
import json
import struct
import sys
from pathlib import Path

ERRORS = [
    (403, {"code": 403, "message": "Exceeded rate limits", "errors": [{"message": "x", "domain": "usageLimits", "reason": "rateLimitExceeded"}]}),
    (403, {"code": 403, "message": "API disabled", "status": "PERMISSION_DENIED", "details": [{"@type": "x", "reason": "SERVICE_DISABLED"}]}),
    (401, {"code": 401, "message": "Invalid Credentials", "errors": [{"reason": "authError"}], "status": "UNAUTHENTICATED"}),
    (404, {"code": 404, "message": "Not found: Table p:d.t", "errors": [{"reason": "notFound"}], "status": "NOT_FOUND"}),
    (409, {"code": 409, "message": "Already Exists: Job p:EU.j", "errors": [{"reason": "duplicate"}], "status": "ALREADY_EXISTS"}),
    (503, {"code": 503, "message": "line\nbreak \u0007 \u00e4", "errors": [{"reason": "backendError"}]}),
]

folder = Path(sys.argv[1])
for number, (status, error) in enumerate(ERRORS):
    header = [b"", b"7", b"Sat, 21 Nov 2026 13:00:00 GMT"][number % 3]
    body = json.dumps({"error": error}).encode()
    (folder / f"error-{number}").write_bytes(struct.pack(">HB", status, len(header)) + header + body)
(folder / "html").write_bytes(struct.pack(">HB", 502, 0) + b"<html>Bad Gateway</html>")
(folder / "empty").write_bytes(struct.pack(">HB", 200, 0))
