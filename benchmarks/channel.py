"""The line protocol between the conductor and its processes: one JSON object a line, a question and its answer.

Here is the side of those that answer, on standard input and output. What else writes to standard output, a driver for
example, lands on standard error.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

Message = dict[str, Any]


class Channel:
    def __init__(self) -> None:
        self._input = sys.stdin.buffer
        self._output = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)

    def receive(self) -> Message | None:
        """The next question, None at the end. Blocks the whole process: between two turns nothing is to happen."""
        line = self._input.readline()
        if not line:
            return None
        message: Message = json.loads(line)
        return message

    def send(self, message: Message) -> None:
        self._output.write(json.dumps(message).encode() + b"\n")
        self._output.flush()

    def send_error(self, error: Exception) -> None:
        traceback.print_exc()
        self.send({"error": f"{type(error).__name__}: {error}"[:500]})
