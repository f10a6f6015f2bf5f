"""What is encrypted in a stack's file, value by value."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components.run.operation import option_of
from settings import parse
from settings.secrecy import secrets_in
from settings.stack_file import config_of, is_encrypted, path_of

PLAIN = "hunter2-but-longer"
OTHER = "another-that-nobody-may-see"
ENCRYPTED = {"secure": "v1:abc:def"}
MIRROR = {"upstream": "https://ghcr.io", "username": "me"}
S3 = {"bucket": "b", "region": "eu-central-1", "accesskey": "a"}
ENDPOINT = {"name": "n", "url": "https://hooks.example.com"}

# By the path that the message must name: what the stack's file has below its first part.
MIXED: dict[str, Any] = {
    "passwords.ci": {"admin": ENCRYPTED, "ci": PLAIN},
    'passwords["jane.doe"]': {"admin": ENCRYPTED, "jane.doe": PLAIN},
    "proxySecrets.B_TOKEN": {"A_TOKEN": ENCRYPTED, "B_TOKEN": PLAIN},
    "mirrors.b.password": {
        "a": MIRROR | {"domain": "a.example.com", "password": ENCRYPTED},
        "b": MIRROR | {"domain": "b.example.com", "password": PLAIN},
    },
    "config.storage.s3.secretkey": {
        "storage": {"s3": S3 | {"accesskey": ENCRYPTED, "secretkey": PLAIN}}
    },
    "config.redis.password": {"redis": {"password": PLAIN, "username": ENCRYPTED}},
    "config.notifications.endpoints[1].headers.Authorization[0]": {
        "notifications": {
            "endpoints": [
                ENDPOINT | {"headers": {"Authorization": [ENCRYPTED]}},
                ENDPOINT | {"headers": {"Authorization": [f"Bearer {PLAIN}"]}},
            ]
        }
    },
}


def key_of(path: str) -> str:
    """Return the first part of a path: the key of the setting."""
    return re.split(r"[.\[]", path)[0]


def decrypted(file: Any) -> Any:
    """Return what the program gets of that part of a stack's file."""
    return json.loads(json.dumps(file).replace(json.dumps(ENCRYPTED), json.dumps(OTHER)))


def problems(file: dict[str, Any], values: dict[str, Any]) -> str:
    """Return what is wrong with the settings of `prod`, with that in its file; maybe nothing."""
    base = {"stackName": "s", "domain": "r.example.com", "proxy": "main", "users": ["admin", "ci"]}
    values = base | values
    raw = {
        f"registry:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in values.items()
    }
    in_file = {f"registry:{key}": value for key, value in file.items()}
    try:
        # Pulumi's own answer: each of these keys has a secret in it.
        parse(raw, lambda key: key in in_file, "prod", in_file)
    except pulumi.RunError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("path", MIXED)
def test_a_value_in_plain_text_beside_an_encrypted_one_is_refused(path: str) -> None:
    key, file = key_of(path), MIXED[path]
    users = {"users": ["admin", "ci", "jane.doe"]}
    text = problems({key: file}, {key: decrypted(file)} | users)
    assert f"registry:{path} is in plain text in the stack's file" in text
    assert "pulumi config set --stack prod --path --secret" in text
    assert PLAIN not in text
    assert OTHER not in text


@pytest.mark.parametrize("path", MIXED)
def test_what_is_encrypted_is_accepted(path: str) -> None:
    key, file = key_of(path), MIXED[path]
    values = decrypted(file)
    encrypted = json.loads(json.dumps(file).replace(f"Bearer {PLAIN}", PLAIN))
    text = json.dumps(encrypted).replace(f'"{PLAIN}"', json.dumps(ENCRYPTED))
    users = {"users": ["admin", "ci", "jane.doe"]}
    assert problems({key: json.loads(text)}, {key: values} | users) == ""
    # The map as a whole.
    assert problems({key: ENCRYPTED}, {key: values} | users) == ""


def test_a_user_with_a_dot_is_shown_how_to_quote_it() -> None:
    users = {"users": ["jane.doe"]}
    text = problems(
        {"passwords": {"jane": {"doe": ENCRYPTED}}}, {"passwords": {"jane": {"doe": OTHER}}} | users
    )
    assert "--path --secret 'registry:passwords[\"jane.doe\"]'" in text
    assert "pulumi config rm --stack prod --path registry:passwords.jane" in text


def test_a_certificate_with_its_key_in_it_is_refused() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n"
    bundle = pem + pem.replace("CERTIFICATE", "RSA PRIVATE KEY")
    text = problems({}, {"storageCa": bundle})
    assert "registry:storageCa has a private key in it" in text


def test_the_files_of_a_stack_are_read_as_pulumi_reads_them(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: registry\nstackConfigDir: stacks\n")
    (tmp_path / "stacks").mkdir()
    config = {"registry:passwords": {"a": ENCRYPTED}, "domain": "x"}
    (tmp_path / "stacks/Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": config}))
    read = {"registry:passwords": {"a": ENCRYPTED}, "registry:domain": "x"}
    assert config_of("prod", tmp_path) == read
    (tmp_path / "other.yaml").write_text("config:\n  registry:domain: other\n")
    assert config_of("prod", tmp_path, Path("other.yaml")) == {"registry:domain": "other"}
    assert config_of("stag", tmp_path) == {}
    (tmp_path / "other.yaml").write_text("config: [\n")
    assert config_of("prod", tmp_path, Path("other.yaml")) == {}


def test_paths_are_written_as_pulumi_reads_them() -> None:
    assert path_of("config", "http", "headers", "X-A.B") == 'config.http.headers["X-A.B"]'
    assert path_of("users", 0) == "users[0]"
    assert path_of("passwords", 'a"b\\') == 'passwords["a\\"b\\\\"]'


def test_the_file_that_pulumi_was_given_is_the_one_that_is_read() -> None:
    command = ["pulumi", "up", "--config-file", "a.yaml", "--stack=prod"]
    assert option_of(command, "--config-file") == "a.yaml"
    assert option_of(command, "--stack") == "prod"
    assert option_of(command, "--target") is None


def test_what_all_stacks_share_is_read_where_the_stack_has_nothing(tmp_path: Path) -> None:
    shared = {
        "registry:passwords": {"value": {"admin": PLAIN}},
        "registry:domain": {"type": "string", "default": "x"},
        "registry:stackName": "all",
    }
    (tmp_path / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "registry", "config": shared}))
    (tmp_path / "Pulumi.prod.yaml").write_text("config:\n  registry:stackName: prod\n")
    read = config_of("prod", tmp_path)
    assert read == {
        "registry:passwords": {"admin": PLAIN},
        "registry:domain": "x",
        "registry:stackName": "prod",
    }
    # Even if Pulumi called it a secret.
    assert not is_encrypted(read["registry:passwords"], "admin")


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"redis": {"password": 12345678}}, ("redis", "password")),
        ({"redis": {"sentinelpassword": "no"}}, ("redis", "sentinelpassword")),
        ({"redis": {"password": "/Tr0ub4dor"}}, ("redis", "password")),
        (
            {"log": {"hooks": [{"options": {"smtp": {"password": "$SUMMER"}}}]}},
            ("log", "hooks", 0, "options", "smtp", "password"),
        ),
        (
            {"notifications": {"endpoints": [{"headers": {"Cookie": ["session=1"]}}]}},
            ("notifications", "endpoints", 0, "headers", "Cookie", 0),
        ),
        (
            {"health": {"http": [{"uri": "http://me:hunter2@health.example.com/"}]}},
            ("health", "http", 0, "uri"),
        ),
        (
            {"middleware": {"storage": [{"options": {"privatekey": "c2VjcmV0"}}]}},
            ("middleware", "storage", 0, "options", "privatekey"),
        ),
        ({"storage": {"azure": {"credentials": {"a": "b"}}}}, ("storage", "azure", "credentials")),
        (
            {"storage": {"azure": {"connectionstring": "x"}}},
            ("storage", "azure", "connectionstring"),
        ),
        (
            {"storage": {"s3": {"regionendpoint": "https://me:hunter2@s3.example.com"}}},
            ("storage", "s3", "regionendpoint"),
        ),
    ],
)
def test_secrets_of_the_registrys_configuration(
    config: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    assert list(secrets_in(config)) == [path]


def test_what_is_no_secret_in_the_registrys_configuration() -> None:
    config = {
        "redis": {"password": "", "username": "me", "tls": {"key": "/run/secrets/key.pem"}},
        "middleware": {"storage": [{"options": {"privatekey": "/pk.pem", "keypairid": "A"}}]},
        "http": {"headers": {"X-Content-Type-Options": ["nosniff"]}, "secret": "refused anyway"},
        "storage": {"s3": {"accesskey": "AKIA", "keyid": "k"}, "delete": {"enabled": True}},
        "log": {"level": "info"},
    }
    assert list(secrets_in(config)) == []


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"config": {"a.b": {}}}, 'config["a.b"]'),
        (
            {"config": {"storage": {"s3": S3 | {"secretkey": OTHER, "a.b": 1}}}},
            'config.storage.s3["a.b"]',
        ),
    ],
)
def test_advice_quotes_names_with_dots(values: dict[str, Any], path: str) -> None:
    text = problems({"config": ENCRYPTED}, values)
    assert f"pulumi config rm --stack prod --path 'registry:{path}'" in text
