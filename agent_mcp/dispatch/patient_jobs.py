"""procrastinate's job manager for a database that may go away for a while, and jobs that may be taken away.

Its worker ends when the database does not answer a heartbeat, a poll or the end of a job, and with it end all jobs
that it runs. Here each of these is tried again, so that turns go on where the log lets them. The end of a job that
somebody else has taken over in the meantime is no error.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio
import psycopg
from procrastinate.connector import BaseConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager, NotificationCallback

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.5


class PatientJobs(JobManager):
    """The jobs of one worker."""

    def __init__(self, connector: BaseConnector) -> None:
        super().__init__(connector)
        self._notify: NotificationCallback | None = None
        self.ending = False
        """Set when the worker is to end: then nothing is waited for any more."""

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """None also while the database is away: the worker asks again."""
        try:
            return await super().fetch_job(queues, worker_id)
        except ConnectorException as error:
            if not is_lost(error):
                raise
            log.info("cannot look for turns to run: %s", error.__cause__)
            await anyio.sleep(_PAUSE_SECONDS)
            return None

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Then the worker looks for jobs at once: that a session's lock is free, and its next job can run, is told
        to nobody."""
        await self._until_done(lambda: super(PatientJobs, self).finish_job(job, status, delete_job))
        if self._notify is not None and job.id is not None:
            await self._notify(channel="", notification={"type": "job_inserted", "job_id": job.id})

    async def retry_job(self, job: Job, *args: Any, **options: Any) -> None:
        """See `JobManager`."""
        await self._until_done(lambda: super(PatientJobs, self).retry_job(job, *args, **options))

    async def update_heartbeat(self, worker_id: int) -> None:
        """A beat that fails is followed by another."""
        try:
            await super().update_heartbeat(worker_id)
        except ConnectorException as error:
            log.info("the worker's heartbeat did not arrive: %s", error.__cause__)

    async def list_jobs_to_abort_async(self, queue: str | None = None) -> Iterable[int]:
        """None: a turn is cancelled in its log."""
        return ()

    async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:
        """None, when a worker starts: a frozen one that comes back goes on under its number."""
        return []

    async def forget_workers(self, seconds_since_heartbeat: float) -> None:
        """Remove those not heard of for so long. One that still comes back is given a new number.

        Raises:
            ConnectorException: the database can't be reached.
        """
        await super().prune_stalled_workers(seconds_since_heartbeat)

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        """Listen for ever, on one connection after the other; in between the worker polls."""
        self._notify = on_notification
        while True:
            try:
                await super().listen_for_jobs(on_notification=on_notification, queues=queues)
            except (ConnectorException, psycopg.Error) as error:
                log.info("the connection that tells of turns is lost: %s", error.__cause__ or error)
            await anyio.sleep(_PAUSE_SECONDS)

    async def _until_done(self, attempt: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await attempt()
            except ConnectorException as error:
                if not is_lost(error):
                    log.info("a job is no longer ours: %s", error.__cause__)
                    return None
                if self.ending:
                    return None
            await anyio.sleep(_PAUSE_SECONDS)


def is_lost(error: ConnectorException) -> bool:
    """Whether the connection failed, and not what was asked over it."""
    return isinstance(error.__cause__, psycopg.OperationalError | psycopg.InterfaceError)
