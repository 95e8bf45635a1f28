"""Kernel settings: what is written, what is remembered, what is given back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.changes import sysctls
from podlab.changes.sysctls import LOCALNET

FORWARD, FILTER = "net.ipv4.ip_forward", "net.ipv4.conf.eth0.rp_filter"


@pytest.mark.parametrize(
    ("observed", "wanted", "recorded", "written"),
    [
        pytest.param({FORWARD: "0"}, {FORWARD: "1"}, {}, {FORWARD: "1"}, id="not so"),
        pytest.param({FORWARD: "1"}, {FORWARD: "1"}, {}, {}, id="so already"),
        pytest.param({}, {FORWARD: "1"}, {}, {FORWARD: "1"}, id="there only once its module is loaded"),
        pytest.param({FORWARD: "0"}, {FORWARD: "1"}, {FORWARD: "0"}, {FORWARD: "1"}, id="drifted back"),
        pytest.param({FILTER: "2"}, {}, {FILTER: "1"}, {FILTER: "1"}, id="wanted no more"),
        pytest.param({FILTER: "1"}, {}, {FILTER: "1"}, {}, id="given back already"),
        pytest.param({FILTER: "0"}, {FORWARD: "1"}, {}, {FORWARD: "1"}, id="a key of nobody's"),
        pytest.param({LOCALNET: "0"}, {LOCALNET: "1"}, {}, {}, id="somebody has to guard it first"),
        pytest.param({LOCALNET: "1"}, {}, {LOCALNET: "0"}, {LOCALNET: "0"}, id="guarded no more"),
    ],
)
def test_changes(observed, wanted, recorded, written):
    assert sysctls.changes(observed, wanted, recorded) == written


@pytest.mark.parametrize(
    ("observed", "wanted", "recorded", "remembered"),
    [
        pytest.param({FORWARD: "0"}, {FORWARD: "1"}, {}, {FORWARD: "0"}, id="first time"),
        pytest.param({FORWARD: "1"}, {FORWARD: "1"}, {FORWARD: "0"}, {FORWARD: "0"}, id="the first value stays"),
        pytest.param({FILTER: "1"}, {}, {FILTER: "1"}, {}, id="given back, so forgotten"),
        pytest.param({}, {FORWARD: "1"}, {}, {}, id="not there yet"),
        pytest.param({}, {FILTER: "2"}, {FILTER: "1"}, {FILTER: "1"}, id="not there for the moment"),
    ],
)
def test_originals(observed, wanted, recorded, remembered):
    assert sysctls.originals(observed, wanted, recorded) == remembered


def test_the_line_that_a_person_would_type():
    assert sysctls.line(FORWARD, "1") == "sysctl -w net.ipv4.ip_forward=1"


keys = st.sampled_from([FORWARD, FILTER, "net.ipv4.conf.all.send_redirects"])
settings_ = st.dictionaries(keys, st.sampled_from(["0", "1", "2"]))


@settings(deadline=None)
@given(
    st.fixed_dictionaries({key: st.sampled_from("012") for key in [FORWARD, FILTER]}), st.lists(settings_, max_size=5)
)
def test_after_any_history_of_wishes_a_host_gets_back_what_it_had(host, wishes):
    first, recorded = dict(host), {}
    for wanted in [*({key: value for key, value in wish.items() if key in host} for wish in wishes), {}]:
        remembered = sysctls.originals(host, wanted, recorded)
        host = host | sysctls.changes(host, wanted, recorded)
        recorded = remembered
        assert host | wanted == host
        assert sysctls.changes(host, wanted, recorded) == {}
    assert host == first
    assert recorded == {}
