"""What each kind of text must look like, in a regular expression and in words.

Digits are `[0-9]`, not `\\d`: that one takes those of all scripts, which no program here reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from components.distribution.config import REGISTRY_IMAGE
from settings.kinds import Rule

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
STACK = Rule(
    r"[a-z0-9][a-z0-9-]{0,39}",
    "1 to 40 lower-case letters, digits and '-', beginning with a letter or digit",
    "registry-com",
)
DOMAIN = Rule(
    rf"localhost|(?=.{{1,253}}$){_LABEL}(\.{_LABEL})+",
    "a lower-case host name with a dot in it, or localhost; no scheme, port or path"
    " (docker takes a name without a dot for a repository on Docker Hub)",
    "registry.example.com",
)
PUBLIC_DOMAIN = Rule(
    rf"(?=.{{1,253}}$)(?!.*\.[0-9]+$){_LABEL}(\.{_LABEL})+",
    "a lower-case host name with a dot in it, no address: certificates are for names",
    "registry.example.com",
)
EMAIL = Rule(
    rf"[A-Za-z0-9._%+-]{{1,64}}@(?=.{{1,253}}$){_LABEL}(\.{_LABEL})+",
    "an e-mail address: where the authority writes to",
    "admin@example.com",
)
URL = Rule(
    r"https://[A-Za-z0-9.\[\]:-]+(/\S*)?",
    "the https:// address of an ACME directory",
    "https://ca.example.com/acme/acme/directory",
)
CHALLENGE = Rule(
    r"tls|http|dns:[a-z0-9-]+",
    "tls, http, or dns: and one of Traefik's DNS providers",
    "dns:cloudflare",
)
TAG = Rule(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "letters, digits, '.', '_' and '-'", "registry.com")
OWN_NAME = Rule(
    r"[a-z0-9][a-z0-9-]{0,62}",
    "lower-case letters, digits and '-' (Traefik lowers the names that it is told)",
    "http",
)
LABEL_KEY = Rule(
    r"(?!traefik\.(enable|http|tcp|udp|tls|docker|swarm)(\.|$))[a-z0-9][a-z0-9._-]{0,127}",
    "a label key, and none that Traefik reads otherwise: lower-case letters, digits, '.', '_' and"
    " '-'",
    "traefik.constraint-label",
)
MIRROR = Rule(
    r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?",
    "1 to 24 lower-case letters, digits and '-'",
    "hub",
)
UPSTREAM = Rule(
    r"https?://[A-Za-z0-9.\[\]:-]+",
    "the address of a registry, with https:// and without a path",
    "https://registry-1.docker.io",
)
TTL = Rule(
    r"[0-9]{1,6}[smh]", "a whole number and s, m or h, such as 168h; 0h keeps all for good", "168h"
)
LOOPBACK = Rule(
    r"(127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5}|",
    "a port of 127.0.0.1",
    "127.0.0.1:5001",
)
SOCKET_PATH = Rule(
    r"(/[A-Za-z0-9._-]+)*/docker\.sock",
    "the absolute path of a docker.sock",
    "/var/run/docker.sock",
)
NAME = Rule(
    r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}",
    "a Docker name: letters, digits, '_', '.' and '-'",
    "traefik-public",
)
VOLUME = Rule(
    r"[A-Za-z0-9][A-Za-z0-9_.-]{1,127}",
    "a name of a volume: 2 or more letters, digits, '_', '.' and '-'",
    "registry-data",
)
LOCATION = Rule(
    r"[A-Za-z0-9][A-Za-z0-9_./-]{0,253}",
    "the name of a node, volume or bucket",
    "dog.example.com",
)
NODE = Rule(
    r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?",
    "a node's host name or id as `docker node ls` shows it",
    "dog.example.com",
)
EAB_HMAC = Rule(
    r"[A-Za-z0-9_-]{43,}={0,2}",
    "the key that the authority shows, in base64url and of 256 bits or more",
    "…",
)
MIDDLEWARE = Rule(
    r"[A-Za-z0-9_-]+(@[a-z]+)?", "a Traefik middleware, `name` or `name@provider`", "limit@swarm"
)
TLS_OPTIONS = Rule(
    r"[A-Za-z0-9_-]+(@[a-z]+)?",
    "Traefik's TLS options, `name@provider` or `default`",
    "modern@file",
)
VARIABLE = Rule(r"[A-Z][A-Z0-9_]{0,63}", "the name of an environment variable", "CF_DNS_API_TOKEN")
# The grammar of github.com/distribution/reference, by which docker reads names. A tag is needed: a
# digest alone tells a reviewer no version, and without both docker takes `latest`.
_HOST = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_REPOSITORY = r"[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*"
IMAGE = Rule(
    rf"(({_HOST}(\.{_HOST})*|\[[0-9A-Fa-f:]+\])(:[0-9]+)?/)?"
    rf"(?=[^:]{{1,255}}:){_REPOSITORY}(/{_REPOSITORY})*"
    r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(@sha256:[0-9a-f]{64})?",
    "an image with its tag, and a digest if you like: name:tag or name:tag@sha256:…",
    REGISTRY_IMAGE,
)
REGISTRY = Rule(
    rf"localhost(:[0-9]+)?|(?=.*[.:]){_HOST}(\.{_HOST})*(:[0-9]+)?|\[[0-9A-Fa-f:]+\](:[0-9]+)?",
    "the host of a registry, with its port, as names of images begin with it",
    "ghcr.io",
)
USER = Rule(
    # The registry, and Traefik, take a line of logins that begins with # for a comment.
    r"(?!#)[^\s:\x00-\x1f\x7f]{1,255}",
    "a user name without ':', blanks or control characters, and without '#' at its beginning",
    "admin",
)
LABEL_USER = Rule(
    r"(?!#)[^\s:,\x00-\x1f\x7f]{1,255}",
    f"{USER.must}, nor ',': in a label of Traefik's it ends a login",
    "admin",
)
SEED = Rule(r"[A-Za-z0-9+/]{43}=", "32 bytes in base64", "…")
PASSWORD_VERSION = Rule(
    r"[A-Za-z0-9._-]{1,64}", "1 to 64 letters, digits, '.', '_' and '-'", "2026-11"
)
SIGNING_KEY = Rule(PASSWORD_VERSION.pattern, PASSWORD_VERSION.must, "2")


@dataclass(frozen=True)
class _Moment(Rule):
    """A moment that the calendar has: one of 31 February ends a token server."""

    def admits(self, text: str) -> bool:
        try:
            datetime.fromisoformat(text.removesuffix("Z"))
        except ValueError:
            return False
        return super().admits(text)


MOMENT = _Moment(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9](:[0-5][0-9]){2}Z",
    "a moment in UTC",
    "2026-11-27T10:00:00Z",
)
REPOSITORIES = Rule(
    r"(?!.*\*\*\*)(?!/)(?!.*//)[a-z0-9._/*-]{1,255}(?<!/)",
    "a pattern of whole names of repositories: what names have (lower-case letters, digits, '.',"
    " '_', '-' and '/'), '*' for any characters but '/', '**' for any",
    "team/**",
)
HASH = Rule(
    r"\$apr1\$[^$\s,]{1,8}\$[./0-9A-Za-z]{22}|\$2[aby]\$[0-9][0-9]\$[./0-9A-Za-z]{53}"
    r"|\{SHA\}[+/0-9A-Za-z]{27}=",
    "a hash as `openssl passwd -apr1` or `htpasswd -B` prints it",
    "…",
)
CONSTRAINT = Rule(
    r"(node\.(id|hostname|role|platform\.(os|arch)|labels\.\S+)|engine\.labels\.\S+)\s*(==|!=)\s*\S+",
    "a placement constraint of Swarm",
    "node.labels.disk == ssd",
)
SPREAD = Rule(
    r"(node|engine)\.labels\.\S+",
    "a label of nodes: node.labels.NAME",
    "node.labels.zone",
)
HOST = Rule(
    r"unix:///\S+|(tcp|ssh)://\S+",
    "an engine's address: unix://, ssh:// or tcp://",
    "ssh://me@host",
)
ID = Rule(r"[a-z0-9]{25}", "a full id as Swarm makes them", "nfa3d4df2df34as2fd34230rm")
LINE = Rule(r"[^\x00-\x1f\x7f]{1,200}", "a line of text", "2026-11")
