"""A copy of this checkout as a fresh clone is, for the tests that build in one."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# What .gitignore names, and git's own.
MADE = shutil.ignore_patterns(
    ".git",
    ".venv",
    "build",
    "dist",
    "*.egg-info",
    "*.so",
    "*.o",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
    "_libpq.c",
)


def copy_checkout(target: Path) -> None:
    shutil.copytree(ROOT, target, ignore=MADE)
