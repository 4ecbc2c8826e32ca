"""Lending: who gets a pooled connection, and what becomes of it when it comes back.

The pool's policy decides; here is who waits, connects, resets and closes. What users see of it is in pool.py.
"""

from __future__ import annotations

from functools import partial

from psqlpy import exceptions
from psqlpy._async.hooks import Hooks
from psqlpy._async.waiting import Waiting, too_late
from psqlpy._codecs.registry import Registry
from psqlpy._config import ConnRecyclingMethod, PoolConfig
from psqlpy._io.closing import async_write_rest
from psqlpy._io.drive import async_connect
from psqlpy._io.links import AsyncLink
from psqlpy._io.notebook import session_settings
from psqlpy._io.primitives import AsyncWake, monotonic
from psqlpy._io.process import watch_pool
from psqlpy._pooling.ages import Ages
from psqlpy._pooling.policy import EMPTY, Outcome, Policy, Ticket, TicketState
from psqlpy._pooling.sharing import Sharing, weakly
from psqlpy._protocol.commands import Commands
from psqlpy._protocol.reset import reset_requests
from psqlpy._protocol.session import Session

# A look-up on an Enum class isn't free, and who takes a connection and gives it back would make four.
_WAITING, _FAILED = TicketState.WAITING, TicketState.FAILED
_VERIFIED, _CLEAN = ConnRecyclingMethod.Verified, ConnRecyclingMethod.Clean


class Lending(Waiting):
    """A pool's connections, and everybody who wants one.

    Every call of the policy is made under `_lock`, and what it wants done is done afterwards, by `_act`.
    """

    __slots__ = ("_cleaning", "_config", "_cut", "_era", "_hooks", "_limited", "_registry", "_sharing")

    def __init__(
        self,
        config: PoolConfig,
        registry: Registry,
        acquire_timeout: float | None,
        hooks: Hooks,
        ages: Ages[AsyncLink],
    ) -> None:
        super().__init__(Policy(config.max_size, ages), acquire_timeout)
        self._config = config
        self._hooks = hooks
        # The pool's own: what its sessions learn goes with it.
        self._registry = Registry(registry)
        self._sharing: Sharing[AsyncLink] = Sharing(self._policy, weakly(self._seat_first))
        # Whether there is a limit to a connection's age.
        self._limited = ages.are_limited
        # Given back while a statement was still running on them: a cancelled one, or another task's.
        self._cleaning: set[AsyncLink] = set()
        # Whoever is still connecting comes too late.
        self._cut = False
        # How many outages there were.
        self._era = 0
        watch_pool(self)

    # Taking

    async def take_link(self, deadline: float | None) -> AsyncLink:
        """A connection that works as far as can be known without asking the server; `deadline` is monotonic time."""
        if self._dropped or self._cleaning:
            self._collect()
        if self._limited:
            self._age()
        ticket = None
        try:
            # Inside, as a KeyboardInterrupt may strike right after it.
            with self._lock:
                if self._policy.closed:
                    raise closed()
                ticket = self._policy.acquire(_nobody, rank)
                wake = None
                if ticket.state is _WAITING:
                    wake = AsyncWake()
                    ticket.wake = wake.set
                    self._sharing.make_way()
            if wake is not None:
                await self._wait(wake, deadline)
        except BaseException:
            if ticket is not None:
                self._forgo(ticket, touched=False)
            raise
        return await self._redeem(ticket, deadline)

    async def _redeem(
        self, ticket: Ticket[AsyncLink], deadline: float | None, *, shared: bool = False
    ) -> AsyncLink:
        """Get the connection that a ticket is good for; `shared`: one that may be set up for sharing."""
        touched = False
        try:
            while (link := ticket.connection) is not None:
                touched = True
                if await self._is_fit(link, deadline, shared):
                    return link
                with self._lock:
                    outcome = self._policy.replace(ticket)
                self._act(outcome)
            touched = False
            if self._dropped:
                self._collect()
            if ticket.state is _FAILED:
                raise closed()
            if deadline is not None and monotonic() >= deadline:
                # What the pool had to find out about its connections took all of it.
                raise too_late("no time was left to open a connection")
            link = await self._open(deadline)
            if self._limited:
                self._age()
            with self._lock:
                outcome = self._policy.opened(ticket, link)
            self._act(outcome)
            if self._dropped:
                self._collect()
            if self._cut:
                self.give_back(link)
                raise closed()
            return link
        except BaseException:
            self._forgo(ticket, touched=touched)
            raise

    async def _is_fit(self, link: AsyncLink, deadline: float | None, shared: bool) -> bool:
        """Whether an idle connection lives: by its socket, with `Verified` by the server, by the user's own reset."""
        try:
            await link.move_here()
            if not link.look():
                return False
            if link.serves_shared and (not shared or self._hooks.reset is not None):
                self._reset(link)
            if self._config.recycling is _VERIFIED:
                await link.run(Commands(()), deadline)
        except exceptions.ConnectionClosedError:
            return False
        # Asked here: every call of the pool comes by, and hardly one has this.
        return self._hooks.reset is None or await self._hooks.run_reset(self, link, deadline)

    async def _open(self, deadline: float | None) -> AsyncLink:
        try:
            link = await self.open_link(deadline)
            await self._hooks.run_setup(self, link, deadline)
        except Exception:
            with self._lock:
                self._policy.counts.errors += 1
            raise
        return link

    async def open_link(self, deadline: float | None) -> AsyncLink:
        """Connect, outside of the pool."""
        plan = self._config.plan
        if self._hooks.password is not None:
            plan = plan.with_password(await self._hooks.ask_password(deadline))
        try:
            pgconn = await async_connect(plan, deadline)
        except exceptions.ConnectTimeoutError as error:
            if deadline is None or monotonic() < deadline:
                raise
            raise too_late(str(error)) from error
        database = (pgconn.host, pgconn.hostaddr, pgconn.port, pgconn.db)
        link = self._hooks.make_link(Session(pgconn, self._registry.for_database(database)))
        link.era = self._era
        await link.move_here()
        self._prepare(link)
        return link

    def _prepare(self, link: AsyncLink) -> None:
        """Write what every session of this process starts with; the answer is read with the first statement's."""
        settings = session_settings(link.session.pgconn)
        if settings and not link.is_closed:
            link.send(Commands(settings, holds_followers=False))

    def _forgo(self, ticket: Ticket[AsyncLink], *, touched: bool) -> None:
        """Pass on what a call was granted that doesn't want it any more."""
        if touched and ticket.connection is not None:
            # A question that nobody waits for any more may be on its way.
            self.give_back(ticket.connection)
            return
        with self._lock:
            outcome = self._policy.withdraw(ticket)
        self._act(outcome)
        if self._dropped:
            self._collect()

    # Giving back

    def give_back(self, link: AsyncLink) -> None:
        """Take a connection back from its user and clean it; waits for nothing."""
        if link.is_held_elsewhere():
            # Its event loop runs in another thread and may be in the middle of a callback of this very connection.
            self.take_back(link)
            return
        self._give_back(link)
        if self._dropped:
            self._collect()

    def _give_back(self, link: AsyncLink) -> None:
        if link.is_closed or link.session.is_settled:
            clean = busy = False
            try:
                if self._limited:
                    self._age()
                self._reset(link)
                clean = link.is_sound
                busy = clean and link.is_writing_rest
            finally:
                if not busy:
                    # Interrupted in the middle of the reset it is closed.
                    with self._lock:
                        outcome = self._policy.release(link, clean)
                    self._act(outcome)
            if not busy:
                return
        with self._lock:
            outcome = self._policy.start_cleaning(link)
            self._cleaning.add(link)
        self._act(outcome)
        link.when_settled(partial(self._cleaned, link))

    def _cleaned(self, link: AsyncLink) -> None:
        self._finish_cleaning(link)
        if self._dropped:
            self._collect()

    def _finish_cleaning(self, link: AsyncLink) -> None:
        with self._lock:
            if link not in self._cleaning:
                return
            self._cleaning.discard(link)
        clean = busy = False
        try:
            if self._limited:
                self._age()
            self._reset(link)
            clean = link.is_sound
            busy = clean and link.is_writing_rest
        finally:
            if not busy:
                with self._lock:
                    outcome = self._policy.cleaned(link, clean)
                self._act(outcome)
        if busy:
            with self._lock:
                self._cleaning.add(link)
            link.when_settled(partial(self._cleaned, link))

    def _reset(self, link: AsyncLink) -> None:
        """Write what undoes its user's traces; the answer is read by the next one, or as it comes."""
        if not link.is_closed:
            link.session.on_notification = None
            link.serves_shared = False
            everything = self._config.recycling is _CLEAN
            requests = reset_requests(link.session, everything=everything)
            for request in requests:
                link.send(request)
            if requests:
                self._prepare(link)
            if link.session.queue:
                async_write_rest(link)

    def take_back(self, link: AsyncLink) -> None:
        """Note a connection whose handle is gone. May be called anywhere, by the garbage collector too."""
        self._dropped.append(link)
        link.soon(self._collect)

    def _collect(self) -> None:
        """Give back what was dropped, and what nobody will finish cleaning; unless the lock is held.

        It may be held by this very thread, where a garbage collection struck. Whoever holds it comes by here when it
        has let go of it, before it waits for anything.
        """
        stranded: list[AsyncLink] = []
        if not self._if_free(lambda: stranded.extend(link for link in self._cleaning if link.is_stranded())):
            return
        for link in stranded:
            link.close()
            self._finish_cleaning(link)
        elsewhere = []
        while self._dropped:
            try:
                link = self._dropped.popleft()
            except IndexError:
                break
            if link.is_held_elsewhere():
                elsewhere.append(link)
            else:
                self._give_back(link)
        for link in elsewhere:
            self.take_back(link)

    def _age(self) -> None:
        """Close what has reached an age limit of the pool's, and see to it that what is in use will be."""
        with self._lock:
            outcome = self._sharing.age(monotonic())
        self._act(outcome)

    def _act(self, outcome: Outcome[AsyncLink]) -> None:
        """Do, outside the lock, what the policy wants done."""
        if outcome is EMPTY:
            return
        for ticket in outcome.wake:
            if not ticket.wake():
                # Who waited is gone without a word: the next one's turn.
                with self._lock:
                    passed_on = self._policy.withdraw(ticket)
                self._act(passed_on)
        for link in outcome.close:
            link.close()
            if link.session.outage:
                self._follow_outage(link)

    def _follow_outage(self, link: AsyncLink) -> None:
        """A connection has left the pool for a reason that others have too."""
        raise NotImplementedError

    def _seat_first(self, ticket: Ticket[AsyncLink]) -> bool:
        """The ticket of those who wait for a seat was granted; False if none of them is there any more."""
        raise NotImplementedError

    # The end

    def inherit(self) -> None:
        """Begin anew, in a forked child, where no other thread runs: what is in use stays with the parent."""
        self._policy.inherit()
        self._sharing.inherit()
        self._cleaning.clear()

    def _cut_all(self) -> None:
        """Break what is in use, and let those who are still connecting find the pool closed."""
        self._cut = True
        with self._lock:
            held = self._policy.held()
        for link in held:
            link.cut()


def _nobody() -> bool:
    """Nobody waits for a ticket that was granted at once."""
    return True


def rank(link: AsyncLink) -> int:
    """Which idle connection is the best: one that is used here, with nothing on its way."""
    if link.is_at_home():
        # What serves shared statements is to be reset first.
        return 0 if link.is_quiet and not link.serves_shared else 1
    return 2 if link.is_held_elsewhere() else 1


def closed() -> exceptions.BaseConnectionPoolError:
    return exceptions.BaseConnectionPoolError("pool has been closed: make another one")
