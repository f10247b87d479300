"""docker-compose.yaml against the compose specification's schema, and all that it names against project and Airflow."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from functools import cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import compose_job
import fab
import jsonschema
import pytest
import yaml
from airflow.providers.celery.get_provider_info import get_provider_info as get_celery_info

from push_provider.provider import get_provider_info

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("init", "api-server", "scheduler", "dag-processor", "triggerer", "worker")
JOBS = ("init", "folders")


def by_default(value: str) -> str:
    """A value as compose fills it in where the environment says nothing."""
    return re.sub(r"(?<!\$)\$\{\w+:-([^}]*)\}", r"\1", value)


def variables(text: str) -> set[str]:
    """Names of the variables that compose fills in."""
    return set(re.findall(r"(?<!\$)\$\{(\w+)", text))


@cache
def in_its_environment(script: str, *arguments: str) -> Any:
    """What a script prints as JSON where the image's auth manager is installed."""
    command = [str(fab.installed() / "python"), "-c", f"import json, sys\n{script}", *arguments]
    env = {**os.environ, "AIRFLOW__CORE__AUTH_MANAGER": fab.AUTH_MANAGER}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def env_example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.partition("=")[::2] for line in lines if line and not line.startswith("#"))


def test_the_file_fits_the_compose_specification() -> None:
    schema = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text())
    jsonschema.validate(COMPOSE, schema)


@pytest.mark.skipif(
    subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0
    if shutil.which("docker")
    else True,
    reason="docker compose is not installed",
)
def test_docker_compose_reads_it(tmp_path: Path) -> None:
    env = tmp_path / "env"
    subprocess.run([str(ROOT / "scripts" / "secrets"), str(env)], check=True, capture_output=True)
    command = ["docker", "compose", "--env-file", str(env), "--profile", "mail", "config", "--quiet"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


# --- secrets and ports --------------------------------------------------------------------------------


def test_no_secret_is_in_the_file() -> None:
    for name, service in SERVICES.items():
        for option, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|FERNET|_KEY$", option) and not option.endswith("_FILE"):
                assert re.fullmatch(r"\$\{\w+:\?[^}]*\}", value), f"{name}: {option}"
            for password in re.findall(r"://[^:/]+:([^@]+)@", str(value)):
                assert password.startswith("${POSTGRES_PASSWORD:?"), f"{name}: {option}"


def test_nobody_reaches_kafka_without_a_login() -> None:
    kafka = SERVICES["kafka"]["environment"]
    protocols = dict(part.split(":") for part in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    for listener in kafka["KAFKA_LISTENERS"].split(","):
        name, host = re.fullmatch(r"(\w+)://(.*):\d+", listener).groups()  # type: ignore[union-attr]
        assert (protocols[name], host) in (("SASL_PLAINTEXT", ""), ("PLAINTEXT", "localhost")), name
        if not host:
            logins = kafka[f"KAFKA_LISTENER_NAME_{name}_PLAIN_SASL_JAAS_CONFIG"]
            assert re.findall(r'user_\w+="(.*?)"', logins) == ["${PUSH_KAFKA_PASSWORD:?run ./scripts/secrets first}"]


def test_every_variable_is_in_the_example_and_used() -> None:
    assert variables(TEXT) == set(env_example())


def test_the_script_fills_in_every_secret_once(tmp_path: Path) -> None:
    from cryptography.fernet import Fernet

    made = []
    for name in ("one", "two"):
        target = tmp_path / name
        for _ in range(2):  # the second time, it stays as it is
            subprocess.run([str(ROOT / "scripts" / "secrets"), str(target)], check=True, capture_output=True)
        assert target.stat().st_mode & 0o077 == 0
        lines = [line for line in target.read_text().splitlines() if line and not line.startswith("#")]
        made.append(dict(line.partition("=")[::2] for line in lines))
    example = env_example()
    for name, value in example.items():
        if value:
            assert made[0][name] == value
        else:
            assert len(made[0][name]) >= 32
            assert made[0][name] != made[1][name]
    assert re.fullmatch(r"[0-9a-f]+", made[0]["POSTGRES_PASSWORD"])
    Fernet(made[0]["AIRFLOW_FERNET_KEY"].encode())


def test_env_is_never_committed() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


def test_centrifugo_has_what_the_docs_say() -> None:
    """The namespace of the file is that of the docs, whose configuration the tests run the real Centrifugo with."""
    page = (ROOT / "docs" / "en" / "websocket.md").read_text()
    (block,) = [one for one in re.findall(r"```text\n(.*?)```", page, re.DOTALL) if "namespaces" in one]
    environment = SERVICES["centrifugo"]["environment"]
    assert json.loads(environment["CENTRIFUGO_CHANNEL_NAMESPACES"]) == json.loads(block)["channel"]["namespaces"]
    assert SERVICES["centrifugo-2"]["environment"] == environment


def test_ports_are_of_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 5
    assert all(port.startswith("127.0.0.1:${") for port in ports)


# --- what it names ------------------------------------------------------------------------------------


def test_every_path_of_the_project_exists() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), source
            else:
                assert source in COMPOSE["volumes"], source


def test_the_scripts_it_runs_are_sound() -> None:
    for script in (ROOT / "docker").glob("*.sh"):
        assert os.access(script, os.X_OK)
        subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_job_hands_secrets_on_as_they_are(tmp_path: Path) -> None:
    """All of it is run, and ``airflow`` keeps what it is given."""
    odd = """a"b\\c\\t\\u0041 %s ${HOME} $(id) `id` # 'é' {{ x }}"""
    secrets = {name: f"{odd} {name}" for name in compose_job.ENVIRONMENT if name != "PUSH_CENTRIFUGO_PORT"}
    imported, typed, temporary = tmp_path / "imported", tmp_path / "typed", tmp_path / "temporary"
    temporary.mkdir()
    airflow = tmp_path / "airflow"
    keeps = f'[ "$2" != import ] || cat "$3" >>{imported}\n[ "$1" != users ] || cat >{typed}\n'
    airflow.write_text(f'#!/bin/bash\n[ "$2" != get ] || exit 1\n{keeps}')
    airflow.chmod(0o755)
    env = {**compose_job.ENVIRONMENT, **secrets, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(temporary)}
    subprocess.run(["bash", str(compose_job.SCRIPT)], env=env, check=True)
    connections = {name: one for line in imported.read_text().splitlines() for name, one in json.loads(line).items()}
    kafka, centrifugo = connections["kafka_default"], connections["push_centrifugo_default"]
    assert kafka["extra_dejson"]["sasl.password"] == secrets["PUSH_KAFKA_PASSWORD"]
    assert centrifugo["password"] == secrets["PUSH_CENTRIFUGO_API_KEY"]
    assert centrifugo["extra_dejson"]["token_secret"] == secrets["PUSH_CENTRIFUGO_TOKEN_SECRET"]
    assert centrifugo["extra_dejson"]["client_url"] == "ws://127.0.0.1:8000/connection/websocket"
    assert typed.read_text() == f"{secrets['PUSH_ADMIN_PASSWORD']}\n" * 2
    assert list(temporary.iterdir()) == []


def test_what_the_image_is_made_of_exists_and_is_let_in() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    page, base = [line.split()[1] for line in lines if line.startswith("FROM")]
    assert re.fullmatch(r"node:\d+-slim", page)
    (pinned,) = re.findall(r"^apache-airflow==(.+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert base == f"apache/airflow:{pinned}"
    copies = [line.split()[1:-1] for line in lines if line.startswith("COPY") and "--from=" not in line]
    copied = [word for words in copies for word in words if not word.startswith("--")]
    assert "plugins/push_provider/ui/www" in copied
    for path in copied:
        assert (ROOT / path).exists(), path
        ways = [path, *map(str, Path(path).parents)]
        assert any(f"!{way}" in ignored for way in ways), path


def test_images_name_their_version() -> None:
    for name, service in SERVICES.items():
        tag = service["image"].partition(":")[2]
        assert re.search(r"\d", tag) or tag == "local", name
        assert (tag == "local") == ("build" in service), name


@pytest.mark.slow
@pytest.mark.parametrize("name", OURS)
def test_every_option_exists(name: str) -> None:
    from airflow.configuration import retrieve_configuration_description

    described = retrieve_configuration_description(include_providers=False)
    described["fab"] = in_its_environment(
        "from airflow.providers.fab.get_provider_info import get_provider_info\n"
        "print(json.dumps(get_provider_info()['config']['fab']))"
    )
    described["celery"] = get_celery_info()["config"]["celery"]
    push = get_provider_info()["config"]["push"]["options"]
    for variable in SERVICES[name]["environment"]:
        if not variable.startswith("AIRFLOW__"):
            continue
        section, option = re.fullmatch(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+)", variable).groups()  # type: ignore[union-attr]
        known = push if section == "PUSH" else described[section.lower()]["options"]
        assert option.lower() in known, variable


@pytest.mark.filterwarnings("ignore:Using .httpx. with .starlette.testclient. is deprecated")  # Airflow's own import
def test_every_class_exists() -> None:
    environment = SERVICES["scheduler"]["environment"]
    bundles = json.loads(environment["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    paths = [bundle["classpath"] for bundle in bundles]
    paths += [by_default(environment["AIRFLOW__CORE__EXECUTOR"]), environment["AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS"]]
    for path in paths:
        module, _, name = path.rpartition(".")
        assert hasattr(import_module(module), name), path
    assert environment["AIRFLOW__CORE__AUTH_MANAGER"] == fab.AUTH_MANAGER  # whose users tests/api logs in


def airflow_commands() -> list[list[str]]:
    """Every ``airflow`` command: of services, of health checks, and of the job that prepares."""
    commands = [shlex.split(SERVICES[name]["command"]) for name in OURS if name != "init"]
    checks = [service["healthcheck"]["test"] for service in SERVICES.values() if "healthcheck" in service]
    commands += [shlex.split(check[1])[1:] for check in checks if check[1].startswith("airflow ")]
    script = (ROOT / "docker" / "init.sh").read_text().replace("\\\n", " ")
    lines = re.findall(r"^(?:if ! |.*\| | *)(airflow [^>;\n]+)", script, re.MULTILINE)
    commands += [shlex.split(line)[1:] for line in lines]
    return commands


@pytest.mark.slow
def test_every_airflow_command_parses() -> None:
    commands = airflow_commands()
    assert len(commands) >= 12
    assert any(command[:2] == ["users", "create"] for command in commands)
    script = (
        "from airflow.cli.cli_parser import get_parser\n"
        "for arguments in json.loads(sys.argv[1]): get_parser().parse_args(arguments)\n"
        "print('null')"
    )
    in_its_environment(script, json.dumps(commands))


def test_the_parts_of_airflow_are_all_there_and_watched() -> None:
    for name, service in SERVICES.items():
        if name in JOBS:
            continue
        assert "healthcheck" in service, name
        assert service["restart"] == "unless-stopped", name
    for name in OURS:
        environment = dict(SERVICES[name]["environment"])
        environment = {name: value for name, value in environment.items() if name.startswith("AIRFLOW__")}
        assert environment == COMPOSE["x-airflow"]["environment"], name


def test_the_settings_are_those_of_the_docs() -> None:
    """What the docs say production needs is what the file sets."""
    import configparser

    page = (ROOT / "docs" / "en" / "production.md").read_text()
    block = re.search(r"```ini\n(.*?)```", page, re.DOTALL)
    assert block
    settings = configparser.ConfigParser(interpolation=None)
    settings.read_string(re.sub(r"^   ", "", block[1], flags=re.MULTILINE))
    environment = SERVICES["scheduler"]["environment"]
    for section in settings.sections():
        for option, value in settings[section].items():
            given = by_default(environment[f"AIRFLOW__{section.upper()}__{option.upper()}"])
            if "sql_alchemy_conn" in option or option == "include_dir":
                assert given.partition("://")[0].split("/")[0] == value.partition("://")[0].split("/")[0], option
            elif option == "dag_bundle_config_list":
                assert json.loads(given) == json.loads(value)
            else:
                assert given == value, option
