"""Trials a second, end to end, of `hpo` against KerasTuner, Optuna with `model.fit`, and Ray Tune with two workers.

    pip install -r benchmarks/requirements.txt
    python benchmarks/throughput.py
    python benchmarks/throughput.py --cases digits --peers ray --trials 64 --peer-trials 8 --engine fit

Same data, space, epochs and cores for all, in one run. A trial is proposed, trained with validation after each epoch,
and written down with its learning curve; compilation counts, imports do not. Each tool runs in a process of its own
(benchmarks/peers/) with the settings that its guides recommend for speed, and stores results its usual way. Ours are
256 trials, against the rate of 32 of each peer. Other options (--engine, --slots, --cohort, --lanes, --structures) go
to peers/ours.py. `--fit default` gives peers the `fit` of the tutorials in place of the tuned one.

Prints ratios, and writes them as Markdown tables with versions. A tool that is not installed, or fails, is named and
left out.
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

# As a script, only this folder is on the path; the package itself may be installed or not.
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.peers import outcome, report, rows  # noqa: E402
from benchmarks.peers.cases import CASES, Case  # noqa: E402


@dataclass(frozen=True)
class Tool:
    """How a peer is run, and what must be installed for it (module: package)."""

    module: str
    needs: dict[str, str]
    arguments: tuple[str, ...] = ()

    def absent(self) -> list[str]:
        """Packages that are missing."""
        return [package for module, package in self.needs.items() if importlib.util.find_spec(module) is None]


TOOLS = {
    "keras-tuner": Tool("kerastuner", {"keras_tuner": "keras-tuner", "tensorboard": "tensorboard"}),
    "optuna": Tool("optuna_fit", {"optuna": "optuna"}),
    "optuna-2": Tool("optuna_fit", {"optuna": "optuna"}, ("--workers", "2")),
    "ray": Tool("raytune", {"ray": "ray[tune]"}, ("--workers", "2")),
    "bare": Tool("bare", {"keras": "keras"}),
}
OURS = "ours"


def run(tool: Tool, case: Case, trials: int, fit: str, extra: list[str]) -> outcome.Outcome | str:
    """The outcome of a tool's process, or a sentence on why there is none."""
    if absent := tool.absent():
        return f"not installed: {', '.join(absent)}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        results, output = Path(folder) / "results", Path(folder) / "outcome.json"
        results.mkdir()
        command = [
            sys.executable, "-m", f"benchmarks.peers.{tool.module}", "--case", case.name, "--trials", str(trials),
            "--folder", str(results), "--output", str(output), "--fit", fit, *tool.arguments, *extra,
        ]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode or not output.exists():
            said = [text for text in done.stderr.splitlines() if text.strip()]
            return f"failed: {said[-1] if said else f'exit code {done.returncode}'}"
        found = outcome.read(output)
    if found.trials < trials and tool.module != "bare":
        return f"failed: {found.trials} of {trials} trials were trained"
    return found


def compare(case: Case, peers: list[str], options: argparse.Namespace, extra: list[str]) -> report.Comparison:
    """Ours first, then each peer of the case."""
    found = report.Comparison(case)
    print(case.name, flush=True)
    try:
        rows.load(case.data)
    except rows.NoData as error:
        found.missing.append(str(error))
        print(f"  {error}")
        return found
    for name in [OURS, *(p for p in case.tools if p in peers)]:
        if name == OURS:
            made = run(Tool("ours", {}), case, options.trials, options.fit, extra)
        else:
            made = run(TOOLS[name], case, options.peer_trials, options.fit, [])
        if isinstance(made, str):
            found.missing.append(f"{name}: {made}")
            print(f"  {name}: {made}", flush=True)
        else:
            found.outcomes[name] = made
            print(report.line(name, made, found.outcomes.get(OURS)), flush=True)
    return found


def main() -> int:
    """0 unless a tool that is installed failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--peers", nargs="*", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--trials", type=int, default=256, help="of ours")
    parser.add_argument("--peer-trials", type=int, default=32, help="of each peer")
    parser.add_argument("--fit", choices=["tuned", "default"], default="tuned", help="how peers call model.fit")
    parser.add_argument("--output", type=Path, help="a file for the tables; printed otherwise")
    options, extra = parser.parse_known_args()
    comparisons = [compare(CASES[name], options.peers, options, extra) for name in options.cases]
    text = report.document(comparisons, report.command("benchmarks/throughput.py", sys.argv[1:]))
    if options.output:
        options.output.write_text(text)
        print(f"tables: {options.output}")
    else:
        print(f"\n{text}", end="")
    return int(any("failed:" in sentence for c in comparisons for sentence in c.missing))


if __name__ == "__main__":
    sys.exit(main())
