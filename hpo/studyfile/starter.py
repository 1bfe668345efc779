"""The study file that `hpo init` writes: ready to run, and with comments to learn from."""

from collections.abc import Iterable, Sequence

from hpo.studyfile.sections import study_name
from hpo.studyfile.spec import DataSpec

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def study_text(name: str, data: DataSpec, facts_lines: Sequence[str]) -> str:
    """The commented TOML of a study of `data`; what was seen of the data stands above `[data]`.

    The name is made fit for a study where it is not. `load_study` reads the same `DataSpec` back.
    """
    facts = "".join(f"# {line}\n" for fact in facts_lines for line in _lines(fact))
    return f"""\
# A study for hpo. Check it with `hpo check FILE`, run it with `hpo run FILE`.
name = {_quoted(study_name(name))}
space = "mlp"                 # what may vary: a bundled space (mlp, cnn), the path of a file, or a table [space]
seed = 0                      # the same seed gives the same study

{facts}[data]
{_data(data)}
[objective]
{_METRICS["regression" if data.task == "regression" else "classification"]}
[budget]
trials = 45                   # over the stages overfit, regularize and tune together
# seconds = 600               # the search ends at whichever comes first
epochs = 15                   # of each training

[search]
sampler = "auto"              # auto, tpe, random, qmc, cmaes or gp
"""


_METRICS = {
    "regression": 'metric = "rmse"               # rmse, mse, mae or r2, on the validation rows\n',
    "classification": 'metric = "accuracy"           # or balanced_accuracy, f1_macro, log_loss; auc if binary\n',
}


def _data(data: DataSpec) -> str:
    lines = [f"source = {_quoted(data.source)}"]
    if data.target is not None:
        target = _quoted(data.target) if isinstance(data.target, str) else data.target
        lines.append(f"target = {target}    # the column to predict")
    if data.task is not None:
        lines.append(f'task = "{data.task.value}"    # binary, multiclass or regression')
    if not data.header:
        lines.append("header = false    # the first line is data already")
    if data.test_source is not None:
        lines.append(f"test_source = {_quoted(data.test_source)}    # rows that are kept for the one test at the end")
    else:
        lines.append(f"test = {data.test}    # share of the rows that is kept for the one test at the end")
    if data.folds is None or data.folds == 1:
        lines.append(f"valid = {data.valid}    # share of the rows that configurations are compared on")
    if data.folds is not None:
        lines.append(f"folds = {data.folds}    # folds of cross-validation; 1: a single split")
    lines.append(f'scale = "{data.scale}"    # standard, minmax, robust or none; fitted on the training rows alone')
    if data.rows is not None:
        lines.append(f"rows = {data.rows}    # use only so many rows")
    if data.drop:
        lines.append(f"drop = {_list(data.drop)}    # columns to leave out")
    if data.missing != DataSpec("").missing:
        lines.append(f"missing = {_list(data.missing)}    # texts that mean a missing value")
    return "\n".join(_aligned(line) for line in lines) + "\n"


def _aligned(line: str) -> str:
    """Comments begin in one column where the values are short enough."""
    value, mark, comment = line.rpartition("    # ")
    return f"{value:<30}# {comment}" if mark else line


def _list(texts: Iterable[str]) -> str:
    return "[" + ", ".join(map(_quoted, texts)) + "]"


def _quoted(text: str) -> str:
    """A TOML basic string: control characters escaped."""
    inner = (_ESCAPES.get(c, c if c.isprintable() or ord(c) > 0x9F else f"\\u{ord(c):04X}") for c in text)
    return '"' + "".join(inner) + '"'


def _lines(fact: str) -> list[str]:
    """A fact as comment lines: TOML allows no control characters there."""
    return ["".join(c if c.isprintable() else " " for c in line).strip() for line in fact.splitlines() if line.strip()]
