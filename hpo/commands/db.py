"""`hpo db`: the versions of both schemas in a database, ours and Optuna's."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Version:
    """Where a schema stands in a database."""

    whose: str
    current: str | None
    """None: none of its tables."""
    head: str

    @property
    def sentence(self) -> str:
        """For people."""
        if self.current is None:
            return f"{self.whose}: no tables yet; the newest version is {self.head}"
        if self.current == self.head:
            return f"{self.whose}: {self.current} (the newest)"
        return f"{self.whose}: {self.current}; the newest is {self.head}: run `hpo db upgrade`"


def current(storage: str) -> tuple[Version, Version]:
    """Our version and Optuna's in a database that exists."""
    from hpo.records import migrate
    from hpo.search import optuna_schema

    return (
        Version("hpo", migrate.current(storage), migrate.head()),
        Version("Optuna", migrate.optuna_version(storage), optuna_schema.head()),
    )


def upgrade(storage: str) -> tuple[Version, Version]:
    """Brings a database to the newest versions: ours, made where there is none, then Optuna's where it has tables."""
    from hpo.records import migrate
    from hpo.search import optuna_schema

    migrate.upgrade(storage)
    if migrate.optuna_version(storage) is not None:
        optuna_schema.upgrade(*migrate.optuna_place(storage))
    return current(storage)


def downgrade(storage: str, revision: str) -> tuple[Version, Version]:
    """Takes our tables back to an older version; what only the newer one holds is lost. Optuna's stay as they are."""
    from hpo.records import migrate

    migrate.downgrade(storage, revision)
    return current(storage)
