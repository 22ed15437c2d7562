# SPDX-License-Identifier: Apache-2.0
"""A small explicit-state model checker. The search is breadth first, so that every counter-example is a shortest one.

A model is an object with
    init()          the first state (hashable)
    steps(state)    yields (label, next_state): every step that any process, the network or a fault can take
    wrong(state)    None, or a sentence saying which promise this state breaks
    done(state)     True where the run has reached its goal; checked as "from every state a done state can be reached"

What the checker cannot do: time, fairness, or budgets larger than memory. A case that holds is searched completely within its
own budget of crashes, moves and lost answers; that is evidence, not a proof.
"""
from collections import deque

STATES_MAX = 3_000_000


class Outcome:
    """problem: None, or the broken promise; trace: the shortest way to it."""
    def __init__(self, tried, problem=None, trace=()):
        self.tried, self.problem, self.trace = tried, problem, trace


class Search:
    """The states met so far, and how each was first reached."""
    def __init__(self, model):
        self.model = model
        self.number, self.parent, self.label, self.before = {}, [], [], []

    def add(self, state, parent, label):
        """Returns (number of the state, whether it is new)."""
        known = self.number.get(state)
        if known is not None:
            return known, False
        number = len(self.parent)
        self.number[state] = number
        self.parent.append(parent)
        self.label.append(label)
        self.before.append([])
        return number, True

    def outcome(self, problem=None, at=0):
        trace = []
        while at > 0:
            trace.append(self.label[at])
            at = self.parent[at]
        return Outcome(len(self.parent), problem, trace[::-1])

    def goal_out_of_reach(self, goals):
        """The first state from which no goal can be reached, or None: a walk back from all goals."""
        live, todo = set(goals), deque(goals)
        while todo:
            for before in self.before[todo.popleft()]:
                if before not in live:
                    live.add(before)
                    todo.append(before)
        return next((i for i in range(len(self.parent)) if i not in live), None)


def explore(model):
    search, goals = Search(model), []
    first = model.init()
    search.add(first, -1, "")
    problem = model.wrong(first)
    if problem:
        return search.outcome(problem)
    todo = deque([first])
    while todo:
        state = todo.popleft()
        here = search.number[state]
        if model.done(state):
            goals.append(here)
        for label, after in model.steps(state):
            there, new = search.add(after, here, label)
            search.before[there].append(here)
            if not new:
                continue
            problem = model.wrong(after)
            if problem:
                return search.outcome(problem, there)
            if there >= STATES_MAX:
                return search.outcome("too many states: the search is not complete", there)
            todo.append(after)
    stuck = search.goal_out_of_reach(goals)
    return search.outcome() if stuck is None else search.outcome("stuck: the goal can never be reached from here", stuck)
