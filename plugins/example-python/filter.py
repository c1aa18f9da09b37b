"""What becomes of one exchange. The contract's interface `filter` gives this file its name."""

from typing import Optional

from links import Links, Refused
from wit_world.exports.filter import Exchange as Contract
from wit_world.imports import clock
from wit_world.imports.types import (
    BodyEnd,
    Edits,
    Field,
    FieldEdit_Set,
    RequestHead,
    Response,
    ResponseHead,
    Summary,
    Verdict,
    Verdict_Continue,
    Verdict_Edit,
    Verdict_Respond,
)


class Exchange(Contract):
    # Set by `configure`, before there is any exchange.
    links: Links

    def __init__(self) -> None:
        # Seconds that the link has left; None if it was refused, or has not been seen.
        self.left: Optional[int] = None

    def request_head(self, head: RequestHead) -> Verdict:
        try:
            target, self.left = self.links.check(head.target, clock.now() / 1e9)
        except Refused as why:
            fields = [Field("content-type", b"text/plain"), Field("cache-control", b"no-store")]
            return Verdict_Respond(Response(403, fields, f"{why}\n".encode()))
        return edit(target=target)

    def response_head(self, head: ResponseHead) -> Verdict:
        if self.left is None:
            return Verdict_Continue()
        # Whoever keeps it must not keep it for longer than the link lives, nor show it to somebody else.
        field = Field("cache-control", f"private, max-age={self.left}".encode())
        return edit(fields=[FieldEdit_Set(field)])

    # The rest is not wanted, and part of the contract.

    def request_body(self, data: bytes, end: Optional[BodyEnd]) -> Verdict:
        return Verdict_Continue()

    def response_body(self, data: bytes, end: Optional[BodyEnd]) -> Verdict:
        return Verdict_Continue()

    def log(self, summary: Summary) -> None:
        pass


def edit(fields: Optional[list[FieldEdit_Set]] = None, target: Optional[str] = None) -> Verdict:
    return Verdict_Edit(Edits(fields=fields or [], target=target, status=None, data=None, trailers=None))
