"""The queue of turns: putting one in, what is in it, and jobs whose worker is gone. Knows no store.

A job that was taken from its worker is replaced by a new one and not put back: an end of it that the old worker may
still report, when it wakes up, then finds nothing. A session's jobs share a lock, so they run one after the other; a
turn waits in the queue at most once.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from procrastinate import App, PsycopgConnector, RetryStrategy
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.worker import Worker

from agent_mcp.config.schema import WorkerSettings
from agent_mcp.dispatch.patient_jobs import PatientJobs, is_lost

QUEUE = "agent-mcp-turns"
POLL_SECONDS = 1.0
"""How often a worker asks for jobs that it was not told of."""
_RETRY_SECONDS = 1

Turn = tuple[str, int]
"""Session and number."""
Work = Callable[[str, int], Awaitable[None]]


class TurnQueue:
    """The jobs in the database at one connector."""

    def __init__(self, connector: PsycopgConnector, work: Work) -> None:
        """`work` is what a worker does with a turn; one that fails comes back, each time a second later than before:
        each try may ask the model again."""
        self.jobs = PatientJobs(connector)
        self._app = App(connector=connector)
        self._app.job_manager = self.jobs

        @self._app.task(
            name="turn", queue=QUEUE, retry=RetryStrategy(wait=_RETRY_SECONDS, linear_wait=_RETRY_SECONDS)
        )
        async def turn(session_id: str, turn: int) -> None:
            await work(session_id, turn)

        self._task = turn

    async def put(self, session_id: str, turn: int) -> None:
        """A job for the turn, unless it has one.

        Raises:
            ConnectorException: the database can't be reached.
        """
        name = _name(session_id, turn)
        if await self.jobs.list_jobs_async(lock=session_id, queueing_lock=name, status=Status.DOING.value):
            return
        job = self._task.configure(lock=session_id, queueing_lock=name)
        with suppress(AlreadyEnqueued):
            await job.defer_async(session_id=session_id, turn=turn)

    async def turns(self) -> set[Turn]:
        """Those that wait or are being worked on.

        Raises:
            ConnectorException: the database can't be reached.
        """
        return {_turn_of(job) for job in await self.jobs.list_jobs_async(queue=QUEUE)}

    async def replace_stalled(self, seconds: float) -> None:
        """Give the jobs of workers that were not heard of for so long to others.

        Raises:
            ConnectorException: the database can't be reached.
        """
        for job in await self.jobs.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=seconds):
            if job.id is not None and await self._end(job.id):
                await self.put(*_turn_of(job))

    def worker(self, settings: WorkerSettings) -> Worker:
        """One that has not begun. It deletes each job that it has done."""
        return Worker(
            self._app,
            queues=[QUEUE],
            name="turns",
            concurrency=settings.concurrency,
            fetch_job_polling_interval=POLL_SECONDS,
            update_heartbeat_interval=settings.heartbeat_seconds,
            stalled_worker_timeout=settings.stalled_seconds,
            install_signal_handlers=False,
            delete_jobs="always",
        )

    async def _end(self, job_id: int) -> bool:
        """False if another replica was quicker."""
        try:
            await self.jobs.finish_job_by_id_async(job_id, Status.FAILED, delete_job=True)
        except ConnectorException as error:
            if is_lost(error):
                raise
            return False
        return True


def _name(session_id: str, turn: int) -> str:
    return f"{session_id}:{turn}"


def _turn_of(job: Job) -> Turn:
    session_id, _, turn = (job.queueing_lock or "").rpartition(":")
    return session_id, int(turn)
