"""Data: from a source to encoded, divided and described rows."""

from hpo.data.checks import checks
from hpo.data.dataset import Dataset, TestRows
from hpo.data.describe import DataDescription
from hpo.data.load import load
from hpo.data.summary import describe_file, summary_lines

__all__ = ["DataDescription", "Dataset", "TestRows", "checks", "describe_file", "load", "summary_lines"]
