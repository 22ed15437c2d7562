# SPDX-License-Identifier: Apache-2.0
"""Signing in to BigQuery: `kakehi-worker check` beside google-auth, against one strict server (lib/sign_in_server.py).

For each kind of credentials both clients get the same file and environment. The server judges each request by Google's own code (JWT, SigV4) and keeps
what it came down to: kakehi's must be right, and be what google-auth's is.
"""
import json
import os
import ssl
import subprocess
import urllib.request

import pytest

from lib import bigquery
from lib.path import ROOT, build_folder
from lib.processes import Process, free_ports, wait_for

SCOPES = "https://www.googleapis.com/auth/bigquery https://www.googleapis.com/auth/cloud-platform.read-only"
AUDIENCE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/provider"
SCRIPT = ROOT / "tests" / "lib" / "sign_in_server.py"


def _openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Server:
    """The server in a process, and both its clients."""

    def __init__(self, folder, certificate=None, key=None):
        self.folder, self.python, self.port = folder, bigquery.home() / "python", free_ports(1)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self.tls = ssl.create_default_context(cafile=certificate) if certificate else None
        self.key = folder / "key.pem"
        self.subject = folder / "subject"
        self.subject.write_text("s3cr3t.subject")
        _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.key)
        _openssl("pkey", "-in", self.key, "-pubout", "-out", folder / "key.pub")
        extra = [certificate, key] if certificate else []
        self.process = Process("sign-in", [self.python, "-B", SCRIPT, "serve", self.port, folder, *extra], folder / "server.log")
        wait_for(self._answers, lambda: f"the server:\n{self.process.text()}", 60, 0.1)

    def _answers(self):
        assert self.process.running(), self.process.text()
        try:
            return self.journal() is not None
        except OSError:
            return False

    def journal(self):
        with urllib.request.urlopen(f"{self.url}/journal", timeout=10, context=self.tls) as answer:
            return json.loads(answer.read())["journal"]

    def file(self, **fields):
        file = self.folder / "credentials.json"
        file.write_text(json.dumps(fields))
        return file

    def google_auth(self, file, environment):
        """What google-auth asked for, and that it got a token."""
        before = len(self.journal())
        done = subprocess.run([self.python, "-B", SCRIPT, "client", file or "", SCOPES], env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{done.stderr[-3000:]}\n{self.journal()[before:]}"
        return self.journal()[before:]

    def check(self, broker, file, environment, **settings):
        """What `kakehi-worker check` asked for, and what it found."""
        before = len(self.journal())
        config = {"kafka": {"bootstrap.servers": broker.address}, "warehouse": "bigquery", "log": {"level": "debug"},
                  "bigquery": {"project": "p", "location": "EU", "endpoint": self.url, "storage_endpoint": self.url, "retry": "1s",
                               "credentials_hosts": "any", **({"credentials": str(file)} if file else {}), **settings}}
        config_file = self.folder / "kakehi.yaml"
        config_file.write_text(json.dumps(config))
        done = subprocess.run([build_folder() / "kakehi-worker", "check", "--json", "-c", config_file], env=environment, capture_output=True, text=True,
                              timeout=120)
        said = done.stdout + done.stderr
        assert "s3cr3t" not in said and self.key.read_text().splitlines()[1] not in said, said
        assert done.stdout.startswith("{"), said
        self.findings = json.loads(done.stdout)["findings"]
        came = [entry for entry in self.journal()[before:] if entry["kind"] != "permissions"]
        return came, {finding["subject"]: finding for finding in self.findings}


def _environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GOOGLE_", "GCE_", "CLOUDSDK_"))}
    return {**kept, "CLOUDSDK_CONFIG": "/nowhere", "NO_GCE_CHECK": "true", "ASAN_OPTIONS": "detect_leaks=0", **more}


@pytest.fixture(name="server")
def _server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.process.kill()


def _both(server, broker, file, environment, who):
    """Both clients; the same requests, and nobody refused."""
    theirs = server.google_auth(file, environment)
    ours, found = server.check(broker, file, environment)
    assert found["bigquery sign-in"]["level"] == "ok", (found, ours)
    assert who in found["bigquery sign-in"]["finding"], found
    assert found["bigquery project"]["level"] == "ok", (found, ours)
    assert ours[-1]["kind"] == "bigquery"
    assert "refused" not in {entry["kind"] for entry in theirs + ours}
    return theirs, ours[:-1]


def _external(server, source, **more):
    kind = "urn:ietf:params:aws:token-type:aws4_request" if "environment_id" in source else "urn:ietf:params:oauth:token-type:jwt"
    return server.file(type="external_account", audience=AUDIENCE, subject_token_type=kind, token_url=f"{server.url}/sts", credential_source=source, **more)


def _aws(server, **more):
    return _external(server, {"environment_id": "aws1", "region_url": f"{server.url}/latest/meta-data/placement/availability-zone",
                              "url": f"{server.url}/latest/meta-data/iam/security-credentials", "imdsv2_session_token_url": f"{server.url}/latest/api/token",
                              "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"}, **more)


def test_a_service_accounts_key(server, broker):
    file = server.file(type="service_account", client_email="loader@p.iam.gserviceaccount.com", private_key_id="k1", private_key=server.key.read_text(),
                       token_uri=f"{server.url}/token", project_id="p")
    theirs, ours = _both(server, broker, file, _environment(), "service account loader@p.iam.gserviceaccount.com (key file")
    assert ours == theirs == [{"kind": "service_account", "header": {"typ": "JWT", "alg": "RS256", "kid": "k1"},
                               "claims": {"iss": "loader@p.iam.gserviceaccount.com", "aud": "https://oauth2.googleapis.com/token", "scope": SCOPES}}]


def test_gclouds_own_file(server, broker):
    file = server.file(type="authorized_user", client_id="id.apps", client_secret="s3cr3t-client", refresh_token="1//s3cr3t-refresh")
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "token_uri": f"{server.url}/token"}))  # google-auth's file has none: asked for ours only
    ours, found = server.check(broker, None, _environment(GOOGLE_APPLICATION_CREDENTIALS=str(file)))
    assert found["bigquery sign-in"]["level"] == found["bigquery project"]["level"] == "ok", (found, ours)
    assert ours[0] == {"kind": "user", "fields": ["client_id", "client_secret", "grant_type", "refresh_token"]}


def test_the_metadata_server(server, broker):
    environment = _environment(GCE_METADATA_HOST=f"127.0.0.1:{server.port}")
    ours, found = server.check(broker, None, environment)
    assert "service account pod@p.iam.gserviceaccount.com (metadata server" in found["bigquery sign-in"]["finding"], found
    assert [entry["kind"] for entry in ours] == ["metadata", "bigquery"]


def test_a_token_file(server, broker):
    theirs, ours = _both(server, broker, _external(server, {"file": str(server.subject)}), _environment(), f"whoever {server.subject} names")
    assert ours == theirs and len(ours) == 1


def test_a_token_file_of_json(server, broker):
    (server.folder / "json").write_text(json.dumps({"other": 1, "id_token": "s3cr3t.subject"}))
    source = {"file": str(server.folder / "json"), "format": {"type": "json", "subject_token_field_name": "id_token"}}
    theirs, ours = _both(server, broker, _external(server, source), _environment(), "whoever")
    assert ours == theirs and len(ours) == 1


def _without_audience(entries):
    """google-auth leaves the audience unsigned; both ways are taken."""
    return [{**entry, "who": {**entry["who"], "signs_audience": None}} if entry["kind"] == "exchange" else entry for entry in entries]


def test_an_aws_role_by_keys_of_the_environment(server, broker):
    environment = _environment(AWS_REGION="eu-west-1", AWS_ACCESS_KEY_ID="AKIDENV", AWS_SECRET_ACCESS_KEY="s3cr3t/env+key")
    theirs, ours = _both(server, broker, _aws(server), environment, "this machine's AWS role")
    assert _without_audience(ours) == _without_audience(theirs)
    assert ours[0]["who"]["signs_audience"] and "eu-west-1" in ours[0]["who"]["url"]


def test_an_aws_role_by_the_metadata_service_acting_as_a_service_account(server, broker):
    account = "loader@p.iam.gserviceaccount.com"
    file = _aws(server, service_account_impersonation_url=f"{server.url}/v1/projects/-/serviceAccounts/{account}:generateAccessToken")
    theirs, ours = _both(server, broker, file, _environment(), f", acting as {account}")
    assert _without_audience(ours) == _without_audience(theirs)
    assert ours[0]["who"]["key_id"] == "ASIAROLE" and ours[1]["account"] == account


def test_a_refused_token_is_told_with_what_to_do(server, broker):
    server.subject.write_text("s3cr3t.another")
    file = _external(server, {"file": str(server.folder / "stale")})
    (server.folder / "stale").write_text("s3cr3t.stale")
    _, found = server.check(broker, file, _environment())
    assert found["bigquery sign-in"]["level"] == "error"
    assert "HTTP 400 invalid_request: another subject's token; does the pool's provider exist" in found["bigquery sign-in"]["finding"], found


def test_missing_permissions_are_named(server, broker):
    file = _external(server, {"file": str(server.subject)})
    (server.folder / "missing").write_text("bigquery.jobs.create bigquery.tables.create")
    server.check(broker, file, _environment())
    said = {(finding["level"], finding["finding"]) for finding in server.findings if finding["subject"] == "bigquery permissions"}
    assert said == {("error", "missing: bigquery.jobs.create"),
                    ("note", "not granted on the project, so needed on each dataset: bigquery.tables.create")}
    (server.folder / "missing").unlink()
    server.check(broker, file, _environment())
    said = [finding["level"] for finding in server.findings if finding["subject"] == "bigquery permissions"]
    assert said == ["ok", "ok"]


def test_hosts_that_are_not_googles_are_refused_without_the_setting(server, broker):
    file = _external(server, {"file": str(server.subject)})
    ours, found = server.check(broker, file, _environment(), credentials_hosts="known")
    assert ours == [] and "127.0.0.1" in found["bigquery sign-in"]["finding"], found


# ---- TLS

def _certificates(folder, name="subjectAltName=IP:127.0.0.1"):
    """A CA and a server's certificate of it."""
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test ca", "-keyout", folder / "ca.key", "-out", folder / "ca.pem")
    _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=server", "-keyout", folder / "tls.key", "-out", folder / "tls.csr")
    (folder / "ext").write_text(name)
    _openssl("x509", "-req", "-in", folder / "tls.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "2", "-extfile",
             folder / "ext", "-out", folder / "leaf.pem")
    (folder / "tls.pem").write_text((folder / "leaf.pem").read_text() + (folder / "ca.pem").read_text())


def test_tls_is_verified(tmp_path, broker):
    _certificates(tmp_path)
    server = Server(tmp_path, tmp_path / "tls.pem", tmp_path / "tls.key")
    try:
        file = _external(server, {"file": str(server.subject)})
        ours, found = server.check(broker, file, _environment(), ca_file=str(tmp_path / "ca.pem"))
        assert found["bigquery project"]["level"] == "ok", (found, ours)
        ours, found = server.check(broker, file, _environment())  # the system's CAs do not know it
        assert ours == [] and "certificate" in found["bigquery sign-in"]["finding"], found
    finally:
        server.process.kill()


def test_a_certificate_of_another_name_is_refused(tmp_path, broker):
    _certificates(tmp_path, "subjectAltName=DNS:other.example")
    server = None
    try:
        server = _unchecked(tmp_path)
        file = _external(server, {"file": str(server.subject)})
        before = server.journal()
        _, found = server.check(broker, file, _environment(), ca_file=str(tmp_path / "ca.pem"))
        assert "certificate" in found["bigquery sign-in"]["finding"] or "SSL" in found["bigquery sign-in"]["finding"], found
        assert server.journal() == before
    finally:
        if server:
            server.process.kill()


def _unchecked(folder):
    """A server whose own test client does not look at names."""
    class Unchecked(Server):
        def journal(self):
            self.tls = ssl._create_unverified_context()  # of this test's own question only
            return super().journal()
    return Unchecked(folder, folder / "tls.pem", folder / "tls.key")
