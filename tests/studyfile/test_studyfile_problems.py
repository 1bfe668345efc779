"""Bad study files and search spaces: each names file, key and remedy, and all problems come at once."""

import pytest

from hpo.errors import InputError
from hpo.studyfile import load_space, load_study

STUDY = """\
name = "mine"
space = "space.toml"
[data]
source = "rows.csv"
target = "price"
task = "regression"
[objective]
metric = "rmse"
[budget]
trials = 30
epochs = 10
"""

SPACE = """\
model = "mlp"
[architecture]
units = { int = [16, 256], log = true }
[optimizer]
name = { choice = ["adam", "momentum"] }
learning_rate = { float = [1e-4, 0.1], log = true }
momentum = { float = [0.5, 0.99] }
"""

# what is replaced, by what, the key that must be named, and a part of the remedy
IN_STUDY = {
    "syntax error": ('name = "mine"', "name = mine", "line 1", "Mend the file"),
    "a key twice": ("epochs = 10", "epochs = 10\nepochs = 11", "line 12", "Mend the file"),
    "unknown key": ("trials = 30", "trails = 30", "budget.trails", "`trials`?"),
    "unknown key without a likeness": ("trials = 30", "zzz = 30", "budget.zzz", "Known: epochs, seconds, trials"),
    "unknown section": ("[objective]", "[objectives]", "objectives", "`objective`?"),
    "a key outside its section": ('name = "mine"', 'name = "mine"\ntrials = 9', "trials", "below [budget]"),
    "a value where a section belongs": ('name = "mine"', 'name = "mine"\nrecipe = 3', "recipe", "Write [recipe]"),
    "a name that is none": ('"mine"', '"my study/1"', "name", "letters, digits"),
    "a name of another type": ('"mine"', "7", "name", "letters, digits"),
    "negative seed": ('name = "mine"', 'name = "mine"\nseed = -1', "seed", "from zero on"),
    "seed as a truth value": ('name = "mine"', 'name = "mine"\nseed = true', "seed", "whole number"),
    "no source": ('source = "rows.csv"', "", "data.source", "Write source"),
    "an empty source": ('"rows.csv"', '" "', "data.source", "Write source"),
    "unknown set of scikit-learn": ('"rows.csv"', '"sklearn:digit"', "data.source", "`digits`?"),
    "a data folder without a file": ('"rows.csv"', '"data-dir:"', "data.source", "after data-dir:"),
    "no target in a table": ('target = "price"', "", "data.target", "-1 is the last"),
    "target of another type": ('"price"', "1.5", "data.target", "in quotes"),
    "a target's name without a header": ('target = "price"', 'target = "price"\nheader = false', "data.target", "-1"),
    "the target dropped": ('target = "price"', 'target = "price"\ndrop = ["price"]', "data.drop", "Keep the target"),
    "header in quotes": ('target = "price"', 'target = "price"\nheader = "no"', "data.header", "header = false"),
    "unknown task": ('"regression"', '"regresion"', "data.task", "`regression`?"),
    "unknown scaling": ("[objective]", 'scale = "minimax"\n[objective]', "data.scale", "`minmax`?"),
    "a share over 1": ("[objective]", "test = 1.2\n[objective]", "data.test", "0.2"),
    "a share of nothing": ("[objective]", "valid = 0\n[objective]", "data.valid", "0.2"),
    "a share that is true": ("[objective]", "valid = true\n[objective]", "data.valid", "0.2"),
    "shares over 1 together": ("[objective]", "test = 0.5\nvalid = 0.5\n[objective]", "data.test", "rows to train on"),
    "no folds": ("[objective]", "folds = 0\n[objective]", "data.folds", "single split"),
    "more folds than rows": ("[objective]", "folds = 20\nrows = 15\n[objective]", "data.folds", "fewer folds"),
    "rows as text": ("[objective]", 'rows = "all"\n[objective]', "data.rows", "to use all"),
    "drop not a list": ("[objective]", 'drop = "id"\n[objective]', "data.drop", "drop = ["),
    "unknown metric": ('"rmse"', '"acuracy"', "objective.metric", "`accuracy`?"),
    "metric against the task": ('"rmse"', '"accuracy"', "objective.metric", "Use mse, rmse, mae, r2"),
    "binary metric for many classes": (
        'task = "regression"\n[objective]\nmetric = "rmse"', 'task = "multiclass"\n[objective]\nmetric = "auc"',
        "objective.metric", "Use accuracy",
    ),
    "zero trials": ("trials = 30", "trials = 0", "budget.trials", "at least one trial"),
    "trials with a point": ("trials = 30", "trials = 30.0", "budget.trials", "at least one trial"),
    "negative seconds": ("trials = 30", "seconds = -5", "budget.seconds", "in seconds"),
    "endless seconds": ("trials = 30", "seconds = inf", "budget.seconds", "in seconds"),
    "zero epochs": ("epochs = 10", "epochs = 0", "budget.epochs", "e.g. 15"),
    "unknown sampler": ("[budget]", '[search]\nsampler = "tep"\n[budget]', "search.sampler", "`tpe`?"),
    "batch of none": ("[budget]", "[search]\nbatch = 0\n[budget]", "search.batch", "e.g. 4"),
    "plateau of none": ("[budget]", "[search]\nplateau = 0\n[budget]", "search.plateau", "leave it out"),
    "no structure": ("[budget]", "[search]\nstructures = 0\n[budget]", "search.structures", "e.g. 2"),
    "memory in words": ("[budget]", '[training]\nmemory = "2 GB"\n[budget]', "training.memory", "MiB"),
    "unknown engine": ("[budget]", '[training]\nengine = "fitt"\n[budget]', "training.engine", "`fit`?"),
    "unknown precision": ("[budget]", '[training]\nprecision = "half"\n[budget]', "training.precision", "mixed"),
    "too few seeds": ("[budget]", "[recipe]\nseeds = 2\n[budget]", "recipe.seeds", "five seeds"),
    "too few proofs": ("[budget]", "[recipe]\nproof_seeds = 1\n[budget]", "recipe.proof_seeds", "two seeds"),
    "a gate over 1": ("[budget]", "[recipe]\ngate = 2\n[budget]", "recipe.gate", "0.02"),
    "a level of a half": ("[budget]", "[recipe]\nlevel = 0.5\n[budget]", "recipe.level", "0.05"),
    "too many attempts": ("[budget]", "[recipe]\nattempts = 3\n[budget]", "recipe.attempts", "0, 1 or 2"),
    "no space": ('space = "space.toml"', "", "space", 'space = "mlp"'),
    "a space that is a number": ('"space.toml"', "3", "space", 'space = "mlp"'),
    "unknown bundled space": ('"space.toml"', '"mpl"', "space", "`mlp`?"),
    "a space file that is not there": ('"space.toml"', '"spaces.toml"', "space", "`space.toml`?"),
    "a module that is not there": ('"space.toml"', '"no_such_module_here:f"', "space", "no_such_module_here"),
    "convolutions on a table": ('"space.toml"', '"cnn"', "space", "takes images"),
}  # fmt: skip

IN_SPACE = {
    "syntax error": ('model = "mlp"', 'model = "mlp', "line 1", "Mend the file"),
    "no model": ('model = "mlp"', "", "model", 'model = "mlp"'),
    "unknown model": ('"mlp"', '"mlpp"', "model", "`mlp`?"),
    "unknown section": ("[architecture]", "[achitecture]", "achitecture", "`architecture`?"),
    "entry outside a section": ('model = "mlp"', 'model = "mlp"\nunits = 3', "units", "below [architecture]"),
    "unknown hyperparameter": ("learning_rate =", "learning_rat =", "optimizer.learning_rat", "`learning_rate`?"),
    "in another section": ("[optimizer]", "dropout = 0.1\n[optimizer]", "architecture.dropout", "[regularization]"),
    "one under two names": ("momentum =", 'optimizer = "adam"\nmomentum =', "optimizer.optimizer", "Leave one out"),
    "of another model": ("[optimizer]", "filters = 8\n[optimizer]", "architecture.filters", "hidden_layers"),
    "reversed range": ("[16, 256]", "[256, 16]", "architecture.units", "Swap them: [16, 256]"),
    "range of one value": ("[0.5, 0.99]", "[0.9, 0.9]", "optimizer.momentum", "write 0.9 alone"),
    "log range through zero": ("[1e-4, 0.1]", "[0.0, 0.1]", "optimizer.learning_rate", "Begin at 1e-06"),
    "log range below zero": ("[1e-4, 0.1]", "[-2.0, -1.0]", "optimizer.learning_rate", "Begin above zero"),
    "whole log range from zero": ("[16, 256]", "[0, 256]", "architecture.units", "Begin at 1"),
    "range with one end": ("[16, 256]", "[16]", "architecture.units", "[low, high]"),
    "range of texts": ("[0.5, 0.99]", '["a", "b"]', "optimizer.momentum", "[low, high]"),
    "range of truth values": ("[0.5, 0.99]", "[false, 0.99]", "optimizer.momentum", "[low, high]"),
    "range of nan": ("[0.5, 0.99]", "[nan, 0.99]", "optimizer.momentum", "[low, high]"),
    "whole range with points": ("[16, 256]", "[16.0, 256.0]", "architecture.units", "without points"),
    "real range for a whole number": ("int = [16, 256]", "float = [16, 256]", "architecture.units", "int = [16, 256]"),
    "range for a word": ('{ choice = ["adam", "momentum"] }', "{ int = [1, 2] }", "optimizer.name", "choice = ["),
    "two forms": ("int = [16, 256],", "int = [16, 256], choice = [1],", "architecture.units", "bare value"),
    "no form": ("{ int = [16, 256], log = true }", "{ log = true }", "architecture.units", "bare value"),
    "a list": ("{ float = [0.5, 0.99] }", "[0.5, 0.99]", "optimizer.momentum", "bare value"),
    "unknown part": ("log = true }\n[opt", "logg = true }\n[opt", "architecture.units", "`log`?"),
    "log not a truth value": ("log = true }\n[opt", "log = 1 }\n[opt", "architecture.units", "log = true"),
    "log choice": ('"momentum"] }', '"momentum"], log = true }', "optimizer.name", "Leave log out"),
    "outside the domain": ("[0.5, 0.99]", "[0.5, 1.5]", "optimizer.momentum", "0.999"),
    "fixed outside the domain": ("{ int = [16, 256], log = true }", "0", "architecture.units", "is 1."),
    "a truth value for a number": ("{ float = [0.5, 0.99] }", "true", "optimizer.momentum", ", without quotes"),
    "a point in a whole number": ("{ int = [16, 256], log = true }", "64.0", "architecture.units", "e.g. 64"),
    "unknown choice": ('"momentum"]', '"momentun"]', "optimizer.name", "`momentum`?"),
    "empty choice": ('["adam", "momentum"]', "[]", "optimizer.name", 'choice = ["a", "b"]'),
    "a choice twice": ('["adam", "momentum"]', '["adam", "adam"]', "optimizer.name", "second"),
    "default outside": ("[0.5, 0.99] }", "[0.5, 0.99], default = 0.2 }", "optimizer.momentum", "widen the range"),
    "default of another type": ("log = true }\n[opt", 'log = true, default = "x" }\n[opt', "architecture.units", "Use"),
    "known kind contradicted": ("[0.5, 0.99] }", '[0.5, 0.99], kind = "data" }', "optimizer.momentum", "kind out"),
    "unknown kind": ("[0.5, 0.99] }", '[0.5, 0.99], kind = "nummer" }', "optimizer.momentum", "`number`?"),
    "when not a table": ("[0.5, 0.99] }", '[0.5, 0.99], when = "adam" }', "optimizer.momentum", "when = {"),
    "when without values": ("[0.5, 0.99] }", "[0.5, 0.99], when = { name = [] } }", "optimizer.momentum", "when = {"),
    "condition on an unknown name": (
        "[0.5, 0.99] }", "[0.5, 0.99], when = { optimiser = 1 } }", "optimizer.momentum", "`optimizer`?"
    ),
    "name in a section without one": (
        "log = true }\n[opt", 'log = true, when = { name = "adam" } }\n[opt', "architecture.units", "Name a"
    ),
    "condition on a value that cannot be": (
        "[0.5, 0.99] }", '[0.5, 0.99], when = { name = "momentun" } }', "optimizer.momentum", "`momentum`?"
    ),
    "condition against a known one": (
        "[0.5, 0.99] }", '[0.5, 0.99], when = { name = "adam" } }', "optimizer.momentum", "Leave the condition out"
    ),
    "cyclic conditions": (
        "log = true }\n[optimizer]",
        "log = true, when = { batch_size = 8 } }\n[optimizer]\nbatch_size = { int = [8, 64], when = { units = 64 } }",
        "architecture.units", "Take one `when` out",
    ),
    "condition on itself": (
        "log = true }\n[opt", "log = true, when = { units = 64 } }\n[opt", "architecture.units", "Take one `when` out"
    ),
    "batch of one with batch normalization": (
        "[optimizer]", 'batch_normalization = "after"\n[optimizer]\nbatch_size = { int = [1, 32] }',
        "optimizer.batch_size", "Begin batch_size at 2",
    ),
}  # fmt: skip


def write(folder, study=STUDY, space=SPACE):
    (folder / "study.toml").write_text(study)
    (folder / "space.toml").write_text(space)
    return folder / "study.toml"


def problems(call, *args, **more):
    with pytest.raises(InputError) as caught:
        call(*args, **more)
    assert caught.value.exit_code == 2
    for problem in caught.value.problems:
        assert problem.expected
        assert problem.got
        assert problem.remedy
        assert str(problem).count("\n") == 0
    return caught.value.problems


def test_the_files_that_the_tables_break_are_good(tmp_path):
    spec = load_study(str(write(tmp_path)))
    assert [h.name for h in spec.space.varying] == ["units", "optimizer", "learning_rate", "momentum"]
    assert spec.warnings == ()


@pytest.mark.parametrize(("old", "new", "key", "remedy"), IN_STUDY.values(), ids=IN_STUDY)
def test_a_bad_study_names_file_key_and_remedy(tmp_path, old, new, key, remedy):
    assert STUDY.count(old) == 1
    path = write(tmp_path, study=STUDY.replace(old, new))
    found = problems(load_study, str(path))
    assert [(p.where, p.key) for p in found] == [(str(path), key)], list(map(str, found))
    assert remedy in found[0].remedy


@pytest.mark.parametrize(("old", "new", "key", "remedy"), IN_SPACE.values(), ids=IN_SPACE)
def test_a_bad_space_names_file_key_and_remedy(tmp_path, old, new, key, remedy):
    assert SPACE.count(old) == 1
    path = write(tmp_path, space=SPACE.replace(old, new))
    found = problems(load_study, str(path))
    assert [(p.where, p.key) for p in found] == [(str(tmp_path / "space.toml"), key)], list(map(str, found))
    assert remedy in found[0].remedy


def test_all_problems_of_both_files_come_at_once(tmp_path):
    study = STUDY.replace("trials = 30", "trials = 0").replace('"rmse"', '"rmsee"').replace('"price"', "true")
    space = SPACE.replace("[16, 256]", "[256, 16]").replace("[0.5, 0.99]", "[0.5, 9.0]")
    found = problems(load_study, str(write(tmp_path, study, space)))
    keys = {"budget.trials", "objective.metric", "data.target", "architecture.units", "optimizer.momentum"}
    assert {p.key for p in found} == keys
    assert len({p.where for p in found}) == 2


def test_an_inline_space_is_named_inside_the_study_file(tmp_path):
    inline = '[space]\nmodel = "mlp"\n[space.architecture]\nunits = { int = [9, 3] }\n'
    path = write(tmp_path, STUDY.replace('space = "space.toml"\n', "") + inline)
    (problem,) = problems(load_study, str(path))
    assert (problem.where, problem.key) == (str(path), "space.architecture.units")


def test_nothing_that_varies_is_a_problem(tmp_path):
    path = write(tmp_path, space='model = "mlp"\n[architecture]\nunits = 3\n')
    (problem,) = problems(load_study, str(path))
    assert problem.where == str(tmp_path / "space.toml")
    assert "learning_rate" in problem.remedy


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        ({"budget.trials": 0}, "budget.trials"),
        ({"seed": -3}, "seed"),
        ({"budget.epoch": 3}, "budget.epoch"),
        ({"budget.seconds": -1.0}, "budget.seconds"),
        ({"bugdet.seconds": 1.0}, "bugdet"),
    ],
)
def test_a_bad_option_is_named_as_such(tmp_path, overrides, key):
    (problem,) = problems(load_study, str(write(tmp_path)), overrides=overrides)
    assert problem.key == key
    assert problem.where == "command line" or key == "bugdet"


def test_an_unknown_study_gets_a_suggestion():
    (problem,) = problems(load_study, "digit")
    assert (problem.where, problem.key, problem.remedy) == ("command line", "study", "Did you mean `digits`?")


def test_a_study_that_is_no_file(tmp_path):
    write(tmp_path)
    (problem,) = problems(load_study, str(tmp_path / "studi.toml"))
    assert "`study.toml`?" in problem.remedy
    (problem,) = problems(load_study, str(tmp_path))
    assert problem.got == "a folder"


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "study.toml").write_bytes(b'name = "\xff"')
    (problem,) = problems(load_study, str(tmp_path / "study.toml"))
    assert "UTF-8" in problem.remedy


CODE = {
    "syntax": ("def f(:\n", "f", "Mend that line"),
    "no function": ("def space():\n    pass\n", "spaces", "`space`?"),
    "not a function": ("space = 3\n", "space", "Define space"),
    "another result": ("def space():\n    return 3\n", "space", "Return a SearchSpace"),
    "a bad space": (
        "def space():\n    return {'model': 'mlp', 'optimizer': {'rho': 'x'}}\n",
        "space",
        ", without quotes",
    ),
    "a missing import": ("import no_such_module_here\n", "space", "install"),
}


@pytest.mark.parametrize(("source", "function", "remedy"), CODE.values(), ids=CODE)
def test_bad_code(tmp_path, source, function, remedy, request):
    module = "bad_" + request.node.callspec.id.replace(" ", "_")
    (tmp_path / f"{module}.py").write_text(source)
    (problem,) = problems(load_space, f"{module}:{function}", base=str(tmp_path))
    assert remedy in problem.remedy
