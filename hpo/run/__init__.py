"""Running studies: `launch` leads one, `work` trains for one, `export_bundle` gives out what one made."""

from hpo.run.bundles import export_bundle_of as export_bundle
from hpo.run.joining import work
from hpo.run.launch import launch

__all__ = ["export_bundle", "launch", "work"]
