# SPDX-License-Identifier: Apache-2.0
"""docker-compose.yml, ops/docker, ops/kubernetes and ops/gcp: what can be known of them without Docker, a cluster, gcloud or Terraform.

docker-compose reads its file as it would to start it; our programs read the settings; the images hold every library that the programs are
linked with; nothing of ours runs as root, writes to its root, or is left without a probe; and what ops/gcp/setup tells gcloud to make is what
ops/gcp/terraform describes.
"""
import os
import re
import subprocess

import pytest
import yaml

from lib.path import ROOT, build_folder

OURS = {"producer-1": 9464, "producer-2": 9464, "worker-1": 9465, "worker-2": 9465}
_SETTINGS = {"ops/docker/kakehi.yaml", "ops/docker/kakehi-registry.yaml", "ops/kubernetes/kakehi.yaml"}


def _run(*words, **more):
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, **more)


def _compose():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def _kubernetes():
    """Every object, by kind and name."""
    found = {}
    for path in sorted((ROOT / "ops" / "kubernetes").glob("*.yaml")):
        if path.name not in ("kakehi.yaml", "kustomization.yaml"):
            for thing in yaml.safe_load_all(path.read_text()):
                found[thing["kind"], thing["metadata"]["name"]] = thing
    return found


def test_the_old_docker_compose_reads_the_file():
    """1.29, which Debian ships; what it reads, the newest reads too: there is no `version`, and no key of only one of them."""
    result = _run("docker-compose", "-f", ROOT / "docker-compose.yml", "--profile", "registry", "--profile", "look", "config", "--services")
    assert result.returncode == 0 and not result.stderr, result.stderr
    assert set(result.stdout.split()) == set(_compose()["services"])
    assert set(_compose()) == {"services", "volumes", "x-ours", "x-producer", "x-worker"}


def test_what_is_built_knows_its_version():
    """By the environment: the image is built of a tree without git. Without it a build is still to be had."""
    for environment, version in (({"KAKEHI_VERSION": "v7-3"}, "v7-3"), ({}, "unknown")):
        result = _run("docker-compose", "-f", ROOT / "docker-compose.yml", "config", env={"PATH": os.environ["PATH"], **environment})
        services = yaml.safe_load(result.stdout)["services"]
        assert {services[name]["build"]["args"]["VERSION"] for name in OURS} == {version}, result.stderr
    built = re.search(r" AS build\n(.*?)^FROM", (ROOT / "ops" / "docker" / "Dockerfile").read_text(), re.MULTILINE | re.DOTALL)[1]
    assert re.search(r'^ARG VERSION=unknown\nRUN make .* version="\$VERSION"', built, re.MULTILINE)


def test_the_settings_with_a_registry_differ_by_it_alone():
    plain, registry = (yaml.safe_load((ROOT / "ops" / "docker" / name).read_text()) for name in ("kakehi.yaml", "kakehi-registry.yaml"))
    assert registry == {**plain, "registry": {"url": "http://registry:8080/apis/ccompat/v7"}}


def test_the_registrys_health_check_tells_a_registry_from_none(registry):
    """As it stands in the file, but for the port."""
    command, bash, option, words = _compose()["services"]["registry"]["healthcheck"]["test"]
    assert (command, bash, option) == ("CMD", "bash", "-c") and "/8080 " in words
    assert _run(bash, option, words.replace("/8080 ", f"/{registry.port} ")).returncode == 0
    assert _run(bash, option, words.replace("/8080 ", "/1 ")).returncode != 0
    assert _run(bash, option, words.replace("/8080 ", f"/{registry.port} ").replace("/health/ready", "/nothing")).returncode != 0


def test_our_containers_may_do_no_more_than_they_need():
    services = _compose()["services"]
    for name in [*OURS, "look"]:
        service = services[name]
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"], name
        assert all(volume.endswith(":ro") or volume == "warehouse:/var/lib/kakehi" for volume in service["volumes"]), name
    for name, port in OURS.items():
        assert [line.rpartition(":")[2] for line in services[name]["ports"]] == [str(port)]
        assert int(re.fullmatch(r"(\d+)s", services[name]["stop_grace_period"])[1]) > 10, f"{name}: a stop may take ten seconds"
    for name, service in services.items():
        assert all(line.startswith("127.0.0.1:") for line in service.get("ports", [])), f"{name} listens to the world"
        assert "build" in service or re.fullmatch(r"[a-z/.-]+:\d+(\.\d+)+(\.Final)?", service["image"]), f"{name}: an image that is not pinned"
        assert "build" in service or "healthcheck" in service, f"{name}: nothing says when it is ready"  # ours: by their images


def test_the_images_are_pinned_and_run_as_nobody():
    text = (ROOT / "ops" / "docker" / "Dockerfile").read_text()
    stages = dict(re.findall(r"^FROM (\S+) AS (\w+)$", text, re.MULTILINE)[::-1])
    assert all(re.fullmatch(r"debian:12\.\d+-slim|runtime", image) for image in stages)
    for target in ("producer", "worker", "look"):
        stage = re.search(rf"^FROM \S+ AS {target}\n(.*?)(?=^FROM|\Z)", text, re.MULTILINE | re.DOTALL)[1]
        users = re.findall(r"^USER (\S+)", text[:text.index(stage)] + stage, re.MULTILINE)
        assert users[-1] == "65532:65532", target
        assert target == "look" or re.search(rf'^HEALTHCHECK .*CMD \["kakehi-{target}", "status", "--health"', stage, re.MULTILINE), target
    for service in _compose()["services"].values():
        assert "build" not in service or service["build"]["target"] in re.findall(r"AS (\w+)", text)


def _needed_packages(program):
    """Of the libraries that it is linked with."""
    listed = _run("ldd", build_folder() / program).stdout
    assert "not found" not in listed
    direct = set(re.findall(r"NEEDED.*\[(\S+)\]", _run("readelf", "-d", build_folder() / program).stdout))
    paths = [path for name, path in re.findall(r"(\S+) => (/\S+)", listed) if name in direct]
    owners = _run("dpkg", "-S", *paths, *("/usr" + path for path in paths)).stdout  # one of the two is how the package names it
    found = {line.partition(":")[0] for line in owners.splitlines()}
    assert len(found) >= 10, owners
    return found


@pytest.mark.parametrize("program", ["kakehi-producer", "kakehi-worker"])
def test_the_images_hold_the_libraries(program):
    """By the packages that own them here, where the same Debian is; libc comes with every image."""
    if "VERSION_CODENAME=bookworm" not in open("/etc/os-release", encoding="utf-8").read():
        pytest.skip("SKIPPED: the images are Debian 12, and this is not")
    runtime = re.search(r"AS runtime\n(.*?)&& rm", (ROOT / "ops" / "docker" / "Dockerfile").read_text(), re.DOTALL)[1]
    installed = set(re.search(r"--no-install-recommends([^&]*)", runtime)[1].replace("\\", " ").split())
    assert _needed_packages(program) - {"libc6"} <= installed
    assert {"ca-certificates", "tzdata"} <= installed  # TLS without source.tls_ca, and source.datetime_zone


@pytest.mark.parametrize("file", sorted(_SETTINGS))
@pytest.mark.parametrize("program", ["kakehi-producer", "kakehi-worker"])
def test_the_settings_are_good(program, file):
    """Read by both programs, and then nobody answers at the port: the exit code is 1, not 78."""
    settings = yaml.safe_load((ROOT / file).read_text())
    for section in ("producer", "worker"):
        assert settings[section]["listen"].startswith("0.0.0.0:")  # a probe comes from outside of the container
    result = _run(build_folder() / program, "status", "--health", "-c", ROOT / file, env={"KAKEHI_PASSWORD": "x"})
    assert result.returncode in (0, 1) and "setting" not in result.stderr.replace("settings file?", ""), result.stderr


def _containers(objects):
    for (kind, name), thing in objects.items():
        if kind in ("Deployment", "CronJob"):
            pod = (thing["spec"]["jobTemplate"] if kind == "CronJob" else thing)["spec"]["template"]["spec"]
            yield kind, name, pod, pod["containers"][0]


def test_pods_may_do_no_more_than_they_need_and_are_probed():
    objects = _kubernetes()
    assert {("Deployment", "kakehi-worker"), ("PodDisruptionBudget", "kakehi-worker"), ("CronJob", "kakehi-views"), ("Deployment", "kakehi-producer"),
            ("PodDisruptionBudget", "kakehi-producer"), ("ServiceAccount", "kakehi-worker")} <= set(objects)
    settings = yaml.safe_load((ROOT / "ops" / "kubernetes" / "kakehi.yaml").read_text())
    for kind, name, pod, container in _containers(objects):
        security = container["securityContext"]
        assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False, name
        assert security == {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}, name
        assert "memory" in container["resources"]["limits"], name
        if kind == "Deployment":
            section = name.removeprefix("kakehi-")
            assert {(probe, container[probe]["httpGet"]["path"]) for probe in ("livenessProbe", "readinessProbe")} == {
                ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")}  # /livez alone may kill
            assert str(container["ports"][0]["containerPort"]) == settings[section]["listen"].rpartition(":")[2]
            assert pod["terminationGracePeriodSeconds"] > 10
            chosen = objects["PodDisruptionBudget", name]["spec"]["selector"]["matchLabels"].items()
            assert chosen <= objects["Deployment", name]["spec"]["template"]["metadata"]["labels"].items()
    listed = yaml.safe_load((ROOT / "ops" / "kubernetes" / "kustomization.yaml").read_text())["resources"]
    assert set(listed) | {"kakehi.yaml", "kustomization.yaml"} == {path.name for path in (ROOT / "ops" / "kubernetes").iterdir()}
    assert settings["bigquery"]["refresh"] == "command"  # what the CronJob is for


_GCLOUD = """#!/bin/sh
# Notes each command. The second of two that make the same thing is told so, as gcloud tells it; a project has a number.
case "$*" in
*' create-cred-config '*) ;; # writes a file
*' create '* | *' create-aws '*) grep -qxF -- "$*" "$GCLOUD_LOG" && { echo "$*" >>"$GCLOUD_LOG"; echo 'ERROR: ALREADY_EXISTS: it already exists.' >&2; exit 1; } ;;
*'projects describe'*) echo 1234 ;;
esac
echo "$*" >>"$GCLOUD_LOG"
"""


def _setup(folder, *arguments):
    """What ops/gcp/setup tells gcloud."""
    (folder / "gcloud").write_text(_GCLOUD)
    (folder / "gcloud").chmod(0o755)
    log = folder / "log"
    before = len(log.read_text()) if log.exists() else log.write_text("")
    result = _run(ROOT / "ops" / "gcp" / "setup", *arguments, env={"PATH": f"{folder}:{os.environ['PATH']}", "GCLOUD_LOG": str(log)})
    assert result.returncode == 0, result.stderr
    return log.read_text()[before:].splitlines()


def test_the_setup_of_a_project_can_run_again_and_brings_the_role_up_to_date(tmp_path):
    first, again = _setup(tmp_path, "p", "1111", "workers"), _setup(tmp_path, "p", "1111", "workers")
    assert again == first
    role = [line for line in first if line.startswith("iam roles ")]
    assert [line.split()[2] for line in role] == ["create", "update"] and len({line.split("--file ")[1].split()[0] for line in role}) == 1, role
    assert _setup(tmp_path, "p") == first[:first.index(next(line for line in first if line.startswith("projects describe")))]


def _terraform():
    """main.tf, as far as it is needed here: {"type.name": {attribute: its text}}, blocks inside a block flat; and the whole text."""
    text = re.sub(r"^\s*#.*$", "", (ROOT / "ops" / "gcp" / "terraform" / "main.tf").read_text(), flags=re.MULTILINE)
    assert text.count("{") == text.count("}") and text.count("(") == text.count(")") and text.count('"') % 2 == 0
    blocks = re.findall(r"^(?:resource )?(\w+)?\s*((?:\"\w+\" ?)*)\{\n(.*?)^\}$", text, re.MULTILINE | re.DOTALL)
    found = {".".join(re.findall(r"\w+", names)) or kind: dict(re.findall(r"^ +(\w+) += (.*)$", body, re.MULTILINE)) for kind, names, body in blocks}
    return found, text


def test_terraform_describes_what_the_setup_makes(tmp_path):
    """The role's permissions stand in one file, which both read; all else that the one names, the other does too."""
    made, text = _terraform()
    said = "\n".join(_setup(tmp_path, "p", "1111", "workers"))
    role = yaml.safe_load((ROOT / "ops" / "gcp" / "kakehi-worker-role.yaml").read_text())
    assert made["locals"]["role"] == 'yamldecode(file("${path.module}/../kakehi-worker-role.yaml"))'
    worker = made["google_project_iam_custom_role.worker"]
    assert {name: value for name, value in worker.items() if value.startswith("local.role.")} == {
        "title": "local.role.title", "description": "local.role.description", "permissions": "local.role.includedPermissions"}
    assert set(role) == {"title", "description", "stage", "includedPermissions"} and len(set(role["includedPermissions"])) == len(role["includedPermissions"])
    assert f"iam roles create {worker['role_id'].strip(chr(34))} " in said
    assert f"iam service-accounts create {made['google_service_account.worker']['account_id'].strip(chr(34))} " in said
    services = re.findall(r'"(\w+)"', made["google_project_service.needed"]["for_each"])
    assert sorted(f"{name}.googleapis.com" for name in services) == sorted(re.findall(r"\w+\.googleapis\.com", said.splitlines()[0]))
    granted = set(re.findall(r"roles/[\w.]+", text)) | {f"projects/p/roles/{worker['role_id'].strip(chr(34))}"}
    assert granted == set(re.findall(r"(?<=--role )\S+", said))
    pool, provider = made["google_iam_workload_identity_pool.kakehi"], made["google_iam_workload_identity_pool_provider.aws"]
    assert f"workload-identity-pools create {pool['workload_identity_pool_id'].strip(chr(34))} " in said
    assert f"providers create-aws {provider['workload_identity_pool_provider_id'].strip(chr(34))} " in said
    member = made["google_service_account_iam_member.aws"]["member"].strip('"')
    for place, value in (("google_iam_workload_identity_pool.kakehi[0].name", "projects/1234/locations/global/workloadIdentityPools/kakehi"),
                         ("var.aws_account", "1111"), ("var.aws_role", "workers")):
        member = member.replace(f"${{{place}}}", value)
    assert f"--member {member}" in said


def test_terraform_names_nothing_that_it_does_not_have():
    made, text = _terraform()
    variables = set(re.findall(r'^variable "(\w+)"', text, re.MULTILINE))
    assert set(re.findall(r"\bvar\.(\w+)", text)) == variables
    assert set(re.findall(r"\blocal\.(\w+)", text)) == set(made["locals"])
    resources = {name for name in made if name.startswith("google_")}
    assert set(re.findall(r"\bgoogle_\w+\.\w+", text)) <= resources and len(resources) == text.count("\nresource ")
