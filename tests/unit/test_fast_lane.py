"""What a host answers is its word about itself."""

from __future__ import annotations

import json

import pytest

from action_plugins.fast_lane import believable


def test_an_answer_is_taken_as_it_is() -> None:
    answer = {"changed": True, "diff": {"prepared": "ip link add cbr0\n"}, "observed": {"links": []}}
    assert believable(json.dumps(answer)) == answer


@pytest.mark.parametrize(
    "lie",
    [
        {"add_host": {"host_name": "node2", "host_vars": {"ansible_connection": "local"}}},
        {"add_group": "nodes"},
        {"ansible_facts": {"ansible_connection": "local", "ansible_python_interpreter": "/bin/evil"}},
        {"_ansible_delegated_vars": {"ansible_host": "localhost"}},
        {"_ansible_no_log": True},
    ],
)
def test_what_only_the_controller_may_say_is_left_out(lie: dict[str, object]) -> None:
    assert believable(json.dumps({"changed": False, **lie})) == {"changed": False}


def test_what_is_no_answer_is_none() -> None:
    for words in ("", "a traceback"):
        with pytest.raises(json.JSONDecodeError):
            believable(words)
    for words in ("[]", "7"):
        with pytest.raises(ValueError, match="no answer of a module"):
            believable(words)
    for words in ("[" * 100_000, '{"a":' * 100_000):
        with pytest.raises(ValueError, match="no answer of a module"):
            believable(words)
