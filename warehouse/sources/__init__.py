"""Vendors' bytes: what FRED and Tushare say, checked, and nothing more.

What is here
    http.py        the polite transport: limits, deadlines, retries, capture of every answer, redaction
    fred.py        FRED's series through pandas-datareader, hardened
    tushare.py     Tushare's endpoints through tushare, hardened
    archive.py     where every answer is kept, good or bad
    simulator.py   both vendors' wire formats on loopback, with a clock and planned faults
    market.py, market_folder.py, truth.py    what the simulated vendors know

What is not here: loading, deciding what to ask, the clock. This folder imports only contracts, tables and errors; the
simulator and the clients never import each other, so that they cannot share a mistake.

To add a vendor table: a contract in `warehouse/tables/`, a `fetch_` method in the client, a sheet in the simulator, and
a test against it. Read `http.py` first.
"""
