#!/usr/bin/env python3
"""Compares our Jinja with jinja2 as Transformers sets it up, on every value in every test, filter, method and operator.

    template_compare.py TEMPLATE_LINES [--only REGEX] [--shown 40] [--write CASES.jsonl REGEX]

TEMPLATE_LINES is the program fuzz/template_lines. Needs `pip install transformers jinja2`; exit 77 where they are
missing. A construct is the same where both print the same, or both fail; texts with addresses in them are not compared.
--write keeps cases whose template matches: its first line has what all begin with and their variables, each other one a
construct and what it prints, or null for an error (tests/fixtures/templates). Prints differences; exit 1 if there are any.
Leaves published templates and the wording of errors to the goldens.
"""
import argparse
import copy
import importlib.util
import json
import re
import subprocess
import sys

INPUT = {"n": None, "t": True, "f": False, "i0": 0, "i1": 1, "i2": 2, "i7": -7, "big": 10**15, "r": 2.5, "r0": 0.0,
         "s": "", "sa": "aB c", "s5": "5", "sx": " é<&>'\"\n", "l": [], "l1": [1, 2], "ls": ["a", "B", "a"],
         "lm": [1, None, "x", [2]], "d": {}, "d1": {"a": 1, "x": None, "b": "q"}, "ld": [{"a": 1}, {"b": 2}, {"a": None}],
         "ll": [[1, 2], [3]]}
UNDEFINED = ["u", "d1.zz", "d1['zz']", "l1[9]", "sa.zz", "n.zz", "(1 if f)", "u.x", "u['x']", "u.x.y", "d1.zz.y", "ld[0].zz",
             "(d1|attr('zz'))", "(l|first)", "(l|last)", "loop", "caller", "self", "varargs", "ns.zz", "i1.zz", "range(3)[7]", "u()",
             "(u if u)"]
VALUES = list(INPUT) + UNDEFINED + [
    "range(3)", "range(0)", "(1, 2)", "()", "(sa|safe)", "(sx|e)", "l1|map('string')", "(ls|select)", "ns", "cyc", "joi", "dict", "m",
    "sa.upper", "d1.items()", "d1.keys()", "d1.values()", "range", "raise_exception", "sa.encode()", "b''.encode()", "sx.encode()",
    "true", "none", "1", "1.5", "'x'", "[1]", "{'k': 1}", "[u]", "{'k': u}", "(u, 1)", "namespace", "lipsum", "[n, u]"]
PRELUDE = ("{% macro m(x) %}<{{ x }}>{% endmacro %}{% set ns = namespace(a=1) %}{% set cyc = cycler('p', 'q') %}"
           "{% set joi = joiner('|') %}")
TESTS = ["defined", "undefined", "none", "boolean", "true", "false", "integer", "float", "number", "string", "mapping",
         "sequence", "iterable", "callable", "escaped", "odd", "even", "divisibleby(2)", "divisibleby 0", "divisibleby(u)", "sameas(u)",
         "sameas(n)", "sameas(i1)", "sameas(t)", "lower", "upper", "filter", "test", "in(l1)", "in(sa)", "in(u)", "in(d1)", "in(n)", "eq(u)",
         "eq(n)", "eq(1)", "ne(u)", "lt(1)", "lt(u)", "gt('a')", "ge(u)", "le(n)", "equalto(sa)", "defined()", "nope"]
FILTERS = ["abs", "attr('a')", "attr('upper')", "attr(u)", "batch(2)|list", "batch(2, 'z')|list", "capitalize", "center(9)", "count", "length", "d('D')",
           "default('D')", "default('D', true)", "default(u)", "dictsort", "e", "escape", "filesizeformat", "first", "float", "float(7)", "forceescape",
           "format(1)", "format('x', 2)", "groupby('a')", "groupby(0)", "indent", "indent(2, true)", "int", "int(7)", "int(7, 16)", "items", "items|list", "join",
           "join('-')", "join(u)", "join('-', 'a')", "join(attribute=0)", "last", "list", "lower", "map('upper')|list", "map('string')|list", "map(attribute='a')|list",
           "map(attribute='a', default='D')|list", "map(attribute=0)|list", "map('default', 'D')|list", "map('length')|list", "max", "min", "pprint", "reject|list", "reject('none')|list",
           "rejectattr('a')|list", "rejectattr('a', 'none')|list", "rejectattr('a', 'undefined')|list", "replace('a', 'b')", "replace(u, 'b')", "replace('a', u)", "reverse|list",
           "reverse", "round", "round(1)", "round(1, 'floor')", "safe", "select|list", "select('defined')|list", "select('undefined')|list", "select('string')|list", "select('in', l1)|list",
           "selectattr('a')|list", "selectattr('a', 'defined')|list", "selectattr('a', 'undefined')|list", "selectattr('a', 'eq', 1)|list", "selectattr('zz.y')|list", "selectattr('a', 'none')|list",
           "slice(2)|list", "sort", "sort(attribute='a')", "sort(reverse=true)", "sort(case_sensitive=true)", "string", "striptags", "sum", "sum('a')", "sum(start=1)", "sum(attribute='a', start=0)", "title",
           "tojson", "tojson(indent=2)", "tojson(ensure_ascii=true)", "trim", "trim('a')", "trim(u)", "truncate(3)", "unique|list", "unique(attribute='a')|list", "upper", "urlencode", "wordcount",
           "xmlattr", "string|upper", "nope", "random|string|length * 0"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
RIGHT = ["u", "d1.zz", "n", "t", "i0", "i2", "r", "s", "sa", "l1", "d1", "(1, 2)", "(sa|safe)", "range(2)", "sa.encode()", "i7"]
SHAPES = ["{{ X }}", "{{ not X }}", "{{ -X }}", "{{ +X }}", "{{ X.a }}", "{{ X['a'] }}", "{{ X[0] }}", "{{ X[-1] }}", "{{ X[u] }}", "{{ X[n] }}", "{{ X[:1] }}", "{{ X[::-1] }}",
          "{{ X[r] }}", "{{ X[l] }}", "{{ X[1:u] }}", "{{ l1[X] }}", "{{ d1[X] }}", "{{ sa[X] }}", "{{ sa[X:] }}", "{{ d1[X] is defined }}", "{{ X() }}", "{{ X(1) }}", "{{ X.zz is defined }}", "{{ X['zz'] is defined }}", "{{ X.zz.y is defined }}",
          "{{ (X.zz).y }}", "{% for x in X %}[{{ x }}]{% endfor %}", "{% for x in X %}[{{ x }}]{% else %}E{% endfor %}", "{% for x, y in X %}[{{ x }}{{ y }}]{% endfor %}",
          "{% for x in X if x %}[{{ loop.index }}{{ x }}]{% endfor %}", "{% for k in X recursive %}{{ loop(X) if loop.depth < 2 }}.{% endfor %}", "{% if X %}T{% else %}F{% endif %}", "{{ 1 if X else 2 }}", "{% set x = X %}{{ x }}|{{ x is defined }}",
          "{% set x %}{{ X }}{% endset %}{{ x }}", "{{ m(X) }}", "{{ m(*X) }}", "{{ m(**X) }}", "{{ dict(a=X) }}", "{{ dict(X) }}", "{{ [X] }}", "{{ {'k': X} }}", "{{ {X: 1} }}", "{{ (X,) }}",
          "{{ namespace(X).a }}", "{{ range(X)|list }}", "{{ '%s' % X }}", "{{ '%d' % X }}", "{{ '%r' % (X,) }}", "{{ '{}'.format(X) }}", "{{ '{!r}'.format(X) }}", "{{ '{:>4}'.format(X) }}", "{{ '{0.a}'.format(X) }}", "{{ '{a}'.format_map(X) }}",
          "{{ '{a}'.format(**X) }}", "{{ ','.join(X) }}", "{{ ','.join([X]) }}", "{{ X is defined and X }}", "{{ X or 'o' }}", "{{ X and 'o' }}", "{{ X == X }}", "{{ X in [X] }}", "{{ [X, X]|unique|list|length }}", "{{ [X]|tojson }}", "{{ [X]|string }}",
          "{% filter upper %}{{ X }}{% endfilter %}", "{% with x = X %}{{ x }}{% endwith %}", "{% call(y) m(X) %}{% endcall %}", "{{ X is not defined }}", "{{ not X is defined }}", "{{ X is defined is true }}", "{{ X|default('D') is defined }}",
          "{{ (X|default({})).zz is defined }}", "{{ [1, 2]|select('in', X)|list }}", "{{ [X]|map('default', 'D')|list }}", "{{ [X]|select('defined')|list|length }}", "{{ [X]|map(attribute='a')|list }}", "{{ [X]|selectattr('a')|list|length }}",
          "{{ [X]|selectattr('a', 'undefined')|list|length }}", "{{ raise_exception(X) }}", "{{ strftime_now(X) }}", "{{ X < 1 < 2 }}", "{{ 1 in X }}", "{{ 'a' in X }}", "{{ X is in [1] }}", "{{ cycler(X).next() }}", "{{ joiner(X)() }}", "{% set ns.a = X %}{{ ns.a }}",
          "{{ X is sameas X }}", "{{ X.a is none }}", "{{ X|attr('a') is defined }}", "{{ X.items()|list }}", "{{ X.keys()|list }}", "{{ X.get('a') }}", "{{ X.get('zz', 'D') }}", "{{ X.__class__ }}", "{{ X.__len__ is defined }}", "{{ X.__class__ is defined }}", "{{ X.__foo__ }}", "{{ X.__foo__ is defined }}", "{{ X._foo is defined }}", "{{ X.__add__ is defined }}", "{{ X._undefined_name is defined }}", "{{ X|attr('__class__') is defined }}", "{{ X|attr('__foo__') is defined }}", "{{ [X]|map(attribute='__class__')|list }}", "{{ [X]|selectattr('__class__')|list|length }}", "{{ X.__class__.__name__ is defined }}", "{{ X.__html__ is defined }}", "{{ X['__class__'] }}", "{% if X is not none and X %}y{% endif %}",
          "{{ 'x' if X is string else 'y' if X is mapping else 'z' }}", "{{ X|length > 0 }}", "{{ X is undefined or X is none }}"]
STRING_METHODS = ["capitalize()", "casefold()", "center(8)", "center(8, '*')", "center(u)", "count('a')", "count('')", "count('a', 1, 2)", "encode()", "encode('utf-8')", "encode('ascii', 'ignore')", "encode('ascii')", "encode('latin-1')", "encode('latin-1', 'replace')",
                  "encode('ascii', 'xmlcharrefreplace')", "encode('ascii', 'backslashreplace')", "encode('utf-16')", "encode('utf-16-le')", "encode('utf-32-be')", "encode('utf-8-sig')", "encode('nope')", "encode(errors='ignore')", "encode(encoding='ascii', errors='replace')", "encode('ascii', 'nope')", "encode(n)", "encode(u)", "encode(1)",
                  "encode('UTF8')", "encode('U8')", "encode('iso-8859-1', 'ignore')", "encode('cp1252', 'ignore')", "encode().decode()", "encode()|string", "encode()|length", "encode()|list", "encode()[0]", "encode()[:2]", "encode().hex()", "encode() == 'x'", "encode() == sa.encode()", "encode()|tojson", "encode() ~ 'x'", "encode() + 'x'", "encode() + sa.encode()", "encode() * 2", "encode() is string", "encode() is sequence",
                  "encode() is iterable", "encode() is mapping", "encode() is callable", "encode() in [sa.encode()]", "encode()|upper", "encode()|e", "encode()|first", "encode()|sum", "encode()|join(',')", "encode()|sort", "encode()|reverse|list", "encode().upper()", "encode().split()", "encode().startswith(sa.encode())", "encode().find(97)", "encode().isalpha()", "encode().decode('ascii', 'ignore')",
                  "encode()|default('x')", "encode() is defined", "encode()|int", "encode()|trim", "encode()|replace('a', 'b')", "encode()|urlencode", "encode()|safe", "encode()|string|length", "encode().replace(sa.encode(), sa.encode())", "encode().strip()", "encode().fromhex('61')", "encode().index(97)", "encode().join([sa.encode()])", "encode() < sa.encode()", "encode() % 1", "encode().lower().decode()",
                  "endswith('c')", "endswith(('c', 'B'))", "endswith(u)", "expandtabs(4)", "find('B')", "find('')", "find('c', -1)", "format(1)", "format()", "format_map({})", "format_map(d1)", "format_map(u)", "format_map(n)", "format_map(l1)", "format_map('x')", "format_map(ns)", "index('B')", "index('zz')", "isalnum()", "isalpha()", "isascii()", "isdecimal()", "isdigit()", "isidentifier()", "islower()", "isnumeric()", "isprintable()", "isspace()",
                  "istitle()", "isupper()", "join(l)", "join(ls)", "join(l1)", "join(sa)", "join(u)", "join(d1)", "join(n)", "ljust(8)", "ljust(8, 'xx')", "lower()", "lstrip()", "lstrip('a ')", "maketrans({})", "maketrans({'a': 'b'})", "maketrans({97: 'b', 98: n})", "maketrans('ab', 'cd')", "maketrans('ab', 'cd', 'e')", "maketrans('ab', 'c')", "maketrans(u)", "maketrans('a')", "maketrans()", "maketrans({'ab': 1})", "maketrans({r: 1})", "maketrans('a', 'b', 'c', 'd')",
                  "maketrans(x={'a': 'b'})", "translate({97: 'x'})", "translate({97: n})", "translate({97: 66})", "translate({})", "translate({'a': 'b'})", "translate(sa.maketrans('aB', 'xy'))", "translate(''.maketrans({'a': '', 'B': 'long'}))", "translate(''.maketrans('', '', 'aeé'))", "translate(l1)", "translate('x' * 200)", "translate(u)", "translate(n)", "translate()", "translate(1)", "translate({97: 1.5})", "translate({97: l1})", "translate({97: 1114112})", "translate({97: -1})", "translate({97: t})", "translate({t: 'x'})", "translate(range(200))",
                  "translate({97.0: 'x'})", "translate(table={})", "translate(['x'] * 128)", "translate(sa.encode())", "translate(d1)", "partition('B')", "partition('')", "partition(u)", "removeprefix('a')", "removesuffix('c')", "removeprefix(u)", "replace('a', 'b')", "replace('a', 'b', 1)", "replace('', '-')", "replace('a')", "replace(u, 'x')", "replace('a', count=1)", "rfind('B')", "rindex('zz')", "rjust(8, '.')", "rpartition('B')", "rsplit()", "rsplit('B', 1)", "rstrip('c')", "rstrip(u)", "split()", "split('B')", "split('')",
                  "split(n)", "split(u)", "split(sep='B')", "split(maxsplit=1)", "split(' ', maxsplit=0)", "splitlines()", "splitlines(true)", "startswith('a')", "startswith('a', 1)", "startswith(u)", "startswith(())", "startswith(['a'])", "strip()", "strip('a')", "strip(n)", "strip(1)", "swapcase()", "title()", "upper()", "upper(1)", "zfill(8)", "zfill(u)", "nope()", "isprintable(1)", "isascii(1)", "isidentifier(1)"]
OTHER_METHODS = ["append(1)", "pop()", "clear()", "copy()", "count(1)", "index(1)", "index(9)", "insert(0, 1)", "sort()", "extend([1])", "remove(1)", "reverse()", "get('a')", "get('zz')", "get('zz', 1)", "get()", "get(l)", "get(u)", "items()", "keys()", "values()", "update({})", "setdefault('q', 1)", "popitem()",
                 "fromkeys([1])", "fromkeys([1], 2)", "bit_length()", "conjugate()", "is_integer()", "hex()", "as_integer_ratio()", "to_bytes(2)", "to_bytes(2, 'big')", "from_bytes()", "fromhex('0x1p-2')", "bit_count()", "next()", "reset()", "current", "decode()", "start", "stop", "real", "imag", "denominator", "a", "__getitem__(0)", "isdisjoint([1])", "mapping"]

# Refused by name, or what docs/decisions/chat-templates.md says of addresses, sets, big and folded numbers.
NOT_BUILT = (r"\(self\)|lipsum|pprint|random|\((joi|cyc|m|dict|range|namespace|raise_exception|sa\.upper|ls\|select|l1\|map\('string'\))\)"
             r"\|(title|replace|wordcount|upper|capitalize|lower|truncate|center|urlencode|striptags|indent|format|string)|to_bytes|fromhex|hex\(\)|"
             r"as_integer_ratio|isdisjoint|mapping \}|\.(keys|items)\(\)\) -|\.encode\(\)\)? %|% sa\.encode|cp1252|bytes|"
             r"encode\(\)\.(translate|maketrans|splitlines)|^\{\{ \((true|none|1|1\.5|\{'k': 1\})\)\[|\(i7\) \*\* r|\(big\) \*\* i2|"
             r"\(\((ls\|select|l1\|map)|^\{% set ns\.a = \(ns\)|\((dict|namespace)\)( is lower|\|)|encode\(\)\) is divisibleby|"
             r"^\{\{ \((\(\)|1\.5|'x')\) is sameas")


def constructs():
    for value in VALUES:
        x = f"({value})"
        for test in TESTS:
            yield f"{{{{ {x} is {test} }}}}"
        for test in TESTS[:20:3]:
            yield f"{{{{ {x} is not {test} }}}}"
        for use in FILTERS:
            yield f"{{{{ {x}|{use} }}}}"
        for shape in SHAPES:
            yield shape.replace("X", x)
        for operator in OPERATORS:
            for right in RIGHT:
                yield f"{{{{ {x} {operator} {right} }}}}"
        for method in OTHER_METHODS:
            yield f"{{{{ {x}.{method} }}}}"
    for text in ["s", "sa", "s5", "sx", "(sa|safe)", "'aéB'", "('a\tb\\u2028c')", "sa.encode()", "u", "n", "l1", "d1", "i1"]:
        for method in STRING_METHODS:
            yield f"{{{{ {text}.{method} }}}}"


def is_missing():
    missing = [name for name in ("jinja2", "transformers") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"skipped: no {missing[0]} (pip install transformers jinja2)")
    return bool(missing)


def expected_of(template):
    from transformers.utils.chat_template_utils import _cached_compile_jinja_template
    try:
        return {"output": _cached_compile_jinja_template(template).render(**copy.deepcopy(INPUT))}  # indent changes a list
    except Exception as error:
        kind = "syntax" if type(error).__name__ == "TemplateSyntaxError" else "runtime"
        kind = "raise_exception" if type(error).__name__ == "TemplateError" else kind
        return {"error": f"{type(error).__name__}: {error}", "kind": kind}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("template_lines")
    parser.add_argument("--only", default="")
    parser.add_argument("--shown", type=int, default=40)
    parser.add_argument("--write", nargs=2)
    options = parser.parse_args()
    if is_missing():
        return 77
    cases = [PRELUDE + one for one in dict.fromkeys(constructs()) if re.search(options.only, one)]
    lines = "".join(json.dumps({"template": one, "input": INPUT}) + "\n" for one in cases)
    done = subprocess.run([options.template_lines], input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.split("\n")[:-1]]
    different, kept = 0, []
    for case, answer in zip(cases, answers, strict=True):
        expected = expected_of(case)
        short = case[len(PRELUDE):]
        if re.search(r" at 0x|<built-in|<class|<bound method|<function|<generator", expected.get("output", ""), re.I):
            continue
        if re.search(NOT_BUILT, short):
            continue
        same = answer.get("text") == expected.get("output")
        different += not same
        if not same and different <= options.shown:
            print(json.dumps({"template": short, "expected": expected, "found": answer}, ensure_ascii=False))
        if same and options.write and re.search(options.write[1], short):
            kept.append([short, expected.get("output")])
    print(f"{len(cases)} constructs, {different} different")
    if options.write:
        with open(options.write[0], "w", encoding="utf-8") as out:
            out.writelines(json.dumps(one) + "\n" for one in [{"prelude": PRELUDE, "input": INPUT}, *kept])
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
