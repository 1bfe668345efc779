"""Who trains for the leader: this process, local processes of its own, or workers on a Ray cluster."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from hpo.records.queue import Queue
from hpo.run import interrupts
from hpo.run.context import Context
from hpo.run.events import Note
from hpo.run.lanes import lanes_here
from hpo.run.leading import Lead
from hpo.run.processes import Pool
from hpo.run.ray_pool import Placement, RayPool
from hpo.run.renewal import Allowance, bound, resident_memory
from hpo.run.worker import Worker

IDLE_SECONDS = 0.1


@contextmanager
def training(
    ctx: Context, lead: Lead, data_dir: str | None, artifacts: str, place: Placement | None = None
) -> Iterator[None]:
    """Sets `ctx.work`: train here, or wait for local processes, or for a Ray cluster (`place`), to train.

    A leader that trains by itself hands the training over when it has grown by more than the bound: its memory comes
    back no other way. One process takes over, with the threads that this one had, so that the numbers are the same.
    """
    # A leader that has handed over stays beside the process that trains: two share the machine.
    memory = bound(ctx.spec.training.memory, max(2, ctx.workers))
    with ExitStack() as stack:
        if place is not None:
            placed = RayPool(
                ctx.spec, ctx.storage, place, data_dir=data_dir, artifacts=artifacts, memory=ctx.spec.training.memory,
                tell=lambda text: ctx.listener(Note(text)),
            )  # fmt: skip
            ctx.work = _watching(ctx, lead, stack.enter_context(placed).check)
            yield
            return
        if ctx.workers == 0:
            ctx.work = _watching(ctx, lead, _Wanted(ctx).check)
            yield
            return
        if ctx.workers > 1:
            _by_processes(ctx, lead, stack, Pool(
                ctx.spec, ctx.storage, ctx.workers, data_dir=data_dir, artifacts=artifacts, memory=memory,
            ))  # fmt: skip
            yield
            return
        allowance = Allowance(memory, since=resident_memory())

        def late() -> bool:
            return time.monotonic() > ctx.deadline

        worker = Worker(
            spec=ctx.spec, dataset=ctx.dataset, studies=ctx.studies, queue=Queue(ctx.database), store=ctx.store,
            study_id=ctx.study.id, worker_id=ctx.worker_id, alone=True, lanes=lanes_here(),
            enough=lambda: late() or interrupts.seen() or lead.stopping or allowance.passed(), late=late,
            others=lambda: not ctx.alone,
        )  # fmt: skip
        stack.callback(worker.close)
        lead.holds = lambda: worker.holds

        def train() -> None:
            lead.check()
            ctx.joined = lead.workers
            ended = worker.step()
            if allowance.passed() and worker.idle:
                worker.close()
                lead.renewed()
                ctx.listener(Note("This process has grown large: a process of its own goes on with the training."))
                _by_processes(ctx, lead, stack, Pool(
                    ctx.spec, ctx.storage, 1, data_dir=data_dir, artifacts=artifacts, memory=memory, divide=False,
                ))  # fmt: skip
            elif ended == 0:
                time.sleep(IDLE_SECONDS)

        ctx.work = train
        yield


def _by_processes(ctx: Context, lead: Lead, stack: ExitStack, pool: Pool) -> None:
    ctx.work = _watching(ctx, lead, stack.enter_context(pool).check, pool.size)


def _watching(ctx: Context, lead: Lead, check: Callable[[], None], own: int = 0) -> Callable[[], None]:
    """`ctx.work` of a leader that does not train. `own`: local processes that it counts on, wherever they are now."""

    def watch() -> None:
        lead.check()
        ctx.joined = max(0, lead.workers - own)
        check()
        time.sleep(IDLE_SECONDS)

    return watch


class _Wanted:
    """Tells where a study that leaves the training to others has none."""

    def __init__(self, ctx: Context) -> None:
        self._ctx, self._told = ctx, False

    def check(self) -> None:
        if not self._ctx.joined and not self._told:
            name = self._ctx.spec.name
            self._ctx.listener(Note(f"No worker is at work: start some with hpo worker {name} and the same --storage."))
        self._told = not self._ctx.joined
