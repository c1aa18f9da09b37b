// Hides the values of some keys in JSON on its way to the client: what a backend should not have sent, until it is mended.

import { count } from "portcullis:filter/metrics@0.1.0";

import { redact } from "./redact.js";

/** Set by `configure`, before there is any exchange. */
let keys;

const decoder = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

const CONTINUE = { tag: "continue" };

/** Reads `{"keys": ["password", ...], "limit": bytes}`. What it throws is what the operator reads. */
function configure(config) {
  const { keys: wanted, limit = 1 << 20, ...unknown } = JSON.parse(config);
  for (const name in unknown) throw `unknown key \`${name}\`; there are \`keys\` and \`limit\``;
  if (!Array.isArray(wanted) || wanted.length === 0 || !wanted.every((key) => typeof key === "string")) {
    throw '`keys` is missing: write the keys to hide, as keys = ["password", "card_number"]';
  }
  if (!Number.isInteger(limit) || limit < 1 || limit > 16 << 20) {
    throw "`limit` is a number of bytes from 1 to 16777216";
  }
  keys = new Set(wanted);
  return {
    phases: { requestHead: true, responseHead: true },
    requestBody: { tag: "none" },
    // What is too long to be read is not sent at all: it would pass with everything in it.
    responseBody: { tag: "hold", val: { limit: BigInt(limit), atLimit: "refuse" } },
  };
}

class Exchange {
  #isJson = false;

  requestHead() {
    // A compressed response could not be read.
    return edit({ fields: [set("accept-encoding", "identity")] });
  }

  responseHead(head) {
    this.#isJson = /^application\/(?:[^;\s]+\+)?json\s*(?:;|$)/i.test(valueOf(head, "content-type"));
    const coding = valueOf(head, "content-encoding");
    if (this.#isJson && !/^(?:identity)?$/i.test(coding)) return refuse(`it is ${coding}, which was not asked for`);
    return CONTINUE;
  }

  responseBody(data, end) {
    // A response to HEAD, 204 and 304 have none.
    if (!this.#isJson || data.length === 0 || end.tag !== "complete") return CONTINUE;
    let redacted;
    try {
      redacted = redact(decoder.decode(data), keys);
    } catch (error) {
      return refuse(error.message);
    }
    if (redacted.count === 0) return CONTINUE;
    count("values_redacted", BigInt(redacted.count));
    return edit({ data: encoder.encode(redacted.text) });
  }

  // Neither is wanted, and both are part of the contract.
  requestBody() {
    return CONTINUE;
  }

  log() {}
}

/** The value of a field that comes once, or nothing. */
function valueOf(head, name) {
  const field = head.fields.find((field) => field.name === name);
  return field === undefined ? "" : String.fromCharCode(...field.value);
}

const set = (name, value) => ({ tag: "set", val: { name, value: encoder.encode(value) } });

const edit = (edits) => ({ tag: "edit", val: { fields: [], ...edits } });

/** What says that it is JSON and cannot be read may have anything in it. */
function refuse(why) {
  const body = encoder.encode(`The response says that it is JSON and cannot be read: ${why}\n`);
  const fields = [{ name: "content-type", value: encoder.encode("text/plain") }];
  return { tag: "respond", val: { status: 502, fields, body } };
}

export const filter = { configure, Exchange };
