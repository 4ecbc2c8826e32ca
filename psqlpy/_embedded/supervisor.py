"""The process that runs one server for its owner and clears up when the owner ends, however it ends.

Started by psqlpy.embedded as `python -I -S supervisor.py <pid of the owner>`; uses the standard library only.
stdin: one line of JSON, then nothing (or "stop") until its end, which is the end of the owner. stdout: one
line of JSON when the server accepts connections or can't be started; it ends when all is cleared up.
"""

import json
import os
import sys
import types
from typing import Any

if "psqlpy" not in sys.modules:  # the real package would cost its C module's import, and needs site-packages
    for _name in ("psqlpy", "psqlpy._embedded"):
        sys.modules[_name] = types.ModuleType(_name)
    sys.modules["psqlpy._embedded"].__path__ = [os.path.dirname(os.path.abspath(__file__))]

from psqlpy._embedded.accounts import StartError
from psqlpy._embedded.cluster import Cluster
from psqlpy._embedded.owner import Owner, OwnerGone, detach


def read_config() -> dict[str, Any]:
    """Read the owner's one line from stdin; the process ends if the owner does."""
    received = b""
    while not received.endswith(b"\n"):
        chunk = os.read(0, 65536)
        if not chunk:
            sys.exit(0)
        received += chunk
    config: dict[str, Any] = json.loads(received)
    return config


def main() -> None:
    owner_pid = int(sys.argv[1])
    owner = Owner(owner_pid, detach(owner_pid))
    cluster = Cluster(read_config(), owner)
    asked = False
    try:
        try:
            reply = cluster.start()
        except (StartError, OSError) as error:
            reply = {"error": str(error), "log": cluster.log()}
        os.write(1, json.dumps(reply).encode() + b"\n")
        if "error" not in reply:
            cluster.watch()
    except OwnerGone as gone:
        asked = gone.asked
    finally:
        cluster.stop(asked)


if __name__ == "__main__":
    main()
