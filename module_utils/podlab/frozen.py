"""Classes whose objects are their fields, and stay as they are made: ``dataclass(frozen=True)``, without its price.

That one compiles half a dozen functions for each class, half a millisecond, wherever it is imported. On a host every
call of a module imports some forty of them: 0.026 s of the 0.12 that it takes to load ``podlab_observe``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_):
        """Python 3.10 has none, and it says nothing to any Python."""
        return lambda kind: kind


@dataclass_transform(frozen_default=True)
class Frozen:
    """Fields are what a class and those above it annotate, but for what is a ``ClassVar``; what the class assigns to
    one is its default, and is shared by all objects."""

    _names: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        own = [name for name, kind in cls.__annotations__.items() if not kind.startswith("ClassVar")]
        cls._names = (*cls._names, *(name for name in own if name not in cls._names))

    def __init__(self, *values: Any, **named: Any) -> None:
        names = self._names
        given = dict(zip(names, values, strict=False)) | named
        if len(given) < len(values) + len(named) or not given.keys() <= set(names):
            raise TypeError(f"{type(self).__name__} has the fields {', '.join(names)}, each of them once")
        missing = [name for name in names if name not in given and not hasattr(type(self), name)]
        if missing:
            raise TypeError(f"{type(self).__name__} lacks {', '.join(missing)}")
        self.__dict__.update(given)

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self._names])

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Frozen) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name} of {type(self).__name__} is what it was made with")

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in zip(self._names, self._values(), strict=True))
        return f"{type(self).__name__}({fields})"
