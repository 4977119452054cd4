"""Fourteen factors by Qlib's expression engine: python qlib_factors.py FOLDER EXPRESSIONS.json none|disk|simple OUT.

Runs in an environment of its own. `none` is the engine alone; `disk` Qlib's expression and dataset caches, which want a
Redis for their locks; `simple` its cache of a whole answer as one pickle. A cache is filled first and then timed warm.
"""

import json
import socket
import statistics
import sys
import threading
import time
from pathlib import Path

import numpy as np
import qlib
from qlib.config import REG_CN
from qlib.data import D
from qlib.data.cache import H

folder, fields, cache, out = sys.argv[1], json.loads(Path(sys.argv[2]).read_text()), sys.argv[3], sys.argv[4]
REPEATS = 3
CACHES = {
    "none": {},
    "disk": {"expression_cache": "DiskExpressionCache", "dataset_cache": "DiskDatasetCache"},
    "simple": {"expression_cache": None, "dataset_cache": "SimpleDatasetCache"},
}


def serve_redis():
    from fakeredis import TcpFakeServer

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = TcpFakeServer(("127.0.0.1", port))
    server.daemon_threads = True  # or its open connections keep the process from ending
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return port


def main():
    settings = {"expression_cache": None, "dataset_cache": None, **CACHES[cache]}
    if cache == "disk":
        settings["redis_port"] = serve_redis()
    qlib.init(
        provider_uri=folder, region=REG_CN, kernels=1, local_cache_path=out + ".cache", logging_level=40, **settings
    )

    def ask():
        H.clear()
        started = time.perf_counter()
        frame = D.features(D.instruments("all"), list(fields.values()), freq="day", disk_cache=int(cache != "none"))
        return frame, time.perf_counter() - started

    frame, filled_s = ask()
    seconds = [filled_s] if cache == "none" else []
    while len(seconds) < REPEATS:
        seconds.append(ask()[1])
    if cache == "none":
        codes = frame.index.get_level_values("instrument").to_numpy()
        np.savez(out, codes=np.unique(codes).astype(str), values=frame.to_numpy(np.float32))
    is_used = (qlib.config.C["expression_cache"], qlib.config.C["dataset_cache"])
    print(json.dumps({"seconds": statistics.median(seconds), "rows": len(frame), "caches": is_used}))


if __name__ == "__main__":
    main()
