"""Runs several actors in every order that their operations on a target can take."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

Pause = Callable[[str, str], None]  # what an actor's target calls ahead of each operation
Actor = Callable[[Pause], None]


class _Stopped(BaseException):
    """Ends an actor of a schedule that failed."""


class _Turns:
    """One run of all actors, one at a time; ``choose`` gives the actor whose operation is next."""

    def __init__(self, actors: Sequence[Actor], choose: Callable[[list[int]], int]) -> None:
        self.choose = choose
        self.waiting = [threading.Semaphore(0) for _ in actors]
        self.back = threading.Semaphore(0)
        self.alive = set(range(len(actors)))
        self.errors: list[BaseException] = []
        self.threads = [
            threading.Thread(target=self._act, args=(number, actor), daemon=True) for number, actor in enumerate(actors)
        ]

    def run(self) -> None:
        for thread in self.threads:
            thread.start()
            self.back.acquire()  # it stands before its first operation, or has ended
        while self.alive and not self.errors:
            self.waiting[self.choose(sorted(self.alive))].release()
            self.back.acquire()
        for number in sorted(self.alive):
            self.waiting[number].release()
            self.back.acquire()
        for thread in self.threads:
            thread.join()
        if self.errors:
            raise self.errors[0]

    def _act(self, number: int, actor: Actor) -> None:
        def pause(operation: str, key: str) -> None:
            self.back.release()
            self.waiting[number].acquire()
            if self.errors:
                raise _Stopped

        try:
            actor(pause)
        except _Stopped:
            pass
        except BaseException as error:  # whatever it is, the test is to see it
            self.errors.append(error)
        finally:
            self.alive.discard(number)
            self.back.release()


class _Choices:
    """Follows a plan, then lets each actor go on as long as it can; notes what else could have been chosen."""

    def __init__(self, plan: list[int], switches: int | None) -> None:
        self.plan, self.switches = plan, switches
        self.taken: list[tuple[int, list[int]]] = []

    def __call__(self, alive: list[int]) -> int:
        last = self.taken[-1][0] if self.taken else None
        could_go_on = last in alive
        order = sorted(alive, key=lambda actor: actor != last)
        if could_go_on and self.switches == 0:
            order = order[:1]
        step = len(self.taken)
        chosen = self.plan[step] if step < len(self.plan) else order[0]
        assert chosen in order, "the actors do not do the same in each run"
        if could_go_on and chosen != last and self.switches is not None:
            self.switches -= 1
        self.taken.append((chosen, order[order.index(chosen) + 1 :]))
        return chosen

    def next_plan(self) -> list[int] | None:
        while self.taken and not self.taken[-1][1]:
            self.taken.pop()
        return [chosen for chosen, _ in self.taken[:-1]] + [self.taken[-1][1][0]] if self.taken else None


def every_order(world: Callable[[], tuple[Sequence[Actor], Callable[[], None]]], *, switches: int | None = None) -> int:
    """Runs the actors of a new ``world()`` in each order, then its check; returns the number of orders.

    ``switches`` bounds how often an actor that could go on has to wait for another one.
    """
    plan: list[int] | None = []
    count = 0
    while plan is not None:
        choices = _Choices(plan, switches)
        actors, check = world()
        _Turns(actors, choices).run()
        check()
        count += 1
        plan = choices.next_plan()
    return count
