"""What the SDK imports and a plain run never calls: imported when it is called.

upath is for the files of BATCH messages, joblib for sinks that are drained side by side, and the SDK's streams over
REST and its schemas from addresses bring requests with them. They are half of the SDK's import. packaging is for
``--about``, dotenv for ``--config=ENV``. urllib3 imports importlib.metadata for HTTP/2 alone: a quarter of its own
import, which a first request waits for.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DEFERRED = {
    "dotenv": ("find_dotenv",),
    "dotenv.main": ("DotEnv",),
    "importlib.metadata": ("entry_points", "version"),
    "importlib_metadata": ("entry_points",),
    "joblib": ("Parallel", "delayed", "parallel_config"),
    "packaging.specifiers": ("SpecifierSet",),
    "packaging.version": ("Version",),
    "upath": ("UPath",),
    "singer_sdk.schema.source": ("OpenAPISchema", "SchemaDirectory", "SchemaSource", "StreamSchema"),
    "singer_sdk.streams.graphql": ("GraphQLStream",),
    "singer_sdk.streams.rest": ("RESTStream",),
}
"""Names that the SDK only hands on or calls, by their modules; any other name brings the module itself."""


class Deferred:
    """Stands for a class or function, which is imported when it is called or anything else is done with it.

    Args:
        module: that holds it.
        name: of it.
    """

    def __init__(self, module: Placeholder, name: str) -> None:
        self._module = module
        self._name = name

    def _imported(self) -> Any:  # noqa: ANN401  whatever it is
        self._module.give_way()
        return getattr(import_module(self._module.__name__), self._name)

    def __call__(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401  whatever the real one takes
        """Import it, and call it."""
        return self._imported()(*arguments, **options)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._imported(),)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self._imported())

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  anything that it may hold
        return getattr(self._imported(), name)


class Placeholder(ModuleType):
    """Stands for a module until something of it is called.

    Args:
        name: of the module.
        path: where its submodules lie, for whoever imports one of them.
    """

    def __init__(self, name: str, path: Iterable[str]) -> None:
        super().__init__(name)
        self.__path__ = list(path)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  anything that a module may hold
        """Return what imports when it is used, for a name that may wait, else what the module holds."""
        if name in DEFERRED[self.__name__]:
            return Deferred(self, name)
        self.give_way()
        return getattr(import_module(self.__name__), name)

    def stand_in(self) -> None:
        """Let whoever imports the module find this one, also by way of its package."""
        sys.modules[self.__name__] = self
        package, _, name = self.__name__.rpartition(".")
        if package in sys.modules:
            # It stays there until the module itself is imported, which takes its place.
            setattr(sys.modules[package], name, self)

    def give_way(self) -> None:
        """Let the next import of the module find it."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]


def _path_of(name: str) -> Iterable[str] | None:
    """Return where the submodules of a module lie; None where there is no such module."""
    package = name.rpartition(".")[0]
    if package and package not in sys.modules:
        # To find a module within a package would import the package.
        return ()
    spec = find_spec(name)
    return None if spec is None else spec.submodule_search_locations or ()


@contextmanager
def deferred() -> Iterator[None]:
    """Let what is imported meanwhile do without these modules; afterwards they are there for whoever asks."""
    placeholders = [
        Placeholder(name, path)
        for name in DEFERRED
        if name not in sys.modules and (path := _path_of(name)) is not None
    ]
    for each in placeholders:
        each.stand_in()
    try:
        yield
    finally:
        for each in placeholders:
            each.give_way()
