"""Returns, volatility and drawdown as Daybook's rebuild computes them: python daybook_returns.py LAKE MEMORY_LIMIT."""

import json
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from memory import peak_gb

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from warehouse import lake, load, returns
from warehouse.tables import feature

with lake.open_writer(lake.LakeLocation(Path(sys.argv[1]), memory_limit=sys.argv[2]), holder="benchmark") as opened:
    # Machine code comes from the disk, or is made now and kept there.
    started = time.perf_counter()
    returns.compute_returns(feature.LOG_RETURN.empty().select(["ts_code", "trade_date"]).append_column("price", [[]]))
    ready = time.perf_counter()
    n_rows = returns.update_returns(opened, load.Stamp("benchmark", datetime(2026, 1, 1, tzinfo=UTC)))
    ended = time.perf_counter()
used = resource.getrusage(resource.RUSAGE_SELF)
figures = {
    "seconds": ended - ready,
    "kernels_ready_s": ready - started,
    "cpu_s": used.ru_utime + used.ru_stime,
    "rows": n_rows,
    "peak_gb": peak_gb(),
}
print(json.dumps(figures))
