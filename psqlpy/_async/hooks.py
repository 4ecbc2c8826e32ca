"""Hooks: the functions of its user's that a pool calls, and how it calls them. The pool's parameters describe them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psqlpy import exceptions
from psqlpy._checks import check_flag, check_text, configuration_error
from psqlpy._io.invoke import async_invoke, is_async
from psqlpy._io.links import AsyncLink
from psqlpy._io.notices import deliver_notices
from psqlpy._pq.enums import TransactionStatus
from psqlpy._protocol.session import Session
from psqlpy._secret import hide

_LOG = "psqlpy.pool"

Hook = Callable[..., Any]


class Hooks:
    """A pool's hooks; immutable. None is a hook that isn't set."""

    __slots__ = ("log_parameters", "on_notice", "on_query", "password", "reset", "setup")

    def __init__(
        self,
        password: object = None,
        setup: Hook | None = None,
        reset: Hook | None = None,
        on_notice: Hook | None = None,
        on_query: Hook | None = None,
        log_parameters: bool = False,
    ) -> None:
        # Any other password is a parameter of the connection, and none of ours.
        self.password: Hook | None = password if callable(password) else None
        self.setup = check_hook(setup, "setup")
        self.reset = check_hook(reset, "reset")
        self.on_notice = check_hook(on_notice, "on_notice", plain=True)
        self.on_query = check_hook(on_query, "on_query", plain=True)
        self.log_parameters = check_flag("log_parameters", log_parameters)

    async def ask_password(self, deadline: float | None) -> str:
        """What the password callable says now."""
        assert self.password is not None
        password = hide(await async_invoke(self.password, "the password callable", deadline))
        if not isinstance(password, str):
            raise configuration_error(
                f"the password callable must return a str, not {type(password).__name__}"
            )
        return check_text(password, "password")

    def make_link(self, session: Session) -> AsyncLink:
        """A link that tells the hooks what they want to know, and no more than that."""
        if self.on_query is None:
            link = AsyncLink(session)
        else:
            from psqlpy._io.logged_links import AsyncLoggedLink

            link = AsyncLoggedLink(session, self.on_query, self.log_parameters)
        deliver_notices(link, self.on_notice)
        return link

    async def run_setup(self, pool: Any, link: AsyncLink, deadline: float | None) -> None:
        """After connecting. What it raises goes to whoever wanted the connection, which is closed."""
        if self.setup is None:
            return
        try:
            await self._show(self.setup, "setup", pool, link, deadline)
        except BaseException:
            link.close()
            raise

    async def run_reset(self, pool: Any, link: AsyncLink, deadline: float | None) -> bool:
        """Before the next user; False when it failed, and the connection is to be closed."""
        if self.reset is None:
            return True
        try:
            await self._show(self.reset, "reset", pool, link, deadline)
        except Exception:
            from psqlpy._io.logs import logger

            logger(_LOG).warning("reset hook failed: the connection is closed and replaced", exc_info=True)
            return False
        return True

    async def _show(self, hook: Hook, name: str, pool: Any, link: AsyncLink, deadline: float | None) -> None:
        from psqlpy._async.kept import KeptConnection

        shown = KeptConnection(pool, link, deadline)
        try:
            await async_invoke(hook, f"the {name} hook", deadline, shown)
        finally:
            shown.let_go()
        if link.is_closed:
            raise link.session.closed_error()
        if link.is_quiet and link.session.transaction_status is not TransactionStatus.IDLE:
            raise exceptions.InterfaceError(
                f"the {name} hook left a transaction open: commit it or roll it back"
            )


def check_hook(hook: Any, name: str, *, plain: bool = False) -> Hook | None:
    """A function of the user's, or None; ConnectionPoolConfigurationError. Nobody waits for a plain one."""
    if hook is not None and not callable(hook):
        raise configuration_error(f"{name} must be a function, not {type(hook).__name__}")
    if hook is not None and plain and is_async(hook):
        raise configuration_error(f"{name} must be a plain function, not one that has to be waited for")
    checked: Hook | None = hook
    return checked
