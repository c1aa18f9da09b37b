// {{description}}.

let greeting;

const encoder = new TextEncoder();

/** Gets the plugin's table as JSON. What it throws is what the operator reads. */
function configure(config) {
  const { greeting: wanted = "hello", ...unknown } = JSON.parse(config);
  for (const name in unknown) throw `unknown key \`${name}\`; there is \`greeting\``;
  if (typeof wanted !== "string" || !/^[^\r\n\0]+$/.test(wanted)) {
    throw '`greeting` is one line of text, such as "hello"';
  }
  greeting = wanted;
  return {
    phases: { requestHead: true },
    requestBody: { tag: "none" },
    responseBody: { tag: "none" },
  };
}

const CONTINUE = { tag: "continue" };

/** One exchange: a request with its response. */
class Exchange {
  requestHead(head) {
    const field = { name: "{{field}}", value: encoder.encode(greeting) };
    return { tag: "edit", val: { fields: [{ tag: "set", val: field }] } };
  }

  // Phases that `configure` does not declare never come, and are part of the contract.

  requestBody(data, end) {
    return CONTINUE;
  }

  responseHead(head) {
    return CONTINUE;
  }

  responseBody(data, end) {
    return CONTINUE;
  }

  log(summary) {}
}

export const filter = { configure, Exchange };
