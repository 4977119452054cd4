"""What lies in `deploy/`: taken by each format's own tools, kept in step with the code, and as locked up as it says."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
import yaml
from packaging import requirements, utils

from flows import cli, settings

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "container" / "Dockerfile"
COMPOSE_FILE = DEPLOY / "compose" / "compose.yaml"
COMPOSE = yaml.safe_load(COMPOSE_FILE.read_text())
PREFECT_FILE = DEPLOY / "prefect.yaml"
PARTS = ("server", "worker", "reports")
PASSWORDS = ("prefect_password", "lake_writer_password", "lake_reader_password")
OLDEST_AND_NEWEST = ("1.30", "1.37")
# Of a RUN instruction, a line each.
BETWEEN_STEPS = r"\s{4,}&& "


@functools.cache
def manifests():
    """Every object of the manifests; to be read only."""
    files = [path for name in ("kubernetes", "postgres") for path in sorted((DEPLOY / name).glob("*.yaml"))]
    return [one for path in files for one in yaml.safe_load_all(path.read_text()) if one["kind"] != "Kustomization"]


def kubernetes(kind=None):
    """Every object of the manifests, or those of a kind by their name."""
    return {one["metadata"]["name"]: one for one in manifests() if one["kind"] == kind} if kind else manifests()


def pods():
    return {
        name.removeprefix("daybook-"): one["spec"]["template"]["spec"]
        for name, one in {**kubernetes("Deployment"), **kubernetes("StatefulSet")}.items()
    }


@functools.cache
def instructions():
    """Instruction and its words, by the parser that image builders use."""
    parser = pytest.importorskip("dockerfile", reason="its parser comes as a wheel for some machines only")
    return [(one.cmd.upper(), list(one.value), list(one.flags)) for one in parser.parse_file(str(DOCKERFILE))]


def probes_of(container):
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        if "exec" in container.get(name, {}):
            yield container[name]["exec"]["command"]


def command_lines():
    """Every command line in `deploy/` that calls Daybook, and where it stands."""
    for name, service in COMPOSE["services"].items():
        if "command" in service:
            yield f"compose {name}", ["daybook", *service["command"]]
        yield f"compose {name} health", service["healthcheck"]["test"][1:]
    for name, pod in pods().items():
        for container in pod["containers"]:
            if "args" in container:
                yield f"kubernetes {name}", ["daybook", *container["args"]]
            yield from ((f"kubernetes {name} probe", command) for command in probes_of(container))
    for line in (DEPLOY / "systemd" / "daybook.service").read_text().splitlines():
        if line.startswith("Exec"):
            yield f"systemd {line.split('=')[0]}", shlex.split(line.split("=", 1)[1].lstrip("-"))


def parsed(line):
    """Nothing when `daybook` takes a command line; it is parsed and not run."""
    group = typer.main.get_command(cli.app)
    with group.make_context("daybook", list(line)) as context:
        name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
        command.make_context(name, rest, parent=context)


OURS = [(where, line[1:]) for where, line in command_lines() if Path(line[0]).name == "daybook"]


@pytest.mark.parametrize(("where", "line"), OURS, ids=[where for where, _ in OURS])
def test_every_command_line_is_one_that_daybook_takes(where, line):
    parsed(line)


def test_commands_of_the_image_are_ones_that_daybook_takes():
    found = {name: words for name, words, _ in instructions()}

    assert found["ENTRYPOINT"] == ["daybook"]
    parsed(found["CMD"])
    assert found["HEALTHCHECK"][:2] == ["CMD", "daybook"]
    parsed(found["HEALTHCHECK"][2:])


def test_wrong_command_line_would_be_found():
    with pytest.raises(typer.TyperException):
        parsed(["serve", "--only", "everything"])


@pytest.mark.parametrize("part", PARTS)
def test_part_that_does_not_run_fails_its_health_check(part, monkeypatch, free_port, capsys):
    for name in ("PREFECT", "WORKER", "REPORTS"):
        monkeypatch.setenv(f"DAYBOOK__{name}_PORT", str(free_port()))
    monkeypatch.setattr(sys, "argv", ["daybook", "doctor", "--alive", part])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 10 and f"`{part}` of `daybook serve` does not answer" in capsys.readouterr().err


def test_image_is_built_from_files_there_are_and_holds_all_rooms():
    copied = [words[:-1] for name, words, flags in instructions() if name == "COPY" and not flags]
    sources = {source for words in copied for source in words}
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    let_in = (DEPLOY / "container" / "Dockerfile.dockerignore").read_text().splitlines()

    assert [one for one in sources if not (ROOT / one).exists()] == []
    assert {one.rstrip("*") for one in packaged} <= sources
    assert "*" in let_in and {line[1:] for line in let_in if line.startswith("!")} == sources


def test_image_runs_as_nobody_in_particular_and_takes_no_library_without_its_hash():
    found = instructions()
    users = [words[0] for name, words, _ in found if name == "USER"]
    last_stage = max(at for at, (name, _, _) in enumerate(found) if name == "FROM")
    installs = [
        step
        for name, words, _ in found
        if name == "RUN"
        for step in re.split(BETWEEN_STEPS, words[0])
        if "pip install" in step and "--no-deps" not in step
    ]

    assert users == ["10001:10001"]
    assert found.index(("USER", users, [])) > last_stage
    assert len(installs) == 2 and all("--require-hashes" in step for step in installs)
    assert not any("--extra" in step for step in installs)
    assert {name for name, _, _ in found} & {"ADD", "ONBUILD"} == set()


def last_stage():
    found = instructions()
    return found[max(at for at, (name, _, _) in enumerate(found) if name == "FROM") :]


def test_image_has_a_font_that_pictures_in_mails_are_written_with():
    from reports import pictures

    (step,) = (
        re.split(BETWEEN_STEPS, words[0]) for name, words, _ in last_stage() if name == "RUN" and "apt-get" in words[0]
    )

    assert "fonts-noto-cjk" in step[1].split() and "--no-install-recommends" in step[1].split()
    assert step[-1] == "rm -rf /var/lib/apt/lists/*"
    # Of the fonts in that package of Debian.
    assert "Noto Sans CJK SC" in pictures.FONTS


def test_image_takes_uv_at_the_hash_of_the_lock(tmp_path):
    run = next(words[0] for name, words, _ in instructions() if name == "RUN")
    extract = next(step for step in re.split(BETWEEN_STEPS, run) if step.startswith("awk"))
    shutil.copy(DEPLOY / "requirements.lock", tmp_path)

    subprocess.run(["sh", "-c", extract], cwd=tmp_path, check=True)

    lines = (tmp_path / "uv.txt").read_text().splitlines()
    assert lines[0].startswith("uv==") and len(lines) > 2
    assert all(line.strip().startswith("--hash=sha256:") for line in lines[1:])


@functools.cache
def locked():
    """Name to its entries in the lock: what is required, and how many hashes it has."""
    found = {}
    for entry in re.split(r"\n(?=\S)", (DEPLOY / "requirements.lock").read_text()):
        if not entry.startswith("#"):
            one = requirements.Requirement(entry.split("\\")[0].strip())
            found.setdefault(utils.canonicalize_name(one.name), []).append((one, entry.count("--hash=sha256:")))
    return found


def test_lock_names_every_library_by_one_version_and_its_hashes():
    """What an audit rests on; of known weaknesses a list is needed that no checkout carries: docs/security.md."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*declared["dependencies"], *declared["optional-dependencies"]["dev"]]
    every = [one for entries in locked().values() for one in entries]

    names = {utils.canonicalize_name(requirements.Requirement(one).name) for one in asked}
    # An extra may ask for another of our own.
    assert names - {"daybook"} <= set(locked())
    assert [
        str(one) for one, n_hashes in every if not n_hashes or one.url or not str(one.specifier).startswith("==")
    ] == []


def test_libraries_here_are_those_of_the_lock():
    here = {utils.canonicalize_name(one.metadata["Name"]): one.version for one in importlib.metadata.distributions()}
    both = set(here) & set(locked())

    others = {name: here[name] for name in both if all(here[name] not in one.specifier for one, _ in locked()[name])}

    assert others == {} and {"prefect", "duckdb", "tushare"} <= both


@pytest.mark.parametrize(
    "path", sorted(path for path in DEPLOY.rglob("*") if path.is_file()), ids=lambda path: path.name
)
def test_no_file_names_a_registry_or_holds_a_secret(path):
    text = path.read_text()

    # Whatever is fetched comes from where the desk's own tools are configured to fetch it.
    assert not re.search(r"https://|--(extra-)?index-url|--find-links", text)
    images = re.findall(r"^\s*(?:image:|FROM)\s+(\S+)", text, re.MULTILINE)
    assert not any("." in image.split("/")[0] for image in images if "/" in image)
    # Addresses with a password, and keys of the kinds that are easily pasted.
    assert not any(mark in text for mark in ("PRIVATE KEY", "AKIA", "password="))


def test_compose_file_is_one_by_its_schema():
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE_FILE)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_service_is_locked_up_and_watched(name):
    service = COMPOSE["services"][name]

    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].split(":")[0].isdigit() and not service["user"].startswith("0")
    assert service["restart"] == "unless-stopped" and service["healthcheck"]["test"][0] == "CMD"
    assert {"cpus", "memory"} == set(service["deploy"]["resources"]["limits"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert any(str(one).startswith("/tmp") for one in service["tmpfs"])
    assert all(one["condition"] == "service_healthy" for one in service.get("depends_on", {}).values())


def test_database_is_on_the_inner_network_only_and_reports_cannot_write():
    services = COMPOSE["services"]

    assert services["db"]["networks"] == ["inside"] and COMPOSE["networks"]["inside"]["internal"] is True
    assert "ports" not in services["db"]
    assert services["reports"]["volumes"] == ["home:/var/lib/daybook:ro"]
    assert "user=daybook_reader" in services["reports"]["environment"]["DAYBOOK__LAKE_CATALOG"]
    assert "tushare_token" not in str(services["reports"]["secrets"])


def files_of_secrets(name):
    """The names under which a service of the compose file finds its secrets."""
    given = COMPOSE["services"][name]["secrets"]
    assert {one if isinstance(one, str) else one["source"] for one in given} <= set(COMPOSE["secrets"])
    return {one if isinstance(one, str) else one["target"] for one in given}


@pytest.fixture
def settings_with(monkeypatch, tmp_path):
    """What Daybook reads of a service's variables, its secrets in files."""

    def read(variables, secrets):
        folder = tmp_path / "secrets"
        folder.mkdir(exist_ok=True)
        for name in secrets:
            (folder / name).write_text(f"planted:{name}\n")
        for name, value in (variables | {"DAYBOOK__SECRETS_DIR": str(folder)}).items():
            monkeypatch.setenv(name, value)
        return settings.read_settings(home=tmp_path, _env_file=None)

    return read


@pytest.mark.parametrize(("part", "field"), [("server", "prefect_auth"), ("reports", "reports_auth")])
def test_server_that_listens_beyond_its_container_asks_for_a_password(part, field, settings_with):
    from warehouse import errors

    variables, secrets = COMPOSE["services"][part]["environment"], files_of_secrets(part)
    variable = f"{settings.PREFIX}{field.upper()}"

    settings_with(variables, secrets).refuse_open("it", variable)

    with pytest.raises(errors.ConfigError, match=f"Set {variable} to user:password"):
        settings_with(variables, secrets).model_copy(update={field: None}).refuse_open("it", variable)


def variables_of(pod):
    return {one["name"]: one["value"] for one in pod["containers"][0]["env"]}


@pytest.mark.parametrize("part", PARTS)
def test_variables_are_settings_and_secrets_are_read_from_their_files(part, settings_with):
    variables, secrets = COMPOSE["services"][part]["environment"], files_of_secrets(part)

    found = settings_with(variables, secrets)

    ours = {name.removeprefix(settings.PREFIX).lower() for name in variables if name.startswith(settings.PREFIX)}
    assert ours <= set(settings.Settings.model_fields)
    revealed = {name: getattr(found, name.removeprefix(settings.PREFIX.lower())).get_secret_value() for name in secrets}
    assert revealed == {name: f"planted:{name}" for name in secrets}
    assert not any("planted" in settings.masked(getattr(found, name)) for name in settings.Settings.model_fields)


def test_variables_for_prefect_are_settings_of_prefect():
    from prefect.settings.legacy import _get_valid_setting_names
    from prefect.settings.models.root import Settings

    known = _get_valid_setting_names(Settings)
    in_compose = {name for one in COMPOSE["services"].values() for name in one["environment"]}
    in_pods = {one["name"] for pod in pods().values() for one in pod["containers"][0]["env"]}

    assert {name for name in in_compose | in_pods if name.startswith("PREFECT")} - known == set()


@pytest.mark.parametrize("version", OLDEST_AND_NEWEST)
def test_manifests_are_such_by_the_schemas_of_kubernetes(version):
    import kubernetes_validate

    for one in kubernetes():
        kubernetes_validate.validate(one, version, strict=True)


def test_wrong_manifest_would_be_found():
    import kubernetes_validate

    wrong = json.loads(json.dumps(kubernetes("Deployment")["daybook-worker"]))
    wrong["spec"]["template"]["spec"]["containers"][0]["readOnlyRootFilesystem"] = True

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, OLDEST_AND_NEWEST[1], strict=True)


@pytest.mark.parametrize("name", sorted(pods()))
def test_pod_is_locked_up_and_watched(name):
    pod = pods()[name]
    (container,) = pod["containers"]

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} == set(container["resources"]["requests"]) and "livenessProbe" in container
    assert {one["name"] for one in container["volumeMounts"]} <= {
        *(one["name"] for one in pod["volumes"]),
        # Of the StatefulSet's template.
        "data",
    }


def test_pods_ask_the_report_server_what_it_answers():
    container = pods()["reports"]["containers"][0]

    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


@pytest.mark.parametrize("part", PARTS)
def test_pod_gets_what_its_service_in_the_compose_file_gets(part, settings_with):
    pod, service = pods()[part], COMPOSE["services"][part]
    (secret,) = (one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one)

    assert pod["containers"][0]["args"] == service["command"]
    assert set(variables_of(pod)) == set(service["environment"])
    assert set(kubernetes("Secret")[secret]["stringData"]) == files_of_secrets(part)
    hosts = {"daybook-db": "db", "daybook-server": "server", "/run/secrets/daybook": "/run/secrets"}
    for name, value in variables_of(pod).items():
        for here, there in hosts.items():
            value = value.replace(here, there)
        assert value == service["environment"][name]


def test_names_that_objects_call_each_other_by_are_there():
    services = kubernetes("Service")
    labels = [
        one["spec"]["template"]["metadata"]["labels"]
        for kind in ("Deployment", "StatefulSet")
        for one in kubernetes(kind).values()
    ]

    assert all(one["spec"]["selector"] in labels for one in services.values())
    assert {"daybook-db", "daybook-server"} <= set(services)
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in pods().values()
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claims == set(kubernetes("PersistentVolumeClaim"))
    policies = kubernetes("NetworkPolicy")
    assert policies["daybook-default"]["spec"]["podSelector"] == {}
    assert {f"daybook-{part}" for part in (*PARTS, "db")} <= set(policies)


# Where the image of PostgreSQL looks, by its documentation.
DATA_OF_POSTGRES, SCRIPTS_OF_POSTGRES = "/var/lib/postgresql/data", "/docker-entrypoint-initdb.d"
PORTS = {"server": 4200, "reports": 4201, "db": 5432}
PROBED = {"server": {"/api/health", "/api/ready"}, "reports": {"/healthz", "/readyz"}}
# Who asks whom; nobody else within the namespace.
TALK = {("server", "db"), ("worker", "db"), ("reports", "db"), ("worker", "server"), ("reports", "server")}


def image_environment():
    words = next(words for name, words, _ in last_stage() if name == "ENV")
    return dict(zip(words[::2], words[1::2], strict=True))


def volumes_of_service(name):
    """Source, target, and whether it is for reading only."""
    return [(*one.split(":")[:2], one.endswith(":ro")) for one in COMPOSE["services"][name]["volumes"]]


def mounts_of(part):
    return {one["name"]: (one["mountPath"], one.get("readOnly", False)) for one in containers()[part]["volumeMounts"]}


def containers():
    return {name: pod["containers"][0] for name, pod in pods().items()}


def selected(selector, labels):
    """Whether labels are such as a selector of Kubernetes wants."""
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items()) and all(
        one["operator"] == "In" and labels.get(one["key"]) in one["values"]
        for one in selector.get("matchExpressions", [])
    )


def labels_of(part):
    return {"app.kubernetes.io/name": "daybook", "app.kubernetes.io/component": part}


def lets_through(part, direction, other, port):
    """Whether the policies let a part be reached by another, `Ingress`, or reach it, `Egress`."""
    peers = {"Ingress": "from", "Egress": "to"}[direction]
    own = [one["spec"] for one in kubernetes("NetworkPolicy").values()]
    own = [one for one in own if selected(one["podSelector"], labels_of(part)) and direction in one["policyTypes"]]
    return not own or any(
        {"protocol": "TCP", "port": port} in rule["ports"]
        and any("podSelector" in peer and selected(peer["podSelector"], labels_of(other)) for peer in rule[peers])
        for one in own
        for rule in one.get(direction.lower(), [])
    )


def compose_paths():
    """What is mounted where, and what variables say of it."""
    services, home = COMPOSE["services"], image_environment()["DAYBOOK__HOME"]
    for _, script, is_read_only in volumes_of_service("db")[1:]:
        yield script, (str(Path(script).parent), is_read_only), (SCRIPTS_OF_POSTGRES, True)
    for source, _, _ in volumes_of_service("db")[1:]:
        yield source, (COMPOSE_FILE.parent / source).is_file(), True
    yield "data", volumes_of_service("db")[0][1], DATA_OF_POSTGRES
    yield "home of worker", volumes_of_service("worker"), [("home", home, False)]
    yield "home of reports", volumes_of_service("reports"), [("home", home, True)]
    yield "home of server", f"{home}:uid=10001,gid=10001,mode=0750" in services["server"]["tmpfs"], True
    needed = {"postgres_password", *PASSWORDS}
    yield (
        "password of postgres",
        services["db"]["environment"]["POSTGRES_PASSWORD_FILE"],
        "/run/secrets/postgres_password",
    )
    yield "secrets of db", set(services["db"]["secrets"]), needed
    for part in PARTS:
        yield f"secrets of {part}", services[part]["environment"]["DAYBOOK__SECRETS_DIR"], "/run/secrets"
    for name, one in COMPOSE["secrets"].items():
        yield f"file of {name}", one["file"], f"./secrets/{name}"


def pod_paths():
    home = image_environment()["DAYBOOK__HOME"]
    for part in PARTS:
        yield f"home of {part}", mounts_of(part)["home"], (home, part == "reports")
        yield (
            f"secrets of {part}",
            mounts_of(part)["secrets"],
            (variables_of(pods()[part])["DAYBOOK__SECRETS_DIR"], True),
        )
        yield f"tmp of {part}", mounts_of(part)["tmp"], (image_environment()["HOME"], False)
    variables, mounts = variables_of(pods()["db"]), mounts_of("db")
    yield "password of postgres", variables["POSTGRES_PASSWORD_FILE"], f"{mounts['secrets'][0]}/postgres_password"
    yield "secrets of db", set(kubernetes("Secret")["daybook-db"]["stringData"]), {"postgres_password", *PASSWORDS}
    # Where roles.sql looks by itself.
    yield "folder of secrets of db", mounts["secrets"], ("/run/secrets", True)
    yield (
        "data",
        (mounts["data"], Path(variables["PGDATA"]).parent),
        ((DATA_OF_POSTGRES, False), Path(DATA_OF_POSTGRES)),
    )
    yield "scripts", mounts["roles"], (SCRIPTS_OF_POSTGRES, True)


def pod_volumes():
    listed = yaml.safe_load((DEPLOY / "postgres" / "kustomization.yaml").read_text())["configMapGenerator"]
    for name, pod in pods().items():
        context = pod["securityContext"]
        yield f"group of {name}", context.get("fsGroup"), context["runAsGroup"]
        for volume in pod["volumes"]:
            if "secret" in volume:
                yield f"secrets of {name}", volume["secret"], {"secretName": f"daybook-{name}", "defaultMode": 0o440}
            if "configMap" in volume:
                yield f"scripts of {name}", volume["configMap"]["name"], listed[0]["name"]
    scripts = {Path(source).name for source, _, _ in volumes_of_service("db")[1:]}
    yield "scripts", set(listed[0]["files"]), scripts


def ports():
    for part, port in PORTS.items():
        (of_pod,) = containers()[part]["ports"]
        (of_service,) = kubernetes("Service")[f"daybook-{part}"]["spec"]["ports"]
        yield f"container {part}", of_pod["containerPort"], port
        yield f"service {part}", (of_service["port"], of_service["targetPort"]), (port, of_pod["name"])
    yield "server", settings.Settings.model_fields["prefect_port"].default, PORTS["server"]
    yield "reports", settings.Settings.model_fields["reports_port"].default, PORTS["reports"]
    for part in ("server", "reports"):
        yield f"compose {part}", COMPOSE["services"][part]["ports"], [f"127.0.0.1:{PORTS[part]}:{PORTS[part]}"]
    for name, one in kubernetes("NetworkPolicy").items():
        for rule in one["spec"].get("ingress", []):
            part = one["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
            yield name, rule["ports"], [{"protocol": "TCP", "port": PORTS[part]}]


def conversations():
    for client in pods():
        for server, port in PORTS.items():
            if client != server:
                both = [lets_through(client, "Egress", server, port), lets_through(server, "Ingress", client, port)]
                yield f"{client} to {server}", all(both), (client, server) in TALK
    (dns,) = kubernetes("NetworkPolicy")["daybook-default"]["spec"]["egress"]
    yield "DNS", dns["ports"], [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    yield "DNS", dns["to"], [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]


def image_paths():
    found, variables = last_stage(), image_environment()
    (copied,) = ((words, flags) for name, words, flags in found if name == "COPY")
    folder = "/opt/daybook"
    made = [words[0] for name, words, _ in instructions() if name == "RUN"]
    yield "copied", copied, ([folder, folder], ["--from=build"])
    yield "environment", made[0].startswith(f"python -m venv {folder}/.venv"), True
    yield "installed", [f"--python {folder}/.venv/bin/python" in one for one in (made[0], made[1])], [True, True]
    yield "PATH", variables["PATH"].split(":")[0], f"{folder}/.venv/bin"
    home, (volumes,) = variables["DAYBOOK__HOME"], (words for name, words, _ in found if name == "VOLUME")
    yield "volumes", set(volumes), {home, variables["HOME"]}
    yield "work", [words for name, words, _ in found if name == "WORKDIR"], [[home]]
    yield "cache", Path(variables["NUMBA_CACHE_DIR"]).parent, Path(variables["HOME"])
    yield "user", any(f"--home-dir {home} " in one and f"-m 0750 {home}" in one for one in made), True


def probes():
    for part, container in containers().items():
        asked = [one["httpGet"] for name, one in container.items() if name.endswith("Probe") and "httpGet" in one]
        yield part, {one["path"] for one in asked}, PROBED.get(part, set())
        yield part, {one["port"] for one in asked}, {one["name"] for one in container.get("ports", []) if asked}
    # A run in progress is not cut because Prefect's server is away for minutes.
    life = containers()["worker"]["livenessProbe"]
    yield "worker", life["periodSeconds"] * life["failureThreshold"] >= 1800, True


@pytest.mark.parametrize(
    "told",
    [compose_paths, pod_paths, pod_volumes, ports, conversations, image_paths, probes],
    ids=lambda one: one.__name__,
)
def test_what_one_place_says_another_says_too(told):
    """Each row: what it is about, what is found, what it must be."""
    assert [row for row in told() if row[1] != row[2]] == []


@pytest.mark.parametrize("folder", ["kubernetes", "postgres"])
def test_kustomization_names_every_file(folder):
    listed = yaml.safe_load((DEPLOY / folder / "kustomization.yaml").read_text())
    there = {path.name for path in (DEPLOY / folder).glob("*.yaml")} - {"kustomization.yaml", "secrets.example.yaml"}

    assert {one for one in listed["resources"] if not one.startswith("..")} == there
    assert all((DEPLOY / folder / one).exists() for one in listed["resources"])
    for generated in listed.get("configMapGenerator", []):
        assert all((DEPLOY / folder / one).is_file() for one in generated["files"])


def flows_of_file():
    from prefect.cli.deploy import _config
    from rich.console import Console

    # Prefect's own loader; it leaves out what it does not take, and says so.
    with Path(os.devnull).open("w") as nowhere:
        found, actions = _config._load_deploy_configs_and_actions(PREFECT_FILE, console=Console(file=nowhere))
    return found, actions


def test_flows_for_workers_are_those_of_the_one_table(monkeypatch, tmp_path):
    from prefect.cli.deploy import _schedules, _triggers

    from flows import deployments

    monkeypatch.chdir(tmp_path)
    found, actions = flows_of_file()

    def told(name, entrypoint, tags, fires, parameters, limit, triggers, version):
        return {
            "name": name,
            "entrypoint": entrypoint,
            "tags": tags,
            "schedules": [(one.schedule.cron, one.schedule.timezone, one.active) for one in fires],
            "parameters": parameters,
            "concurrency_limit": limit,
            "triggers": [one.model_dump(mode="json", exclude={"id", "deployment_id"}) for one in triggers],
            "version": version,
        }

    from prefect.client.schemas.actions import DeploymentScheduleCreate

    of_file = [
        told(
            one["name"],
            one["entrypoint"],
            one["tags"],
            [
                DeploymentScheduleCreate.model_validate(_schedules._schedule_config_to_deployment_schedule(schedule))
                for schedule in one["schedules"]
            ],
            one["parameters"],
            one.get("concurrency_limit"),
            _triggers._initialize_deployment_triggers(one["name"], one.get("triggers", [])),
            one["version"],
        )
        for one in found
    ]
    of_table = [
        told(
            one.name,
            one.entrypoint,
            one.tags,
            one.schedules,
            one.parameters,
            one.concurrency_limit,
            one.triggers,
            one.version,
        )
        for one in deployments.deployments()
    ]
    assert of_file == of_table
    assert actions == {"build": [], "push": [], "pull": []}
    assert {one["work_pool"]["name"] for one in found} == {"daybook"}


def test_workers_of_a_desk_get_the_variables_and_the_prefect_that_daybook_is_tried_with():
    from flows import serving

    found, _ = flows_of_file()
    lock = (DEPLOY / "requirements.lock").read_text()
    ours = serving.prefect_environment(Path("/"))
    logging = ("PREFECT_LOGGING_EXTRA_LOGGERS", "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW")
    wanted = (*logging, "PREFECT_CLIENT_RETRY_EXTRA_CODES", "DO_NOT_TRACK")

    given = [one["work_pool"]["job_variables"] for one in found]
    assert given == [{"env": {name: ours[name] for name in wanted}}] * len(found)
    assert f"\nprefect=={yaml.safe_load(PREFECT_FILE.read_text())['prefect-version']} " in lock


def run_script(postgres, folder, name="roles.sql"):
    """What psql says to a script of `deploy/postgres` on the tests' server."""
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("PostgreSQL's psql is not installed")
    return subprocess.run(
        [psql, "-X", "-q", "-d", postgres.conninfo("postgres"), "-v", f"secrets={folder}", "-f", name],
        cwd=DEPLOY / "postgres",
        env=os.environ | {"PGPASSWORD": postgres.password},
        capture_output=True,
        text=True,
        check=False,
    )


def plant_passwords(folder, word):
    planted = {name: f"{word} '{name}'" for name in PASSWORDS}
    for name, password in planted.items():
        (folder / name).write_text(password + "\n")
    return planted


@contextlib.contextmanager
def roles_made(postgres, folder):
    """The databases and roles of `deploy/postgres` on the tests' server; the passwords by their file."""
    # Run again, it takes today's passwords.
    plant_passwords(folder, "earlier")
    first = run_script(postgres, folder)
    planted = plant_passwords(folder, "planted")
    done = [first, run_script(postgres, folder), run_script(postgres, folder, "container.sql")]
    assert [one.stderr for one in done if one.returncode] == []
    try:
        yield planted
    finally:
        with postgres.connected() as session:
            session.execute("grant connect, temporary on database postgres to public")
            session.execute("grant connect on database template1 to public")
            for database in ("daybook", "prefect"):
                session.execute(f"drop database {database} with (force)")
            for role in ("prefect", "daybook_writer", "daybook_reader"):
                session.execute(f"drop role {role}")


@pytest.fixture(scope="module")
def passwords(postgres, tmp_path_factory):
    with roles_made(postgres, tmp_path_factory.mktemp("secrets")) as made:
        yield made


@pytest.fixture(scope="module")
def lake_as(postgres, passwords, tmp_path_factory):
    """Where the lake lies for a role."""
    from warehouse import lake

    folder = tmp_path_factory.mktemp("home") / "lake"

    def location(role):
        return lake.LakeLocation(
            folder,
            catalog=f"postgres:host={postgres.folder} port={postgres.port} dbname=daybook user=daybook_{role}",
            memory_limit="1GB",
            catalog_password=passwords[f"lake_{role}_password"],
        )

    return location


def test_reader_reads_what_the_writer_wrote_and_can_write_nothing(lake_as, bars, load_days):
    import duckdb
    import psycopg

    from warehouse import errors, lake, rate_budget, storage
    from warehouse.sources import limits
    from warehouse.tables import market

    with lake.open_writer(lake_as("writer"), holder="test") as opened:
        load_days(opened, market.DAILY, bars("600000.SH 2024-01-02 10.5"))

    # Calls to vendors are counted beside the catalog, by who asks them.
    limits.Limits(1, 60.0, {}, rate_budget.Budget(lake_as("writer"), "tushare-4711")).wait("daily")

    with lake.open_reader(lake_as("reader")) as opened:
        rows = opened.read("select ts_code, close from market.daily").to_pylist()
        of_view = opened.read_value("select count(*) from analyst.freshness")
    with pytest.raises(errors.DaybookError, match="permission denied"), lake.open_writer(lake_as("reader"), holder="x"):
        pass
    with storage.connected(lake_as("reader")) as session:
        for statement in (
            "delete from ducklake_snapshot",
            "select * from daybook_limits.started",
            "create table mine (x int)",
            "create temporary table mine (x int)",
            "select pg_try_advisory_lock_shared(1)",
            "select lo_from_bytea(0, 'mine')",
            "select lo_creat(-1)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(statement)
    # Another program, which does not attach the lake for reading only.
    with (
        lake._attached(lake_as("reader"), []) as other,
        pytest.raises(duckdb.Error, match="permission denied"),
    ):
        other.execute("delete from market.daily")
    assert rows == [{"ts_code": "600000.SH", "close": 10.5}] and of_view > 0


@pytest.mark.parametrize(
    ("role", "database"),
    [
        ("daybook_reader", "prefect"),
        ("daybook_reader", "postgres"),
        ("daybook_reader", "template1"),
        ("daybook_writer", "prefect"),
        ("prefect", "daybook"),
        ("prefect", "postgres"),
    ],
)
def test_role_cannot_enter_the_database_that_is_not_its_own(role, database, postgres, passwords):
    import psycopg

    word = passwords[{"prefect": "prefect_password"}.get(role, f"lake_{role.removeprefix('daybook_')}_password")]

    with pytest.raises(psycopg.OperationalError, match="does not have CONNECT privilege"):
        psycopg.connect(host=postgres.folder, port=postgres.port, user=role, dbname=database, password=word)


def test_role_with_an_empty_password_is_not_made(postgres, tmp_path):
    for name in PASSWORDS:
        (tmp_path / name).write_text("\n")

    done = run_script(postgres, tmp_path)

    assert done.returncode == 3 and "division by zero" in done.stderr


def test_no_password_stands_in_the_log_of_the_server(postgres, passwords, tmp_path):
    """By default a statement that fails is logged whole; here every statement is, and the second run fails."""
    import psycopg

    logged = {"log_statement": "all", "log_min_duration_statement": "0", "log_min_error_statement": "error"}
    words = plant_passwords(tmp_path, "planted")
    with postgres.connected() as session:
        for name, value in logged.items():
            session.execute(f"alter role daybook set {name} to '{value}'")
    try:
        with postgres.connected() as session, pytest.raises(psycopg.errors.DivisionByZero):
            session.execute("select 1 / 0 as seen")
        run_script(postgres, tmp_path)
        (tmp_path / "lake_reader_password").write_text("\n")
        failed = run_script(postgres, tmp_path)
    finally:
        with postgres.connected() as session:
            for name in logged:
                session.execute(f"alter role daybook reset {name}")
    log = postgres.log.read_text()

    assert failed.returncode == 3 and "STATEMENT:  select 1 / 0 as seen" in log
    # As psql quotes them.
    assert [word for word in words.values() if word in log or word.replace("'", "''") in log] == []


def test_folder_of_secrets_that_is_not_there_is_named(monkeypatch, tmp_path):
    from warehouse import errors

    monkeypatch.setenv("DAYBOOK__SECRETS_DIR", str(tmp_path / "none"))

    with pytest.raises(errors.ConfigError, match=r"DAYBOOK__SECRETS_DIR: there is no folder .*none"):
        settings.read_settings(_env_file=None)
