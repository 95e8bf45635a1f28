"""Names: what Kubernetes takes as one, in its words, and the names that podlab makes up itself.

Every check returns the list of what is wrong, empty for a good value, with the text that the API
server has for it (apimachinery, ``util/validation``), so that a search for the message finds the
page that explains it.
"""

from __future__ import annotations

import hashlib
import re

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SERVICE = "[a-z]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_SEARCH_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SEARCH = rf"{_SEARCH_LABEL}(\.{_SEARCH_LABEL})*"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_GOOD_SUBDOMAIN = re.compile(_SUBDOMAIN).fullmatch
_LABEL_VALUE = f"({_QUALIFIED})?"
_DATA_KEY = "[-._a-zA-Z0-9]+"
_HEADER = "[-A-Za-z0-9]+"
_PERCENTAGE = "[0-9]+%"
_SYSCTL = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"

# No vowels and none of 0, 1, 3: a made up name never spells a word (apimachinery, util/rand).
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX = 5
_LONGEST_REPLICA = 63
_LONGEST_FILE = 190  # ext4, xfs and tmpfs stop at 255 bytes; the rest is room for an ending


def _mismatch(value: str, pattern: str, message: str, *examples: str) -> list[str]:
    """The API server's sentence for a value that does not match, or nothing."""
    # fullmatch, not match with "$": the latter lets a trailing newline through.
    if re.fullmatch(pattern, value):
        return []
    shown = " or ".join(f"'{example}', " for example in examples)
    return [f"{message} (e.g. {shown}regex used for validation is '{pattern}')"]


def _too_long(value: str, longest: int) -> list[str]:
    return [f"must be no more than {longest} characters"] if len(value) > longest else []


def dns1123_label(value: str) -> list[str]:
    """A namespace, container or host name: one part of a DNS name (RFC 1123), 63 characters at most."""
    if "." in value and re.fullmatch(_SUBDOMAIN, value):
        return [*_too_long(value, 63), "must not contain dots"]
    message = (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
        "and must start and end with an alphanumeric character"
    )
    return _too_long(value, 63) + _mismatch(value, _LABEL, message, "my-name", "123-abc")


def dns1035_label(value: str) -> list[str]:
    """A Service's name: a DNS label that begins with a letter (RFC 1035), 63 characters at most."""
    message = (
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
        "start with an alphabetic character, and end with an alphanumeric character"
    )
    return _too_long(value, 63) + _mismatch(value, _SERVICE, message, "my-name", "abc-123")


def dns1123_subdomain(value: str) -> list[str]:
    """A pod, Deployment or node name: DNS labels with dots between (RFC 1123), 253 characters at most."""
    if len(value) <= 253 and _GOOD_SUBDOMAIN(value):
        return []
    message = (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
        "and must start and end with an alphanumeric character"
    )
    return _too_long(value, 253) + _mismatch(value, _SUBDOMAIN, message, "example.com")


def search_domain(value: str) -> list[str]:
    """A domain of a search list: since Kubernetes 1.34 with underscores too, and "." for names as they are."""
    if value == ".":
        return []
    message = (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-', '_' or '.', "
        "and must start and end with an alphanumeric character"
    )
    value = value.removesuffix(".")
    return _too_long(value, 253) + _mismatch(value, _SEARCH, message, "example.com")


def qualified_name(value: str) -> list[str]:
    """A label or annotation key: ``name`` or ``prefix.example/name``."""
    message = (
        "must consist of alphanumeric characters, '-', '_' or '.', "
        "and must start and end with an alphanumeric character"
    )
    examples = ("MyName", "my.name", "123-abc")
    *prefix, name = value.split("/")
    if len(prefix) > 1:
        (sentence,) = _mismatch(value, _QUALIFIED, f"a qualified name {message}", *examples)
        return [f"{sentence} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    wrong = []
    if prefix:
        prefix_errors = dns1123_subdomain(prefix[0]) if prefix[0] else ["must be non-empty"]
        wrong += [f"prefix part {error}" for error in prefix_errors]
    name_errors = _too_long(name, 63) if name else ["must be non-empty"]
    name_errors += _mismatch(name, _QUALIFIED, message, *examples)
    return wrong + [f"name part {error}" for error in name_errors]


def label_value(value: str) -> list[str]:
    """The value of a label: empty, or 63 characters at most of letters, digits, ``-``, ``_`` and ``.``."""
    message = (
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
        "and must start and end with an alphanumeric character"
    )
    return _too_long(value, 63) + _mismatch(value, _LABEL_VALUE, message, "MyValue", "my_value", "12345")


def port_name(value: str) -> list[str]:
    """The name of a container's port: an IANA service name (RFC 6335, section 5.1), lower case only."""
    wrong = _too_long(value, 15)
    if not re.fullmatch("[-a-z0-9]+", value):
        wrong.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        wrong.append("must contain at least one letter (a-z)")
    if "--" in value:
        wrong.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        wrong.append("must not begin or end with a hyphen")
    return wrong


def environment_name(value: str) -> list[str]:
    """The name of an environment variable: since Kubernetes 1.34 all that can be printed, but "="."""
    if value and all(" " <= letter <= "~" and letter != "=" for letter in value):
        return []
    return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]


def uncarried_name(value: str) -> list[str]:
    """A good name of an environment variable that ``envfile`` does not read (``changes.containers``): it cannot quote
    one. The variables would have to be words of a command line else, which every user of the machine can read."""
    if value.startswith("#") or any(letter in " \"'?\\" for letter in value):
        letters = """ ' ', '"', "'", '?' and '\\'"""
        return [f"has no way into a container here: take a name without{letters}, and no '#' in front"]
    return []


def data_key(value: str) -> list[str]:
    """A key of a ConfigMap or Secret: a file name, 253 characters at most."""
    message = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
    wrong = _too_long(value, 253) + _mismatch(value, _DATA_KEY, message, "key.name", "KEY_NAME", "key-name")
    if value in (".", ".."):
        wrong.append(f"must not be '{value}'")
    elif value.startswith(".."):
        wrong.append("must not start with '..'")
    return wrong


def header_name(value: str) -> list[str]:
    """The name of an HTTP header."""
    message = "a valid HTTP header must consist of alphanumeric characters or '-'"
    return _mismatch(value, _HEADER, message, "X-Header-Name")


def percentage(value: str) -> list[str]:
    message = "a valid percent string must be a numeric string followed by an ending '%'"
    return _mismatch(value, _PERCENTAGE, message, "1%", "93%")


def sysctl_name(value: str) -> list[str]:
    """The name of a kernel setting, with dots or slashes (sysctl.d(5))."""
    if len(value) <= 253 and re.fullmatch(_SYSCTL, value):
        return []
    return [f"must have at most 253 characters and match regex ^{_SYSCTL}$"]


def short_hash(text: str, length: int) -> str:
    """``length`` characters of Kubernetes' name alphabet that depend on nothing but ``text``.

    At most 13 characters carry 64 bits; which is enough. SHA-256, not the 32 bit FNV of
    Kubernetes: there two templates meet too easily, and here nothing else would notice.
    """
    number = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    characters = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[digit])
    return "".join(characters)


def replica_name(namespace: str, workload: str, template_hash: str, ordinal: int, attempt: int = 0) -> str:
    """The name of one replica: ``<workload>-<template hash>-<5 characters>``, 63 characters at most.

    It looks like Kubernetes' own, and a long workload name is cut in the same place (apiserver,
    ``storage/names``). The five characters are no chance but a hash of what the replica is: a second
    run, or a Deployment scaled down and up again, finds the same names and so the same addresses.
    ``attempt`` counts up while a name is taken: three or four times among 10,000 replicas.
    """
    base = f"{workload}-{template_hash}-"[: _LONGEST_REPLICA - _SUFFIX]
    return base + short_hash(f"{namespace}/{workload}/{template_hash}/{ordinal}/{attempt}", _SUFFIX)


def pod_hostname(pod_name: str) -> str:
    """What ``hostname`` says in a pod that sets none: its name, cut to 63 characters as the kubelet does."""
    return pod_name[:63].rstrip("-.")


def file_name(*parts: str) -> str:
    """A file name for an object: its parts with ``_`` between, which no Kubernetes name contains.

    No two objects share one. A name too long for a file system ends in a hash instead of its tail.
    Raises ``ValueError`` for a part that is no DNS name, so that none can climb out of its directory.
    """
    for part in parts:
        if dns1123_subdomain(part):
            raise ValueError(f"{part!r} cannot be part of a file name: {dns1123_subdomain(part)[0]}")
    name = "_".join(parts)
    if len(name) <= _LONGEST_FILE:
        return name
    return f"{name[: _LONGEST_FILE - 14]}__{short_hash(name, 12)}"
