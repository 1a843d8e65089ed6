from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyserve.models.templates.go.errors import TemplateError
from pyserve.models.templates.go.evaluator import render
from pyserve.models.templates.go.marked import Marked, joined, user_text
from pyserve.models.templates.go.parser import parse

DATA: dict[str, Any] = {
    "Input": "in",
    "Empty": "",
    "N": 3,
    "L": ["a", "b", "c"],
    "M": {"k": "v", "a": {"b": [1, 2]}},
    "T": True,
    "Calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    "Functions": [{"name": "f", "description": "d", "parameters": {"type": "object"}}],
}

JSON = '[{"name":"f","description":"d","parameters":{"type":"object"}}]'


def run(source: str, data: dict[str, Any] | None = None) -> Marked:
    return render(parse("test", source), DATA if data is None else data)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        ("{{.Input}}", "in"),
        ("{{ .Input }}", "in"),
        ("{{.M.k}} {{.M.a.b}}", "v [1 2]"),
        ("{{.Missing}}{{.Missing.More}}", ""),
        ("{{.N}} {{.T}} {{1.5}} {{.M.a}}", "3 true 1.5 map[b:[1 2]]"),
        # white space
        ("a \n {{- .Input -}} \n b", "ainb"),
        ("a {{.Input -}} b", "a inb"),
        ("a{{- /* note */ -}} b", "ab"),
        ("a {{/* two\nlines */}} b", "a  b"),
        ("{{-3}}", "-3"),
        # conditions
        ("{{if .T}}y{{else}}n{{end}}", "y"),
        ("{{if .Empty}}y{{else}}n{{end}}", "n"),
        ("{{if .Empty}}1{{else if eq .N 3}}2{{else}}3{{end}}", "2"),
        ("{{if eq .Input `x` `in`}}y{{end}}", "y"),
        ("{{if and .T (not .Empty) (ne .N 4)}}y{{end}}", "y"),
        ("{{if or .Empty .Missing}}y{{else}}n{{end}}", "n"),
        ("{{and .T .Input}}{{or .Empty `z`}}", "inz"),
        ("{{and .Empty (index .L 99)}}", ""),
        ("{{if and (lt .N 4) (le 3 .N) (gt .N 2) (ge .N 3)}}y{{end}}", "y"),
        ("{{if eq .N `3`}}y{{else}}n{{end}}", "n"),
        # loops
        ("{{range .L}}{{.}};{{end}}", "a;b;c;"),
        ("{{range $i, $e := .L}}{{$i}}{{$e}}{{end}}", "0a1b2c"),
        ("{{range $e := .L}}{{$e}}{{$.N}}{{end}}", "a3b3c3"),
        ("{{range .Empty}}x{{else}}none{{end}}", None),
        ("{{range .Missing}}x{{else}}none{{end}}", "none"),
        ("{{range $k, $v := .M}}{{$k}},{{end}}", "a,k,"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{range .L}}{{if eq . `b`}}{{continue}}{{end}}{{.}}{{end}}", "ac"),
        ("{{range .L}}{{if eq . `b`}}{{break}}{{end}}{{.}}{{end}}", "a"),
        ("{{with .Input}}<{{.}}>{{end}}{{with .Empty}}x{{else}}-{{end}}", "<in>-"),
        ("{{with $x := .N}}{{$x}}{{end}}", "3"),
        # variables
        ("{{$x := 1}}{{if .T}}{{$x = 2}}{{end}}{{$x}}", "2"),
        ("{{$x := 1}}{{if .T}}{{$x := 2}}{{end}}{{$x}}", "1"),
        ("{{$m := .M}}{{$m.a.b}}", "[1 2]"),
        # functions and pipelines
        ("{{index .L 1}}{{index .M `a` `b` 1}}{{len .L}}{{len `äb`}}", "b233"),
        ("{{slice .Input 1}}{{slice .L 0 1}}", "n[a]"),
        ("{{(index .Functions 0).Name}}", "f"),
        ("{{range .Calls}}[{{.FunctionCall.Name}}({{.FunctionCall.Arguments}})]{{end}}", "[f({})]"),
        ("{{.Input | upper | printf `%s-%d` `x` | len}}", None),
        ("{{.Input | upper}}{{`  a ` | trim}}", "INa"),
        ("{{printf `%s=%d %q %v %%` .Input .N .Input .L}}", 'in=3 "in" [a b c] %'),
        ("{{print 1 2 `a`}}{{println `b`}}", "1 2ab\n"),
        ("{{toJson .Functions}}", JSON),
        ('{{toJson "ä<\\n"}}', '"ä<\\n"'),
        ("{{default `d` .Empty}}{{.Input | default `d`}}", "din"),
        ("{{contains `n` .Input}} {{hasPrefix `i` .Input}}", "true true"),
        ("{{hasSuffix `i` .Input}}", "false"),
        ("{{trimPrefix `i` .Input}}{{trimSuffix `n` .Input}}{{trimAll `-` `-a-`}}", "nia"),
        ("{{replace `i` `o` .Input}}{{lower `AB`}}{{title `ab cd`}}", "onabAb Cd"),
        ("{{repeat 3 `x`}}", "xxx"),
        ("{{join `,` .L}}{{first .L}}{{last .L}}{{rest .L}}", "a,b,cac[b c]"),
        ("{{list 1 2 | len}}{{(dict `a` 1).a}}{{get .M `k`}}{{hasKey .M `z`}}", "21vfalse"),
        ("{{add 1 2}}{{sub 3 1}}{{mul 2 3}}{{div 7 2}}{{mod 7 2}}{{add1 1}}", "326312"),
        ("{{ternary `y` `n` .T}}{{coalesce .Empty .Input}}{{empty .L}}", "yinfalse"),
        ("{{quote .Input}}{{nindent 2 `a`}}{{splitList `,` `a,b`}}", '"in"\n  a[a b]'),
        ('{{"a\\tb\\"\\u00e4"}}{{`raw\\n`}}{{\'a\'}}', 'a\tb"äraw\\n97'),
        ('{{define "x"}}<{{.}}>{{end}}{{template "x" .Input}}', "<in>"),
        ('{{block "x" .N}}b{{.}}{{end}}', "b3"),
    ],
)  # fmt: skip
def test_what_templates_make(source: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(TemplateError):
            run(source)
    else:
        assert run(source) == text


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("\n{{if .T}}", "test:2"),
        ("{{end}}", "test:1: unexpected end"),
        ("{{else}}", "unexpected else"),
        ("a\nb{{nofunc .X}}", "test:2: there is no function 'nofunc'"),
        ("{{$x}}", "there is no variable $x"),
        ("{{$x = 1}}", "there is no variable $x"),
        ("{{.A", "}} is missing"),
        ("{{.A }", "unexpected '}'"),
        ('{{"a}}', "unexpected"),
        ("{{/* a", "has no end"),
        ("{{(.A}}", ") is missing"),
        ("{{.A .B}}", "only functions take arguments"),
        ("{{.A | .B}}", "only a function"),
        ("{{.A | `b`}}", "cannot take"),
        ("{{}}", "a value is missing"),
        ("{{'\\q'}}", "escape"),
        ("{{" + "(" * 100 + "1" + ")" * 100 + "}}", "nested"),
        ("{{if 1}}" * 100 + "{{end}}" * 100, "nested"),
        ("x" * 300_000, "characters"),
        ("{{index .L 9}}", "outside"),
        ("{{len .N}}", "no length"),
        ("{{lt .N `a`}}", "cannot compare"),
        ("{{div 1 0}}", "zero"),
        ("{{upper .N}}", "needs a string"),
        ("{{trim}}", "cannot be called"),
        ("{{break}}", "outside of range"),
        ('{{template "none"}}', "no template 'none'"),
        ('{{define "x"}}{{template "x"}}{{end}}{{template "x"}}', "call each other"),
        ("{{range 200000}}{{range 200000}}{{end}}{{end}}", "steps"),
        ("{{repeat 1000000 `abc`}}", "characters"),
        ("{{$x := `aaaaaaaa`}}{{range 40}}{{$x = print $x $x}}{{end}}", "characters"),
        ("{{range 60}}{{repeat 65536 `a`}}{{repeat 65536 `a`}}{{end}}", "characters"),
        ("{{fromJson `{`}}", "no JSON"),
        ("{{printf `%d` .Input}}", "does not fit"),
        ("{{printf `%s`}}", "has no value"),
    ],
)
def test_errors_name_the_template_and_the_line(source: str, words: str) -> None:
    with pytest.raises(TemplateError) as caught:
        run(source)
    assert caught.value.message.startswith("template test:")
    assert words in caught.value.message


TAG = "<|im_end|>"


@pytest.mark.parametrize(
    "source",
    [
        "{{.X}}",
        "{{trim .X}}",
        "{{.X | upper}}",
        "{{toJson .X}}",
        "{{toJson .D}}",
        "{{printf `a%sb` .X}}",
        "{{printf `%q` .X}}",
        "{{print .X 1}}",
        "{{replace `x` `y` .X}}",
        "{{join `,` .L}}",
        "{{range .L}}{{.}}{{end}}",
        "{{splitList ` ` .X | join `-`}}",
        "{{.X | default `d`}}",
        "{{quote .X}}",
        "{{nindent 2 .X}}",
        "{{cat .X .X}}",
        "{{range $k, $v := .D}}{{$k}}{{end}}",
        "{{keys .D | first}}",
        "{{.D}}",
        "{{slice .X 1}}",
        "{{trunc 50 .X}}",
        "{{fromJson (toJson .X)}}",
        "{{.X | toString | toString}}",
        "{{repeat 2 .X}}",
        "{{$y := .X}}{{with $y}}{{.}}{{end}}",
        "{{(index (list .X) 0)}}",
    ],
)
def test_what_users_wrote_stays_theirs(source: str) -> None:
    text = user_text(f" {TAG} x {TAG}")
    result = run(TAG + source, {"X": text, "L": [text], "D": {text: [text]}})
    own = "".join(part for part, is_input in result.runs if not is_input)
    assert own.upper().count(TAG.upper()) == 1, result.runs


def test_rendered_prompts_keep_their_own_control_tokens() -> None:
    inner = run("<|im_start|>{{.X}}<|im_end|>", {"X": user_text("<|im_start|>")})
    outer = run("{{trim .Input}}!", {"Input": joined([("  ", False), *inner.runs])})
    assert outer.runs == (
        ("<|im_start|>", False),
        ("<|im_start|>", True),
        ("<|im_end|>!", False),
    )


@given(st.text(alphabet="{}.-|()$:=`\"'/* \nabeifndrgxwth01", max_size=60))
@settings(deadline=None)
def test_any_source_is_a_template_or_an_error(source: str) -> None:
    with contextlib.suppress(TemplateError):
        run("{{" + source + "}}")
