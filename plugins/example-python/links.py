"""Signed links: a path, the time when it ends, and a signature over both."""

import hashlib
import hmac
import re

_SIGNED = re.compile(r"(?P<rest>.*)[?&]expires=(?P<expires>[0-9]{1,12})&signature=(?P<signature>[0-9a-f]{64})", re.DOTALL)

# Modules that are loaded at first use have to be used while there are files: what this file does is done when the component is made.
hmac.new(b"", b"", hashlib.sha256)


class Refused(Exception):
    """A link that may not be used, with the reason for the client."""


class Links:
    """Checks links, and makes them.

    A link is a target with two parameters more: `expires` is the second since 1970 at which it ends, `signature` the
    HMAC-SHA256 in hexadecimal digits of the target without `signature`, as the client writes it:
    `/files/a.iso?expires=1764000000`.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, target: str, expires: int) -> str:
        """`target` with the parameters added: what the application behind the proxy hands out."""
        separator = "&" if "?" in target else "?"
        target = f"{target}{separator}expires={expires}"
        return f"{target}&signature={self._signature(target)}"

    def check(self, target: str, now: float) -> tuple[str, int]:
        """The target without the two parameters, and the seconds that the link has left.

        Raises `Refused`.
        """
        link = _SIGNED.fullmatch(target)
        if link is None:
            raise Refused("This link is not signed.")
        # In constant time, so that nobody can find the signature digit by digit.
        wanted = self._signature(target[: link.end("expires")])
        if not hmac.compare_digest(wanted, link["signature"]):
            raise Refused("The signature of this link is wrong.")
        left = int(link["expires"]) - now
        if left <= 0:
            raise Refused("This link has expired.")
        return link["rest"], int(left)

    def _signature(self, target: str) -> str:
        return hmac.new(self._secret, target.encode(), hashlib.sha256).hexdigest()
