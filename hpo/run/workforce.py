"""Who trains for the leader: this process, or local processes of its own."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from hpo.records.queue import Queue
from hpo.run import interrupts
from hpo.run.context import Context
from hpo.run.events import Note
from hpo.run.lanes import lanes_here
from hpo.run.leading import Lead
from hpo.run.processes import Pool
from hpo.run.renewal import Allowance, bound, resident_memory
from hpo.run.worker import Worker

IDLE_SECONDS = 0.1


@contextmanager
def training(ctx: Context, lead: Lead, data_dir: str | None, artifacts: str) -> Iterator[None]:
    """Sets `ctx.work`: train here, or wait for local processes to train.

    A leader that trains by itself hands the training over when it has grown by more than the bound: its memory comes
    back no other way. One process takes over, with the threads that this one had, so that the numbers are the same.
    """
    # A leader that has handed over stays beside the process that trains: two share the machine.
    memory = bound(ctx.spec.training.memory, max(2, ctx.workers))
    with ExitStack() as stack:
        if ctx.workers > 1:
            _by_processes(ctx, lead, stack, Pool(
                ctx.spec.name, ctx.storage, ctx.workers, data_dir=data_dir, artifacts=artifacts, memory=memory,
            ))  # fmt: skip
            yield
            return
        allowance = Allowance(memory, since=resident_memory())

        def late() -> bool:
            return time.monotonic() > ctx.deadline

        worker = Worker(
            spec=ctx.spec, dataset=ctx.dataset, studies=ctx.studies, queue=Queue(ctx.database), store=ctx.store,
            study_id=ctx.study.id, worker_id=ctx.worker_id, alone=True, lanes=lanes_here(),
            enough=lambda: late() or interrupts.seen() or allowance.passed(), late=late,
        )  # fmt: skip
        stack.callback(worker.close)

        def train() -> None:
            lead.check()
            ended = worker.step()
            if allowance.passed() and worker.idle:
                worker.close()
                lead.renewed()
                ctx.listener(Note("This process has grown large: a process of its own goes on with the training."))
                _by_processes(ctx, lead, stack, Pool(
                    ctx.spec.name, ctx.storage, 1, data_dir=data_dir, artifacts=artifacts, memory=memory, divide=False,
                ))  # fmt: skip
            elif ended == 0:
                time.sleep(IDLE_SECONDS)

        ctx.work = train
        yield


def _by_processes(ctx: Context, lead: Lead, stack: ExitStack, pool: Pool) -> None:
    stack.enter_context(pool)

    def watch() -> None:
        lead.check()
        pool.check()
        time.sleep(IDLE_SECONDS)

    ctx.work = watch
