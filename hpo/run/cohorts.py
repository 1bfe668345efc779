"""How many slots runs get: decided as they are queued, and carried by each run from then on.

A run's numbers are the same, bit for bit, at one number of slots only. Were slots decided when a worker leases what
happens to wait, a resumed study would train its remaining runs among fewer, and with other last bits. So the leader
decides, from the runs that are queued together, and a structure keeps what it was first given: a program of another
number of slots, or another engine for two runs, costs seconds to compile, and empty slots cost less than that. In a
search even a lone run gets a cohort's slots, for what is tried first is what others will resemble.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import ceil

from hpo.records.rows import NewRun, Purpose
from hpo.run.context import Context
from hpo.run.lanes import cores_here
from hpo.run.renewal import machine_memory
from hpo.space import SearchSpace
from hpo.training.choosing import BLOCK, FEWEST, MOST, epoch_seconds, slots_for
from hpo.training.devices import gpu_names
from hpo.values import Configuration, RunRequest, fingerprint

SHARE = 4
"""A cohort may take this part of the machine's memory."""
EPOCH_SECONDS = 0.05
"""An epoch of a cohort is estimated to take so long at least: what the leader does after one takes as long."""
MOST_BLOCKS = 4


def new_runs(
    ctx: Context, space: SearchSpace, asked: Sequence[RunRequest], purpose: Purpose = "search", slots: int | None = None
) -> list[NewRun]:
    """The runs to queue, in the order asked for: all that are queued together, of whatever structures.

    `slots`: of their cohorts, where more runs are to follow these; None: by how many they are.
    """
    names = [fingerprint(space.structure(request.configuration)) for request in asked]
    by_name = planned(
        names,
        [request.configuration for request in asked],
        lambda configuration, runs: slots_of(
            ctx, space, configuration, slots or max(runs, FEWEST if purpose == "search" else 1)
        ),
        lambda structures: _given(ctx, structures),
    )
    return [NewRun(request, purpose, by_name[name]) for request, name in zip(asked, names, strict=True)]


def _given(ctx: Context, structures: Sequence[str]) -> Mapping[str, int]:
    """Slots that structures had in the study. What was found once is not asked for again: it stays."""
    if unknown := [name for name in structures if name not in ctx.slots]:
        ctx.slots |= ctx.queue.slots(ctx.study.id, unknown)
    return {name: ctx.slots[name] for name in structures if name in ctx.slots}


def cohort_slots(ctx: Context, space: SearchSpace) -> int:
    """Slots of the cohorts that a search keeps full: a function of machine, data and space alone.

    Enough that every core has a block and that an epoch takes long against what is recorded of it; no more, for what is
    in training the sampler does not know yet.
    """
    if gpu_names():
        return MOST
    cores = max(1, cores_here() // ctx.own_cohorts)
    if space.model != "mlp":
        return BLOCK * cores
    rows = min(len(fold.x_train) for fold in ctx.folds)
    block = epoch_seconds(space.default(), ctx.dataset.facts, rows, BLOCK)
    return BLOCK * min(max(cores, ceil(EPOCH_SECONDS / block)), MOST_BLOCKS)


def planned(
    structures: Sequence[str], configurations: Sequence[Configuration], wanted: Callable[[Configuration, int], int],
    given: Callable[[Sequence[str]], Mapping[str, int]],
) -> dict[str, int]:  # fmt: skip
    """Slots of each structure among runs that are queued together: one structure and one configuration a run.

    `wanted`: slots for a configuration and the number of runs of its structure. `given`: slots that structures had in
    the study before, where they had more than one.
    """
    examples = dict(zip(reversed(structures), reversed(configurations), strict=True))
    before = given(list(examples))
    return {name: before.get(name) or wanted(examples[name], runs) for name, runs in Counter(structures).items()}


def slots_of(ctx: Context, space: SearchSpace, configuration: Configuration, runs: int) -> int:
    """Slots for so many runs of a configuration's structure on this machine."""
    memory = machine_memory()
    return slots_for(
        space=space,
        configuration=configuration,
        facts=ctx.dataset.facts,
        rows=min(len(fold.x_train) for fold in ctx.folds),
        runs=runs,
        engine=ctx.spec.training.engine,
        precision=ctx.spec.training.precision,
        memory=None if memory is None else memory // SHARE,
    )
