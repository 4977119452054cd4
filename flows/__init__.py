"""What runs, in what order and when: settings, the clock, the daily steps, Prefect, and the `daybook` command.

What is here
    settings.py     the one typed Settings object; nothing below this folder reads the environment
    clock.py        the only place that asks what time it is, and what day that is in Shanghai and for FRED
    context.py      what a run needs in hand: vendors, archive, lake, instant
    ingest.py       vendors -> lake          scoring.py     lake -> models -> lake
    detecting.py    lake -> alerts           publishing.py  lake -> report
    alarm_budget.py     too many alerts a week; alarm_replay.py, which thresholds would keep them fewer
    delivery.py     alerts -> people, through the outbox
    routing.py      which channel takes which alerts; digesting.py, its digest
    upkeep.py       maintenance, verification, backup and restore
    steps.py        the five daily steps in order, as plain functions: start reading here
    deployments.py  the same steps as Prefect flows, with their schedules
    cli.py          the `daybook` command; demo.py, serving.py and doctor.py are its longer commands

What is not here: anything that computes. A line that computes belongs in warehouse, models or reports.
"""

import logging

# Prefect forwards these loggers (PREFECT_LOGGING_EXTRA_LOGGERS) but leaves their level unset, which loses INFO.
for _name in ("flows", "warehouse", "models", "reports"):
    logging.getLogger(_name).setLevel(logging.INFO)
