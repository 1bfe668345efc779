"""Study files and search spaces: TOML to checked values, every problem reported at once with its key."""

from hpo.studyfile.load import load_study
from hpo.studyfile.spacefile import load_space
from hpo.studyfile.spec import StudySpec, from_plain, identity, to_plain
from hpo.studyfile.starter import study_text

__all__ = ["StudySpec", "from_plain", "identity", "load_space", "load_study", "study_text", "to_plain"]
