"""Passwords in URLs: blotted out wherever a URL is shown.

Rather too much than too little: a password may hold any character, and a text is seldom only a URL.
"""

import re

_BLOT = "***"
_LOGIN = re.compile(r"(://[^\s:/@]*):\S*@")
"""`://user:password@`, to the last @, since passwords are seldom encoded as they should be."""
_TOKEN = re.compile(r"(?<=https://)[^\s:/@]+@|(?<=http://)[^\s:/@]+@")
"""A lone name before a web address is a token; before a database's it is the user."""
_OPTION = re.compile(r"([?&](?:[\w.-]*(?:pass|secret|token|signature|key|credential)[\w.-]*|sig)=)[^\s&#'\"]*", re.I)


def hidden(text: str) -> str:
    """A URL, or a text with URLs in it, without passwords, tokens and signatures. Twice is as once."""
    return _OPTION.sub(rf"\1{_BLOT}", _TOKEN.sub(f"{_BLOT}@", _LOGIN.sub(rf"\1:{_BLOT}@", text)))
