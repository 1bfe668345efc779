"""Optuna proposes: spaces become distributions, and ask-and-tell works from memory on values alone."""

from hpo.search.importance import importances
from hpo.search.optuna_study import create_optuna_study
from hpo.search.search import Search
from hpo.search.values import Param, PastTrial, Proposal, Told, TrialState

__all__ = ["Param", "PastTrial", "Proposal", "Search", "Told", "TrialState", "create_optuna_study", "importances"]
