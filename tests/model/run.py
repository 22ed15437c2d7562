# SPDX-License-Identifier: Apache-2.0
"""Runs the cases of all models and compares each with what is expected of it.

A case is (name, model, expected): "holds", or a word of the promise that must be found broken ("twice", "lost" ...). The careless
variants are as important as the repaired ones: a model that cannot fail shows nothing. A model is explored state by state
(checker.py), or is a function that tries all cases itself (order.py).
"""
import sys
import time

import append
import checker
import load
import order
import plan
import source
import sqlite
import view


def judge(outcome, expected):
    if expected == "holds":
        return outcome.problem is None
    return outcome.problem is not None and expected in outcome.problem


def run(case, verbose):
    name, model, expected = case
    start = time.monotonic()
    outcome = model() if callable(model) else checker.explore(model)
    good = judge(outcome, expected)
    found = "holds" if outcome.problem is None else "fails, as it must" if good else "fails"
    print(f"{'ok' if good else 'NOT OK'}  {name}: {found} ({outcome.tried:,} states, {time.monotonic() - start:.1f} s)", flush=True)
    if not good:
        print(f"    expected: {expected}")
    if outcome.problem and (verbose or not good):
        print(f"    {outcome.problem}")
        for i, step in enumerate(outcome.trace, 1):
            print(f"    {i:2}. {step}")
    return good


def main(words):
    cases = [case for model in (source, order, sqlite, plan, append, load, view) for case in model.CASES]
    results = [run(case, bool(words)) for case in cases if not words or any(word in case[0] for word in words)]
    passed = sum(results)
    print(f"{passed} passed, {len(results) - passed} failed")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
