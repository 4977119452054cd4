"""Returns and features of a whole history: python daybook_rebuild.py HOME MEMORY_LIMIT PLAIN_OR_SCHEDULER."""

import json
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from memory import peak_gb

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from flows import scale_out, settings
from warehouse import features, lake, load, returns, shards
from warehouse.tables import feature


def cpu_s():
    """Processor time of this process and of its workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def rebuild(options, map_shards, stamp):
    """Rows written, and seconds for returns and for features."""
    begun = time.perf_counter()
    with lake.open_writer(options.lake, holder="benchmark") as opened:
        n_rows = returns.update_returns(opened, stamp, map_shards)
        between = time.perf_counter()
        n_rows += features.update_features(opened, stamp, map_shards)
        digest = opened.read_value("select bit_xor(hash(f)) from (select hash(columns(*)) from feature.feature) as f")
    return n_rows, digest, between - begun, time.perf_counter() - between


if __name__ == "__main__":
    home, memory_limit, scheduler = sys.argv[1:]
    # However few rows there are: what it would cost is measured.
    shards.WORTH_SHARDS = 0
    options = settings.read_settings(
        home=home,
        lake_memory_limit=memory_limit,
        lake_threads=2,
        dask_scheduler="" if scheduler == "plain" else scheduler,
        _env_file=None,
    )
    stamp = load.Stamp("benchmark", datetime(2026, 1, 1, tzinfo=UTC))
    returns.compute_returns(feature.LOG_RETURN.empty().select(["ts_code", "trade_date"]).append_column("price", [[]]))
    begun, used = time.perf_counter(), cpu_s()
    with scale_out.workers(options) as map_shards:
        n_rows, digest, returns_s, features_s = rebuild(options, map_shards, stamp)
    figures = {
        "seconds": time.perf_counter() - begun,
        "returns_s": returns_s,
        "features_s": features_s,
        "cpu_s": cpu_s() - used,
        "rows": n_rows,
        "digest": str(digest),
        "peak_gb": peak_gb(),
    }
    print(json.dumps(figures))
