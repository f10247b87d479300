"""schemathesis over the REST API, with many examples: every check, every call, with a real token."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.stage import ROOT, say


def main() -> None:
    """Run it, and end as it ends."""
    parser = argparse.ArgumentParser(prog="./scripts/bench fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=500, help="of each call")
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    # The same server and the same run as in ./scripts/test, with more examples.
    sys.path.insert(0, str(ROOT / "tests" / "api"))
    from api_server import ApiServer, simple_auth
    from fuzzing import fuzz

    from sandbox.postgres import PostgresServer

    with tempfile.TemporaryDirectory(prefix="push-bench-") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        os.environ["AIRFLOW_HOME"] = str(home)
        with (
            PostgresServer(Path(folder) / "data") as postgres,
            ApiServer.running(postgres, home, "fuzz", simple_auth(home)) as server,
        ):
            server.create(code="fuzzed", known=True)
            server.push("POST", "/tasks/fuzzed/trigger")
            say(f"Trying every call with {arguments.examples:,} examples …")
            done = fuzz(server.url, server.token("admin"), examples=arguments.examples, seed=arguments.seed)
    print(done.stdout)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
