"""Every feature as Daybook's rebuild computes it: python daybook_features.py LAKE MEMORY_LIMIT."""

import json
import resource
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
from memory import peak_gb

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from warehouse import features, lake, load

with lake.open_writer(lake.LakeLocation(Path(sys.argv[1]), memory_limit=sys.argv[2]), holder="benchmark") as opened:
    # Machine code comes from the disk, or is made now and kept there.
    started = time.perf_counter()
    day = date(2020, 1, 2)
    one = {"ts_code": ["A"], "trade_date": [day], **{name: [1.0] for name in features.INPUT_COLUMNS}}
    features.compute_features(pa.table(one), day)
    ready, cpu_before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    n_rows = features.update_features(opened, load.Stamp("benchmark", datetime(2026, 1, 1, tzinfo=UTC)))
    ended = time.perf_counter()
used = resource.getrusage(resource.RUSAGE_SELF)
figures = {
    "seconds": ended - ready,
    "kernels_ready_s": ready - started,
    "cpu_s": used.ru_utime + used.ru_stime - cpu_before.ru_utime - cpu_before.ru_stime,
    "rows": n_rows,
    "peak_gb": peak_gb(),
}
print(json.dumps(figures))
