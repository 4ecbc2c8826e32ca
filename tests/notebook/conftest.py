"""A kernel for the tests of one module, another that they may restart, and a look at the server from outside."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.notebook.kernels import Kernel, Watch, install_kernelspec, running_kernel


@pytest.fixture(scope="session")
def kernelspec() -> None:
    install_kernelspec()


@pytest.fixture(scope="module")
def kernel(dsn: str, kernelspec: None) -> Iterator[Kernel]:
    with running_kernel(dsn) as kernel:
        kernel.warm_up()
        yield kernel


@pytest.fixture(scope="module")
def other_kernel(dsn: str, kernelspec: None) -> Iterator[Kernel]:
    with running_kernel(dsn) as kernel:
        yield kernel


@pytest.fixture
def watch(dsn: str) -> Iterator[Watch]:
    watch = Watch(dsn)
    yield watch
    watch.pool.close()
