"""{{description}}: how it is configured."""

import json

from componentize_py_types import Err
from filter import Exchange
from wit_world import exports
from wit_world.exports.filter import BodyMode_None_, Declaration, Phases


class Filter(exports.Filter):
    def configure(self, config: str) -> Declaration:
        """Gets the plugin's table as JSON. The text of an `Err` is what the operator reads."""
        table = json.loads(config)
        greeting = table.pop("greeting", "hello")
        if table:
            raise Err(f"unknown key `{next(iter(table))}`; there is `greeting`")
        if not isinstance(greeting, str) or not greeting or any(c in greeting for c in "\r\n\0"):
            raise Err('`greeting` is one line of text, such as "hello"')
        Exchange.greeting = greeting
        return Declaration(Phases.REQUEST_HEAD, BodyMode_None_(), BodyMode_None_())
