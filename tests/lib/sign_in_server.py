# SPDX-License-Identifier: Apache-2.0
"""Google's and AWS's token endpoints in one small server, strict by means of google-auth and cryptography; and google-auth itself as a client of it.

Runs under the emulator's Python (tests/servers/get-bigquery). What each request of a client came down to is kept, without what changes from run to run
(times, signatures), so that two clients can be compared; whether it was right is judged here, with Google's own code.

usage: python sign_in_server.py serve PORT FOLDER [CERTIFICATE KEY]      FOLDER: key.pub (PEM), subject (the token of the token file)
       python sign_in_server.py client FILE SCOPES                       signs in by google-auth; prints the token
"""
import datetime
import json
import ssl
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import google.auth.transport.requests
from google.auth import _helpers, aws, crypt, identity_pool, jwt
from google.oauth2 import service_account

AWS_KEYS = {"AKIDENV": ("s3cr3t/env+key", None), "ASIAROLE": ("s3cr3t/role+key", "s3cr3t//session+token==")}
REFRESH = {"client_id": "id.apps", "client_secret": "s3cr3t-client", "refresh_token": "1//s3cr3t-refresh"}
SESSION = "s3cr3t-imds-session"
ACCOUNT = "pod@p.iam.gserviceaccount.com"


class Refused(Exception):
    """The text says why."""


def demand(condition, why):
    if not condition:
        raise Refused(why)


def _form(body):
    fields = urllib.parse.parse_qs(body, strict_parsing=True, keep_blank_values=True)
    demand(all(len(values) == 1 for values in fields.values()), f"a field came twice: {sorted(fields)}")
    return {name: values[0] for name, values in fields.items()}


class State:
    """Tokens that were given, and what came."""

    def __init__(self, url, folder):
        self.url, self.folder, self.lock = url, Path(folder), threading.Lock()
        self.count, self.good, self.journal = 0, {}, []

    def give(self, who, scope):
        self.count += 1
        token = f"s3cr3t.token-{self.count}"
        self.good[token] = {"who": who, "scope": scope}
        return {"access_token": token, "expires_in": 3599, "token_type": "Bearer"}

    def note(self, **what):
        self.journal.append(what)


def by_key(state, fields):
    """RFC 7523, judged by google-auth with the public key."""
    demand(set(fields) == {"grant_type", "assertion"}, f"fields {sorted(fields)}")
    verifier = crypt.RSAVerifier.from_string((state.folder / "key.pub").read_bytes())
    header = jwt.decode_header(fields["assertion"])
    demand(header.get("alg") == "RS256", f"header {header}")
    claims = jwt.decode(fields["assertion"], certs={header["kid"]: (state.folder / "key.pub").read_bytes()}, audience="https://oauth2.googleapis.com/token")
    signed, _, signature = fields["assertion"].rpartition(".")
    demand(verifier.verify(signed.encode(), _helpers.padded_urlsafe_b64decode(signature)), "the signature is wrong")
    demand(claims["exp"] - claims["iat"] == 3600, f"claims {claims}")
    state.note(kind="service_account", header=header, claims={name: value for name, value in claims.items() if name not in ("iat", "exp")})
    return state.give(claims["iss"], claims["scope"])


def user(state, fields):
    state.note(kind="user", fields=sorted(fields))
    demand({name: fields.get(name) for name in REFRESH} == REFRESH, f"fields {sorted(fields)}")
    return state.give("user", None)


def identity(subject, audience):
    """The signed GetCallerIdentity, signed again by google-auth."""
    text = urllib.parse.unquote(subject)
    request = json.loads(text)
    demand(urllib.parse.quote(text, safe="") == subject or urllib.parse.quote(text) == subject, "not encoded once")
    demand(sorted(request) == ["headers", "method", "url"] and request["method"] == "POST", f"request {sorted(request)}")
    headers = {header["key"].lower(): header["value"] for header in request["headers"]}
    demand(len(headers) == len(request["headers"]), "a header came twice")
    demand(headers["x-goog-cloud-target-resource"] == audience, "for another audience")
    region = urllib.parse.urlparse(request["url"]).hostname.split(".")[1]
    key_id = headers["authorization"].partition("Credential=")[2].partition("/")[0]
    secret, token = AWS_KEYS[key_id]
    demand(headers.get("x-amz-security-token") == token, "another session's token")
    when = datetime.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
    demand(abs((datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - when).total_seconds()) < 900, "not of now")
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    extra = {name: headers[name] for name in signed if name not in ("host", "x-amz-date", "x-amz-security-token")}
    now, _helpers.utcnow = _helpers.utcnow, lambda: when
    try:
        options = aws.RequestSigner(region).get_request_options(aws.AwsSecurityCredentials(key_id, secret, token), request["url"], "POST", additional_headers=extra)
    finally:
        _helpers.utcnow = now
    demand(options["headers"]["Authorization"] == headers["authorization"], "the signature is not google-auth's")
    return {"url": request["url"], "headers": sorted(headers), "key_id": key_id, "signs_audience": "x-goog-cloud-target-resource" in signed}


def exchange(state, fields):
    """RFC 8693."""
    subject = fields["subject_token"]
    if fields["subject_token_type"] == "urn:ietf:params:aws:token-type:aws4_request":
        who = identity(subject, fields["audience"])
    else:
        demand(subject == (state.folder / "subject").read_text(), "another subject's token")
        who = "the file's"
    state.note(kind="exchange", fields={name: value for name, value in fields.items() if name != "subject_token"}, who=who)
    return {**state.give("subject", fields["scope"]), "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}


def impersonate(state, path, bearer, body):
    demand(bearer in state.good, "not signed in")
    scope = state.good[bearer]["scope"]
    demand(scope is None or scope == "https://www.googleapis.com/auth/iam", f"signed in for {scope} only")
    account = urllib.parse.unquote(path.split("/serviceAccounts/")[1].partition(":generateAccessToken")[0])
    state.note(kind="impersonate", account=account, body={name: body[name] for name in ("scope", "lifetime")})
    token = state.give(account, " ".join(body["scope"]))["access_token"]
    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=int(body["lifetime"].rstrip("s")))
    return {"accessToken": token, "expireTime": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}


def aws_metadata(state, method, path, headers):
    """IMDSv2: everything but the session itself needs the session."""
    if path == "/latest/api/token":
        demand(method == "PUT" and headers.get("X-aws-ec2-metadata-token-ttl-seconds") == "300", "no session asked for")
        return SESSION
    demand(headers.get("X-aws-ec2-metadata-token") == SESSION, "no session")
    if path == "/latest/meta-data/placement/availability-zone":
        return "eu-central-1b"
    if path == "/latest/meta-data/iam/security-credentials":
        return "worker-role"
    demand(path == "/latest/meta-data/iam/security-credentials/worker-role", f"path {path}")
    secret, token = AWS_KEYS["ASIAROLE"]
    return {"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIAROLE", "SecretAccessKey": secret, "Token": token}


def google_metadata(state, path, headers):
    demand(headers.get("Metadata-Flavor") == "Google", "no flavor")
    what = urllib.parse.urlparse(path).path.rpartition("/service-accounts/")[2]
    if what == "default/email":
        return ACCOUNT
    if what in ("default/token", f"{ACCOUNT}/token"):
        state.note(kind="metadata")
        return state.give(ACCOUNT, None)
    return {"email": ACCOUNT, "scopes": [], "aliases": ["default"]}  # google-auth asks more


def answer(state, method, path, headers, body):
    where = urllib.parse.urlparse(path).path
    if where == "/journal":
        return {"journal": state.journal, "refused": [entry for entry in state.journal if entry["kind"] == "refused"]}
    if where == "/token":
        fields = _form(body)
        return user(state, fields) if fields["grant_type"] == "refresh_token" else by_key(state, fields)
    if where == "/sts":
        return exchange(state, _form(body))
    if where.endswith(":generateAccessToken"):
        return impersonate(state, path, headers.get("Authorization", "").removeprefix("Bearer "), json.loads(body))
    if where.startswith("/latest/"):
        return aws_metadata(state, method, where, headers)
    if where.startswith("/computeMetadata/"):
        return google_metadata(state, path, headers)
    if where.endswith(":testIamPermissions"):
        demand(headers.get("Authorization", "").removeprefix("Bearer ") in state.good, "not signed in")
        wanted = json.loads(body)["permissions"]
        state.note(kind="permissions", of=where, wanted=wanted)
        missing = (state.folder / "missing").read_text().split() if (state.folder / "missing").exists() else []
        granted = [name for name in wanted if name not in missing]
        return {"permissions": granted} if granted else {}
    if where.startswith("/bigquery/v2/"):
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        demand(token in state.good, "BigQuery does not know the token")
        state.note(kind="bigquery", who=state.good[token]["who"])
        return {"kind": "bigquery#datasetList"}
    raise Refused(f"nothing is at {where}")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state = None

    def _do(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        with self.state.lock:
            try:
                status, value = 200, answer(self.state, self.command, self.path, self.headers, body)
            except Exception as error:  # whatever it is, the client was wrong
                self.state.note(kind="refused", why=f"{type(error).__name__}: {error}", path=self.path)
                status, value = 400, {"error": "invalid_request", "error_description": str(error)}
        data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(value, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        if self.path.startswith("/computeMetadata/"):
            self.send_header("Metadata-Flavor", "Google")
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = _do

    def log_message(self, *arguments):
        pass


def serve(port, folder, certificate=None, key=None):
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    Handler.state = State(f"{'https' if certificate else 'http'}://127.0.0.1:{port}", folder)
    server.serve_forever()


def client(file, scopes):
    kind = json.loads(Path(file).read_text())
    if kind["type"] == "service_account":
        credentials = service_account.Credentials.from_service_account_file(file, scopes=scopes.split())
    else:  # not by google.auth.load_credentials_from_file, which asks the real Google for the project
        source = aws if "environment_id" in kind["credential_source"] else identity_pool
        credentials = source.Credentials.from_file(file, scopes=scopes.split())
    credentials.refresh(google.auth.transport.requests.Request())
    print(credentials.token)


if __name__ == "__main__":
    {"serve": serve, "client": client}[sys.argv[1]](*sys.argv[2:])
