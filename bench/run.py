#!/usr/bin/env python3
"""Measures this machine and prints the tables of the performance page: `make bench`.

    python bench/run.py                                   Tollway beside nginx and the peers that are installed
    python bench/run.py --against main~3                  ... and beside another revision of Tollway, in the same run
    python bench/run.py --scenarios plain-c32 --rounds 5  fewer figures, steadier
    python bench/run.py --ledger-rows 1000000             spend views on a smaller ledger; 0 leaves them out

Needs two cores and gcc; nginx is the floor that ratios are taken against. Only ratios within one run count.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import EVENTS, REPO, SCENARIOS, Results, Target, Upstream, load_specs, make_work_folder, measure

DEFAULT_TARGETS = "direct,nginx,tollway,tollway-shared,tollway-tls,tollway-aiohttp,uvicorn,envoy,ferro,portkey,litellm"
DEFAULT_SCENARIOS = "plain-c32,stream-c32,stream-unasked-c32,paced20-c32,big-c8,plain-c1,stream-c1"
REFERENCE_NGINX_US = 13
NOT_FOR = {"uvicorn": {name for name, scenario in SCENARIOS.items() if scenario.is_stream}}
"""Scenarios that a target cannot answer."""


@dataclass(frozen=True)
class Goal:
    """One row of the target table of the performance page."""

    figure: str
    value: Callable[[Results, Target], float]
    must: float
    goal: float
    unit: str


def median(scenario: str, figure: str) -> Callable[[Results, Target], float]:
    return lambda results, target: results.median(scenario, target.name, figure)


def times_nginx(scenario: str) -> Callable[[Results, Target], float]:
    return lambda results, target: (
        results.median(scenario, target.name, "cpu_us") / results.median(scenario, "nginx", "cpu_us")
    )


def added_ms(scenario: str, figure: str) -> Callable[[Results, Target], float]:
    return lambda results, target: (
        (results.median(scenario, target.name, figure) - results.median(scenario, "direct", figure)) / 1e3
    )


GOALS = (
    Goal("CPU per plain call", median("plain-c32", "cpu_us"), 120, 60, "µs"),
    Goal("CPU per plain call, nginx = 1", times_nginx("plain-c32"), 9, 9, "x"),
    Goal(f"CPU per stream of {EVENTS + 4} events", median("stream-c32", "cpu_us"), 220, 120, "µs"),
    Goal("the same, usage not asked for", median("stream-unasked-c32", "cpu_us"), 220, 120, "µs"),
    Goal("CPU per paced stream, nginx = 1", times_nginx("paced20-c32"), 2.5, 2, "x"),
    Goal("CPU per 100 KB prompt", median("big-c8", "cpu_us"), 450, 330, "µs"),
    Goal("added p50, one connection", added_ms("plain-c1", "p50_us"), 0.35, 0.2, "ms"),
    Goal("added p99, one connection", added_ms("plain-c1", "p99_us"), 1.5, 0.6, "ms"),
    Goal("time to first token added", added_ms("stream-c1", "ttfb_p50_us"), 0.5, 0.25, "ms"),
    Goal("start to first completion", lambda _, target: target.restart_s, 0.6, 0.3, "s"),
    Goal("RSS idle", lambda _, target: target.idle_mib, 90, 60, "MiB"),
)


def main() -> None:
    options = parse_options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results = Results()
    with ExitStack() as stack:
        work = make_work_folder()
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        upstream = Upstream(work)
        stack.callback(upstream.stop)
        targets = list(start_targets(options, upstream, work, stack))
        for scenario in options.scenarios.split(","):
            run_scenario(scenario, targets, results, options)
            print_scenario(scenario, targets, results)
        for target in targets:
            target.stop()
    print_starts(targets)
    for target in targets:
        if target.name in {"tollway", "other"}:
            print_goals(target, results)
    if options.ledger_rows:
        measure_views(options)


def measure_views(options: argparse.Namespace) -> None:
    """In a process of its own, after the gateways are gone: it needs the memory, and they must not wait for it."""
    views = [str(REPO / "bench" / "ledger_views.py"), "--rows", str(options.ledger_rows)]
    subprocess.run([sys.executable, *views], check=True)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", default=DEFAULT_TARGETS, help="names of targets.toml, comma-separated")
    parser.add_argument("--scenarios", default=DEFAULT_SCENARIOS, help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--against", metavar="REV", help="also measure this revision of Tollway")
    parser.add_argument("--ledger-rows", type=int, default=10_000_000, help="of the spend views' ledger; 0: no views")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--duration", type=float, default=3.0, help="seconds of each round")
    parser.add_argument("--warmup", type=float, default=1.0)
    parser.add_argument("--venvs", default=os.environ.get("BENCH_VENVS", str(REPO / ".bench")), help="peers live here")
    return parser.parse_args()


def start_targets(options: argparse.Namespace, upstream: Upstream, work: Path, stack: ExitStack) -> Iterator[Target]:
    specs = load_specs()
    wanted = dict.fromkeys(options.targets.split(","), REPO)
    if options.against:
        specs["other"] = {**specs["tollway"], "label": f"Tollway at {options.against}"}
        wanted["other"] = stack.enter_context(worktree(options.against, work / "worktree"))
    for name, repo in wanted.items():
        target = Target(name, specs[name], upstream, work / name, options.venvs, repo)
        needs_nginx = target.is_tls and shutil.which("nginx") is None
        if needs_nginx or not target.is_installed:
            print(f"# {name}: {'needs nginx' if needs_nginx else 'not installed'}, skipped", file=sys.stderr)
            continue
        stack.callback(target.stop)
        target.start()
        print(f"# {name}: first completion after {target.restart_s:.2f} s", file=sys.stderr)
        yield target


@contextmanager
def worktree(revision: str, folder: Path) -> Iterator[Path]:
    """Another revision's files, for as long as the block lasts."""
    git = ["git", "-C", str(REPO), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), revision], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def run_scenario(name: str, targets: list[Target], results: Results, options: argparse.Namespace) -> None:
    scenario = SCENARIOS[name]
    if targets:
        targets[0].upstream.behave(scenario)
    for _ in range(options.rounds):
        for target in targets:
            if name not in NOT_FOR.get(target.name, ()):
                run = measure(target, scenario, duration_s=options.duration, warmup_s=options.warmup)
                results.add(name, target.name, run)


def print_scenario(name: str, targets: list[Target], results: Results) -> None:
    is_stream = SCENARIOS[name].is_stream
    columns = ["CPU µs/call", "x nginx", *(["µs/event", "TTFT p50 ms"] if is_stream else [])]
    columns += ["calls/s", "p50 ms", "p99 ms", "RSS MiB", "bad", "other CPU"]
    print(f"\n**{name}** (medians)\n\n| target | {' | '.join(columns)} |\n|---{'|--:' * len(columns)}|")
    floor = results.median(name, "nginx", "cpu_us")
    for target in targets:
        if (name, target.name) not in results.runs:
            continue
        figure = {key: results.median(name, target.name, key) for key in results.runs[name, target.name][0]}
        cells = [f"{figure['cpu_us']:.0f}", f"{figure['cpu_us'] / floor:.1f}"]
        if is_stream:
            cells += [f"{figure['cpu_us'] / (EVENTS + 4):.1f}", f"{figure['ttfb_p50_us'] / 1e3:.2f}"]
        cells += [f"{figure['rps']:.0f}", f"{figure['p50_us'] / 1e3:.2f}", f"{figure['p99_us'] / 1e3:.2f}"]
        cells += [f"{figure['rss_mib']:.0f}", f"{figure['bad']:.0f}", f"{figure['other'] * 100:.0f} %"]
        print(f"| {target.label} | {' | '.join(cells)} |", flush=True)


def print_starts(targets: list[Target]) -> None:
    print("\n| target | first start to first completion | restart | RSS idle | RSS after the load |")
    print("|---|--:|--:|--:|--:|")
    for target in targets:
        if target.process:
            figures = f"{target.first_start_s:.2f} s | {target.restart_s:.2f} s | {target.idle_mib:.0f} MiB"
            print(f"| {target.label} | {figures} | {target.after_mib:.0f} MiB |")


def print_goals(target: Target, results: Results) -> None:
    print(f"\n**{target.label}: targets**\n")
    floor = results.median("plain-c32", "nginx", "cpu_us")
    if not math.isnan(floor):
        print(f"A plain call takes nginx {floor:.0f} µs here, and {REFERENCE_NGINX_US} where the targets were set.\n")
    print("| figure | measured | must | goal | |")
    print("|---|--:|--:|--:|---|")
    for goal in GOALS:
        value = goal.value(results, target)
        if math.isnan(value):  # not measured in this run
            continue
        mark = "goal" if value <= goal.goal else "pass" if value <= goal.must else "**FAIL**"
        figures = " | ".join(f"{limit:g} {goal.unit}" for limit in (round(value, 2), goal.must, goal.goal))
        print(f"| {goal.figure} | {figures} | {mark} |")


if __name__ == "__main__":
    main()
