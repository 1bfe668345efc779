"""`hpo db`: the database's schema version."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Version:
    """Where a database's schema stands."""

    current: str | None
    """None: no tables of ours."""
    head: str

    @property
    def sentence(self) -> str:
        """For people."""
        if self.current is None:
            return f"no hpo tables yet; the newest version is {self.head}"
        if self.current == self.head:
            return f"{self.current} (the newest)"
        return f"{self.current}; the newest is {self.head}: run `hpo db upgrade`"


def current(storage: str) -> Version:
    """The version of a database that exists."""
    from hpo.records import migrate

    return Version(migrate.current(storage), migrate.head())


def upgrade(storage: str, revision: str = "head") -> Version:
    """Brings a database to a version, made where there is none."""
    from hpo.records import migrate

    migrate.upgrade(storage, revision)
    return current(storage)


def downgrade(storage: str, revision: str) -> Version:
    """Takes a database back to an older version; what only the newer one holds is lost."""
    from hpo.records import migrate

    migrate.downgrade(storage, revision)
    return current(storage)
