"""What is read again only when it is another: the cache of large manifests."""

from __future__ import annotations

import pytest

from podlab.controller import cache


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "podlab"


class Maker:
    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return {"made": self.calls}


def test_what_was_made_of_the_same_bytes_is_not_made_again():
    make = Maker()
    assert cache.cached("a", [b"one", b"two"], make) == cache.cached("a", [b"one", b"two"], make) == {"made": 1}


@pytest.mark.parametrize("other", [[b"one"], [b"two", b"one"], [b"onet", b"wo"], [b"one", b"twO"]])
def test_another_byte_and_it_is(other):
    make = Maker()
    cache.cached("a", [b"one", b"two"], make)
    assert cache.cached("a", other, make) == {"made": 2}
    assert cache.cached("a", [b"one", b"two"], make) == {"made": 3}, "one value is kept"


def test_another_podlab_makes_it_again(monkeypatch, tmp_path):
    make = Maker()
    cache.cached("a", [], make)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "changed.py").write_text("changed = True")
    monkeypatch.setattr(cache, "HERE", tmp_path / "source")
    assert cache.cached("a", [], make) == {"made": 2}


@pytest.mark.parametrize("damage", [b"", b"x", b"x" * 100])
def test_a_broken_file_is_written_anew(home, damage):
    make = Maker()
    cache.cached("a", [], make)
    (home / "a.pickle").write_bytes(damage)
    assert cache.cached("a", [], make) == {"made": 2}
    assert cache.cached("a", [], make) == {"made": 2}


def test_a_file_that_others_may_write_to_is_not_read(home):
    make = Maker()
    cache.cached("a", [], make)
    (home / "a.pickle").chmod(0o666)
    assert cache.cached("a", [], make) == {"made": 2}


def test_without_a_place_to_keep_it_it_is_made(home):
    home.write_text("in the way")
    make = Maker()
    assert cache.cached("a", [], make) == {"made": 1}


def test_what_cannot_be_made_is_nothing_to_keep(home):
    def fail():
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        cache.cached("a", [], fail)
    assert not home.exists()
