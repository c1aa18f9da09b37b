// Hides values in JSON text and leaves every other byte as it was: numbers keep their digits, keys their order.

/** Strings, punctuation, and what is left: numbers, words, white space. Sticky, so that nothing is skipped. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^"{}[\],:\s]+|\s+/gy;

/** What stands in place of a value. */
export const HIDDEN = '"[redacted]"';

/**
 * Puts HIDDEN in place of the value of each key in `keys`, at any depth.
 *
 * @param {string} text JSON
 * @param {Set<string>} keys
 * @returns {{ text: string, count: number }} the new text, and how many values were hidden
 * @throws {SyntaxError} if `text` is not JSON
 */
export function redact(text, keys) {
  // Tells whether it is JSON, so that what follows need not be prepared for anything else.
  JSON.parse(text);
  const out = [];
  let count = 0;
  // The last string, which is a key if a colon follows.
  let last = "";
  // Depth within a value that is being hidden; -1 outside of one.
  let hiding = -1;
  // A value begins after the colon of such a key, with the first token that is not white space.
  let pending = false;
  for (const [token] of text.matchAll(TOKEN)) {
    const isSpace = token.trim() === "";
    if (hiding > 0) {
      if (token === "{" || token === "[") hiding += 1;
      if (token === "}" || token === "]") hiding -= 1;
      if (hiding === 0) hiding = -1;
      continue;
    }
    if (pending && !isSpace) {
      pending = false;
      count += 1;
      out.push(HIDDEN);
      if (token === "{" || token === "[") hiding = 1;
      continue;
    }
    // Keys may be written with escapes ("p\u0061ssword"), and mean the same.
    if (token === ":") pending = keys.has(JSON.parse(last));
    if (token[0] === '"') last = token;
    out.push(token);
  }
  return { text: out.join(""), count };
}
