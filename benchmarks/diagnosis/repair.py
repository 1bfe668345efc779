"""How many planted faults the recipe's own remedies repair: diagnose, change, train again, in rounds."""

from dataclasses import dataclass, replace

from bench import Bench
from planted import ACCEPTED, SPACE, Planted

from hpo.recipe.remedies import ROUNDS, Change, remedy
from hpo.values import Diagnosis, RunResult

LONGEST = 100
"""Epochs that a training may be lengthened to."""
MILD = ("overfit", "still improving")
"""What may be left of a network that is as good as a healthy one; anything else keeps a network from learning."""
UNTOUCHED = ("healthy", "label or data fault")
"""What no hyperparameter repairs."""


@dataclass(frozen=True)
class Course:
    """One planted fault on its way."""

    planted: Planted
    """With the changes so far."""
    result: RunResult
    names: tuple[str, ...]
    """The diagnosis of each round, the first before any remedy."""
    tried: tuple[Change, ...] = ()
    over: bool = False

    @property
    def detected(self) -> bool:
        """Whether the fault was named right to begin with."""
        return self.names[0] in ACCEPTED[self.planted.fault]

    @property
    def gone(self) -> bool:
        """AUTOTRAINER's measure: the fault is no longer detected."""
        return self.names[-1] not in ACCEPTED[self.planted.fault]

    def repaired(self, bench: Bench) -> bool:
        """The strict measure.

        Something was changed, and the last training is healthy; or it is neither diagnosed with the fault nor with
        anything but `MILD`, and its validation loss is at most the greater of the best baseline's and of the sound
        small network's on the same rows, plus twice the noise.
        """
        if len(self.names) < 2:
            return False
        name, data = self.names[-1], self.planted.data
        return name == "healthy" or (self.gone and name in MILD and self.result.validation_loss <= bench.standing(data))


Trained = tuple[Planted, RunResult, Diagnosis]


def courses(bench: Bench, faults: list[Trained]) -> list[Course]:
    """All faults of one data set, trained once, through `ROUNDS` rounds; those of one structure train together."""
    going = {i: Course(one, result, (diagnosis.name,)) for i, (one, result, diagnosis) in enumerate(faults)}
    diagnoses = {i: diagnosis for i, (_, _, diagnosis) in enumerate(faults)}
    for _ in range(ROUNDS):
        again: dict[int, Planted] = {}
        for i, course in going.items():
            now = course.planted
            treated = remedy(
                diagnoses[i], {**SPACE.default(), **now.changes}, SPACE, course.tried, longer=LONGEST / now.epochs
            )
            if course.over or (not treated.changes and treated.epochs == 1):
                going[i] = replace(course, over=True)
                continue
            going[i] = replace(course, tried=(*course.tried, *treated.changes))
            again[i] = replace(now, changes={**now.changes, **{c.name: c.new for c in treated.changes}},
                               epochs=round(now.epochs * treated.epochs))  # fmt: skip
        for i, (one, result, diagnosis) in zip(again, trained(bench, list(again.values())), strict=True):
            diagnoses[i] = diagnosis
            going[i] = replace(going[i], planted=one, result=result, names=(*going[i].names, diagnosis.name))
    return list(going.values())


def trained(bench: Bench, wanted: list[Planted]) -> list[Trained]:
    """Trainings with their diagnoses, in the order wanted."""
    found = {id(one): (one, result, bench.read(one, result)) for one, result in bench.train(wanted)}
    return [found[id(one)] for one in wanted]
