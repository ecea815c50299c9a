"""Looks the locked dependencies up in PyPI's advisories: `scripts/audit`. Exit code 1 where any is vulnerable.

pip-audit runs in an environment of its own, which uv makes. What cannot be looked up is told and is no failure: work
goes on without the network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PIP_AUDIT = "pip-audit==2.10.1"
_SECONDS = 300
_ROOT = Path(__file__).parents[2]


def verdict(report: str) -> tuple[int, list[str]]:
    """Return the exit code, and what to say of pip-audit's JSON report, which is empty where it could not run."""
    try:
        found: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        found = []
    audited = [each for each in found if "skip_reason" not in each]
    if not audited:
        return 0, ["audit: the advisories cannot be reached: nothing was looked up"]
    vulnerable = [each for each in audited if each["vulns"]]
    said = [_line(each, vuln) for each in vulnerable for vuln in each["vulns"]]
    said += [f"audit: not looked up: {each['name']}: {each['skip_reason']}" for each in found if "skip_reason" in each]
    said.append(f"audit: {len(audited)} of {len(found)} dependencies looked up, {len(vulnerable)} vulnerable")
    return int(bool(vulnerable)), said


def _line(dependency: dict[str, Any], vuln: dict[str, Any]) -> str:
    fixed = ", ".join(vuln.get("fix_versions", [])) or "no version"
    return f"audit: {dependency['name']} {dependency['version']}: {vuln['id']}, mended in {fixed}"


def _uv() -> str:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return shutil.which("uv") or str(cache / "rescoring-sidecar" / "tools" / "bin" / "uv")


def _report() -> str:
    """Return pip-audit's report on all that the lock file may install."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = str(Path(folder) / "requirements.txt")
        export = ["export", "--frozen", "--quiet", "--no-emit-project", "--all-extras", "--output-file", wanted]
        subprocess.run([_uv(), *export], cwd=_ROOT, check=True)
        options = ["--disable-pip", "--require-hashes", "--requirement", wanted, "--format", "json", "--timeout", "10"]
        audit = [_uv(), "tool", "run", "--quiet", PIP_AUDIT, "--progress-spinner", "off", *options]
        try:
            ran = subprocess.run(audit, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return ""
    if not ran.stdout:
        sys.stderr.write(ran.stderr)
    return ran.stdout


def main() -> int:
    """Audit, and say what was found."""
    code, said = verdict(_report())
    print("\n".join(said))
    return code


if __name__ == "__main__":
    sys.exit(main())
