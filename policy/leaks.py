"""What is a secret in plain text: by its form wherever it stands, or by the name that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

_FORMS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----"),
    # Compose files write each $ twice, and so do those who copy from them.
    "the hash of a password": re.compile(
        r"\$(apr1|[1567y]|2[abxy]?|argon2\w*|scrypt)\$\S{8,}|\{S?SHA(256|512)?\}\S{20,}"
    ),
    "an address with a password": re.compile(r"\w://[^/\s:@]*:[^/\s@]+@"),
    "a login": re.compile(
        r"authorization['\"]?\s*[:=]\s*['\"]?(basic|bearer|token)\s+\S{4,}", re.I
    ),
    "a token": re.compile(
        # A limit, so that a text of many beginnings isn't read to its end from each.
        r"\b(SWMTKN-1-|gh[pousr]_|github_pat_|glpat-|dckr_pat_)\w{8}"
        r"|\beyJ[\w-]{8,1000}\.eyJ[\w-]{8}"
    ),
}
_LOGINS = re.compile(r"(basic|digest)auth\.users(\[\d+\])?$", re.IGNORECASE)
"""Traefik's middlewares: whatever the hash, or without one, it is a login."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_WORD = re.compile(
    r"(passw(or)?d|passphrase|secret|token|credential|hmac(encoded)?"
    r"|(api|access|private|secret|account|auth|signing|encryption)key)s?|pass|pwd",
)
_GLUED = re.compile(r".(passw(or)?d|secret|token|passphrase|(api|access|private|secret)key)$")
"""Words that are written as one, as in `mypassword`, end in what they mean."""
_KEY = re.compile(r"keys?")
_OPEN_KEY = re.compile(r"public|pub|partition|sort|cache|routing|label|constraint")
"""Before `key`: that one is no secret."""
_ABOUT = re.compile(
    r"files?|path|dir|realm|issuer|service|url|uri|host|port|ttl|lifetime|expir(y|ation|es)|length"
    r"|name|id|type|cost|rotation|header|enabled|disabled|required|algorithm|bundle|endpoint"
)
"""After such a word, what the name stands for is no secret itself: `TOKEN_REALM`."""
_NEGATIONS = re.compile(r"no|disable|skip|allow|without")
_HARMLESS = re.compile(
    # A path: of a Swarm secret, mostly. One word after a slash may be a password.
    r"(file://)?(\.{1,2}/[\w./@-]*|/[\w.@-]+/[\w./@-]*|/[\w@-]+\.\w{1,5}|/)"
    r"|true|false|yes|no|on|off|none|null|\{\}|\[\]"
    r"|\$\{[A-Z_]\w*\}|(?-i:\$[A-Z_][A-Z0-9_]*)|\$\(.*|\{\{.*"  # a reference, not a value
    r"|env|",
    re.IGNORECASE | re.DOTALL,
)
_FILE = re.compile(r"\.{0,2}/[\w./@-]+")
_SECRET_HEADER = re.compile(r"(set-)?cookie|(proxy-)?authorization", re.IGNORECASE)
"""Headers that are a secret whatever their value: not every login says `Bearer`."""
_ASSIGNMENT = re.compile(
    # A number right after a colon is the port of a host. Each name is matched, assigned to or not,
    # so that none is looked at twice: texts may be long.
    r"(?P<name>[\w.-]+)(?P<sign>[\"']?[ \t]*(=|:(?!\d+\b))[ \t]*[\"']?)?"
)
_VALUE = re.compile(r"(\$\{\w+\}|[^\s\"',;&|{}\[\]]){1,300}")
"""An assigned value, as much of it as shows whether it is a secret."""


def secret_in(name: str, value: str) -> str | None:
    """Return the kind of secret that `value` is, standing for `name`; None when it is none."""
    for kind, form in _FORMS.items():
        if form.search(value):
            return kind
    if _LOGINS.search(name):
        return "a login"
    return "a secret" if _is_secret(name, value) else None


def is_secret_setting(name: str, value: str) -> bool:
    """Return whether `value`, for `name` in a registry's configuration, is a secret.

    Other than what a command line or label has, it is no reference to a value elsewhere: the
    registry takes a password as it stands, whatever it is, and reads files for keys alone.
    """
    # A header is a list of texts, whose name says what they are.
    if secret_in("", value) or secret_in("", f"{name}: {value}") or _SECRET_HEADER.fullmatch(name):
        return True
    if not value or not names_secret(name):
        return False
    return not (name.lower().endswith("key") and _FILE.fullmatch(value))


def assigned(text: str) -> Iterator[str]:
    """Yield the names in `text` that a secret is given to: `a=b`, `a: b` or `"a": "b"`."""
    for match in _ASSIGNMENT.finditer(text):
        if not match["sign"]:
            continue
        name = match["name"]
        if text[match.start() - 1 : match.start()] in ("/", "$"):
            # The part up to a dot or dash is one of a path, or a variable.
            name = re.sub(r"^\w*[.-]?", "", name, count=1)
        # In a document, a key alone is one of a map.
        if not names_secret(name) or name.lower() == "key":
            continue
        # Only looked at, since it may be an assignment itself: `command: --token=x`.
        value = _VALUE.match(text, match.end())
        if value and not _HARMLESS.fullmatch(value[0]):
            yield name.lstrip("-")


def secrets_in_args(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each argument that is or has a secret, by name or position from 1, and its kind."""
    for position, (word, after) in enumerate(zip_longest(args, args[1:], fillvalue="-"), 1):
        names = list(assigned(word))
        # The value of `--password` may be the next word.
        flag = word.lstrip("-") if word.startswith("-") and "=" not in word else ""
        if flag and not after.startswith("-") and _is_secret(flag, after):
            names.append(flag)
        for name in names:
            yield name, "a secret"
        if not names and (kind := secret_in("", word)):
            yield str(position), kind


def _is_secret(name: str, value: str) -> bool:
    return names_secret(name) and not _HARMLESS.fullmatch(value)


def names_secret(name: str) -> bool:
    """Return whether the last part of a dotted name (label, flag, variable) promises a secret."""
    part = re.split(r"[./\s]", re.sub(r"\[\d+\]", "", name))[-1]
    parts = [word.lower() for word in _WORD.findall(part)]
    if not parts or _ABOUT.fullmatch(parts[-1]) or _NEGATIONS.fullmatch(parts[0]):
        return False
    if any(_SECRET_WORD.fullmatch(word) or _GLUED.search(word) for word in parts):
        return True
    return bool(_KEY.fullmatch(parts[-1])) and not _OPEN_KEY.fullmatch("".join(parts[-2:-1]))
