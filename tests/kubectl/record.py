"""Ask a real kubectl what it prints of the objects in ``objects.json``, and write it down in ``recorded.json``.

PYTHONPATH=module_utils .venv/bin/python -m tests.kubectl.record PATH-OF-KUBECTL
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .cases import CASES
from .server import serving

HERE = Path(__file__).parent


def main(kubectl: str) -> None:
    items = json.loads((HERE / "objects.json").read_text("utf-8"))
    now = datetime.datetime.now(datetime.timezone.utc)
    asked = subprocess.run([kubectl, "version", "--client", "-o", "json"], capture_output=True, check=True)
    found: list[dict[str, Any]] = []
    with serving(items, now) as address, tempfile.TemporaryDirectory() as home:
        environment = {"PATH": os.environ["PATH"], "HOME": home, "TZ": "UTC"}
        for words in CASES:
            argv = [kubectl, "--server", address, *words]
            at = datetime.datetime.now(datetime.timezone.utc).isoformat()
            said = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
            found.append({"words": words, "at": at, "code": said.returncode, "out": said.stdout, "err": said.stderr})
    recorded = {
        "kubectl": json.loads(asked.stdout)["clientVersion"]["gitVersion"],
        "now": now.isoformat(),
        "cases": found,
    }
    (HERE / "recorded.json").write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
