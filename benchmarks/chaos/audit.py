"""What must be true of a study that has ended, whatever was done to its workers, leaders and server."""

import json
import urllib.request
from collections import Counter
from dataclasses import dataclass

import optuna
import sqlalchemy as sa

from hpo.dashboard import Server
from hpo.records import schema
from hpo.records.artifacts import ArtifactStore, default_store
from hpo.records.database import connect
from hpo.records.rows import ArtifactRef
from hpo.records.studies import Studies
from hpo.records.urls import normalise

ENDED = {"done", "diverged", "dropped"}


@dataclass(frozen=True)
class Audit:
    """What was found, for people, and what is wrong, if anything."""

    found: dict[str, object]
    wrong: tuple[str, ...]


def audit(storage: str, name: str, stage: str, trials: int) -> Audit:
    """Look at both sets of tables, at the artifacts, and through stock Optuna and the dashboard."""
    wrong: list[str] = []

    def holds(what: str, true: bool) -> None:
        if not true:
            wrong.append(what)

    with connect(storage, create=False) as db:
        study = Studies(db).get(name)
        store = ArtifactStore(default_store(db))
        (row,) = [s for s in Studies(db).stages(study.id) if s.name == stage]
        t, r, e, a, w = schema.trial, schema.run, schema.epoch, schema.artifact, schema.worker
        mine = r.join(t, t.c.id == r.c.trial_id)
        of_stage = t.c.stage_id == row.id
        with db.read() as c:
            rows = c.execute(sa.select(t.c.id, t.c.number, t.c.state, t.c.value).where(of_stage)).all()
            total = c.execute(sa.select(sa.func.count()).select_from(t).where(of_stage)).scalar_one()
            runs = c.execute(
                sa.select(r.c.id, r.c.state, r.c.tries, r.c.epochs_trained, r.c.trial_id, r.c.fold, r.c.artifact_id)
                .select_from(mine).where(of_stage)
            ).all()  # fmt: skip
            epochs = dict(c.execute(sa.select(e.c.run_id, sa.func.count()).group_by(e.c.run_id)).tuples().all())
            files = c.execute(sa.select(a.c.id, a.c.uri, a.c.sha256, a.c.size).where(a.c.study_id == study.id)).all()
            workers = Counter(c.execute(sa.select(w.c.kind).where(w.c.study_id == study.id)).scalars())
    ours, ids = {x.number: x for x in rows}, [x.id for x in rows]
    holds(f"{total} trials, not {trials}", total == trials)
    holds("numbers are not 0, 1, 2, ...", sorted(ours) == list(range(trials)))
    states = Counter(x.state for x in ours.values())
    holds(f"trials in states {dict(states)}", set(states) <= {"complete", "pruned"})
    folds = sorted({x.fold for x in runs})
    once = sorted((x.trial_id, x.fold) for x in runs) == [(i, fold) for i in sorted(ids) for fold in folds]
    holds("a trial without its runs, one a fold, or with one twice", once)
    run_states = Counter(x.state for x in runs)
    holds(f"runs in states {dict(run_states)}", set(run_states) <= ENDED)
    holds("a learning curve that is missing, cut or doubled", all(epochs.get(x.id) == x.epochs_trained for x in runs))
    refs = {x.id: ArtifactRef(x.uri, x.sha256, x.size) for x in files}
    kept = [refs[x.artifact_id] for x in runs if x.artifact_id is not None]
    holds("an artifact that the store lacks, or has damaged", all(store.holds(ref) for ref in kept))
    holds("a run without its artifact", len(kept) == sum(x.state != "dropped" for x in runs))
    holds(f"the study is {study.state}", study.state == "finished")
    url = normalise(storage).render_as_string(hide_password=False)
    theirs = optuna.load_study(study_name=row.optuna_study, storage=url).trials
    seen = {x.number: (x.state.name.lower(), x.value) for x in theirs}
    same = {n: (x.state, x.value if x.state == "complete" else seen[n][1]) for n, x in ours.items() if n in seen}
    holds("Optuna's trials differ from ours", seen == same and len(theirs) == trials)
    with Server(url, port=0) as served:
        with urllib.request.urlopen(f"{served.address}api/studies", timeout=60) as answer:
            (listed,) = json.load(answer)["study_summaries"]
        with urllib.request.urlopen(f"{served.address}api/studies/{listed['study_id']}", timeout=120) as answer:
            shown = json.load(answer)["trials"]
    holds(f"the dashboard shows {len(shown)} trials", len(shown) == trials)
    tries = Counter(x.tries for x in runs)
    found = {
        "trials": total, "trial states": dict(states), "run states": dict(run_states),
        "tries": dict(sorted(tries.items())), "workers": workers["worker"], "leaders": workers["leader"],
    }  # fmt: skip
    return Audit(found, tuple(wrong))
