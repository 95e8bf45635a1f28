"""What has become of each host in a run: a line for each in the end, and the exit code."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

FAILED, UNREACHED = 2, 4
"""Exit codes, Ansible's own. The greater one counts: what could not be asked may be in any state."""


@dataclass
class Outcomes:
    """Filled by the callback while a run goes on; workers that are forked meanwhile know what it knows."""

    reached: set[str] = field(default_factory=set)
    changed: dict[str, list[str]] = field(default_factory=dict)  # host -> components, in their order
    silent: dict[str, str] = field(default_factory=dict)  # host -> why, of those that do not answer
    lost: set[str] = field(default_factory=set)  # of these, those that did answer before
    failed: dict[str, str] = field(default_factory=dict)  # host, or "" for all -> task
    refused: dict[str, Sequence[str]] = field(default_factory=dict)  # host -> why

    def answers(self, host: str) -> None:
        self.reached.add(host)

    def changes(self, host: str, component: str) -> None:
        known = self.changed.setdefault(host, [])
        if component not in known:
            known.append(component)

    def is_silent(self, host: str, why: str) -> None:
        self.silent.setdefault(host, why)
        if host in self.reached:
            self.lost.add(host)

    def fails(self, host: str, task: str) -> None:
        """:param host: empty where the task is for all of them together."""
        self.failed.setdefault(host, task)

    def keeps_failed(self, hosts: Collection[str]) -> None:
        """:param hosts: those that have failed in the end. A playbook may have rescued others."""
        self.failed = {host: task for host, task in self.failed.items() if (host in hosts if host else hosts)}

    def refuses(self, refused: Mapping[str, Sequence[str]]) -> None:
        """The last plan of a run counts: a step of a rollout may have found more."""
        self.refused.update(refused)

    def absence(self, host: str) -> str:
        """Why a host that the plan knows takes no part any more."""
        if host in self.silent:
            return "was lost in this run" if host in self.lost else "is unreachable"
        if host in self.refused:
            return "was refused"
        return "has failed in this run" if host in self.failed else "takes no part any more"

    def exit_code(self) -> int:
        return UNREACHED if self.silent else FAILED if self.failed or self.refused else 0

    def lines(self, hosts: Iterable[str], *, is_check: bool = False) -> list[str]:
        """A line for each host of which there is anything to say, one for all that are unchanged, and one for what
        failed for all of them."""
        lines, unchanged = [], []
        for host in hosts:
            words = self._state(host, is_check)
            lines += [f"{host}: {words}"] if words else []
            unchanged += [] if words else [host]
        if unchanged:
            lines.append(f"{', '.join(unchanged)}: unchanged")
        if "" in self.failed:
            lines.append(f"the run: failed ({self.failed['']})")
        return lines

    def _state(self, host: str, is_check: bool) -> str:
        mended = ", ".join(self.changed.get(host, ()))
        mended = f"{'to be mended' if is_check else 'mended'} ({mended})" if mended else ""
        mended = mended if self.changed.get(host) != ["teardown"] else "torn down"
        if host in self.silent:
            why = f" ({self.silent[host]})" if self.silent[host] else ""
            words = f"{'lost in this run' if host in self.lost else 'unreachable'}{why}"
        elif host in self.refused:
            words = f"refused ({'; '.join(self.refused[host])})"
        elif host in self.failed:
            words = f"failed ({self.failed[host]})"
        else:
            return mended
        return f"{words}; before that {mended}" if mended else words


RUN = Outcomes()
"""Those of this process's run."""
