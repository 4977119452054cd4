"""What do people get to see? Views in, pages and messages out.

Read `site.py` first: it builds one self-contained page a day and the index of all days.

What is here
    site.py        render a day, write it whole, keep the index
    pages/         what each section shows: views in, blocks out; `pages.SECTIONS` is their order
    blocks.py      the few kinds of thing a section is made of
    charts.py      numbers in, inline SVG out; colours come from the page's style, so dark and print follow
    numbers.py     how a number, a share, an amount or a missing value is written
    template.html, index.html, style.css    the page around the blocks
    dictionary.py  the page that says what every table and column means; its template, style and script beside it
    alerts.py, channels.py                  the message about new alerts, and where it goes

What is not here: any figure that is not in a view. A section that lacks one asks for a view, it does not compute.
"""
