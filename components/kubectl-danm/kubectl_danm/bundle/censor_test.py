"""Secrets in texts."""

import base64

import pytest

from kubectl_danm.bundle.censor import REMOVED, Censor

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow{0}\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl-_x"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        pytest.param(f"key {PEM} end", "MIIEow", id="pem"),
        pytest.param(PEM.replace("\n", "\\n"), "MIIEow", id="pem-in-json"),
        pytest.param("cut -----BEGIN PRIVATE KEY-----\nMIIEow", "MIIEow", id="pem-without-end"),
        pytest.param("MIIEow\n-----END PRIVATE KEY-----\nrest", "MIIEow", id="pem-without-begin"),
        pytest.param(f"token is {JWT}.", "eyJhbGci", id="jwt"),
        pytest.param("Authorization: Bearer abcdefgh12", "abcdefgh12", id="bearer"),
        pytest.param("sent basic dXNlcjpwYXNz", "dXNlcjpwYXNz", id="basic"),
        pytest.param("https://me:hunter2@host/x", "hunter2", id="url"),
        pytest.param("postgres://me:hun/ter2@host/x", "ter2", id="url-slash"),
        pytest.param("postgres://me:hun@ter2@host/x", "ter2", id="url-at"),
        pytest.param("--db-password=hunter2", "hunter2", id="flag"),
        pytest.param("--api-token hunter2", "hunter2", id="flag-and-value"),
        pytest.param("DB_PASSWORD=hunter2 next", "hunter2", id="assignment"),
        pytest.param('{"clientSecret":"hunt er2","a":1}', "hunt er2", id="json"),
        pytest.param('{\\"token\\": \\"hunter2\\"}', "hunter2", id="json-in-json"),
        pytest.param('"token": "abc\\"hunter2"', "hunter2", id="json-quote"),
        pytest.param('"token": "abc\\\\\\"hunter2"', "hunter2", id="json-backslash-quote"),
        pytest.param('{\\"token\\": \\"a\\\\\\"hunter2\\"}', "hunter2", id="json-in-json-quote"),
        pytest.param('{"token": "hunt er2', "er2", id="json-cut"),
        pytest.param('{"token": "hunt\\"er2', "er2", id="json-cut-after-quote"),
        pytest.param("secret: 'hunter 2'", "hunter 2", id="yaml"),
        pytest.param("secret: 'it''s hunter 2'", "hunter 2", id="yaml-quote"),
        pytest.param("--token 'hunt er2'", "er2", id="flag-and-quoted-value"),
        pytest.param("client-key-data: aHVudGVyMg==", "aHVudGVyMg", id="kubeconfig"),
        pytest.param("kubeadm join abcdef.0123456789abcdef", "0123456789abcdef", id="bootstrap"),
        pytest.param(
            f"x {base64.b64encode(bytes(range(60))).decode()} y", "AAECAwQFBgcICQoLDA", id="base64"
        ),
    ],
)
def test_what_looks_like_a_secret_goes(text: str, secret: str) -> None:
    """In every form in which programs write one."""
    censored = Censor().text(text)
    assert secret not in censored
    assert REMOVED in censored
    assert Censor().text(censored) == censored


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T00:00:00Z {'message': 'Deleted DanmEp', 'network': 'internal'}",
        "container " + "c0ffee00" * 8,
        "image sha256:" + "0123456789abcdef" * 4,
        "the token has expired; renew the secret",
        "5b1a4cf2-9c5c-4f54-8e4e-2a3f1d0b7c11-0af00140",
        "https://10.0.0.1:9443/v1/reservations",
        "10.240.1.100/24 fa:16:3e:f0:01:64",
        "docker-pullable://localhost:5000/danm/cni@sha256:" + "0123456789abcdef" * 4,
    ],
)
def test_what_a_report_needs_stays(text: str) -> None:
    """Ids, digests, addresses and sentences."""
    assert Censor().text(text) == text


def test_known_values_go_wherever_they_are() -> None:
    """A value of the environment is found in a log too; words that are too short stay."""
    censor = Censor()
    censor.learn(["swordfish\n", "swordfish-and-more", "info", ""])
    assert censor.text("info: got swordfish, swordfish-and-more") == (
        f"info: got {REMOVED}, {REMOVED}"
    )


def test_a_flag_s_value_goes_where_it_stands_apart() -> None:
    """As in a container's arguments."""
    words = ["serve", "--db-password", "hunter2", "--level", "info", "--token=abc"]
    assert Censor().arguments(words) == [
        *("serve", "--db-password", REMOVED, "--level", "info", f"--token={REMOVED}"),
    ]


def test_what_follows_on_a_value_stays() -> None:
    """On its line, and on the next ones when its end was cut."""
    lines = '{"token": "x\\\\", "a": "b\\"c"}\n{"token": "hunt\\"er\nMade a link "x"'
    assert Censor().text(lines) == (
        f'{{"token": {REMOVED}, "a": "b\\"c"}}\n{{"token": {REMOVED}\nMade a link "x"'
    )
