"""The columns of every results table: name, pandas type, meaning. A test holds docs/results.md to them."""

from dataclasses import dataclass

TEXT = "string"
WHOLE = "Int64"
REAL = "Float64"
FLAG = "boolean"
MOMENT = "datetime64[us]"


@dataclass(frozen=True)
class Column:
    """One column of a results table."""

    name: str
    dtype: str
    meaning: str


_SCORES = (
    Column("training_loss", REAL, "unpenalised loss on the training probe, with the kept weights"),
    Column("validation_loss", REAL, "the same on the validation rows"),
    Column("training_metric", REAL, "the study's metric on the training probe"),
    Column("validation_metric", REAL, "the study's metric on the validation rows"),
)

STUDIES = (
    Column("study", TEXT, "name"),
    Column("state", TEXT, "running, stopping, finished, stopped or failed"),
    Column("task", TEXT, "binary, multiclass or regression"),
    Column("metric", TEXT, "what the study improves"),
    Column("direction", TEXT, "maximize or minimize"),
    Column("data_source", TEXT, "where the rows come from"),
    Column("data_fingerprint", TEXT, "stands for the rows, their division and their preparation"),
    Column("seed", WHOLE, "of the study"),
    Column("stages", WHOLE, "stages done, each attempt counted"),
    Column("trials", WHOLE, "trials of all stages"),
    Column("created_at", MOMENT, "UTC"),
    Column("started_at", MOMENT, "UTC"),
    Column("finished_at", MOMENT, "UTC"),
)

STAGES = (
    Column("stage", TEXT, "name, with `.2`, `.3` for later attempts"),
    Column("name", TEXT, "the stage's word: data, baseline, overfit, regularize, tune, squeeze"),
    Column("attempt", WHOLE, "1 for the first"),
    Column("position", WHOLE, "order in the study"),
    Column("state", TEXT, "running, done, stopped or failed"),
    Column("objective", TEXT, "what the stage's trials are ranked by"),
    Column("direction", TEXT, "maximize or minimize"),
    Column("trials_planned", WHOLE, "trials the stage may use"),
    Column("trials", WHOLE, "trials it used"),
    Column("best_trial", WHOLE, "number of the trial with the best value, as Optuna's `best_trial`"),
    Column("best_value", REAL, "its value"),
    Column("chosen_trial", WHOLE, "number of the trial that the verdict hands on"),
    Column("chosen_value", REAL, "its value"),
    Column("decision", TEXT, "the verdict in one word"),
    Column("verdict", TEXT, "the verdict in words"),
    Column("optuna_study", TEXT, "name for `optuna.load_study`; missing where nothing is searched"),
    Column("started_at", MOMENT, "UTC"),
    Column("finished_at", MOMENT, "UTC"),
    Column("seconds", REAL, "from start to finish"),
)

TRIALS = (
    Column("stage", TEXT, "stage with its attempt"),
    Column("number", WHOLE, "of the trial in its stage, from 0"),
    Column("state", TEXT, "running, complete, pruned or failed"),
    Column(
        "origin",
        TEXT,
        "sampler, default, handed_on, portfolio, warm_start, remedy, carried, baseline, small_network, contender, "
        "squeeze",
    ),
    Column("value", REAL, "the stage's objective"),
    Column("best", FLAG, "whether it is the stage's best trial"),
    Column("chosen", FLAG, "whether the verdict hands it on"),
    *_SCORES,
    Column("gap", REAL, "validation loss minus training loss"),
    Column("parameters", WHOLE, "trainable weights"),
    Column("structure", TEXT, "stands for what decides array shapes; equal for trials of one cohort"),
    Column("diagnosis", TEXT, "what curve and layers say: healthy, overfit, dead units, ...; see docs/recipe.md"),
    Column("diagnosis_sentence", TEXT, "the same with its evidence"),
    Column("runs", WHOLE, "trainings: one a fold and seed"),
    Column("seconds", REAL, "of training, all runs together"),
    Column("started_at", MOMENT, "UTC"),
    Column("finished_at", MOMENT, "UTC"),
)
"""Followed by one `params_<name>` column for each hyperparameter of the study, as in Optuna's `trials_dataframe`."""

RUNS = (
    Column("stage", TEXT, "stage with its attempt"),
    Column("trial", WHOLE, "number of the trial"),
    Column("run", WHOLE, "key of the run in the database"),
    Column("fold", WHOLE, "from 0"),
    Column("seed", WHOLE, "of weights, batches and dropout"),
    Column("purpose", TEXT, "search, noise, proof, squeeze or longer"),
    Column("state", TEXT, "queued, running, done, stopped, diverged or failed"),
    Column("epochs", WHOLE, "epochs asked for"),
    Column("epochs_trained", WHOLE, "epochs trained"),
    Column("best_epoch", WHOLE, "the epoch whose weights are kept, from 1"),
    *_SCORES,
    Column("seconds", REAL, "of training"),
    Column("engine", TEXT, "what trained it"),
    Column("device", TEXT, "where"),
    Column("worker_id", TEXT, "the process that trained it, or is training it"),
    Column("error", TEXT, "why it failed, where it did"),
)

CURVES = (
    Column("stage", TEXT, "stage with its attempt"),
    Column("trial", WHOLE, "number of the trial"),
    Column("run", WHOLE, "key of the run in the database"),
    Column("fold", WHOLE, "from 0"),
    Column("seed", WHOLE, "of the run"),
    Column("epoch", WHOLE, "from 1"),
    *_SCORES,
    Column("learning_rate", REAL, "of the epoch's last step"),
    Column("gradient_norm", REAL, "of the gradient over all trainable weights: root mean square over the steps"),
)

LAYER_HEALTH = (
    Column("stage", TEXT, "stage with its attempt"),
    Column("trial", WHOLE, "number of the trial"),
    Column("run", WHOLE, "key of the run in the database"),
    Column("fold", WHOLE, "from 0"),
    Column("seed", WHOLE, "of the run"),
    Column("epoch", WHOLE, "0 with the first weights, then 1, and the epoch whose weights are kept"),
    Column("layer", TEXT, "hidden 1, hidden 2, ..., output"),
    Column("weight_norm", REAL, "of the kernel"),
    Column("update_ratio", REAL, "how far the first epoch moved the kernel, as a share of its norm; missing elsewhere"),
    Column("gradient_norm", REAL, "of the unpenalised loss with respect to the kernel, on a few rows"),
    Column("activation_mean", REAL, "over rows and units"),
    Column("activation_deviation", REAL, "the same"),
    Column("dead_share", REAL, "units that are zero on every row"),
    Column("saturated_share", REAL, "activations in the flat ends of tanh or sigmoid"),
    Column("alike_share", REAL, "units with the same incoming weights, to one part in a thousand"),
)

CHECKS = (
    Column("stage", TEXT, "stage with its attempt"),
    Column("position", WHOLE, "order in the stage"),
    Column("check", TEXT, "name"),
    Column("status", TEXT, "passed, warning or failed"),
    Column("expected", TEXT, "what was expected"),
    Column("seen", TEXT, "what was seen"),
    Column("sentence", TEXT, "what it means"),
)

SCORES = (
    Column("look", WHOLE, "how many times the test rows of this data have been opened, this time included"),
    Column("opened_at", MOMENT, "UTC"),
    Column("model", TEXT, "prior, linear, boosted_trees, small_network or final"),
    Column("metric", TEXT, "what is measured on the test rows"),
    Column("value", REAL, "the score"),
    Column("low", REAL, "lower end of its 95 % bootstrap interval"),
    Column("high", REAL, "upper end"),
    Column("rows", WHOLE, "test rows"),
)

FIGURES = (
    Column("stage", TEXT, "stage with its attempt"),
    Column("name", TEXT, "what the number is"),
    Column("value", REAL, "a number that the stage's verdict rests on"),
)

PARAMS = (
    Column("stage", TEXT, "stage with its attempt"),
    Column("trial", WHOLE, "number of the trial"),
    Column("name", TEXT, "hyperparameter"),
    Column("value", "object", "its value: a number or a text"),
    Column("varied", FLAG, "whether the stage's search chose it"),
)

IMPORTANCE = (
    Column("stage", TEXT, "stage with its attempt"),
    Column("name", TEXT, "hyperparameter"),
    Column("other", TEXT, "the one it interacts with; missing where it is looked at by itself"),
    Column("share", REAL, "of the variance of the trials' ranks, explained by itself, or by the interaction"),
    Column("low", REAL, "lower end of the share's 90 % interval"),
    Column("high", REAL, "upper end"),
    Column("total", REAL, "share with all its interactions; missing for an interaction"),
    Column("fixed", "object", "the value at which the next stage holds it, where it hardly matters"),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "studies": STUDIES, "stages": STAGES, "trials": TRIALS, "runs": RUNS, "curves": CURVES,
    "layer_health": LAYER_HEALTH, "checks": CHECKS, "scores": SCORES, "figures": FIGURES, "params": PARAMS,
    "importance": IMPORTANCE,
}  # fmt: skip
"""Every table of `hpo.open(...)` by the name of its method."""
