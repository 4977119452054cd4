"""What do people get to see? Views in, pages and messages out.

Read `site.py` first: it builds one self-contained page a day and the index of all days.

What is here
    site.py        render a day, write it whole, keep the index
    index_lines.py the index's small lines, and its file
    pages/         what each section shows: views in, blocks out; `pages.SECTIONS` is their order
    subjects/      pages about one thing each: a security, a model version, a factor, an alert
    subject_pages.py, addresses.py          those pages and their lists, and where they lie in the site's folder
    blocks.py      the few kinds of thing a section is made of
    tracing.py     which views and model versions a block was read from, by listening
    desk.py        blocks that a desk adds by dropping a file into a folder
    figures.py, proof.py, proving.py        the name of every figure; is each still what the lake says?
    charts.py      numbers in, inline SVG out; colours come from the page's style, so dark and print follow
    skill_charts.py    two charts of what forecasts are worth: a strip a model, and outcomes beside forecasts
    axes.py        what charts are drawn on: scales, ticks, grids, legends
    numbers.py     how a number, a share, an amount or a missing value is written
    texts.py       how a text is shown that others wrote
    template.html, index.html, list.html, style.css, page.js, index.js    the pages around the blocks
    mail.py, mail.html, mail_block.html     the same day as a mail
    digest.py, plain.py, pictures.py        what of the day is in it, as plain text, and its charts as PNG
    dictionary.py  the page that says what every table and column means; its template, style and script beside it
    alerts.py, channels.py                  the message about new alerts, and where it goes

What is not here: any figure that is not in a view. A section that lacks one asks for a view, it does not compute.
"""
