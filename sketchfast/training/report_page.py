"""The page of the HTML report: a Jinja template with its style sheet. It refers to nothing outside itself."""

PAGE = r"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }}</title>
<style>
:root {
  --page: #f6f7f9; --card: #ffffff; --ink: #1b2330; --soft: #5c6675; --rule: #e1e5ea; --head: #f0f2f5;
  --right: #16924f; --wrong: #d03b3b; --mark: #e8f0fe;
  --line-0: #2563c9; --line-1: #d9730d; --line-2: #16924f;
  --line-3: #9b3fc4; --line-4: #c2336b; --line-5: #0f8a9a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1b212a; --ink: #e6eaf0; --soft: #9aa5b4; --rule: #2f3844; --head: #232b36;
    --right: #3fc47f; --wrong: #f26d6d; --mark: #22344f;
    --line-0: #6ea8fe; --line-1: #ffa94d; --line-2: #5fd394;
  --line-3: #cf9bf0; --line-4: #f783ac; --line-5: #5fd0de;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
       font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }
header h1 { margin: 0 0 2px; font-size: 26px; }
header p { margin: 0; color: var(--soft); }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
          padding: 18px 20px; margin-top: 20px; }
h2 { margin: 0 0 10px; font-size: 18px; }
h3 { margin: 0 0 4px; font-size: 14px; font-weight: 600; }
.note { color: var(--soft); margin: 0 0 12px; max-width: 85ch; white-space: pre-line; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 7px 16px 7px 10px; border-bottom: 1px solid var(--rule);
         vertical-align: top; }
th { background: var(--head); font-weight: 600; white-space: nowrap; }
tr.main td { background: var(--mark); font-weight: 600; }
td .interval { color: var(--soft); font-weight: 400; font-size: 13px; white-space: nowrap; }
td svg { display: block; width: 150px; height: 9px; margin-top: 3px; }
td code, .keys td { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.keys td:first-child { color: var(--soft); white-space: nowrap; }
.charts { display: grid;
          grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 18px 24px; }
.charts figure { margin: 0; max-width: 680px; }
.charts svg { width: 100%; height: auto; display: block; }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .tick { fill: var(--soft); font-size: 11.5px; }
svg .axis { fill: var(--soft); font-size: 12.5px; }
svg .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .faint { stroke-width: 1; opacity: .3; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; color: var(--soft);
          font-size: 13px; padding-left: 40px; }
.legend i { display: inline-block; width: 14px; height: 3px; margin-right: 6px;
            vertical-align: middle; border-radius: 2px; }
.row { display: flex; gap: 10px; align-items: flex-start; padding: 10px 0;
       border-top: 1px solid var(--rule); }
.row:first-of-type { border-top: 0; }
.row .query { flex: 1 1 0; min-width: 80px; max-width: 124px; padding-right: 12px; border-right: 1px solid var(--rule); }
.tile { flex: 1 1 0; min-width: 68px; max-width: 112px; margin: 0; font-size: 12px; line-height: 1.3; text-align: center; }
.tile img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain;
            background: #fff; border-radius: 6px;
            border: 3px solid var(--rule); margin-bottom: 4px; }
.tile.right img { border-color: var(--right); } .tile.wrong img { border-color: var(--wrong); }
.tile.right b { color: var(--right); } .tile.wrong b { color: var(--wrong); }
.tile figcaption { overflow-wrap: anywhere; white-space: pre-line; color: var(--soft); }
.query .tile figcaption { color: var(--ink); font-weight: 600; }
.tile.other b { color: var(--soft); }
.key b.right { color: var(--right); } .key b.wrong { color: var(--wrong); }
.picture img { max-width: 100%; border-radius: 6px; border: 1px solid var(--rule); background: #fff; }
.numbers { display: flex; flex-wrap: wrap; gap: 12px 36px; }
.numbers p { margin: 0; color: var(--soft); font-size: 13px; max-width: 34ch; }
.numbers b { display: block; color: var(--ink); font-size: 27px; line-height: 1.3; font-variant-numeric: tabular-nums; }
.rows { border-spacing: 0; }
.rows th { font-size: 13px; padding: 5px 8px; }
.rows td { padding: 8px; }
.rows td img { display: block; max-width: 18vw; aspect-ratio: 1; object-fit: contain; background: #fff;
               border: 1px solid var(--rule); border-radius: 6px; }
.rows td img.framed { border: 3px solid var(--line-1); }
.rows .below { margin: 3px 0 0; color: var(--soft); font-size: 12px; line-height: 1.3; text-align: center;
               overflow-wrap: anywhere; white-space: pre-line; }
.rows td.about { font-size: 13px; min-width: 130px; max-width: 190px; white-space: pre-line; overflow-wrap: anywhere; }
.swatches { margin: 0; padding: 0; list-style: none; color: var(--soft); }
.swatches i { display: inline-block; width: 11px; height: 11px; margin-right: 7px; border-radius: 3px;
              border: 1px solid var(--rule); }
ul.swatches.across { display: flex; flex-wrap: wrap; gap: 2px 18px; font-size: 13px; margin-bottom: 10px; }
.card { display: flex; flex-wrap: wrap; gap: 8px 28px; padding: 16px 0; border-top: 1px solid var(--rule); }
.card:first-of-type { border-top: 0; }
.card .chart { flex: 0 1 430px; min-width: 280px; }
.card .chart svg { width: 100%; height: auto; display: block; }
.card .legend { padding-left: 0; }
.card .legend i { width: 11px; height: 11px; border-radius: 2px; vertical-align: -1px; }
.card .strips { flex: 1 1 420px; display: flex; flex-wrap: wrap; gap: 10px 22px; align-content: flex-start; }
.card .note { font-size: 13px; margin-bottom: 8px; }
.strips .line { flex-basis: 100%; height: 0; }
.strips figure { margin: 0; max-width: 224px; }
.strips figure div { display: flex; gap: 4px; }
.strips img { display: block; width: 72px; aspect-ratio: 1; object-fit: contain; background: #fff;
              border: 1px solid var(--rule); border-radius: 5px; }
.strips figcaption { color: var(--soft); font-size: 12px; line-height: 1.35; overflow-wrap: anywhere; margin-top: 2px; }
.strips figcaption i { display: inline-block; width: 9px; height: 9px; border-radius: 2px; margin-right: 4px; }
details summary { cursor: pointer; font-size: 18px; font-weight: 600; }
details[open] summary { margin-bottom: 10px; }
@media print { section { break-inside: avoid; } }
</style>
</head>
<body>
<main>
<header><h1>{{ title }}</h1><p>{{ subtitle }}</p></header>
{% macro table(section) %}
<div class="scroll"><table>
<tr>{% for column in section.columns %}<th>{{ column }}</th>{% endfor %}</tr>
{% for row in section.rows %}
{% set row_index = loop.index0 %}
<tr{% if row_index in section.highlight %} class="main"{% endif %}>
{% for cell in row %}<td>{{ show(cell, section, loop.index0) }}</td>{% endfor %}
</tr>
{% endfor %}
</table></div>
{% endmacro %}
{% macro tile(image, caption, kind, mark) %}
<figure class="tile {{ kind }}"><img src="{{ png(image) }}" alt="{{ caption }}">
<figcaption>{% if mark %}<b>{{ mark }}</b> {% endif %}{{ caption }}</figcaption></figure>
{% endmacro %}
{% macro legend(chart) %}
{% if chart.legend|length > 1 %}<div class="legend">{% for name, colour in chart.legend %}
<span><i style="background:var(--line-{{ colour }})"></i>{{ name }}</span>{% endfor %}</div>{% endif %}
{% endmacro %}
{% macro swatches(legend, look) %}
<ul class="swatches {{ look }}">{% for name, colour in legend %}
<li><i style="background:{{ colour }}"></i>{{ name }}</li>{% endfor %}</ul>
{% endmacro %}
{% for section in sections %}
{% if section.kind == "keys" %}
<section><details><summary>{{ section.title }}</summary>
<div class="scroll"><table class="keys">
{% for name, value in section.items %}<tr><td>{{ name }}</td><td>{{ value }}</td></tr>
{% endfor %}
</table></div></details></section>
{% else %}
<section>
<h2>{{ section.title }}</h2>
{% if section.note %}<p class="note">{{ section.note }}</p>{% endif %}
{% if section.kind == "table" %}{{ table(section) }}
{% elif section.kind == "charts" %}
<div class="charts">
{% for chart in section.charts %}
<figure><h3>{{ chart.title }}</h3>
{{ draw(chart) }}
{{ legend(chart) }}
</figure>
{% endfor %}
</div>
{% elif section.kind == "grid" %}
<p class="note key"><b class="right">&#10003; {{ section.key[0] }}</b>{% if section.key[1] %}&#160;&#160;{#
#}<b class="wrong">&#10007; {{ section.key[1] }}</b>{% endif %}</p>
<div class="scroll">
{% for row in section.rows %}
<div class="row"><div class="query">{{ tile(row.query, row.caption, "", "") }}</div>
{% for image in row.results %}
{% set right = row.right[loop.index0] %}
{% set wrong = "wrong" if section.key[1] else "other" %}
{% set cross = "✗" if section.key[1] else "" %}
{{ tile(image, row.captions[loop.index0], "right" if right else wrong, "✓" if right else cross) }}
{% endfor %}
</div>
{% endfor %}
</div>
{% elif section.kind == "numbers" %}
<div class="numbers">{% for what, number, beside in section.numbers %}
<p>{{ what }}<b>{{ number }}</b>{{ beside }}</p>{% endfor %}</div>
{% elif section.kind == "rows" %}
{% if section.legend %}{{ swatches(section.legend, "across") }}{% endif %}
<div class="scroll"><table class="rows">
{% set explained = section.rows|selectattr("legend")|list|length > 0 %}
{% if section.columns|select|list %}
<tr><th></th>{% for column in section.columns %}<th>{{ column }}</th>{% endfor %}{% if explained %}<th></th>{% endif %}</tr>
{% endif %}
{% for row in section.rows %}
<tr><td class="about">{{ row.caption }}</td>
{% for image in row.images %}
<td><img src="{{ png(image, section.side * 4 // 3) }}" style="width:{{ section.side }}px"
{% if loop.index0 in row.framed %} class="framed"{% endif %}
 alt="{{ section.columns[loop.index0] }}: {{ row.caption }}">
{% if row.captions %}<p class="below">{{ row.captions[loop.index0] }}</p>{% endif %}</td>
{% endfor %}
{% if explained %}<td class="about">{{ swatches(row.legend, "") }}</td>{% endif %}</tr>
{% endfor %}
</table></div>
{% elif section.kind == "cards" %}
{% for card in section.cards %}
<div class="card"><div class="chart"><h3>{{ card.title }}</h3>
{% if card.note %}<p class="note">{{ card.note }}</p>{% endif %}
{{ draw(card.chart) }}
{{ legend(card.chart) }}
</div><div class="strips">
{% for strip in card.strips %}
{% if strip.group is none and not loop.first %}<span class="line"></span>{% endif %}
<figure><div>{% for image in strip.images %}<img src="{{ png(image) }}" alt="{{ strip.caption }}">{% endfor %}</div>
<figcaption>{% if strip.group is not none %}<i style="background:var(--line-{{ strip.group }})"></i>{% endif %}
{{ strip.caption }}</figcaption></figure>
{% endfor %}
</div></div>
{% endfor %}
{% elif section.kind == "picture" %}
<div class="picture"><img src="{{ png(section.image, none) }}" alt="{{ section.title }}"></div>
{% endif %}
</section>
{% endif %}
{% endfor %}
</main>
</body>
</html>
"""
