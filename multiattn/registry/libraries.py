"""Which library kept a plugin from being imported, and what to install.

The traceback tells both: the innermost frame of a plugin did the import, and the frames below it
are those of the library. Standard library only.
"""

from __future__ import annotations

import importlib.metadata
import re
import traceback
from collections.abc import Sequence

from multiattn.registry.discovery import CORE_DISTRIBUTION, GROUP, canonical_name


def remedy(error: BaseException) -> str:
    """What to install after an error at an import, "install jiwer>=4.0, which … needs".

    Empty if the error was not raised by importing a library from a plugin or from the core.
    """
    plugins = _distributions_by_package()
    frames = [
        (str(frame.f_globals.get("__name__")).partition(".")[0], frame.f_code.co_name)
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    importers = [number for number, (package, _) in enumerate(frames) if package in plugins]
    if not importers:
        return ""
    distribution = plugins[frames[importers[-1]][0]]
    library = _library(error, frames[importers[-1] + 1 :])
    if library is None or library in plugins:
        return ""
    requirement = _requirement(distribution, library)
    if requirement is None and distribution == CORE_DISTRIBUTION:
        return ""  # the core imports other people's modules
    verb = "install" if isinstance(error, ModuleNotFoundError) else "reinstall"
    return f"{verb} {requirement or library}, which {distribution} needs"


def _distributions_by_package() -> dict[str, str]:
    """The distribution of each package or module that holds a plugin."""
    return {
        entry_point.module.partition(".")[0]: canonical_name(entry_point.dist.name)
        for entry_point in importlib.metadata.entry_points(group=GROUP)
        if entry_point.dist
    }


def _library(error: BaseException, below: Sequence[tuple[str, str]]) -> str | None:
    """The top-level package that is missing or failed, by the frames below the import."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return error.name.partition(".")[0]
    for package, function in below:
        if function == "<module>":
            return package
    if isinstance(error, ImportError) and error.name:
        return error.name.partition(".")[0]
    return None


def _requirement(distribution: str, library: str) -> str | None:
    """The requirement of a distribution that provides this package, without its marker."""
    providers = importlib.metadata.packages_distributions().get(library, [])
    names = {canonical_name(name) for name in [library, *providers]}
    for requirement in importlib.metadata.requires(distribution) or ():
        stated = requirement.partition(";")[0].strip()
        name = re.match(r"[\w.-]+", stated)
        if name and canonical_name(name.group()) in names:
            return stated
    return None
