// Letters of mathematical alphabets in Unicode. Pure.

const BEGINS = {
  bold: [0x1d400, 0x1d41a, 0x1d7ce],
  italic: [0x1d434, 0x1d44e, null],
  "bold-italic": [0x1d468, 0x1d482, 0x1d7ce],
  script: [0x1d49c, 0x1d4b6, null],
  fraktur: [0x1d504, 0x1d51e, null],
  "double-struck": [0x1d538, 0x1d552, 0x1d7d8],
  "sans-serif": [0x1d5a0, 0x1d5ba, 0x1d7e2],
  monospace: [0x1d670, 0x1d68a, 0x1d7f6],
};
// Those that Unicode had before it had the alphabets.
const OTHERS = {
  script: {
    B: "ℬ",
    E: "ℰ",
    F: "ℱ",
    H: "ℋ",
    I: "ℐ",
    L: "ℒ",
    M: "ℳ",
    R: "ℛ",
    e: "ℯ",
    g: "ℊ",
    o: "ℴ",
  },
  fraktur: { C: "ℭ", H: "ℌ", I: "ℑ", R: "ℜ", Z: "ℨ" },
  "double-struck": { C: "ℂ", H: "ℍ", N: "ℕ", P: "ℙ", Q: "ℚ", R: "ℝ", Z: "ℤ" },
  italic: { h: "ℎ" },
};

// The text in a font of `BEGINS`; other characters and fonts stay.
export function lettersOf(text, font) {
  const begins = BEGINS[font];
  if (!begins) return text;
  return [...text].map((char) => OTHERS[font]?.[char] ?? shifted(char, begins)).join("");
}

function shifted(char, [upper, lower, digit]) {
  const code = char.codePointAt(0);
  const from = (begin, first) => String.fromCodePoint(begin + code - first.codePointAt(0));
  if (/^[A-Z]$/.test(char)) return from(upper, "A");
  if (/^[a-z]$/.test(char)) return from(lower, "a");
  return digit !== null && /^\d$/.test(char) ? from(digit, "0") : char;
}
