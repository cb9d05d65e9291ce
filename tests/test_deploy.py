"""The files in `deploy`: well-kept linters read them, and what they name exists here."""

import re
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml

from lsi.ui.roles import read_roles

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
LINTERS = {
    "Dockerfile": ["hadolint", "--failure-threshold", "style", "Dockerfile"],
    "compose.yaml": ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"],
    "kubernetes.yaml": ["kubernetes-validate", "--strict", "kubernetes.yaml"],
}


@pytest.mark.parametrize("name", LINTERS)
def test_a_linter_has_nothing_to_say(name):
    command = LINTERS[name]
    found = subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *command[1:]], cwd=DEPLOY, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("path", sorted(filter(Path.is_file, DEPLOY.rglob("*"))), ids=lambda p: p.name)
def test_every_variable_that_is_set_is_one_that_is_read(path):
    code = "\n".join(p.read_text("utf-8") for p in (ROOT / "lsi").rglob("*.py"))
    read = set(re.findall(r'"(LSI_[A-Z_]+)"', code))
    assert {v for v in re.findall(r"\bLSI_[A-Z_]+", path.read_text()) if v not in read} == set()


def test_the_container_runs_as_nobody_in_particular_and_what_it_copies_is_sent():
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    user = [line.split()[1] for line in lines if line.startswith("USER")][-1]
    assert user.isdecimal()
    assert int(user) > 0
    left_out = (ROOT / ".dockerignore").read_text().split()
    needed = {"app.py", "pages", "lsi", "pyproject.toml", "setup.py", "MANIFEST.in", "requirements.txt", "README.md",
              "LICENSE", ".streamlit"}  # fmt: skip
    assert needed & {entry.rstrip("/*") for entry in left_out} == set()
    assert {".streamlit/secrets.toml", ".git"} <= set(left_out)


def test_compose_asks_for_what_it_says_and_opens_no_port_but_that_of_the_sign_in():
    text = (DEPLOY / "compose.yaml").read_text()
    services = yaml.safe_load(text)["services"]
    head = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    assert all(re.search(rf"\b{name}\b", head) for name in re.findall(r"\$\{([A-Z_]+)", text))
    assert [name for name, service in services.items() if "ports" in service] == ["sign-in"]
    assert set(read_roles(DEPLOY / "roles" / "roles.toml")) == {"viewer", "reviewer", "admin"}


def test_compose_mounts_the_folder_of_the_roles_so_that_a_file_that_is_replaced_counts():
    app = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["app"]
    source, _, target = next(v for v in app["volumes"] if "roles" in v).removesuffix(":ro").partition(":")
    path = app["environment"]["LSI_ROLES"].replace(target, source)
    assert (DEPLOY / source).is_dir()
    assert (DEPLOY / path).is_file()


def test_a_container_that_is_made_anew_keeps_the_name_that_its_computations_know_it_by():
    app = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["app"]
    deployment = next(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    assert [app.get("hostname"), deployment["spec"]["template"]["spec"].get("hostname")] == ["lsi-lens"] * 2


def test_compose_believes_the_sign_in_alone():
    """The database and, by the gateway, every program of the machine reach the app from the same network."""
    content = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    address = ip_address(content["services"]["sign-in"]["networks"]["inside"]["ipv4_address"])
    assert content["services"]["app"]["environment"]["LSI_PROXIES"] == f"{address}/32"
    (network,) = content["networks"]["inside"]["ipam"]["config"]
    assert address in ip_network(network["subnet"])
    assert address not in ip_network(network["ip_range"])  # of which the others get theirs


def test_a_cookie_secret_as_the_compose_file_says_is_one_that_the_sign_in_reads():
    """oauth2-proxy reads the alphabet of addresses, and takes anything else for 44 bytes, which it refuses."""
    (command,) = re.findall(r"COOKIE_SECRET \((.+?)\)\.", (DEPLOY / "compose.yaml").read_text())
    for _ in range(5):  # five times of six at least one character differs
        secret = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout.strip()
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}=", secret)
