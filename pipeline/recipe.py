"""Recipes: which stages a run has, in which order, and which roles its samples have."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pipeline.errors import RecipeError
from pipeline.stage import Stage


@dataclass(frozen=True)
class Recipe:
    """A kind of dataset: its stages and its roles.

    Attributes:
        name: What a configuration calls it.
        stages: The stages in the order in which they run.
        optional: Names of stages that run only where the configuration has them. A stage that reads nothing but stages
            which are left out is left out as well.
        roles: What a sample consists of, such as the two sides of a pair. Stages that acquire or read one thing
            a role take the roles from here.

    Raises:
        RecipeError: Two stages share a name, a stage reads one that does not come before it or works on a role that
            the recipe lacks, or `optional` names no stage.
    """

    name: str
    stages: tuple[type[Stage[Any]], ...]
    optional: frozenset[str] = frozenset()
    roles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        before: list[str] = []
        for stage in self.stages:
            if stage.name in before:
                raise RecipeError(f"recipe {self.name!r} has two stages named {stage.name!r}: give one another name")
            for read in stage.reads:
                if read not in before:
                    raise RecipeError(
                        f"recipe {self.name!r}: stage {stage.name!r} reads the results of {read!r}, which does not "
                        f"come before it. Before it come: {', '.join(before) or 'none'}"
                    )
            lacking = [role for role in stage.roles if role not in self.roles]
            if lacking:
                raise RecipeError(
                    f"recipe {self.name!r}: stage {stage.name!r} works on the role {lacking[0]!r}, which the recipe "
                    f"lacks. It has: {', '.join(self.roles) or 'none'}"
                )
            before.append(stage.name)
        unknown = sorted(self.optional.difference(before))
        if unknown:
            raise RecipeError(f"recipe {self.name!r} has no stage {unknown[0]!r}, which it calls optional")

    def chosen(self, given: Collection[str]) -> list[type[Stage[Any]]]:
        """Return the stages of a run, in order, for a configuration that has those in `given`."""
        chosen: list[type[Stage[Any]]] = []
        for stage in self.stages:
            names = {each.name for each in chosen}
            asked = stage.name in given if stage.name in self.optional else True
            if asked and (not stage.reads or names.intersection(stage.reads)):
                chosen.append(stage)
        return chosen
