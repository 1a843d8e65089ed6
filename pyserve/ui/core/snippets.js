// A request as a curl line and as a program in Python. Pure.

// path: below /v1, such as `chat/completions`. hasKey: the server wants one.
export function curlOf(url, path, body, hasKey) {
  const json = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  const key = hasKey ? ' \\\n  -H "Authorization: Bearer $PYSERVE_API_KEY"' : "";
  return `curl ${url}/${path} \\\n  -H "Content-Type: application/json"${key} \\\n  -d '${json}'`;
}

// Fields that the openai package takes by name; others go to `extra_body`.
const KNOWN = new Set(
  (
    "model messages temperature top_p max_tokens max_completion_tokens stop seed n presence_penalty" +
    " frequency_penalty logit_bias logprobs top_logprobs response_format tools tool_choice prompt" +
    " suffix reasoning_effort"
  ).split(" "),
);
const CALLS = { "chat/completions": "chat.completions", completions: "completions" };

export function pythonOf(url, path, body, hasKey) {
  if (!CALLS[path]) return requestsOf(url, path, body, hasKey);
  const own = Object.entries(body).filter(([name]) => KNOWN.has(name));
  const others = Object.entries(body).filter(([name]) => !KNOWN.has(name));
  const lines = own.map(([name, value]) => `    ${name}=${pythonValue(value, 1)},`);
  if (others.length) lines.push(`    extra_body=${pythonValue(Object.fromEntries(others), 1)},`);
  const text = path === "completions" ? "text" : "message.content";
  return [
    ...(hasKey ? ["import os", ""] : []),
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${quoted(url)}, api_key=${keyOf(hasKey)})`,
    `answer = client.${CALLS[path]}.create(`,
    ...lines,
    ")",
    `print(answer.choices[0].${text})`,
    "",
  ].join("\n");
}

function requestsOf(url, path, body, hasKey) {
  const header = hasKey ? `    headers={"Authorization": "Bearer " + ${keyOf(true)}},` : null;
  return [
    ...(hasKey ? ["import os", ""] : []),
    "import httpx",
    "",
    "answer = httpx.post(",
    `    ${quoted(`${url}/${path}`)},`,
    ...(header ? [header] : []),
    `    json=${pythonValue(body, 1)},`,
    "    timeout=None,",
    ")",
    "print(answer.json())",
    "",
  ].join("\n");
}

function keyOf(hasKey) {
  return hasKey ? 'os.environ["PYSERVE_API_KEY"]' : '"none"';
}

// Python reads JSON's strings as they are.
const quoted = (text) => JSON.stringify(text);

// A value of JSON as Python writes it.
export function pythonValue(value, depth = 0) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return quoted(value);
  if (typeof value !== "object") return String(value);
  const inner = "    ".repeat(depth + 1);
  const isList = Array.isArray(value);
  const items = isList
    ? value.map((one) => pythonValue(one, depth + 1))
    : Object.entries(value).map(([name, one]) => `${quoted(name)}: ${pythonValue(one, depth + 1)}`);
  const [open, close] = isList ? "[]" : "{}";
  if (items.length === 0) return open + close;
  return `${open}\n${items.map((item) => `${inner}${item},\n`).join("")}${"    ".repeat(depth)}${close}`;
}
