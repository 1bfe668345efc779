"""What the tests of training share: processes that run beside them."""

from collections.abc import Iterator

import pytest
from processes_support import PROCESSES, Beside


@pytest.fixture(scope="session", autouse=True)
def beside(request: pytest.FixtureRequest) -> Iterator[Beside]:
    """The processes of the selected tests, started before the first of all tests here."""
    made = Beside()
    selected = {item.name for item in request.session.items}
    for name in PROCESSES:
        if name in selected:
            made.start(name)
    yield made
    made.stop()
