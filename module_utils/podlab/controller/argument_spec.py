"""A module's parameters, checked on the controller by ansible-core's own validator.

``AnsibleModule`` does the same on the host, and importing it takes longer there than most modules do. What is checked
is what the module says of itself, in the constants that it hands to ``AnsibleModule``. They are read, not imported: a
module imports what only hosts have. The options of DOCUMENTATION were rejected as the source, since ``AnsibleModule``
does not look at them.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.json import Direction, get_module_decoder, get_module_encoder
from ansible.module_utils.common.parameters import remove_values
from ansible.module_utils.errors import UnsupportedError

PROFILE = "legacy"
"""How Ansible writes a module's parameters as JSON (``_BuiltModule.serialization_profile``)."""

ARGUMENT_SPEC = "argument_spec"
CONSTRAINTS = ("mutually_exclusive", "required_together", "required_one_of", "required_if", "required_by")
"""Parameters of ``AnsibleModule``; a module's constants have the same names in capitals."""

OF_THE_HOST = ("path",)
"""Types whose values mean something else on another machine: ``~`` and ``$HOME`` in a path."""

Spec = Mapping[str, Any]


@dataclass(frozen=True)
class Validated:
    params: dict[str, Any]
    problem: str
    """Why the module cannot run, in Ansible's words; empty if it can."""
    warnings: list[str]
    deprecations: list[dict[str, Any]]
    no_log_values: frozenset[str]

    def notes(self) -> dict[str, Any]:
        """What is to be said of the parameters, as parts of a task's result."""
        told: dict[str, list[Any]] = {"warnings": [*self.warnings], "deprecations": [*self.deprecations]}
        return {kind: some for kind, some in told.items() if some}

    def completed(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """The module's answer as ``AnsibleModule.exit_json`` has it: with these notes, and without values that are not
        to be logged."""
        notes, found = self.notes(), dict(answer)
        if self.no_log_values:
            kept = {key: value for key, value in answer.items() if value is None or isinstance(value, bool)}
            found = {**remove_values(found, self.no_log_values), **kept}
        if "warnings" in notes and "warnings" in found:
            notes["warnings"] += found["warnings"]
        return {**found, **notes}


def read(module: Path) -> dict[str, Any]:
    """The keyword arguments of ``AnsibleModule`` that a module has as literals.

    :raises ValueError: it has no ARGUMENT_SPEC, or one that is no literal.
    """
    names = {name.upper(): name for name in (ARGUMENT_SPEC, *CONSTRAINTS)}
    found = {}
    for node in ast.parse(module.read_text("utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) if name in names:
                found[names[name]] = ast.literal_eval(node.value)
    if ARGUMENT_SPEC not in found:
        raise ValueError(f"{module.name} has no ARGUMENT_SPEC")
    return found


def needs_host(options: Spec) -> bool:
    """Whether a value can be worked out nowhere but on the host."""
    return any(
        option.get("type") in OF_THE_HOST
        or option.get("elements") in OF_THE_HOST
        or needs_host(option.get("options") or {})
        for option in options.values()
    )


def validate(name: str, spec: Spec, args: Mapping[str, Any]) -> Validated:
    """What ``AnsibleModule`` would have in its ``params``, or would fail with."""
    text = json.dumps(dict(args), cls=get_module_encoder(PROFILE, Direction.CONTROLLER_TO_MODULE))
    given = json.loads(text, cls=get_module_decoder(PROFILE, Direction.CONTROLLER_TO_MODULE))
    found = ArgumentSpecValidator(**spec).validate(given)
    problem = found.error_messages[0] if found.error_messages else ""
    if problem and isinstance(found.errors[0], UnsupportedError):
        problem = f"Unsupported parameters for ({name}) module: {problem}"
    no_log_values = frozenset(found._no_log_values)
    warnings = [f"Both option {w['option']} and its alias {w['alias']} are set." for w in found._warnings]
    return Validated(
        found.validated_parameters,
        remove_values(problem, no_log_values),
        warnings,
        found._deprecations,
        no_log_values,
    )
