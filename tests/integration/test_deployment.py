# SPDX-License-Identifier: Apache-2.0
"""docker-compose.yml, ops/docker and ops/kubernetes: what can be known of them without Docker or a cluster.

docker-compose reads its file as it would to start it; our programs read the settings; the images hold every library that the programs are
linked with; and nothing of ours runs as root, writes to its root, or is left without a probe.
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
