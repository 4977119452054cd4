"""What is known, and since when.

Open `lake.py` first: it opens the lake, and every read and write goes through it. Then follow a row:

- `sources/`     a vendor's bytes become typed rows (knows nothing of the lake)
- `load.py`      rows are audited, set aside or merged, and entered in the ledger, in one transaction
- `vintages.py`  the same for macro values, which are never overwritten
- `ledger.py`    what should be there minus what is there: the work to do
- `returns.py`, `features.py`   numbers computed from bars, incrementally
- `panels.py`    matrices as of a day: the only door for training data
- `checks.py`, `outages.py`     questions whose every answer row is a finding
- `alerts.py`, `outbox.py`      what people decide about alerts, and the messages about them; `digests.py`, one a day
- `sql/views/`   what analysts read
- `statements.py`, `attaching.py`   what a reader may ask, and how other programs get to the lake
- `dictionary.py`, `export.py`      what the lake holds in words, and a copy of it for tools that know no DuckLake

`tables/` declares every table; `contracts.py` is the mechanism behind the declarations; `errors.py` is the tree of
everything that can go wrong. Models are not here, and nothing here knows of Prefect, reports or the clock.
"""
