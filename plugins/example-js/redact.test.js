import assert from "node:assert/strict";
import { test } from "node:test";

import { redact } from "./redact.js";

const keys = new Set(["password", "card"]);

test("values of any kind are hidden, at any depth", () => {
  const before = '{"a": [{"password": "x"}, {"card": {"n": [1, {"m": 2}]}, "b": 1}], "password":null}';
  const after = '{"a": [{"password": "[redacted]"}, {"card": "[redacted]", "b": 1}], "password":"[redacted]"}';
  assert.deepEqual(redact(before, keys), { text: after, count: 3 });
});

test("everything else keeps its bytes", () => {
  const text = ' {"n": 12345678901234567890.10, "s": "\\u00e9 \\"card\\": 1", "e": [ ], "passwords": 1e5}\n';
  assert.deepEqual(redact(text, keys), { text, count: 0 });
});

test("a key is known by what it means, not by how it is written", () => {
  assert.equal(redact('{"p\\u0061ssword" : 1}', keys).text, '{"p\\u0061ssword" : "[redacted]"}');
});

test("strings that are values are no keys", () => {
  const text = '["card", "password", {"a": "card"}]';
  assert.deepEqual(redact(text, keys), { text, count: 0 });
});

test("a hidden value may contain what looks like a key", () => {
  assert.deepEqual(redact('{"card":{"card":1},"a":{}}', keys), { text: '{"card":"[redacted]","a":{}}', count: 1 });
});

test("what is not JSON is refused", () => {
  for (const text of ["", "{", '{"card":}', "card: 1"]) assert.throws(() => redact(text, keys), SyntaxError);
});
