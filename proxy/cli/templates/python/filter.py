"""What becomes of one exchange. The contract's interface `filter` gives this file its name."""

from typing import Optional

from wit_world.exports.filter import Exchange as Contract
from wit_world.imports.types import (
    BodyEnd,
    Edits,
    Field,
    FieldEdit_Set,
    RequestHead,
    ResponseHead,
    Summary,
    Verdict,
    Verdict_Continue,
    Verdict_Edit,
)


class Exchange(Contract):
    # Set by `configure`, before there is any exchange.
    greeting: str

    def __init__(self) -> None:
        # What is kept from one phase to the next: nothing yet.
        pass

    def request_head(self, head: RequestHead) -> Verdict:
        field = Field("{{field}}", self.greeting.encode())
        return Verdict_Edit(Edits(fields=[FieldEdit_Set(field)], target=None, status=None, data=None, trailers=None))

    # Phases that `configure` does not declare never come, and are part of the contract.

    def request_body(self, data: bytes, end: Optional[BodyEnd]) -> Verdict:
        return Verdict_Continue()

    def response_head(self, head: ResponseHead) -> Verdict:
        return Verdict_Continue()

    def response_body(self, data: bytes, end: Optional[BodyEnd]) -> Verdict:
        return Verdict_Continue()

    def log(self, summary: Summary) -> None:
        pass
