"""The sharpness part of `hpo inspect trial`: how curved the training loss is at the weights that a trial kept."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo.commands.inspect import load_data
from hpo.errors import InputError, Problem
from hpo.hiding import hidden

if TYPE_CHECKING:
    from hpo.commands.inspect_trial import TrialSeen
    from hpo.data import Dataset
    from hpo.records.database import Database
    from hpo.records.rows import RunRow, StudyRow
    from hpo.space import SearchSpace
    from hpo.studyfile.spec import StudySpec
    from hpo.training.inspection.sharpness import Sharpness
    from hpo.values import Array, Configuration


@dataclass(frozen=True, eq=False)
class SharpnessSeen:
    """The sharpness at the kept weights of the run that is shown, or why there is none."""

    found: "Sharpness | None" = None
    missing: str = ""
    """Why it was not computed."""
    again: tuple[float, float] | None = None
    """(training loss as recorded, as trained again) where the weights come from a second training."""


@dataclass(frozen=True, eq=False)
class _Recorded:
    """One run with what its network is rebuilt from."""

    study: "StudyRow"
    configuration: "Configuration"
    run: "RunRow"
    space: "SearchSpace"


def sharpness(
    seen: "TrialSeen", study: str, *, storage: str, artifacts: str | None = None, data_dir: str | None = None,
    retrain: bool = False, allow_code: bool = False,
) -> SharpnessSeen:  # fmt: skip
    """Of the run that `seen` shows. Weights are kept of the best trials of each stage; `retrain` trains others again.

    Data and framework are loaded only where there are weights to look at. What cannot be had is told, not raised, but
    for InputError of the data where `retrain` asked for more than the records hold, or of the study's code where nobody
    allowed it.
    """
    from hpo.records.artifacts import ArtifactStore, default_store, unpack
    from hpo.records.database import connect

    with connect(storage, create=False) as database:
        of = _recorded(database, study, seen)
        store = ArtifactStore(artifacts or default_store(database))
    if not of.run.epochs_trained:
        return SharpnessSeen(missing="the run has not been trained.")
    ref = of.run.artifact
    kept = ref is not None and store.holds(ref)
    if not kept and not retrain:
        if ref is not None:
            return SharpnessSeen(missing=f"its weights are not where they were kept, {hidden(store.url)}: name the "
                                         "place with --artifacts, or train it again with --retrain.")  # fmt: skip
        return SharpnessSeen(missing="its weights were not kept: those of each stage's best trials alone are. "
                                     "--retrain trains it again with its seed.")  # fmt: skip
    from hpo.studyfile.code import code_folder, code_of, refuse_code
    from hpo.studyfile.spec import from_plain

    spec = from_plain(dict(of.study.spec))
    if (code := code_of(spec)) and not allow_code and not retrain:
        names = " and ".join(code.values())
        return SharpnessSeen(missing=f"the study names code of its own, {names}: give --allow-code to import it.")
    refuse_code(spec, allowed=allow_code)
    try:
        dataset = _same_data(spec, of.study, data_dir)
    except InputError as error:
        if retrain:
            raise
        return SharpnessSeen(missing=f"its data cannot be loaded: {error}")
    with code_folder(spec):
        from hpo.training.inspection.sharpness import sharpness as measure

        weights, again = (unpack(store.get(ref))[0], None) if kept and ref else _trained_again(spec, dataset, of)
        found = measure(
            of.space, of.configuration, dataset.facts, dataset.fold(of.run.fold), weights,
            fold_index=of.run.fold,
        )  # fmt: skip
    return SharpnessSeen(found, again=again)


def _recorded(database: "Database", study: str, seen: "TrialSeen") -> _Recorded:
    from hpo.records.queue import Queue
    from hpo.records.studies import Studies
    from hpo.space import Fixed, Hyperparameter, SearchSpace, known
    from hpo.space.plain import space_from_plain
    from hpo.studyfile.spec import from_plain

    studies = Studies(database)
    row = studies.get(study)
    name, _, attempt = seen.stage.partition(".")
    stage = next(s for s in studies.stages(row.id) if (s.name, s.attempt) == (name, int(attempt or 1)))
    (trial,) = Queue(database).trials(stage.id, numbers=[seen.number])
    run = next(r for r in trial.runs if r.id == seen.run)
    # The model is the study's, whose code is asked about; what a stage's row names is not.
    space = space_from_plain(json.loads(str(stage.space)) | {"model": from_plain(dict(row.spec)).space.model})
    # A study of an earlier version knows no hyperparameter that came later: their defaults leave networks as they were.
    later = [k for k in known(space.model).values() if k.name not in space.names and ":" not in space.model]
    added = (Hyperparameter(k.name, k.section, k.kind, Fixed(k.default), k.default, k.when) for k in later)
    space = SearchSpace(space.model, (*space.hyperparameters, *added))
    return _Recorded(row, {**{k.name: k.default for k in later}, **trial.configuration}, run, space)


def _same_data(spec: "StudySpec", study: "StudyRow", data_dir: str | None) -> "Dataset":
    dataset = load_data(spec, data_dir)
    if study.data_fingerprint and study.data_fingerprint != dataset.fingerprint:
        raise InputError(
            Problem(spec.data.source, "", f"the data of study {study.name!r} ({study.data_fingerprint})",
                    dataset.fingerprint, "Name the folder of the same files with --data-dir.")
        )  # fmt: skip
    return dataset


def _trained_again(
    spec: "StudySpec", dataset: "Dataset", of: _Recorded
) -> "tuple[tuple[Array, ...], tuple[float, float]]":
    """The weights of the same run in the same engine among as many slots, and its training loss, then and now.

    The epochs asked for decide its schedule, the epochs trained where it ends: a search may have cut it off.
    """
    from hpo.metrics import METRICS
    from hpo.training.engine import open_session
    from hpo.values import RunRequest

    run, configuration = of.run, of.configuration
    session = open_session(
        space=of.space, structure=configuration, facts=dataset.facts,
        folds=[dataset.fold(i) for i in range(dataset.folds)], metric=METRICS[dataset.metric], slots=run.slots or 1,
        engine=run.engine or spec.training.engine, precision=spec.training.precision,
    )  # fmt: skip
    try:
        session.put(0, RunRequest(configuration, run.seed, run.fold, run.epochs))
        session.advance(run.epochs_trained)
        result = session.result(0)
    finally:
        session.close()
    return result.weights, (run.training_loss, result.training_loss)
