"""Passwords in URLs are blotted out, and nothing else is."""

import pytest

from hpo.errors import Fault, InputError, Problem
from hpo.hiding import hidden

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://u:{SECRET}@h:5432/db", "postgresql://u:***@h:5432/db"),
        (f"postgresql+psycopg://u:{SECRET}%40x@h/db?sslmode=require", "postgresql+psycopg://u:***@h/db?sslmode=require"),
        (f"mariadb://u:a:{SECRET}/@{SECRET}@h/db", "mariadb://u:***@h/db"),
        (f"mariadb://:{SECRET}@h/db", "mariadb://:***@h/db"),
        (f"postgresql:///db?host=/tmp&user=u&password={SECRET}&x=1", "postgresql:///db?host=/tmp&user=u&password=***&x=1"),
        (f"mysql://u@h/db?ssl_key_password={SECRET}", "mysql://u@h/db?ssl_key_password=***"),
        (f"https://{SECRET}@raw.host/a.csv", "https://***@raw.host/a.csv"),
        (f"https://h/a.csv?X-Amz-Signature={SECRET}&id=5", "https://h/a.csv?X-Amz-Signature=***&id=5"),
        (f"https://h/a.csv?sp=r&sig={SECRET}", "https://h/a.csv?sp=r&sig=***"),
        (f"s3://key:{SECRET}@bucket/folder", "s3://key:***@bucket/folder"),
        (f"could not open 'ftp://u:{SECRET}@h/a', nor b", "could not open 'ftp://u:***@h/a', nor b"),
        (f"a http://u:{SECRET}@h/1\nb http://v:{SECRET}@h/2", "a http://u:***@h/1\nb http://v:***@h/2"),
    ],
)  # fmt: skip
def test_secrets_go_and_the_rest_stays(url: str, shown: str) -> None:
    assert hidden(url) == shown
    assert hidden(shown) == shown


@pytest.mark.parametrize("text", [
    "sqlite:///hpo.db", "sqlite:////data/a:b@c.db", "postgresql://user@host:5432/hpo", "https://h:8080/a.csv?id=5&design=2",
    "sklearn:digits", "shop:rows", "data-dir:adult.csv", "mail me@home: at once", "",
])  # fmt: skip
def test_what_holds_none_stays_as_it_is(text: str) -> None:
    assert hidden(text) == text


def test_no_error_of_ours_tells_one() -> None:
    url = f"s3://key:{SECRET}@bucket"
    for error in (Fault(f"{url}: gone"), InputError(Problem(url, "", "another", url, f"Not {url}."))):
        assert SECRET not in str(error)
        assert "s3://key:***@bucket" in str(error)
