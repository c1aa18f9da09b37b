"""Lets only links through that carry a valid signature and have not expired: how it is configured."""

import json

from componentize_py_types import Err
from filter import Exchange
from links import Links
from wit_world import exports
from wit_world.exports.filter import BodyMode_None_, Declaration, Phases

# Bytes; what is shorter can be guessed.
SECRET_MIN = 16


class Filter(exports.Filter):
    def configure(self, config: str) -> Declaration:
        """Reads `{"secret": "..."}`. The text of an `Err` is what the operator reads."""
        table = json.loads(config)
        secret = table.pop("secret", None)
        if table:
            raise Err(f"unknown key `{next(iter(table))}`; there is `secret`")
        if not isinstance(secret, str) or len(secret.encode()) < SECRET_MIN:
            raise Err(f"`secret` is missing or has fewer than {SECRET_MIN} bytes: make one with `openssl rand -hex 32`")
        Exchange.links = Links(secret.encode())
        return Declaration(Phases.REQUEST_HEAD | Phases.RESPONSE_HEAD, BodyMode_None_(), BodyMode_None_())
