// Languages as data: how comments and texts are written, and which words are the language's. Pure.

const C_WORDS =
  "auto bool break case char class const constexpr continue default delete do double else enum" +
  " explicit extern false final float for friend goto if inline int long namespace new noexcept" +
  " nullptr operator override private protected public return short signed sizeof static struct" +
  " switch template this throw true try typedef typename union unsigned using virtual void while";
const JS_WORDS =
  "as async await break case catch class const continue debugger default delete do else enum" +
  " export extends false finally for from function if implements import in instanceof interface" +
  " let new null of private protected public readonly return static super switch this throw true" +
  " try type typeof undefined var void while yield";
const JAVA_WORDS =
  "abstract async await base boolean break case catch char class const continue data def" +
  " default do double else enum extends false final finally float for foreach fun if implements" +
  " import in instanceof int interface internal is lateinit let long namespace new null object" +
  " out override package private protected public readonly record return sealed short static" +
  " string struct super switch this throw throws true try using val var virtual void when while" +
  " yield";
const RUST_WORDS =
  "as async await break const continue crate dyn else enum extern false fn for if impl in let" +
  " loop match mod move mut pub ref return self Self static struct super trait true type unsafe" +
  " use where while";
const GO_WORDS =
  "break case chan const continue default defer else fallthrough false for func go goto if" +
  " import interface iota map nil package range return select struct switch true type var";
const PYTHON_WORDS =
  "and as assert async await break case class continue def del elif else except False finally" +
  " for from global if import in is lambda match None nonlocal not or pass raise return self" +
  " True try while with yield";
const RUBY_WORDS =
  "alias and begin break case class def do else elsif end ensure false for if in module next" +
  " nil not or redo require rescue retry return self super then true undef unless until when" +
  " while yield local function repeat";
const SHELL_WORDS =
  "case cd do done echo elif else esac exit export fi for function if in local read return set" +
  " shift source then trap unset until while";
const SQL_WORDS =
  "add all alter and as asc begin between by case commit create cross delete desc distinct drop" +
  " else end exists foreign from full group having if in index inner insert into is join key" +
  " left like limit not null offset on or order outer primary references right rollback select" +
  " set table then union unique update values view when where with";

const SLASHES = ["\\/\\/[^\\n]*", "\\/\\*[^]*?(?:\\*\\/|$)"];
const HASH = ["#[^\\n]*"];
const TEXTS = ['"(?:[^"\\\\\\n]|\\\\[^])*"?', "'(?:[^'\\\\\\n]|\\\\[^])*'?"];
const TICKS = ["`(?:[^`\\\\]|\\\\[^])*`?"];
const TRIPLES = ['"""[^]*?(?:"""|$)', "'''[^]*?(?:'''|$)"];

const family = (names, comments, texts, words, more = {}) => ({
  names: names.split(" "),
  comments,
  texts,
  words,
  ...more,
});

export const FAMILIES = [
  family("c cpp c++ cc h hpp cuda glsl", [...SLASHES, "#[a-z]+"], TEXTS, C_WORDS),
  family("js javascript jsx mjs ts tsx typescript", SLASHES, [...TICKS, ...TEXTS], JS_WORDS),
  family("java kotlin kt cs csharp c# scala swift dart groovy php", SLASHES, TEXTS, JAVA_WORDS),
  family("rust rs", SLASHES, ['"(?:[^"\\\\]|\\\\[^])*"?'], RUST_WORDS),
  family("go golang", SLASHES, [...TICKS, ...TEXTS], GO_WORDS),
  family("python py python3", HASH, [...TRIPLES, ...TEXTS], PYTHON_WORDS),
  family("ruby rb lua", [...HASH, "--[^\\n]*"], TEXTS, RUBY_WORDS),
  family("bash sh shell zsh console dockerfile makefile make", HASH, TEXTS, SHELL_WORDS),
  family("sql postgresql mysql sqlite", ["--[^\\n]*", SLASHES[1]], TEXTS, SQL_WORDS, {
    ignoresCase: true,
  }),
  family("json jsonc json5", SLASHES, TEXTS, "true false null"),
  family("yaml yml toml ini conf properties", [...HASH, ";[^\\n]*"], TEXTS, "true false null"),
  family("css scss less", SLASHES, TEXTS, ""),
  family("html xml svg vue", ["<!--[^]*?(?:-->|$)"], TEXTS, "", { marks: "<\\/?[\\w:-]+|\\/?>" }),
];
