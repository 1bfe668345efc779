"""Looks at the test set: recorded before anything is scored, counted over all studies on the same data.

A study opens the test set once, for models frozen by hash. Asked again for the same hash (a resumed study) it is the
same look; for another hash it is refused. Looks stay counted when a study is removed.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from hpo.errors import Fault
from hpo.records import schema
from hpo.records.bulk import insert_rows
from hpo.records.connection import Database, now
from hpo.records.plain import finite, known
from hpo.records.rows import Opening, Score
from hpo.records.workers import hold_study

_RACES = 5


class Openings:
    """The openings of test sets."""

    def __init__(self, db: Database, *, leader: str | None = None) -> None:
        self._db = db
        self._leader = leader

    def open(self, study_id: int, data_fingerprint: str, frozen_hash: str) -> Opening:
        """Record the look, before anyone looks. Raises Fault where the study has looked with other models."""
        opening, study = schema.opening, schema.study

        def work(connection: Connection) -> Opening:
            hold_study(connection, study_id, self._leader)
            found = self._of(connection, study_id)
            if found is not None:
                if found.frozen_hash != frozen_hash or found.data_fingerprint != data_fingerprint:
                    raise Fault(
                        "This study has opened the test set before, for other models. Its scores stand; begin the "
                        "study anew with --fresh to look again, which will be counted as another look."
                    )
                return found
            name = connection.execute(sa.select(study.c.name).where(study.c.id == study_id)).scalar_one()
            same = sa.select(sa.func.max(opening.c.look)).where(opening.c.data_fingerprint == data_fingerprint)
            look = (connection.execute(same).scalar() or 0) + 1
            values = {
                "study_id": study_id, "study_name": name, "data_fingerprint": data_fingerprint,
                "frozen_hash": frozen_hash, "look": look, "opened_at": now(connection),
            }  # fmt: skip
            key = connection.execute(sa.insert(opening).values(values)).inserted_primary_key
            return Opening(
                key[0] if key is not None else 0,
                study_id,
                data_fingerprint,
                frozen_hash,
                look,
                values["opened_at"],
                False,
            )

        for _ in range(_RACES):
            try:
                return self._db.transact(work)
            except IntegrityError:  # another study took this look's number in the same moment
                continue
        raise Fault(f"{self._db.label}: the look at the test set could not be numbered")

    def get(self, study_id: int) -> Opening | None:
        """The study's look, if it has looked."""
        return self._db.look(lambda c: self._of(c, study_id))

    def record(self, opening_id: int, scores: Sequence[Score]) -> None:
        """The scores of a look, all in one transaction; repeated ones take the place of those that are there."""
        score = schema.score
        columns = ("opening_id", "model", "metric", "value", "low", "high", "rows")
        rows = [
            (opening_id, s.model, s.metric, finite(s.value), finite(s.low), finite(s.high), int(s.rows)) for s in scores
        ]

        def work(connection: Connection) -> None:
            connection.execute(sa.delete(score).where(score.c.opening_id == opening_id))
            insert_rows(connection, score, columns, rows)

        self._db.transact(work)

    def scores(self, opening_id: int) -> list[Score]:
        """The scores of a look, by model."""
        score = schema.score
        query = sa.select(score).where(score.c.opening_id == opening_id).order_by(score.c.model, score.c.metric)
        rows = self._db.look(lambda c: c.execute(query).all())
        return [Score(r.model, r.metric, known(r.value), known(r.low), known(r.high), r.rows) for r in rows]

    def _of(self, connection: Connection, study_id: int) -> Opening | None:
        o = schema.opening
        columns = (o.c.id, o.c.study_id, o.c.data_fingerprint, o.c.frozen_hash, o.c.look, o.c.opened_at)
        row = connection.execute(sa.select(*columns).where(o.c.study_id == study_id)).one_or_none()
        return None if row is None else Opening(*row, repeated=True)
