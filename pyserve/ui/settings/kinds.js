// Which control a field has, and the value of what was typed into it. Pure.

function choicesOf(schema) {
  const choices = schema.anyOf ?? schema.oneOf ?? [schema];
  return choices
    .filter(({ type }) => type !== "null")
    .flatMap((one) => {
      return one.anyOf || one.oneOf ? choicesOf(one) : [one];
    });
}

// {kind, minimum, maximum, values} of a schema. kind: number, integer, boolean, choice (of values; an
// object in their place is left out), text, lines (a text on each line) or json.
export function kindOf(schema) {
  const choices = choicesOf(schema);
  const of = (type) => choices.find((one) => one.type === type && !one.enum);
  const number = of("number") ?? of("integer");
  if (number && choices.length === 1) {
    const minimum = number.minimum ?? number.exclusiveMinimum;
    return { kind: number.type, minimum, maximum: number.maximum };
  }
  if (of("boolean") && choices.length === 1) return { kind: "boolean" };
  const listed = choices.flatMap((one) => one.enum ?? []);
  const isListed = ({ enum: values, type, $ref }) => values || type === "boolean" || $ref;
  if (listed.length && choices.every(isListed)) {
    return { kind: "choice", values: [...(of("boolean") ? [true, false] : []), ...listed] };
  }
  const list = of("array");
  const others = choices.filter((one) => one !== list);
  const isOfTexts = list?.items?.type === "string" && others.every(({ type }) => type === "string");
  if (isOfTexts) return { kind: "lines" };
  return { kind: of("string") && !of("object") && !list ? "text" : "json" };
}

// The value of a text; undefined if it is empty. Throws an Error that says what is wrong.
export function valueOf({ kind, minimum, maximum, values }, text) {
  if (text.trim() === "") return undefined;
  if (kind === "lines")
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map(unescaped);
  if (kind === "text") return text;
  if (kind === "choice") return values.find((value) => String(value) === text);
  if (kind === "boolean") return text === "true";
  if (kind === "json") return parsedJson(text);
  const value = Number(text);
  if (Number.isNaN(value)) throw new Error("This must be a number.");
  if (kind === "integer" && !Number.isInteger(value))
    throw new Error("This must be a whole number.");
  if (minimum !== undefined && value < minimum)
    throw new Error(`This must be at least ${minimum}.`);
  if (maximum !== undefined && value > maximum) throw new Error(`This must be at most ${maximum}.`);
  return value;
}

// The text that shows a value; the other way round.
export function textOf({ kind }, value) {
  if (value === undefined || value === null) return "";
  if (kind === "lines") return [value].flat().map(escaped).join("\n");
  return kind === "json" ? JSON.stringify(value) : String(value);
}

// JSON, or an Error that says where it is none.
export function parsedJson(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`This is no JSON: ${error.message}`);
  }
}

function unescaped(line) {
  return line.replace(/\\([nt\\])/g, (_, char) => ({ n: "\n", t: "\t", "\\": "\\" })[char]);
}

function escaped(text) {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\t", "\\t");
}
