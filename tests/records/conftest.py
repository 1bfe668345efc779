"""Records to test on: one database of each kind for the whole session, a study of one's own in each test."""

import itertools
from collections.abc import Callable, Iterator

import optuna
import pytest
from records_support import Bench

from hpo.records.database import Database, connect
from hpo.records.queue import Queue
from hpo.records.studies import Studies
from hpo.records.workers import Workers

_names = itertools.count()


@pytest.fixture(scope="session")
def db(kind: str, fresh_url: Callable[[str], str]) -> Iterator[Database]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with connect(fresh_url(kind)) as database:
        yield database


@pytest.fixture
def bench(db: Database) -> Bench:
    studies = Studies(db)
    study = studies.open(f"study {next(_names)}", {"budget": {"trials": 30}}, "f0", 3)
    return Bench(db, studies, Queue(db), Workers(db), study)
