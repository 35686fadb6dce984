"""One implementation, two clients.

Every method that asks the API is written once, as a coroutine, and decorated: `operation` for one that gives an answer,
`stream` for one that gives items as they come. `AsyncClient` gives the coroutine to be awaited. `Client` runs it to its
end at once: over a blocking wire nothing in it waits for an event loop, so that it never suspends.

Inside such a method the others are awaited, in both clients: `await self.get(id)`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from copy import copy
from functools import cached_property, wraps
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast, overload


class Sync:
    """Calls return the answer."""


class Async:
    """Calls return an awaitable of the answer."""


Mode = TypeVar("Mode", bound=Sync | Async)
P = ParamSpec("P")
T = TypeVar("T")


class Called(Generic[Mode]):
    """What has operations and streams, called in the way that `Mode` says."""

    _blocking: bool

    @cached_property
    def _awaiting(self) -> Self:
        """The same thing as its own methods see it: with calls that are awaited."""
        twin = copy(self)
        twin._blocking = False
        return twin


class operation(Generic[P, T]):  # noqa: N801  a decorator
    """A method that gives one answer."""

    def __init__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: Called[Sync], owner: Any) -> Callable[P, T]: ...
    @overload
    def __get__(self, instance: Called[Any], owner: Any) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, instance: Called[Any] | None, owner: Any) -> Any:
        if instance is None:
            return self
        if not instance._blocking:
            return MethodType(self.function, instance)
        function: Callable[P, Coroutine[Any, Any, T]] = MethodType(self.function, instance._awaiting)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            return _run(function(*args, **kwargs))

        return call


class stream(Generic[P, T]):  # noqa: N801  a decorator
    """A method that gives items as they come."""

    def __init__(self, function: Callable[Concatenate[Any, P], AsyncIterator[T]]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: Called[Sync], owner: Any) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, instance: Called[Any], owner: Any) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, instance: Called[Any] | None, owner: Any) -> Any:
        if instance is None:
            return self
        if not instance._blocking:
            return MethodType(self.function, instance)
        function: Callable[P, AsyncIterator[T]] = MethodType(self.function, instance._awaiting)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
            return _iterate(function(*args, **kwargs))

        return call


def _run(awaitable: Awaitable[T]) -> T:
    """What the awaitable gives, when it never suspends."""
    steps = awaitable.__await__()
    try:
        next(steps)
    except StopIteration as end:
        return cast(T, end.value)
    raise RuntimeError("An operation of the blocking client waited for an event loop.")


def _iterate(items: AsyncIterator[T]) -> Iterator[T]:
    try:
        while True:
            try:
                item = _run(items.__anext__())
            except StopAsyncIteration:
                return
            yield item
    finally:
        if isinstance(items, AsyncGenerator):
            _run(items.aclose())
