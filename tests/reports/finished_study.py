"""A plausible finished study in a database, written through the records' own interface: what reports are tested on.

Everything is made from closed forms and fixed seeds, so that two calls write the same study, times apart.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpo.recipe.insight import Explained, Interaction, Share, insight
from hpo.recipe.verdicts import with_insight
from hpo.records.database import connect
from hpo.records.openings import Openings
from hpo.records.queue import Queue
from hpo.records.rows import ClosedTrial, FinishedRun, NewRun, NewTrial, OptunaParam, Score, StageRow
from hpo.records.studies import Studies
from hpo.records.workers import Workers
from hpo.search import Search, create_optuna_study
from hpo.space import Choice, FloatRange, Hyperparameter, IntRange, Kind, SearchSpace
from hpo.space.plain import space_to_plain
from hpo.values import (
    Check,
    Curve,
    Diagnosis,
    LayerHealth,
    Outcome,
    RunRequest,
    RunResult,
    Scalar,
    Status,
    Verdict,
    fingerprint,
)

EPOCHS = 12
TRIALS = 8
CHOSEN = 3
"""Number of the trial that each searching stage chooses: not its best one."""
DIVERGED = 5
"""Number of the trial of each searching stage that diverges."""

SPACE = SearchSpace(
    "mlp",
    (
        Hyperparameter("learning_rate", "optimizer", Kind.NUMBER, FloatRange(1e-4, 1.0, log=True), 1e-3),
        Hyperparameter("units", "architecture", Kind.STRUCTURE, IntRange(16, 256, log=True), 64),
        Hyperparameter("optimizer", "optimizer", Kind.NUMBER, Choice(("momentum", "rmsprop", "adam")), "adam"),
        Hyperparameter("dropout", "regularization", Kind.NUMBER, FloatRange(0.0, 0.5), 0.0),
    ),
)

SCORES = (
    Score("prior", "accuracy", 0.1, 0.07, 0.13, 360),
    Score("linear", "accuracy", 0.9583, 0.9361, 0.9778, 360),
    Score("boosted_trees", "accuracy", 0.9667, 0.9472, 0.9833, 360),
    Score("small_network", "accuracy", 0.9694, 0.95, 0.9861, 360),
    Score("final", "accuracy", 0.9806, 0.9639, 0.9944, 360),
)


def _explained(names: Sequence[str]) -> Explained:
    """All alike, and the first two interact."""
    share = 0.8 / len(names)
    shares = [Share(n, share, share - 0.1, share + 0.1, share + 0.1, share + 0.2) for n in names]
    pairs = [Interaction((names[0], names[1]), 0.125, 0.05, 0.2)] if len(names) > 1 else []
    return Explained(tuple(shares), tuple(pairs), TRIALS)


@dataclass(frozen=True)
class _Made:
    """One trial's numbers by closed form."""

    curve: Curve
    training_loss: float
    validation_loss: float
    metric: float
    diverged: bool


def write_finished_study(url: str, name: str = "digits", *, looks: int = 1) -> None:
    """The whole study: six stages with verdicts, checks, trials, runs, curves and one opening of the test set."""
    with connect(url) as db:
        writer = _Writer(url, name)
        writer.studies, writer.queue, writer.workers = Studies(db), Queue(db), Workers(db)
        writer.openings = Openings(db)
        writer.write(looks)


def write_empty_database(url: str) -> None:
    """The tables and nothing in them."""
    connect(url).close()


class _Writer:
    studies: Studies
    queue: Queue
    workers: Workers
    openings: Openings

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name

    def write(self, looks: int) -> None:
        spec = {"name": self.name, "seed": 0, "budget": {"trials": 3 * TRIALS, "epochs": EPOCHS}}
        study = self.studies.open(self.name, spec, fingerprint(spec), 0)
        self.study_id = study.id
        self.studies.set_state(study.id, "running")
        self.studies.describe_data(study.id, "multiclass", "accuracy", "maximize", "sklearn:digits", "00ff00ff00ff00ff")
        self.worker_id = self.workers.register(study.id, "leader")
        self._data()
        self._baseline()
        self._search("overfit", 2, "training loss", "minimize", ("learning_rate", "units", "optimizer"))
        self._search("regularize", 3, "validation metric", "maximize", ("dropout",))
        self._search("tune", 4, "validation metric", "maximize", ("learning_rate", "dropout"))
        self._squeeze(looks)
        self.studies.set_state(study.id, "finished")
        self.workers.gone(self.worker_id)

    def _begin(self, name: str, position: int, objective: str, direction: str | None, planned: int,
               space: SearchSpace | None, optuna_study: str | None) -> StageRow:  # fmt: skip
        text = None if space is None else json.dumps(space_to_plain(space))
        return self.studies.begin_stage(
            self.study_id, name, 1, position, fingerprint([name]), objective, direction, planned, text, optuna_study
        )

    def _data(self) -> None:
        stage = self._begin("data", 0, "none", None, 0, None, None)
        checks = [
            Check("rows", Status.PASSED, "at least 50", "1797", "There are enough rows."),
            Check("constant columns", Status.WARNING, "none", "3: x0, x32, x39", "3 columns never change."),
        ]
        sentence = "A multiclass task, 10 classes, scored by accuracy."
        verdict = Verdict("go on", sentence, {"rows_training": 1149.0}, {"task": "multiclass"})
        self.studies.end_stage(stage.id, verdict, checks)

    def _baseline(self) -> None:
        stage = self._begin("baseline", 1, "none", None, 0, None, None)
        configuration: dict[str, Scalar] = {"learning_rate": 1e-3, "units": 64, "optimizer": "adam", "dropout": 0.0}
        runs = tuple(NewRun(RunRequest(configuration, seed, 0, EPOCHS), "noise") for seed in range(5))
        self.queue.add_trials(stage, [NewTrial(0, "small_network", configuration, frozenset(), "s", runs)])
        made = [make(configuration, seed) for seed in range(5)]
        self._train(made)
        self._close(stage, {0: made[0]}, {0: 0.9611}, {})
        checks = [Check("loss at start", Status.PASSED, "2.302", "2.303", "The loss starts at the prior's entropy.")]
        sentence = "Validation accuracy: prior 0.1, linear 0.95. To beat: small network at 0.9611."
        figures = {"noise_metric": 0.0042, "small_network_accuracy": 0.9611}
        verdict = Verdict("go on", sentence, figures, {"to_beat": "small_network"})
        self.studies.end_stage(stage.id, verdict, checks)

    def _search(self, name: str, position: int, objective: str, direction: str, varies: Sequence[str]) -> None:
        space = SPACE.fixed_at(SPACE.default(), (n for n in SPACE.names if n not in varies))
        optuna_study = f"{self.name}/{name}"
        create_optuna_study(self.url, optuna_study, direction)  # type: ignore[arg-type]
        stage = self._begin(name, position, objective, direction, TRIALS, space, optuna_study)
        search = Search(space, direction=direction, sampler="random", seed=(0, name), startup=4, history=())  # type: ignore[arg-type]
        proposals = search.ask(range(TRIALS))
        structure = [fingerprint(space.structure(p.configuration)) for p in proposals]
        self.queue.add_trials(stage, [
            NewTrial(
                p.number, "sampler", p.configuration, p.varied, s,
                (NewRun(RunRequest(p.configuration, p.number, 0, EPOCHS)),),
                tuple(OptunaParam(o.name, o.internal, o.distribution) for o in p.params), p.attrs,
            )
            for p, s in zip(proposals, structure, strict=True)
        ])  # fmt: skip
        made = {p.number: make(p.configuration, p.number, diverges=p.number == DIVERGED) for p in proposals}
        self._train(made)
        values = {n: m.training_loss if objective == "training loss" else m.metric for n, m in made.items()}
        self._close(stage, made, values, {n: search.tell(n, None if m.diverged else values[n], diverged=m.diverged)
                                          for n, m in made.items()})  # fmt: skip
        sentence = f"{TRIALS} trials (5 healthy, 2 overfit, 1 diverged); all {TRIALS} trials were used. <b>&</b>"
        figures = {"chosen_trial": float(CHOSEN), "gap": 0.041, "trials": float(TRIALS)}
        found = insight(_explained(varies))
        if name == "regularize":
            found = replace(found, fix={"dropout": 0.125})
        verdict = with_insight(Verdict("go on", sentence, figures, {"chosen": CHOSEN}), found)
        self.studies.end_stage(stage.id, verdict, [])

    def _squeeze(self, looks: int) -> None:
        stage = self._begin("squeeze", 5, "validation metric", "maximize", 0, None, None)
        for look in range(looks - 1):
            self._other_opening(look)
        opening = self.openings.open(self.study_id, "00ff00ff00ff00ff", "hash")
        self.openings.record(opening.id, SCORES)
        sentence = "The test set was opened once for all. Boosted trees: beaten by 0.0139."
        self.studies.end_stage(stage.id, Verdict("go on", sentence, {"members": 3.0}), [])

    def _other_opening(self, look: int) -> None:
        spec = {"name": f"earlier-{look}"}
        other = self.studies.open(spec["name"], spec, fingerprint(spec), 0)
        self.openings.open(other.id, "00ff00ff00ff00ff", f"other {look}")

    def _train(self, made: Mapping[int, _Made] | Sequence[_Made]) -> None:
        """Lease every queued run and commit what `made` says of its trial (or, in a list, of its seed)."""
        while leased := self.queue.lease(self.study_id, self.worker_id, 16, 60.0):
            done = []
            for run in leased:
                numbers = made[run.trial_number] if isinstance(made, Mapping) else made[run.request.seed]
                done.append(FinishedRun(run.id, _result(numbers)))
            self.queue.commit(self.worker_id, done)

    def _close(self, stage: StageRow, made: Mapping[int, _Made], values: Mapping[int, float], told: Mapping) -> None:
        ends = []
        for number, m in made.items():
            end = told.get(number)
            ends.append(ClosedTrial(
                number, end.state if end else "complete", end.value if end else values[number], m.training_loss,
                m.validation_loss, m.metric, m.metric, 4810, _diagnosis(m), 1.25,
                dict(end.attrs) if end else {}, dict(end.study_attrs) if end else {},
            ))  # fmt: skip
        self.queue.close_trials(stage, ends)


def make(configuration: Mapping[str, Scalar], seed: int, *, diverges: bool = False) -> _Made:
    """Losses that fall exponentially, fastest at a learning rate of 0.01, with a gap that dropout closes."""
    pace = 0.6 * math.exp(-(math.log10(float(configuration["learning_rate"]) / 0.01) ** 2)) + 0.02
    gap = 0.08 * (1 - float(configuration["dropout"])) + 0.002 * seed
    epochs = np.arange(1, EPOCHS + 1)
    training = 2.3 * np.exp(-pace * epochs)
    validation = training + gap * epochs / EPOCHS
    if diverges:
        training, validation = training.copy(), validation.copy()
        training[6:], validation[6:] = np.inf, np.nan
    metric = 1 - 0.35 * validation / 2.3
    curve = Curve(training, validation, metric, metric, np.full(EPOCHS, 0.01), 1 / epochs)
    return _Made(curve, float(training[-1]), float(validation[-1]), float(metric[-1]), diverges)


def _result(made: _Made) -> RunResult:
    return RunResult(
        Outcome.DIVERGED if made.diverged else Outcome.DONE,
        made.curve,
        EPOCHS,
        made.training_loss,
        made.validation_loss,
        made.metric,
        made.metric,
        4810,
        1.25,
        "fit",
        "cpu",
        np.zeros((1, 10), np.float32),
        (),
        health=(LayerHealth(0, "hidden 1", 8.0, float("nan"), 0.5, 0.4, 0.6, 0.0, 0.0, 0.0),),
    )


def _diagnosis(made: _Made) -> Diagnosis:
    if made.diverged:
        return Diagnosis("diverged", "The loss became infinite or NaN in epoch 7: a lower rate.")
    if made.validation_loss - made.training_loss > 0.07:
        return Diagnosis("overfit", "Validation loss stays above training loss, <i>4</i> times the noise.")
    return Diagnosis("healthy", "Both losses fell and stayed together.")
